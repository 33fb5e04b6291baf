"""The engine between a ledger and the simulated provider: what it sends, when it stops, and what it says then."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imeiflow.dispatch.breaker import BreakerPolicy
from imeiflow.dispatch.kind import CHUNK_KIND, LANE_KIND, WHOLE_ACCOUNT
from imeiflow.domain.decision import RetryPolicy
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import WholeError, account_for_failure
from imeiflow.providers.contract import Exchange, Placement
from imeiflow.simulator.answer import Refusal
from imeiflow.simulator.behaviour import Cut, Lockout
from tests.rig import ACCOUNT, PRICE, SERVICE, SETTINGS, FastClock, Rig, Wire, make_imei, open_rig, work

S = OrderState


# how many orders a call carries


async def test_of_an_unknown_size_one_pair_and_one_full_call_go_ahead_alone(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.03", "log_calls": True}) as rig:
        job = rig.add_job(900)
        await rig.run(job)
        calls = [call for call in rig.sim.calls if call["action"] == "placeorder"]
        pair = next(call for call in calls if call["imeis"] == 2)
        full = [call for call in calls if call["imeis"] > 2]
        assert len([call for call in calls if call["at"] < pair["at"] + pair["seconds"] and call["imeis"] > 1]) == 1
        assert full[0]["imeis"] == 100
        began = min(call["at"] for call in full)
        first = next(call for call in full if call["at"] == began)
        assert not [call for call in full if call is not first and call["at"] < began + first["seconds"]]
        assert rig.count(job, S.ACCEPTED) == 900


@pytest.mark.parametrize("limit", [1, 7, 50])
async def test_a_size_that_was_found_is_remembered_for_the_next_job(tmp_path: Path, limit: int):
    async with open_rig(tmp_path, {"chunk_limit": limit, "chunk_cut": Cut.FIRST, "log_calls": True}) as rig:
        await rig.run(rig.add_job(400))
        [learned] = [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == CHUNK_KIND]
        assert learned.service == SERVICE
        assert learned.value["size"] == limit
        before = len(rig.sim.calls)
        job = rig.add_job(200)
        verdict = await rig.run(job)
        assert max(call["imeis"] for call in rig.sim.calls[before:]) == limit
        assert all(one.outcome == "accepted" for line in verdict.lines if line.job == job for one in line.tries)


HOURLY = {"calls": 20, "period_s": 3600.0}


def keep_pace(rig: Rig, **more: Any) -> None:
    rig.ledger.learn(ACCOUNT, WHOLE_ACCOUNT, LANE_KIND, {"proven": 4, "pace": {**HOURLY, **more}}, "seen")


def find_pace(rig: Rig) -> Any:
    [learned] = [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == LANE_KIND]
    return learned.value["pace"]


async def test_what_left_before_still_counts_in_a_window_and_no_longer_than_that(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        keep_pace(rig, left=[20])
        async with rig.engine() as engine:
            now = engine.clock.monotonic()
            assert 3000 < engine.desk.lane.ready_at(now) - now <= 3600
        with sqlite3.connect(rig.ledger.path) as connection:
            connection.execute("UPDATE learned SET learned_at = learned_at - 3600000000")
        async with rig.engine() as engine:
            now = engine.clock.monotonic()
            assert engine.desk.lane.ready_at(now) == now


async def test_what_is_the_same_as_before_and_newer_is_stored_as_newer(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        keep_pace(rig)
        async with rig.engine() as engine:
            stored = []
            for at in (0.0, 4000.0):
                engine.desk.lane.begin(engine.clock.monotonic() + at)
                engine.desk.save()
                stored += [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == LANE_KIND]
        assert stored[0].value["pace"]["left"] == stored[1].value["pace"]["left"]
        assert stored[0].learned_at < stored[1].learned_at


async def test_what_has_left_is_remembered_for_the_next_session(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        keep_pace(rig)
        await rig.run(rig.add_job(7, chunk_size=1))
        assert sum(find_pace(rig)["left"]) == 7
        [before] = [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == LANE_KIND]
        async with rig.engine() as engine:
            await work(engine)
        [after] = [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == LANE_KIND]
        assert after == before  # nothing left since


async def test_a_size_that_was_not_seen_to_work_for_a_day_is_tried_by_one_call_first(tmp_path: Path):
    """The server may take fewer by now: with all calls at once, all that they carry would be in doubt."""
    async with open_rig(tmp_path, {"log_calls": True, "latency": "0.05"}) as rig:
        await rig.run(rig.add_job(400))
        with sqlite3.connect(rig.ledger.path) as connection:
            connection.execute("UPDATE learned SET learned_at = learned_at - 90000000000 WHERE kind = ?", [CHUNK_KIND])
        before = len(rig.sim.calls)
        rig.behave(chunk_limit=50, chunk_cut=Cut.FIRST)
        job = rig.add_job(1500)
        await rig.run(job)
        calls = [call for call in rig.sim.calls[before:] if call["action"] == "placeorder"]
        large = sorted((call for call in calls if call["imeis"] > 1), key=lambda call: call["at"])
        assert large[0]["imeis"] == 100
        assert all(call["at"] >= large[0]["at"] + large[0]["seconds"] for call in large[1:])
        assert len([call for call in calls if call["imeis"] > 50]) <= 2
        assert rig.count(job, S.ACCEPTED) + rig.count(job, S.DUPLICATE) == 1500
        [learned] = [entry for entry in rig.ledger.learned(ACCOUNT) if entry.kind == CHUNK_KIND]
        assert (learned.value["size"], learned.learned_at > rig.clock.now() - timedelta(hours=1)) == (50, True)


async def test_a_wrong_guess_of_the_size_brings_one_call_into_doubt(tmp_path: Path):
    async with open_rig(tmp_path, {"chunk_limit": 1, "chunk_cut": Cut.LAST, "cut_placed": True}) as rig:
        job = rig.add_job(300)
        verdict = await rig.run(job)
        doubted = [line for line in verdict.lines if line.tries[0].outcome == "unconfirmed"]
        assert len(doubted) == 1  # of the pair; the full call is never tried
        assert rig.count(job, S.ACCEPTED) + rig.count(job, S.DUPLICATE) == 300


# what stops a job


async def test_an_account_error_stops_the_calls_that_have_not_left_yet(tmp_path: Path):
    """Nothing is touched any more: an intent that was being written when the error came is withdrawn."""
    async with open_rig(tmp_path, {"lockout": Lockout.USER, "lockout_from": 1}) as rig:
        job = rig.add_job(40, chunk_size=1)
        gate, told = asyncio.Event(), asyncio.Event()

        class SlowLedger:
            """Takes its time over every intent but the first."""

            def __init__(self) -> None:
                self.intents = 0

            async def intend(self, intent: Any) -> Any:
                self.intents += 1
                is_first = self.intents == 1
                attempt = await rig.ledger.intend(intent)
                if not is_first:
                    await gate.wait()
                return attempt

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        wire = Wire(rig.connect())
        async with rig.engine(connection=wire, ledger=SlowLedger(), on_change=told.set) as engine:
            running = asyncio.create_task(work(engine))
            await told.wait()
            gate.set()
            await running
        assert len(wire.sent) == 1
        assert rig.state(job) is JobState.PAUSED
        assert rig.judge().count("queued") == 40


async def test_a_refusal_holds_back_the_calls_whose_intent_is_being_written(tmp_path: Path):
    """They are made later, and once: no order of theirs is lost, nor spends an attempt."""
    async with open_rig(tmp_path, {"rate": "2/1s", "rate_refusal": "429-retry-after", "log_calls": True}) as rig:
        job = rig.add_job(12, chunk_size=1)
        refused, written = asyncio.Event(), asyncio.Event()

        class SlowLedger:
            """Takes its time over the fourth and fifth intent: until the third call was refused."""

            def __init__(self) -> None:
                self.intents = 0

            async def intend(self, intent: Any) -> Any:
                self.intents += 1
                number = self.intents
                attempt = await rig.ledger.intend(intent)
                if number == 5:
                    written.set()
                if number in {4, 5}:
                    await refused.wait()
                return attempt

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        async def keep_third_back(number: int) -> None:
            if number == 3:
                await written.wait()

        async with rig.engine(connection=Wire(rig.connect(), after=keep_third_back), ledger=SlowLedger()) as engine:
            lane = engine.desk.lane
            end = lane.end

            def note_end(*args: Any) -> None:
                end(*args)
                if lane.refused:
                    refused.set()

            lane.end = note_end  # type: ignore[method-assign]
            await work(engine)
        verdict = rig.judge()
        assert rig.count(job, S.ACCEPTED) == 12
        unsent = [one for line in verdict.lines for one in line.tries if one.outcome == "unsent"]
        assert len(unsent) >= 2
        assert len(rig.sim.calls) == 12 + lane.refused


async def test_while_the_call_that_asks_is_under_way_others_follow_it(tmp_path: Path):
    """Nobody waits for its reply, nor for the next look at the ledger: the fourth call's comes after the fifth left."""
    async with open_rig(tmp_path, {"rate": "2/1s", "rate_refusal": "429-retry-after"}) as rig:
        job = rig.add_job(6, chunk_size=1)

        async def keep_fourth_back(number: int) -> None:
            while number == 4 and len(wire.sent) < 5:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)

        wire = Wire(rig.connect(), after=keep_fourth_back)
        async with rig.engine(connection=wire, settings=replace(SETTINGS, poll_s=1000.0)) as engine:
            await work(engine)
        rig.judge()
        assert rig.count(job, S.ACCEPTED) == 6


