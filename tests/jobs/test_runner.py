"""The runner of a lane: who owns it, who waits, what a stop leaves behind, how jobs share it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.jobs.runner import Runner
from imeiflow.ledger.change import AttemptKind, Intent
from tests.rig import ACCOUNT, PATIENCE_S, PRICE, Rig, open_rig

S = OrderState


async def follow(runner: Runner, job: JobId | None = None) -> None:
    """Run to the end; what hangs fails."""
    async with asyncio.timeout(PATIENCE_S):
        await runner.run(job)


def order_of_jobs(rig: Rig) -> list[int]:
    """List the jobs in the order in which their orders were placed."""
    jobs = {row.imei: job.id for job in rig.ledger.list_jobs() for row in rig.rows(job.id)}
    return [jobs[entry.imei] for entry in rig.sim.book]


# one owner


async def test_the_owner_stands_in_the_ledger_while_it_works_and_not_afterwards(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        job = rig.add_job(50, chunk_size=1)
        running = asyncio.create_task(follow(rig.runner(), job))
        await rig.sim.wait_received(5)
        owner = rig.ledger.lane_owner(ACCOUNT)
        assert owner is not None
        assert owner.owner is not None
        assert owner.owner.startswith("process ")
        await running
        owner = rig.ledger.lane_owner(ACCOUNT)
        assert owner is not None
        assert owner.owner is None


async def test_a_second_runner_waits_is_told_who_works_and_takes_over_when_that_one_leaves(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        first_job, second_job = rig.add_job(60, chunk_size=1), rig.add_job(60, chunk_size=1)
        told = asyncio.Event()
        first, second = rig.runner(), rig.runner(on_change=told.set)
        working = asyncio.create_task(follow(first, first_job))
        await rig.sim.wait_received(2)
        waiting = asyncio.create_task(follow(second, second_job))
        await told.wait()
        assert second.busy_owner is not None
        assert second.busy_owner.startswith("process ")
        assert second.view(second_job) is None
        assert second.engine is None
        await working
        await waiting
        assert rig.state(first_job) is rig.state(second_job) is JobState.FINISHED
        assert rig.judge().count("accepted") == 120


async def test_a_waiting_runner_ends_when_its_job_is_done_by_the_owner(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.005"}) as rig:
        job = rig.add_job(80, chunk_size=1)
        await asyncio.gather(follow(rig.runner(), job), follow(rig.runner(), job))
        verdict = rig.judge()
        assert verdict.count("accepted") == 80
        assert {len(line.tries) for line in verdict.lines} == {1}


async def test_a_waiting_runner_that_is_stopped_returns_at_once_and_pauses_nothing(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.02"}) as rig:
        job = rig.add_job(60, chunk_size=1)
        first, second = rig.runner(), rig.runner()
        working = asyncio.create_task(follow(first, job))
        await rig.sim.wait_received(2)
        waiting = asyncio.create_task(follow(second, job))
        second.stop(pause="interrupted")
        await waiting
        assert rig.state(job) is JobState.RUNNING
        await working
        assert rig.judge().count("accepted") == 60


async def test_a_runner_recovers_what_its_predecessor_left_under_way(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        await follow(rig.runner(), rig.add_job(1, chunk_size=1))  # old enough to cover what comes after
        job = rig.add_job(20, chunk_size=1)
        lost = tuple(order.id for order in rig.ledger.queued_orders(job, limit=3))
        token = rig.take_lane("a process that dies")
        await rig.ledger.intend(
            Intent(
                job=job,
                account=ACCOUNT,
                token=token,
                kind=AttemptKind.PLACE,
                orders=lost,
                started_at=rig.clock.now(),
            )
        )
        runner = rig.runner()
        await follow(runner, job)
        assert runner.recovered.orders == 3
        assert runner.recovered.attempts == 1
        assert rig.judge().count("accepted", "duplicate") == 21


# stopping


async def test_a_stop_lets_calls_end_pauses_with_the_reason_and_the_job_goes_on_later(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.02"}) as rig:
        job = rig.add_job(200, chunk_size=1)
        runner = rig.runner()
        running = asyncio.create_task(follow(runner, job))
        await rig.sim.wait_received(30)
        runner.stop(pause="interrupted by you")
        await running
        verdict = rig.judge()
        assert rig.state(job) is JobState.PAUSED
        assert rig.reason(job) == "interrupted by you"
        assert verdict.count("unconfirmed") == 0
        assert 30 <= verdict.count("accepted") == len(rig.sim.book) < 200
        rig.resume(job)
        verdict = await rig.run(job)
        assert verdict.count("accepted") == 200
        assert all(
            [one.outcome for one in line.tries if one.outcome != "unsent"] == ["accepted"] for line in verdict.lines
        )


async def test_an_abandoned_lane_has_its_jobs_paused_and_its_calls_in_doubt(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.05"}) as rig:
        job, other = rig.add_job(100, chunk_size=1, max_concurrency=8), rig.add_job(100, chunk_size=1)
        runner = rig.runner()
        running = asyncio.create_task(follow(runner, job))
        await rig.sim.wait_received(20)
        await runner.abandon()
        await running
        assert rig.state(job) is rig.state(other) is JobState.PAUSED
        assert 0 < rig.judge().count("unconfirmed") <= 16
        for paused in (job, other):
            rig.resume(paused)
        verdict = await rig.run()
        assert verdict.count("accepted", "duplicate") == 200
        assert rig.repeats == 0


async def test_an_abandoned_lane_has_no_owner_any_more(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.05"}) as rig:
        runner = rig.runner()
        running = asyncio.create_task(follow(runner, rig.add_job(20, chunk_size=1)))
        await rig.sim.wait_received(2)
        await runner.abandon()
        await running
        owner = rig.ledger.lane_owner(ACCOUNT)
        assert owner is not None
        assert owner.owner is None


async def test_a_cancelled_runner_leaves_the_lane_free_and_nothing_under_way(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.05"}) as rig:
        job = rig.add_job(100, chunk_size=1, max_concurrency=8)
        running = asyncio.create_task(follow(rig.runner(), job))
        await rig.sim.wait_received(20)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        rig.judge()
        if rig.state(job) is JobState.PAUSED:
            rig.resume(job)
        assert (await rig.run_to_the_end(job)).count("accepted", "duplicate") == 100


@pytest.mark.parametrize("is_abandoned", [False, True])
async def test_who_is_stopped_while_taking_the_lane_sends_nothing(tmp_path: Path, is_abandoned: bool):
    async with open_rig(tmp_path) as rig:
        job, other = rig.add_job(50), rig.add_job(50)
        runner = rig.runner()
        running = asyncio.create_task(follow(runner, job))
        await asyncio.sleep(0)
        if is_abandoned:
            await runner.abandon()
        else:
            runner.stop(pause="interrupted by you")
        await running
        assert rig.sim.stats.received == 0
        assert rig.state(job) is JobState.PAUSED
        assert rig.state(other) is JobState.RUNNING
        rig.judge()


# jobs together


async def test_a_job_that_another_process_has_paused_is_let_go_of(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        paused, other = rig.add_job(150, chunk_size=1), rig.add_job(150, chunk_size=1)
        change = {"expected": {JobState.RUNNING}, "to": JobState.PAUSED, "reason": "its own process failed"}
        rig.sim.site.watch(40, lambda: rig.ledger.change_job(paused, **change))
        await rig.run()
        assert rig.reason(paused) == "its own process failed"
        assert rig.state(other) is JobState.FINISHED
        assert rig.count(paused, S.QUEUED) > 0


async def test_it_works_until_no_job_runs_any_more(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        jobs = [rig.add_job(20) for _ in range(3)]
        await rig.run()
        assert {rig.state(job) for job in jobs} == {JobState.FINISHED}


@pytest.mark.parametrize("chunk", [1, 10])
async def test_jobs_of_one_priority_take_turns(tmp_path: Path, chunk: int):
    async with open_rig(tmp_path) as rig:
        for _ in range(3):
            rig.add_job(20 * chunk, chunk_size=chunk, max_concurrency=1)
        await rig.run()
        shares = Counter(order_of_jobs(rig)[: 30 * chunk])
        assert max(shares.values()) - min(shares.values()) <= 2 * chunk


async def test_each_step_of_priority_doubles_a_jobs_share(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        low = rig.add_job(80, chunk_size=1, max_concurrency=1)
        high = rig.add_job(80, chunk_size=1, max_concurrency=1, priority=2)
        await rig.run()
        shares = Counter(order_of_jobs(rig)[:50])
        assert shares[high] == pytest.approx(4 * shares[low], abs=4)
        assert rig.state(low) is JobState.FINISHED


async def test_a_small_job_that_comes_late_does_not_wait_for_a_large_one(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        large = rig.add_job(400, chunk_size=1, max_concurrency=1)
        small: list[JobId] = []
        rig.sim.site.watch(100, lambda: small.append(rig.add_job(10, chunk_size=1)))
        await rig.run()
        order = order_of_jobs(rig)
        assert order.index(small[0]) < 200
        last = len(order) - 1 - order[::-1].index(small[0])
        assert last - order.index(small[0]) <= 25
        assert rig.state(large) is JobState.FINISHED


async def test_one_job_that_pauses_by_itself_does_not_stop_the_others(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        capped = rig.add_job(50, chunk_size=1, max_spend=10 * PRICE)
        free = rig.add_job(50, chunk_size=1)
        await rig.run()
        assert rig.state(capped) is JobState.PAUSED
        assert rig.count(capped, S.ACCEPTED) == 10
        assert rig.state(free) is JobState.FINISHED
        assert rig.count(free, S.ACCEPTED) == 50


@pytest.mark.parametrize("wanted", [JobState.PAUSED, JobState.CANCELLED])
async def test_a_request_of_another_process_is_about_one_job_only(tmp_path: Path, wanted: JobState):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        asked, other = rig.add_job(150, chunk_size=1), rig.add_job(150, chunk_size=1)
        rig.sim.site.watch(60, lambda: rig.ledger.request(asked, wanted))
        verdict = await rig.run()
        assert rig.state(asked) is wanted
        assert rig.state(other) is JobState.FINISHED
        assert rig.count(other, S.ACCEPTED) == 150
        left = S.QUEUED if wanted is JobState.PAUSED else S.CANCELLED
        assert 0 < rig.count(asked, left) < 150
        assert verdict.count("unconfirmed") == 0
        assert rig.count(asked, S.ACCEPTED) + rig.count(asked, left) == 150


async def test_the_user_may_pause_and_resume_as_often_as_wanted(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.005", "faults": ("reset:after@#13,77",)}) as rig:
        job = rig.add_job(300, chunk_size=1)
        for received in itertools.count(40, 40):
            rig.sim.site.watch(received, lambda: rig.ledger.request(job, JobState.PAUSED))
            await rig.run(job)
            if rig.state(job) is JobState.FINISHED:
                break
            rig.resume(job)
        verdict = rig.judge()
        assert verdict.count("accepted", "duplicate") == 300
        assert rig.repeats == 0
        assert rig.runs > 3
