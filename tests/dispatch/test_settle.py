"""Settling doubt: what is sent again, what is probed, what is held, and the reason that is given."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.log import PROBE_CHARGED
from imeiflow.providers.contract import Connection, Placement, Timeouts
from imeiflow.simulator.behaviour import Repeat
from tests.judge import Verdict
from tests.rig import ACCOUNT, PATIENCE_S, PRICE, SERVICE, SETTINGS, FastClock, Rig, Wire, make_imei, open_rig, work

S = OrderState
LOST = "reset:after@#3,7"
COST = Decimal("9.25")


def kinds(verdict: Verdict) -> list[str]:
    """List the kinds of the attempts that settling made, in their order."""
    found = {one.attempt: one.kind for line in verdict.lines for one in line.tries}
    return [kind for _, kind in sorted(found.items()) if kind in {"again", "probe"}]


def course(verdict: Verdict) -> list[str]:
    """List the same with the first probe only: on a slow machine doubt outgrows it, and it is made again, free."""
    found = kinds(verdict)
    return found[:1] + [kind for kind in found[1:] if kind != "probe"]


async def test_doubt_is_settled_by_one_free_probe_and_one_repeat_for_each(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,)}) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        assert course(verdict) == ["probe", "again", "again"]
        assert verdict.count("duplicate") == 2
        assert verdict.count("accepted") == 28
        assert rig.reason(job) == ""
        assert rig.ledger.spending(job).amount == 30 * PRICE


async def test_a_doubt_whose_call_never_arrived_is_placed_by_its_repeat(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:before@#3,7",)}) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        assert course(verdict) == ["probe", "again", "again"]
        assert verdict.count("accepted") == 30 == len(rig.sim.book)


async def test_the_probe_repeats_the_oldest_accepted_order_and_its_answer_is_remembered(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,)}) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        probed = next(line for line in verdict.lines if line.probes)
        accepted = rig.ledger.oldest_accepted(ACCOUNT, SERVICE, job_id=job)
        assert min(accepted, key=lambda order: order.placed_by).imei == probed.imei
        evidence = rig.ledger.repeat_evidence(ACCOUNT, SERVICE)
        assert all(seen.is_refusal for seen in evidence)
        # What refused a doubt may have been an order made by hand: that is no evidence.
        assert len(evidence) == kinds(verdict).count("probe")


async def test_a_probe_that_is_accepted_is_the_whole_loss_and_is_reported(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,), "repeats": Repeat.CHARGE}) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        assert kinds(verdict) == ["probe"]
        assert rig.state(job) is JobState.FINISHED
        assert rig.reason(job).startswith("repeats are charged here (one repeated order cost $0.08)")
        assert verdict.count("unconfirmed") == 2
        assert rig.ledger.spending(job).amount == 29 * PRICE
        assert rig.summary(job).probed.amount == PRICE
        rig.resume(job)
        assert kinds(await rig.run(job)) == ["probe"]
        rig.behave(faults=("reset:after@#40",))
        assert kinds(await rig.run(rig.add_job(20, chunk_size=1))) == ["probe"]
        assert rig.repeats == 1
        doubts = [doubt.order for doubt in rig.ledger.doubts(job)]
        assert rig.reason(job)
        rig.ledger.mark_placed(doubts)
        assert rig.reason(job) == ""


async def test_a_cap_that_comes_from_a_user_s_limit_is_called_so(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,), "repeats": Repeat.CHARGE}) as rig:
        job = rig.add_job(30, chunk_size=1, max_spend=30 * PRICE)
        rig.ledger.log_event("cap_changed", job=job, data={"limit_of": "otto"})
        await rig.run(job)
        assert rig.reason(job) == (
            "the spending cap, which comes from what otto may spend in a day, leaves no room for a repeat probe"
        )


async def test_a_cap_of_just_what_the_list_costs_is_not_passed_by_a_probe(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,), "repeats": Repeat.CHARGE}) as rig:
        job = rig.add_job(30, chunk_size=1, max_spend=30 * PRICE)
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert rig.reason(job) == "the spending cap leaves no room for a repeat probe"
        rig.ledger.mark_placed([doubt.order for doubt in rig.ledger.doubts(job)])
        summary = rig.summary(job)
        assert (summary.spent.amount, summary.probed.amount, summary.reason) == (30 * PRICE, 0, None)


@pytest.mark.parametrize("limit", [Decimal("0.07"), Decimal(0)])
async def test_a_probe_that_is_too_dear_is_not_made(tmp_path: Path, limit: Decimal):
    settings = replace(SETTINGS, repeat_probe_max_price=limit)
    async with open_rig(tmp_path, {"faults": (LOST,)}, settings=settings) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert "repeat_probe_max_price" in rig.reason(job)
        assert "$0.08" in rig.reason(job)
        assert verdict.count("unconfirmed") == 2


async def test_probes_whose_replies_are_lost_risk_no_more_than_the_limit_in_all(tmp_path: Path):
    settings = replace(SETTINGS, repeat_probe_max_price=PRICE * 2)
    behaviour = {"faults": (LOST, "reset:after@every:1"), "repeats": Repeat.CHARGE}
    async with open_rig(tmp_path, {**behaviour, "faults": (LOST,)}, settings=settings) as rig:
        job = rig.add_job(20, chunk_size=1, max_concurrency=1)

        class Spoiler:
            """Loses the reply of every probe."""

            def __init__(self, inner: Connection) -> None:
                self.inner = inner

            async def place(self, imeis: Sequence[Any], service: Any) -> Placement:
                if rig.sim.stats.received >= 20:
                    rig.behave(faults=("reset:after@100%",))
                return await self.inner.place(imeis, service)

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

        for _ in range(3):
            async with rig.engine(connection=Spoiler(rig.connect())) as engine, asyncio.timeout(PATIENCE_S):
                await engine.run()
            verdict = rig.judge()
            assert kinds(verdict) == ["probe", "probe"]
            assert rig.reason(job)
            rig.resume(job)
        assert rig.repeats == 2


async def test_probes_whose_replies_are_lost_count_against_the_spending_cap(tmp_path: Path):
    """Eighteen are accepted and two in doubt; the cap leaves room for two more that may have been charged."""
    async with open_rig(tmp_path, {"faults": (LOST,), "repeats": Repeat.CHARGE}) as rig:
        job = rig.add_job(20, chunk_size=1, max_concurrency=1, max_spend=PRICE * 22)

        async def spoil(number: int) -> None:
            if number == 21:
                rig.behave(faults=("reset:after@100%",))

        for _ in range(2):
            async with rig.engine(connection=Wire(rig.connect(), before=spoil)) as engine:
                await work(engine)
            assert kinds(rig.judge()) == ["probe", "probe"]
            assert "spending cap" in rig.reason(job)
            rig.resume(job)
        assert rig.ledger.lost_probes(job) == 2


async def test_two_jobs_that_settle_at_once_make_one_probe_and_share_what_it_shows(tmp_path: Path):
    behaviour = {"repeats": Repeat.CHARGE, "faults": ("reset:after@#3,4,7,8",), "latency": "0.1"}
    async with open_rig(tmp_path, behaviour) as rig:
        jobs = [rig.add_job(12, chunk_size=1, max_concurrency=4) for _ in range(2)]
        verdict = await rig.run()
        assert all(rig.count(job, S.UNCONFIRMED) for job in jobs)
        assert kinds(verdict) == ["probe"]
        assert all(rig.reason(job).startswith("repeats are charged here") for job in jobs)


async def test_what_a_probe_cost_is_kept_with_the_job_that_it_was_made_for(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:after@#6",), "repeats": Repeat.CHARGE}) as rig:
        await rig.run(rig.add_job(5, chunk_size=1))
        job = rig.add_job(1, chunk_size=1)
        await rig.run(job)
        rig.resume(job)
        await rig.run(job)
        [kept] = rig.ledger.events(job=job, kinds=(PROBE_CHARGED,))
        assert kept.data["price"] == str(PRICE)
        assert kept.data["reference"] in [entry.reference for entry in rig.sim.book.repeats()]


@pytest.mark.parametrize("values", [{"unit_price": None}, {"max_spend": PRICE * 30}])
async def test_no_probe_is_made_at_a_price_that_is_not_known_or_not_allowed(tmp_path: Path, values: dict[str, Any]):
    async with open_rig(tmp_path, {"faults": (LOST,)}) as rig:
        job = rig.add_job(30, chunk_size=1, **values)
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert verdict.count("unconfirmed") == 2
        assert "price" in rig.reason(job) or "spending cap" in rig.reason(job)


async def test_a_job_that_holds_its_doubt_sends_nothing_again(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,)}) as rig:
        job = rig.add_job(30, chunk_size=1, policy=Policy.HOLD)
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert verdict.count("unconfirmed") == 2
        assert rig.sim.stats.actions["getimeis"] == 0


async def test_without_an_accepted_order_nothing_can_be_learned_and_the_reason_says_so(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:after@100%",)}) as rig:
        job = rig.add_job(3, chunk_size=1)
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert verdict.count("unconfirmed") == 3
        assert "no accepted order is known" in rig.reason(job)


async def test_orders_that_the_provider_lists_are_found_there_and_not_repeated(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,), "lists_recent": 100}) as rig:
        job = rig.add_job(30, chunk_size=1, service_name="Apple Basic Info")
        verdict = await rig.run(job)
        assert kinds(verdict) == []
        assert verdict.count("accepted") == 30
        assert all(line.reference for line in verdict.lines)
        assert rig.ledger.spending(job).amount == 30 * PRICE


@pytest.mark.parametrize("hours_before", [1, 0])
async def test_an_order_made_by_hand_is_not_taken_for_the_doubt(tmp_path: Path, hours_before: int):
    """The doubt's IMEI was ordered on the site an hour before: another order. In the same minute: either may be it."""
    clock = FastClock()
    behaviour = {"lists_recent": 100, "repeats": Repeat.CHARGE, "faults": ("reset:after@#44",)}
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:
        for serial in range(40):
            await order_elsewhere(rig, 1, first=serial)
        clock.skip(hours_before * 3600)
        rig.behave(faults=("reset:before@#44",) if hours_before else ("reset:after@#44",))
        job = rig.add_job(30, chunk_size=1, service_name="Apple Basic Info", max_concurrency=1)
        await rig.run(job)
        assert rig.count(job, S.UNCONFIRMED) == 1
        assert ("any of several" in rig.reason(job)) == (not hours_before)