async def test_doubt_in_over_a_tenth_of_fifty_attempts_pauses_with_the_reason(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("empty:after@every:4",)}) as rig:
        job = rig.add_job(400, chunk_size=1, max_concurrency=1)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert rig.reason(job).startswith("6 of the last 24 calls got no clear answer")
        assert verdict.count("unconfirmed") == 6


async def test_refusals_of_three_tenths_of_the_orders_pause_with_the_reason(tmp_path: Path):
    async with open_rig(tmp_path, {"bad_share": 0.5}) as rig:
        job = rig.add_job(600, chunk_size=10, max_concurrency=1)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "the provider refused" in rig.reason(job)
        assert 61 <= verdict.count("refused") <= 70


async def test_the_breaker_follows_its_settings(tmp_path: Path):
    policy = BreakerPolicy(doubt_share=0.5, doubt_window=4)
    settings = replace(SETTINGS, breaker=policy)
    async with open_rig(tmp_path, {"faults": ("empty:after@100%",)}, settings=settings) as rig:
        job = rig.add_job(50, chunk_size=1, max_concurrency=1)
        assert (await rig.run(job)).count("unconfirmed") == 3


async def test_a_provider_that_cannot_be_reached_is_asked_ever_less_often_and_then_the_job_pauses(tmp_path: Path):
    settings = replace(SETTINGS, retry=RetryPolicy(max_attempts=1))
    async with open_rig(tmp_path, {}, clock=FastClock(200), settings=settings) as rig:
        job = rig.add_job(30, chunk_size=1, max_concurrency=4)
        await rig.sim.stop()
        began = rig.clock.monotonic()
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "cannot be reached" in rig.reason(job)
        assert rig.clock.monotonic() - began > 1 + 2 + 4 + 8
        assert verdict.count("queued") == 30
        assert all(one.outcome == "unsent" for line in verdict.lines for one in line.tries)
        assert rig.ledger.count_attempts(job) <= 5 * 4
        await rig.sim.start()
        rig.resume(job)
        assert (await rig.run(job)).count("accepted") == 30


