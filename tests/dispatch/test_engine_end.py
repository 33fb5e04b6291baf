"""How an engine ends otherwise than by itself, and what it makes of what other processes do meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.outcome import Ending
from imeiflow.errors import FencedError, LedgerBusyError
from tests.rig import ACCOUNT, PATIENCE_S, FastClock, Wire, open_rig, work

S = OrderState


# ends that are not the job's own


async def test_an_engine_that_has_lost_its_lane_places_nothing_more(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        job = rig.add_job(300, chunk_size=1, max_concurrency=4)

        async def lose(number: int) -> None:
            if number == 40:
                rig.take_lane("somebody else")

        wire = Wire(rig.connect(), after=lose)
        async with rig.engine(connection=wire) as engine:
            with pytest.raises(FencedError):
                await work(engine)
        assert len(rig.sim.book) <= 40 + 4
        assert rig.state(job) is JobState.RUNNING
        rig.take_lane()
        verdict = await rig.run(job)
        assert verdict.count("accepted", "duplicate") == 300


async def test_an_intent_that_a_frozen_engine_wrote_before_it_lost_its_lane_is_not_sent(tmp_path: Path):
    """Between the durable intent and the wire lies a moment: frozen there, the engine must look again."""
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(1)

        class FreezingClock(FastClock):
            frozen_s = 0.0

            def monotonic(self) -> float:
                return super().monotonic() + self.frozen_s

        clock = FreezingClock()

        class FreezingLedger:
            async def intend(self, intent: Any) -> Any:
                attempt = await rig.ledger.intend(intent)
                clock.frozen_s = 3600.0
                rig.take_lane("somebody else")
                return attempt

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        wire = Wire(rig.connect())
        async with rig.engine(connection=wire, ledger=FreezingLedger(), clock=clock) as engine:
            with pytest.raises(FencedError):
                await work(engine)
        assert wire.sent == []
        assert rig.count(job, S.UNCONFIRMED) == 1


async def test_an_engine_that_cannot_learn_whether_it_lost_its_lane_gives_back_what_it_took(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(3)

        class FreezingClock(FastClock):
            frozen_s = 0.0

            def monotonic(self) -> float:
                return super().monotonic() + self.frozen_s

        clock = FreezingClock()

        class LockedLedger:
            async def intend(self, intent: Any) -> Any:
                attempt = await rig.ledger.intend(intent)
                clock.frozen_s += 10.0
                return attempt

            def lane_owner(self, account: Any) -> Any:
                raise LedgerBusyError(path=f"of {account}")

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        async with rig.engine(ledger=LockedLedger(), clock=clock) as engine:
            with pytest.raises(LedgerBusyError):
                await work(engine)
        assert rig.sim.stats.received == 0
        assert rig.count(job, S.QUEUED) == 3
        rig.judge()


async def under_way(engine: Any) -> int:
    """Count the tasks of an engine, those that have just ended aside."""
    await asyncio.sleep(0)
    return len(engine._tasks)


async def test_an_engine_given_up_before_its_calls_began_takes_back_what_it_wrote_for_them(tmp_path: Path):
    """An intent is on its way to the disk before the task of its call has taken a first step."""
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(40, chunk_size=1, max_concurrency=4)
        leaving: list[asyncio.Task[None]] = []

        class InterruptedLedger:
            def intend(self, intent: Any) -> Any:
                leaving.append(asyncio.create_task(engine.abandon()))
                return rig.ledger.intend(intent)

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        wire = Wire(rig.connect())
        async with rig.engine(connection=wire, ledger=InterruptedLedger()) as engine:
            await work(engine)
            await asyncio.gather(*leaving)
        for turn in range(3):  # the last comes after what was taken back
            await asyncio.to_thread(rig.ledger.learn, ACCOUNT, ServiceId("1"), "turn", turn, "")
        assert rig.count(job, S.QUEUED) == 40
        assert wire.sent == []


async def test_an_order_that_was_read_twice_is_sent_once_and_stops_nothing(tmp_path: Path):
    """Orders may be read again while they are put back: what is not as expected is looked at anew."""
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(40, chunk_size=10)

        class RepeatingLedger:
            has_repeated = False

            def queued_orders(self, job: JobId, **values: Any) -> Any:
                page = list(rig.ledger.queued_orders(job, **values))
                if self.has_repeated:
                    return page
                self.has_repeated = True
                return [*page[:1], *page]

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        async with rig.engine(ledger=RepeatingLedger()) as engine:
            await work(engine)
        assert rig.judge().count("accepted") == 40
        assert rig.state(job) is JobState.FINISHED


async def test_an_engine_that_is_cancelled_twice_at_once_gives_up_all_the_same(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "30"}) as rig:
        rig.add_job(40, chunk_size=1, max_concurrency=4)
        async with rig.engine() as engine:
            running = asyncio.create_task(work(engine))
            await rig.sim.wait_received(2)
            running.cancel()
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await under_way(engine) == 0


async def test_an_engine_that_is_cancelled_while_it_waits_for_its_last_calls_gives_them_up(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "30"}) as rig:
        rig.add_job(40, chunk_size=1, max_concurrency=4)

        class BrittleLedger:
            is_broken = False

            def list_jobs(self, **values: Any) -> Any:
                if self.is_broken:
                    raise RuntimeError
                return rig.ledger.list_jobs(**values)

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        ledger = BrittleLedger()
        async with rig.engine(ledger=ledger) as engine:
            running = asyncio.create_task(work(engine))
            await rig.sim.wait_received(2)
            ledger.is_broken = True
            while engine.fatal is None:  # noqa: ASYNC110 - the engine looks at the ledger by itself
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert engine.was_abandoned
            assert await under_way(engine) == 0


async def test_stopping_lets_the_calls_under_way_end_and_pauses_with_the_reason(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.02"}) as rig:
        job = rig.add_job(300, chunk_size=1)
        async with rig.engine() as engine:
            running = asyncio.create_task(work(engine))
            await rig.sim.wait_received(50)
            engine.stop(pause="enough for today")
            received = rig.sim.stats.received
            await running
        verdict = rig.judge()
        assert rig.reason(job) == "enough for today"
        assert verdict.count("accepted") == len(rig.sim.book) <= received + 64
        assert verdict.count("unconfirmed") == 0


async def test_stopping_lets_calls_that_place_end_and_gives_up_those_that_only_read(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await rig.run(rig.add_job(3, chunk_size=3))
        rig.behave(read_latency="600")
        leaves, release = asyncio.Event(), asyncio.Event()

        async def hold(_: int) -> None:
            leaves.set()
            await release.wait()

        async with rig.engine(connection=Wire(rig.connect(), before=hold), polls=True) as engine:
            running = asyncio.create_task(engine.run(stays=lambda: True))
            async with asyncio.timeout(PATIENCE_S):
                while not rig.sim.stats.actions["getimeis"]:  # noqa: ASYNC110 - the simulator tells nobody
                    await asyncio.sleep(0.01)
                job = rig.add_job(1, chunk_size=1)
                engine.look_again()
                engine.wake()
                await leaves.wait()
                engine.stop(pause="enough for today")
                assert engine.poller is not None
                while engine.poller.view().under_way:  # noqa: ASYNC110 - the engine tells nobody
                    await asyncio.sleep(0.01)
                assert not running.done()
                release.set()
                await running
            assert engine.desk.lane.in_flight == 0
        assert rig.count(job, S.ACCEPTED) == 1
        rig.judge()


async def test_an_engine_that_is_stopped_before_it_has_looked_pauses_its_jobs_and_sends_nothing(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(20)
        async with rig.engine() as engine:
            engine.stop(pause="enough for today")
            await work(engine)
        assert rig.reason(job) == "enough for today"
        assert rig.sim.stats.received == 0


async def test_abandoning_leaves_doubt_only_where_a_call_was_under_way(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.05"}) as rig:
        job = rig.add_job(300, chunk_size=1, max_concurrency=16)
        runner = rig.runner()
        running = asyncio.create_task(runner.run(job))
        await rig.sim.wait_received(60)
        await runner.abandon()
        await running
        verdict = rig.judge()
        assert rig.state(job) is JobState.PAUSED
        assert verdict.count("unconfirmed") <= 32
        rig.resume(job)
        verdict = await rig.run_to_the_end(job)
        assert verdict.count("accepted", "duplicate") == 300
        assert rig.repeats == 0


async def test_a_connection_that_raises_ends_the_run_and_leaves_doubt(tmp_path: Path):
    """The contract forbids it; a plug-in may still do it, and nothing may hang or be forgotten for it."""
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        job = rig.add_job(100, chunk_size=1, max_concurrency=4)

        async def raise_once(number: int) -> None:
            if number == 20:
                raise RuntimeError("a plug-in's fault")

        async with rig.engine(connection=Wire(rig.connect(), after=raise_once)) as engine:
            with pytest.raises(RuntimeError, match="plug-in"):
                await work(engine)
        rig.take_lane()
        verdict = rig.judge()
        assert verdict.count("unconfirmed") == 1
        assert (await rig.run_to_the_end(job)).count("accepted", "duplicate") == 100


async def test_an_error_while_the_next_calls_are_chosen_does_not_cost_the_record_of_the_last(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(40, chunk_size=10, max_concurrency=1)
        async with rig.engine() as engine:
            lane, next_work = engine.desk.lane, engine.desk.next_work
            end, has_ended = lane.end, False

            def note_end(*args: Any) -> None:
                nonlocal has_ended
                has_ended = True
                end(*args)

            def fail_after_a_call() -> Any:
                if has_ended:
                    raise RuntimeError("nobody foresaw it")
                return next_work()

            lane.end = note_end  # type: ignore[method-assign]
            engine.desk.next_work = fail_after_a_call  # type: ignore[method-assign]
            with pytest.raises(RuntimeError, match="nobody foresaw it"):
                await work(engine)
        rig.take_lane()
        assert rig.judge().count("unconfirmed") == 0
        assert rig.count(job, S.ACCEPTED) == 10


async def test_what_a_call_makes_room_for_does_not_wait_for_a_look_into_the_ledger(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(40, chunk_size=10, max_concurrency=1)
        wire = Wire(rig.connect())
        async with rig.engine(connection=wire) as engine:
            look = engine.desk.look

            def look_slowly() -> Any:
                deadline = time.monotonic() + PATIENCE_S / 5
                while 0 < len(wire.sent) < 4:
                    assert time.monotonic() < deadline, "the next call waits for the look"
                    time.sleep(0.005)
                return look()

            engine.desk.look = look_slowly  # type: ignore[method-assign]
            await work(engine)
        rig.judge()
        assert rig.count(job, S.ACCEPTED) == 40


async def test_nothing_of_a_job_leaves_while_the_ledger_is_asked_what_has_become_of_it(tmp_path: Path):
    """What it spent meanwhile would be counted twice or not at all, and its cap is kept by that count."""
    async with open_rig(tmp_path) as rig:
        jobs = [rig.add_job(40, chunk_size=10, max_concurrency=1) for _ in range(2)]
        owners = {row.imei: job for job in jobs for row in rig.rows(job)}
        recounted: set[JobId] = set()
        is_counting = threading.Event()

        async def make_stale(number: int) -> None:
            if number == 2:  # whichever job's turn it is: the other one is counted anew
                recounted.update(set(jobs) - {owners[wire.sent[1][0]]})
                job = engine.desk.works[min(recounted)]
                async with asyncio.timeout(PATIENCE_S):
                    while job.calls_under_way:  # noqa: ASYNC110 - the engine tells nobody
                        await asyncio.sleep(0.005)
                    job.is_stale = True
                    engine.wake()
                    while not is_counting.is_set():  # noqa: ASYNC110 - an event of threads
                        await asyncio.sleep(0.005)

        wire = Wire(rig.connect(), before=make_stale)
        async with rig.engine(connection=wire) as engine:
            recount = engine.desk.recount

            def recount_slowly(work_: Any) -> None:
                is_counting.set()
                deadline = time.monotonic() + PATIENCE_S / 5
                while len(wire.sent) < 3:
                    assert time.monotonic() < deadline, "the other job's next call waits for the count"
                    time.sleep(0.005)
                recount(work_)

            engine.desk.recount = recount_slowly  # type: ignore[method-assign]
            await work(engine)
        rig.judge()
        assert owners[wire.sent[2][0]] not in recounted
        assert [rig.count(job, S.ACCEPTED) for job in jobs] == [40, 40]


# what other processes do meanwhile


async def test_orders_that_somebody_cancels_meanwhile_are_left_alone(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.005"}) as rig:
        job = rig.add_job(200, chunk_size=1, max_concurrency=4)

        async def cancel(number: int) -> None:
            if number == 30:
                rig.ledger.cancel_queued(job)

        async with rig.engine(connection=Wire(rig.connect(), before=cancel)) as engine:
            await work(engine)
        verdict = rig.judge()
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("accepted") == len(rig.sim.book) < 60
        assert verdict.count("cancelled") == 200 - len(rig.sim.book)


async def test_orders_that_the_user_queues_again_meanwhile_are_sent_before_the_job_ends(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:before@#3",)}) as rig:
        job = rig.add_job(60, chunk_size=1, max_concurrency=2, policy=Policy.HOLD)

        async def settle(number: int) -> None:
            if number == 40:
                [doubt] = rig.ledger.doubts(job)
                rig.ledger.mark_not_placed([doubt.order], note="looked it up")

        async with rig.engine(connection=Wire(rig.connect(), before=settle)) as engine:
            await work(engine)
        assert rig.state(job) is JobState.FINISHED
        assert rig.judge().count("accepted") == 60


@pytest.mark.parametrize("wanted", [JobState.PAUSED, JobState.CANCELLED])
@pytest.mark.parametrize("chunk", [1, 100])
async def test_a_request_lets_the_calls_under_way_end_and_sends_nothing_more(
    tmp_path: Path, wanted: JobState, chunk: int
):
    async with open_rig(tmp_path, {"latency": "0.05"}) as rig:
        job = rig.add_job(300 * chunk // (1 if chunk == 1 else 10), chunk_size=chunk, max_concurrency=8)
        under_way: list[int] = []

        async def ask(number: int) -> None:
            if number == 12:
                rig.ledger.request(job, wanted)
                under_way.append(len(wire.sent))

        wire = Wire(rig.connect(), after=ask)
        async with rig.engine(connection=wire) as engine:
            await work(engine)
        verdict = rig.judge()
        assert rig.state(job) is wanted
        assert len(wire.sent) <= under_way[0] + 8
        assert verdict.count("accepted") == len(wire.sent) * chunk == len(rig.sim.book)
        assert verdict.count("queued" if wanted is JobState.PAUSED else "cancelled") == len(verdict.lines) - len(
            rig.sim.book
        )


async def test_a_job_that_starts_meanwhile_is_taken_up(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        first = rig.add_job(100, chunk_size=1, max_concurrency=4)
        later: list[Any] = []

        async def add(number: int) -> None:
            if number == 20:
                later.append(rig.add_job(10, chunk_size=1))

        async with rig.engine(connection=Wire(rig.connect(), before=add)) as engine:
            await work(engine)
        assert rig.state(first) is rig.state(later[0]) is JobState.FINISHED
        assert rig.judge().count("accepted") == 110


async def test_every_attempt_is_durable_before_its_call_and_its_outcome_before_it_is_told(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(50, chunk_size=1)
        told: list[int] = []

        async def look(number: int) -> None:
            assert rig.ledger.count_attempts(job) >= len(wire.sent)

        def count() -> None:
            view = engine.view(job)
            if view is not None:
                accepted = rig.count(job, S.ACCEPTED)
                assert view.tally[S.ACCEPTED] <= accepted
                told.append(view.tally[S.ACCEPTED])

        wire = Wire(rig.connect(), before=look)
        async with rig.engine(connection=wire, on_change=count) as engine:
            await work(engine)
        assert max(told) >= 49
        assert all(one.ending is Ending.ANSWERED for one in rig.ledger.list_attempts(job))


async def test_a_price_that_is_not_known_is_no_reason_to_stop(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(20, unit_price=None, max_spend=Decimal(1))
        await rig.run(job)
        assert rig.count(job, S.ACCEPTED) == 20