async def test_a_definite_no_to_a_repeat_leaves_the_doubt(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:before@#3",)}) as rig:
        job = rig.add_job(10, chunk_size=1, max_concurrency=1)
        rig.behave(bad_imeis=(make_imei(2),))
        verdict = await rig.run(job)
        assert kinds(verdict)[:2] == ["probe", "again"]
        assert verdict.count("unconfirmed") == 1


# how far evidence reaches


async def test_a_refusal_of_a_young_order_does_not_cover_an_older_doubt(tmp_path: Path):
    """Only open orders are refused, and they complete within ten minutes: what was seen of young ones proves little."""
    clock = FastClock()
    behaviour = {"repeats": Repeat.REFUSE_OPEN, "pending_for": "0", "process_for": "600", "faults": ("reset:after@#3",)}
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:
        await rig.run(rig.add_job(10, chunk_size=1))
        assert all(seen.is_refusal for seen in rig.ledger.repeat_evidence(ACCOUNT, SERVICE))
        rig.behave(faults=("reset:after@#15",))
        job = rig.add_job(10, chunk_size=1, max_concurrency=1)
        rig.sim.site.watch(rig.sim.stats.received + 6, lambda: rig.ledger.request(job, JobState.PAUSED))
        assert (await rig.run(job)).count("unconfirmed") == 1
        clock.skip(3600)
        rig.resume(job)
        verdict = await rig.run(job)
        assert [line.tries[-1].kind for line in verdict.lines if line.job == job and len(line.tries) > 1] == ["probe"]
        assert "repeats are charged here" in rig.reason(job)


async def test_a_completed_order_that_is_charged_again_shows_that_repeats_are_charged(tmp_path: Path):
    behaviour = {"repeats": Repeat.REFUSE_OPEN, "pending_for": "0", "process_for": "0", "faults": (LOST,)}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(30, chunk_size=1)
        verdict = await rig.run(job)
        assert kinds(verdict) == ["probe"]
        assert rig.repeats == 1
        assert verdict.count("unconfirmed") == 2


async def test_a_refusal_that_was_seen_long_ago_is_not_relied_on(tmp_path: Path):
    """What was learned a week ago is learned again, by a probe, before anything is repeated."""
    clock = FastClock()
    async with open_rig(tmp_path, {"pending_for": "0", "process_for": "0", "faults": (LOST,)}, clock=clock) as rig:
        await rig.run(rig.add_job(30, chunk_size=1))
        assert any(seen.of_completed for seen in rig.ledger.repeat_evidence(ACCOUNT, SERVICE))
        clock.skip(8 * 86_400)
        rig.behave(faults=("reset:after@#40",), repeats=Repeat.CHARGE)  # the provider has changed its mind since
        verdict = await rig.run(rig.add_job(30, chunk_size=1))
        assert verdict.count("unconfirmed") == 1
        assert kinds(verdict)[-1] == "probe"
        assert rig.repeats == 1


async def test_doubts_older_than_a_job_s_accepted_orders_are_covered_by_an_older_job_s(tmp_path: Path):
    clock = FastClock()
    async with open_rig(tmp_path, {"pending_for": "0", "process_for": "0"}, clock=clock) as rig:
        await rig.run(rig.add_job(5, chunk_size=1))
        clock.skip(8 * 86_400)
        rig.behave(faults=("reset:after@every:1",))
        job = rig.add_job(30, chunk_size=1)
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        clock.skip(600)
        rig.behave(faults=())
        rig.resume(job)
        verdict = await rig.run(job)
        assert verdict.count("unconfirmed") == 0
        assert len(rig.sim.book) == 35


async def test_doubts_that_outgrow_the_evidence_while_others_are_under_way_are_settled_all_the_same(tmp_path: Path):
    """Twenty doubts, one at once, a second each: the order that was refused is repeated beside them."""
    behaviour = {"repeats": Repeat.REFUSE_OPEN, "latency": "1", "faults": ("reset:before@#3",)}
    settings = replace(SETTINGS, settle_patience_s=120.0)
    async with open_rig(tmp_path, behaviour, clock=FastClock(5), timeouts=Timeouts(read_s=5), settings=settings) as rig:
        job = rig.add_job(60, chunk_size=20, max_concurrency=1)
        verdict = await rig.run(job)
        assert sum(line.tries[0].outcome == "unconfirmed" for line in verdict.lines) == 20
        assert verdict.count("accepted") == 60, rig.reason(job)
        assert "probe" in kinds(verdict)[5:]
        assert rig.repeats == 0


# what others do meanwhile


async def test_a_doubt_that_the_user_settles_while_it_is_about_to_be_repeated_is_left_alone(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": (LOST,)}) as rig:
        job = rig.add_job(30, chunk_size=1)

        class Meddler:
            """Settles every doubt by the user's word, just before the first repeat is recorded."""

            async def intend(self, intent: Any) -> Any:
                if intent.kind is AttemptKind.AGAIN:
                    open_ = [doubt.order for doubt in rig.ledger.doubts(job)]
                    if open_:
                        await asyncio.to_thread(rig.ledger.mark_placed, open_, note="seen on the site")
                return await rig.ledger.intend(intent)

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        async with rig.engine(ledger=Meddler()) as engine, asyncio.timeout(PATIENCE_S):
            await engine.run()
        verdict = rig.judge()
        assert rig.state(job) is JobState.FINISHED
        assert kinds(verdict) == ["probe"]
        assert verdict.count("accepted") == 30


async def test_a_pause_while_doubt_is_being_settled_is_obeyed(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:after@#2",)}) as rig:
        job = rig.add_job(130, chunk_size=100)
        rig.sim.site.watch(10, lambda: rig.ledger.request(job, JobState.PAUSED))
        rig.behave(latency="0.02")
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert verdict.count("unconfirmed") > 0
        rig.behave(latency="0")
        rig.resume(job)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("unconfirmed") == 0


async def test_a_ledger_that_is_locked_while_doubt_is_settled_ends_no_call_of_other_jobs(tmp_path: Path):
    """The settling of one job waits or gives up; calls under way for another are not thrown into doubt by it."""
    async with open_rig(tmp_path, {"faults": ("reset:after@#2",), "latency": "0.002"}) as rig:
        rig.ledger._write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20"))
        first = rig.add_job(6, chunk_size=1, max_concurrency=2)
        second = rig.add_job(150, chunk_size=1)
        with closing(sqlite3.connect(rig.ledger.path, isolation_level=None, check_same_thread=False)) as other:

            class Locker:
                """Has another program lock the ledger while statuses are fetched to choose an order to repeat."""

                def __init__(self, inner: Connection) -> None:
                    self.inner = inner
                    self.was_locked = False

                async def fetch_statuses(self, references: Sequence[Any]) -> Any:
                    if references and not self.was_locked:
                        self.was_locked = True
                        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
                        asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
                    return await self.inner.fetch_statuses(references)

                def __getattr__(self, name: str) -> Any:
                    return getattr(self.inner, name)

            connection = Locker(rig.connect())
            async with rig.engine(connection=connection) as engine, asyncio.timeout(PATIENCE_S):
                await engine.run()
            assert connection.was_locked
        verdict = rig.judge()
        assert rig.state(first) is rig.state(second) is JobState.FINISHED
        assert verdict.count("accepted", "duplicate") == 156
        assert sum(line.tries[0].outcome == "unconfirmed" for line in verdict.lines) == 1


# what was there before


@pytest.mark.parametrize("chunk", [1, 100])
async def test_orders_that_were_there_before_are_duplicates_and_cost_nothing(tmp_path: Path, chunk: int):
    async with open_rig(tmp_path) as rig:
        await order_elsewhere(rig, 40)
        job = rig.add_job(60, chunk_size=chunk)
        verdict = await rig.run(job)
        assert verdict.count("duplicate") == 40
        assert rig.ledger.spending(job).amount == 20 * PRICE


async def test_a_list_that_was_ordered_before_is_sent_one_by_one_and_does_not_stop(tmp_path: Path):
    """Whole calls come back as a bare "IMEI already exists!", of which nobody can say which orders it means."""
    async with open_rig(tmp_path, {"pending_for": "3600"}) as rig:
        older = rig.add_job(200, chunk_size=10)
        await rig.run(older)
        rig.remember_book()
        job = rig.add_imeis([make_imei(serial) for serial in range(200)], chunk_size=10, max_concurrency=2)
        await rig.runner().run(job)  # the judge takes a duplicate for an order of this job
        assert rig.state(job) is JobState.FINISHED
        assert rig.count(job, S.DUPLICATE) == 200
        assert len(rig.sim.book) == 200
        assert rig.ledger.spending(job).amount == 0
        assert sum(one.size > 1 for one in rig.ledger.list_attempts(job, limit=1000)) <= 4


async def order_elsewhere(rig: Rig, count: int, *, first: int = 0) -> None:
    """Order IMEIs at the provider without the ledger's knowledge."""
    connection = rig.connect()
    await connection.place([make_imei(serial) for serial in range(first, first + count)], SERVICE)
    await connection.close()
    rig.sim.stats.actions.clear()
    rig.remember_book()


async def test_a_doubt_about_an_order_that_an_older_job_placed_is_not_said_to_have_cost_something(tmp_path: Path):
    async with open_rig(tmp_path, {"pending_for": "3600"}) as rig:
        older = rig.add_job(5, chunk_size=1)
        await rig.run(older)
        rig.behave(faults=("reset:after@#8",))
        job = rig.add_imeis([make_imei(serial) for serial in range(20)], chunk_size=1, max_concurrency=1)
        await rig.runner().run(job)  # the judge takes a duplicate for an order of this job
        assert rig.sim.stats.faults
        assert rig.count(job, S.UNCONFIRMED) == 0
        assert rig.ledger.spending(job).amount == 15 * PRICE


@pytest.mark.parametrize("is_capped", [False, True])
async def test_what_is_ordered_again_after_it_was_completed_is_counted_and_held_to_its_cap(
    tmp_path: Path, is_capped: bool
):
    """Repeats are refused while an order is open: a doubt that is found is the new order, not the completed one."""
    clock = FastClock()
    behaviour = {"repeats": Repeat.REFUSE_OPEN, "pending_for": "60", "process_for": "0"}
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:
        imeis = [make_imei(serial) for serial in range(20)]
        older = rig.add_imeis(imeis, chunk_size=1)
        await rig.run(older)
        seen = RepeatEvidence(clock.now(), timedelta(seconds=50), is_refusal=True)  # a probe of that day
        rig.ledger.add_repeat(rig.ledger.list_attempts(older)[0].id, seen)
        clock.skip(3600)
        rig.behave(faults=("reset:after@#23,25",))
        before = len(rig.sim.book)
        job = rig.add_imeis(imeis, chunk_size=1, max_spend=10 * PRICE if is_capped else None)
        await rig.runner().run(job)
        for _ in range(3):
            if rig.state(job) is JobState.PAUSED:
                rig.resume(job)
                await rig.runner().run(job)
        assert rig.sim.stats.faults
        charged = len(rig.sim.book) - before
        spent = rig.ledger.spending(job)
        assert spent is not None
        assert spent.amount + rig.count(job, S.UNCONFIRMED) * PRICE >= charged * PRICE
        if is_capped:
            assert charged <= 10