async def test_a_server_that_goes_down_within_a_job_fails_no_order(tmp_path: Path):
    async with open_rig(tmp_path, {}, clock=FastClock(200)) as rig:
        job = rig.add_job(60, chunk_size=1, max_concurrency=4)

        async def stop(number: int) -> None:
            if number == 20:
                await rig.sim.stop()

        async with rig.engine(connection=Wire(rig.connect(), before=stop)) as engine:
            await work(engine)
        verdict = rig.judge()
        assert rig.state(job) is JobState.PAUSED
        assert verdict.count("failed") == 0
        assert verdict.count("queued") > 0
        assert all(line.tries for line in verdict.lines if line.state != "queued")


async def test_an_order_whose_calls_alone_do_not_leave_fails_once_its_attempts_have_run_out(tmp_path: Path):
    settings = replace(SETTINGS, retry=RetryPolicy(max_attempts=2))
    async with open_rig(tmp_path, {}, settings=settings) as rig:
        job = rig.add_job(40, chunk_size=1, max_concurrency=2)
        doomed = make_imei(5)

        class Blocked(Wire):
            """Lets no call with one of the IMEIs leave, and ends it when others have come and gone."""

            awaited = 0
            others = asyncio.Event()

            async def place(self, imeis: Sequence[Any], service: Any, *args: Any, **kwargs: Any) -> Placement:
                if imeis != [doomed]:
                    if len(self.sent) == self.awaited:
                        self.others.set()
                    return await super().place(imeis, service, *args, **kwargs)
                self.awaited, self.others = len(self.sent) + 2, asyncio.Event()
                await self.others.wait()
                error = WholeError(ErrorKind.UNKNOWN, "no free connection")
                exchange = Exchange(ending=Ending.NOT_SENT, request=b"", problem="no free connection")
                return Placement(exchange, account_for_failure(imeis, Ending.NOT_SENT, error))

        async with rig.engine(connection=Blocked(rig.connect())) as engine:
            await work(engine)
        verdict = rig.judge()
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("failed") == 1
        assert [len(line.tries) for line in verdict.lines if line.imei == doomed] == [2]


