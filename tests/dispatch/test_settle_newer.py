"""Orders whose IMEI was ordered once more since: what refuses their repeat may be the younger order.

The shops here refuse repeats only while the first order is open, for a minute. What is believed of a completed order's
refusal for the hour of its age would have doubts sent again that were completed long ago, and paid for twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.ledger.change import AttemptKind
from imeiflow.simulator.behaviour import Repeat
from tests.rig import ACCOUNT, PATIENCE_S, PRICE, SERVICE, FastClock, Rig, Wire, make_imei, open_rig, work

S = OrderState
OPEN = {"repeats": Repeat.REFUSE_OPEN, "pending_for": "60", "process_for": "0"}
FIVE = [make_imei(serial) for serial in range(900, 905)]
#: So much later are orders completed, and doubts older than any open order.
AGE_S = 600


async def order_twice(rig: Rig, clock: FastClock) -> None:
    """Order five IMEIs, and once more an hour later: the older orders are completed then, the younger ones open."""
    for _ in range(2):
        clock.skip(3600)
        await rig.run(rig.add_imeis(FIVE, chunk_size=1))


async def leave_doubt(rig: Rig) -> JobId:
    """Let a job of one order have a doubt, and pause before it is settled."""
    calls = rig.sim.stats.actions["placeorder"]
    rig.behave(faults=(f"reset:after@#{calls + 1}",))
    job = rig.add_job(1, chunk_size=1)

    async def pause(_: int) -> None:
        await asyncio.to_thread(rig.ledger.request, job, JobState.PAUSED)
        while engine.desk.works[job].stop is None:  # noqa: ASYNC110 - the engine looks at the ledger by itself
            await asyncio.sleep(0.005)

    async with rig.engine(connection=Wire(rig.connect(), before=pause)) as engine:
        await work(engine)
    assert rig.state(job) is JobState.PAUSED
    assert rig.count(job, S.UNCONFIRMED) == 1
    return job


async def resume_beside_old_orders(rig: Rig, clock: FastClock) -> JobId:
    """Order five IMEIs, an hour later let another job have a doubt, and resume that one."""
    rig.add_imeis(FIVE, chunk_size=1)
    await rig.run()
    clock.skip(3600)
    job = await leave_doubt(rig)
    rig.resume(job)
    return job


def probed(rig: Rig) -> list[str]:
    """List the IMEIs that were repeated to learn whether repeats are refused, in order."""
    found = {one.attempt: line.imei for line in rig.judge().lines for one in line.probes}
    return [imei for _, imei in sorted(found.items())]


def overpaid(rig: Rig) -> int:
    """Count what was paid for once too often, beside the five that were ordered twice on purpose."""
    return rig.repeats - len(FIVE)


async def test_the_refusal_of_an_order_that_was_made_once_more_since_covers_no_doubt(tmp_path: Path):
    clock = FastClock()
    async with open_rig(tmp_path, OPEN, clock=clock) as rig:
        await order_twice(rig, clock)
        calls = rig.sim.stats.actions["placeorder"]
        rig.behave(faults=(f"reset:after@#{calls + 1}",))
        await rig.run(rig.add_job(3, chunk_size=1))  # learns of repeats, while the younger five are open
        job = await leave_doubt(rig)
        clock.skip(AGE_S)
        rig.resume(job)
        await rig.run(job)
        assert not [one for one in rig.ledger.repeat_evidence(ACCOUNT, SERVICE) if one.is_refusal and one.of_completed]
        assert rig.count(job, S.UNCONFIRMED) == 1
        assert overpaid(rig) <= 1  # the probe


async def test_a_repeat_whose_reply_was_lost_is_not_made_of_the_same_order_again(tmp_path: Path):
    """It may have been charged, and then it is what refuses the next one: a minute old, not an hour."""
    clock = FastClock()
    async with open_rig(tmp_path, OPEN, clock=clock) as rig:
        await rig.run(rig.add_job(5, chunk_size=1))
        clock.skip(3600)
        job = await leave_doubt(rig)
        clock.skip(AGE_S)
        calls = rig.sim.stats.actions["placeorder"]
        rig.behave(faults=(f"reset:after@#{calls + 1}",))
        rig.resume(job)
        await rig.run(job)
        first, second = probed(rig)
        assert first != second
        assert "repeats are charged here" in rig.reason(job)
        assert "$0.08 more for 1 whose reply was lost" in rig.reason(job)
        assert rig.count(job, S.UNCONFIRMED) == 1
        assert rig.repeats == 2  # the probes


@pytest.mark.parametrize("room", [0, 1])
async def test_no_order_is_repeated_that_its_own_job_s_cap_has_no_room_for(tmp_path: Path, room: int):
    """A probe is charged to the job of the order that it repeats, whichever job it is made for."""
    clock = FastClock()
    async with open_rig(tmp_path, {"repeats": Repeat.CHARGE}, clock=clock) as rig:
        capped = rig.add_job(5, chunk_size=1, max_spend=(5 + room) * PRICE)
        await rig.run(capped)
        clock.skip(3600)
        job = await leave_doubt(rig)
        rig.resume(job)
        await rig.run(job)
        summary = rig.summary(capped)
        assert (len(probed(rig)), rig.repeats) == (room, room)
        assert (summary.spent.amount, summary.probed.amount) == ((5 + room) * PRICE, room * PRICE)
        assert rig.reason(job).startswith("repeats are charged here" if room else "no accepted order is known")


@pytest.mark.parametrize("waits", ["until the probe has ended", "until the probe is under way"])
async def test_a_job_that_runs_beside_keeps_to_its_cap_when_an_order_of_it_is_repeated(tmp_path: Path, waits: str):
    clock = FastClock()
    async with open_rig(tmp_path, {"repeats": Repeat.CHARGE}, clock=clock) as rig:
        capped = rig.add_job(9, chunk_size=1, max_spend=3 * PRICE)
        await rig.run(capped)
        clock.skip(3600)
        job = await leave_doubt(rig)
        before = rig.sim.stats.actions["placeorder"]
        rig.ledger.set_max_spend(capped, 6 * PRICE)
        rig.resume(capped)
        rig.resume(job)

        async def hold(number: int) -> None:
            if number == 1 and waits == "until the probe is under way":
                other.awaits_price = False
                engine.wake()
                async with asyncio.timeout(PATIENCE_S):
                    while rig.sim.stats.actions["placeorder"] < before + 2 or other.calls_under_way:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)

        async def let_go(_: int) -> None:
            other.awaits_price = False

        wire = Wire(rig.connect(), before=hold, after=let_go)
        async with rig.engine(connection=wire) as engine:
            engine.desk.take(engine.desk.look())
            other = engine.desk.works[capped]
            other.awaits_price = True
            await work(engine)
        summary = rig.summary(capped)
        assert wire.sent[0][0] in {row.imei for row in rig.rows(capped)[:3]}
        assert (summary.spent.amount, summary.probed.amount) == (6 * PRICE, PRICE)
        assert len(wire.sent) == 3


class Meddler:
    """A ledger to whose users somebody adds a job just before the first repeat is recorded."""

    def __init__(self, rig: Rig, add: Callable[[OrderId], None]) -> None:
        self._rig, self._add = rig, add
        self.was_added = False

    async def intend(self, intent: Any) -> Any:
        if intent.kind is AttemptKind.PROBE and not self.was_added:
            self.was_added = True
            await asyncio.to_thread(self._add, *intent.orders)
        return await self._rig.ledger.intend(intent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig.ledger, name)


async def test_an_order_whose_imei_is_queued_anew_when_its_repeat_is_about_to_leave_is_not_repeated(tmp_path: Path):
    clock = FastClock()
    async with open_rig(tmp_path, OPEN, clock=clock) as rig:
        job = await resume_beside_old_orders(rig, clock)
        chosen: list[OrderId] = []

        def order_again(order: OrderId) -> None:
            chosen.append(order)
            [imei] = [row.imei for each in (1, job) for row in rig.rows(JobId(each)) if row.id == order and row.imei]
            rig.add_imeis([imei], policy=Policy.HOLD)

        async with rig.engine(ledger=Meddler(rig, order_again)) as engine:
            await work(engine)
        verdict = rig.judge()
        [again] = [line for line in verdict.lines if line.id in chosen]
        assert [one.outcome for one in again.probes] == ["unsent"]
        assert len(set(probed(rig))) > 1  # another one was repeated in its place
        assert rig.reason(job).startswith("repeats are charged here")


async def test_a_refusal_during_which_the_imei_was_ordered_elsewhere_is_no_evidence(tmp_path: Path):
    """The younger order reaches the shop while the repeat is under way, and may be what it refuses."""
    clock = FastClock()
    async with open_rig(tmp_path, {**OPEN, "repeats": Repeat.REFUSE}, clock=clock) as rig:
        job = await resume_beside_old_orders(rig, clock)
        sent: list[str] = []

        async def order_again(number: int) -> None:
            if number == 1:
                sent.extend(wire.sent[0])
                await asyncio.to_thread(rig.add_imeis, [Imei(sent[0])], policy=Policy.HOLD)

        wire = Wire(rig.connect(), after=order_again)
        async with rig.engine(connection=wire) as engine:
            await work(engine)
        verdict = rig.judge()
        outcomes = [one.outcome for line in verdict.lines for one in line.probes]
        assert outcomes.count("duplicate") >= 2
        assert len(rig.ledger.repeat_evidence(ACCOUNT, SERVICE)) == outcomes.count("duplicate") - 1
        assert rig.count(job, S.UNCONFIRMED) == 0