async def test_throttling_spends_no_attempt(tmp_path: Path):
    settings = replace(SETTINGS, retry=RetryPolicy(max_attempts=1))
    behaviour = {"rate": "5/5s", "rate_refusal": Refusal.PLAIN_429, "rate_actions": ("placeorder",)}
    clock = FastClock(0.5)  # until the first refusal: it has to come on a slow machine as well
    async with open_rig(tmp_path, behaviour, clock=clock, settings=settings) as rig:
        job = rig.add_job(20, chunk_size=1)
        rig.sim.site.watch(6, lambda: clock.run_at(80))
        verdict = await rig.run(job)
        assert rig.sim.stats.refused["rate"] > 0
        assert verdict.count("accepted") == 20
        assert {row.attempts for row in rig.rows(job)} == {1}


async def test_a_maximum_for_the_size_of_calls_is_the_job_s_and_stays_with_it(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        small, large = rig.add_job(150, largest_chunk=3), rig.add_job(600)
        await rig.run()
        assert 1 < max(one.size for one in rig.ledger.list_attempts(small, limit=1000)) <= 3
        assert max(one.size for one in rig.ledger.list_attempts(large, limit=1000)) > 3


# the spending cap


@pytest.mark.parametrize("chunk", [1, 100, None])
@pytest.mark.parametrize("cap", [0, 1, 37, 150, 250])
async def test_the_spending_cap_is_reached_exactly_and_never_passed(tmp_path: Path, cap: int, chunk: int | None):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(250, chunk_size=chunk, max_spend=cap * PRICE)
        await rig.run(job)
        assert rig.ledger.spending(job).amount == cap * PRICE
        assert len(rig.sim.book) == cap
        if cap < 250:
            assert rig.state(job) is JobState.PAUSED
            assert "spending cap" in rig.reason(job)
        else:
            assert rig.state(job) is JobState.FINISHED


async def test_doubt_counts_against_the_cap_until_it_is_settled(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:after@#3,11,20",)}) as rig:
        job = rig.add_job(60, chunk_size=1, max_spend=40 * PRICE)
        for _ in range(4):
            verdict = await rig.run(job)
            assert len(rig.sim.book) <= 40
            assert verdict.spent + verdict.doubtful <= 40 * PRICE
            rig.resume(job)
        assert len(rig.sim.book) == 40


async def test_doubts_are_settled_though_the_cap_is_the_exact_cost_of_the_list(tmp_path: Path):
    """To send a covered doubt again costs nothing beyond what the doubt already holds back."""
    async with open_rig(tmp_path, {"faults": ("reset:after@#5,6",)}) as rig:
        teacher = rig.add_job(20, chunk_size=1)
        await rig.run(teacher)  # repeats are seen to be refused
        rig.behave(faults=("reset:after@#30,31",))
        job = rig.add_job(20, chunk_size=1, max_spend=20 * PRICE)
        verdict = await rig.run(job)
        assert sum(rig.sim.stats.faults.values()) == 4
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("unconfirmed") == 0
        assert rig.ledger.spending(job).amount == 20 * PRICE
