from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imeiflow.dispatch.kind import IDS_KIND
from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.item import Item
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.jobs.goal import FinalGoal, OnceGoal
from imeiflow.jobs.runner import Runner
from imeiflow.jobs.tracker import Tracker
from imeiflow.ledger.record import PricedService
from imeiflow.simulator.behaviour import ResultLayout
from imeiflow.simulator.result import make_result
from tests.dispatch.test_item import BOTH
from tests.dispatch.test_item import add_job as add_item_job
from tests.rig import ACCOUNT, PATIENCE_S, FastClock, Rig, open_rig

COMPLETED, REJECTED = ResultStatus.COMPLETED, ResultStatus.REJECTED


@asynccontextmanager
async def open_fast(path: Path, speed: float = 20.0, **behaviour: Any) -> AsyncIterator[Rig]:
    """Open a rig whose clock runs fast; orders live for a moment."""
    life = {"pending_for": "4", "process_for": "4-20"}
    async with open_rig(path, {**life, **behaviour}, clock=FastClock(speed)) as rig:
        yield rig


def agree(rig: Rig, job: JobId, *, is_of_items: bool = False) -> None:
    """Compare status and result of each order that has come to its end with the book, and its history with both."""
    now = rig.sim.site.clock()
    seed, layout = rig.sim.behaviour.seed, rig.sim.behaviour.result_layout
    ends = {change.order: change for change in rig.ledger.status_changes(is_end=True, limit=100_000)}
    for row in rig.rows(job):
        entry = rig.sim.book.find(row.reference or "")
        if entry is None or row.status is None or not row.status.is_final:
            assert row.completed_at is None
            assert row.result is None
            continue
        assert row.status is entry.status_at(now)
        told = make_result(
            entry.imei,
            entry.service,
            seed,
            ResultLayout.CODE if is_of_items else layout,
            is_rejected=row.status is REJECTED,
        )
        assert (row.result or "").split() == told.split()
        assert row.completed_at is not None
        assert (ends[row.id].status, ends[row.id].result) == (row.status, row.result)


async def track(rig: Rig, *jobs: JobId) -> Tracker:
    """Follow jobs until all is final."""
    tracker = make_tracker(rig, FinalGoal(rig.ledger, jobs))
    async with asyncio.timeout(PATIENCE_S):
        await tracker.run()
    return tracker


def make_tracker(rig: Rig, goal: Any) -> Tracker:
    return Tracker(ledger=rig.ledger, account=rig.account, clock=rig.clock, home=rig.path, goal=goal)


async def test_every_order_comes_to_the_status_and_the_result_that_the_provider_has(tmp_path: Path):
    async with open_fast(tmp_path, rejected_share=0.2) as rig:
        job = rig.add_job(300)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        counts = rig.ledger.status_counts(job)
        assert set(counts) == {COMPLETED, REJECTED}
        assert sum(counts.values()) == 300
        assert rig.ledger.count_open(job) == 0
        assert rig.judge()


@BOTH
async def test_orders_of_files_and_server_services_come_to_their_results_as_well(
    tmp_path: Path, service: str, price: str, items: list[Item]
):
    async with open_fast(tmp_path, rejected_share=0.4) as rig:
        job = add_item_job(rig, service, price, items)
        await rig.run(job)
        view = (await track(rig, job)).view()
        agree(rig, job, is_of_items=True)
        assert sum(rig.ledger.status_counts(job).values()) == 5
        assert set(rig.ledger.status_counts(job)) == {COMPLETED, REJECTED}
        assert view is not None
        assert view.asked == view.calls >= 5
        assert (view.ids_per_call, "one by one" in view.ids_reason) == (1, True)
        assert rig.ledger.count_anomalies(job) == {}


async def test_what_was_asked_for_is_counted_from_the_beginning_however_often_the_lane_was_given_up(tmp_path: Path):
    async with open_fast(tmp_path, pending_for="100000") as rig:
        job = rig.add_job(20)
        await rig.run(job)
        runner = Runner(ledger=rig.ledger, account=rig.account, clock=rig.clock, home=rig.path)
        for times in (1, 2, 3):
            rig.ledger.hurry(job, asked_before=rig.clock.now())
            async with asyncio.timeout(PATIENCE_S):
                await runner.follow(OnceGoal(rig.ledger, [job], rig.clock.now()))
            assert runner.engine is None
            view = runner.poll_view()
            assert view is not None
            assert view.asked >= 20 * times
            assert view.calls == rig.sim.stats.actions["getimeis"] >= times


@pytest.mark.parametrize(("delivery", "wait_s"), [("Instant", 5), ("1-24 Hours", 900), ("3-10 Business Days", 21_600)])
async def test_the_first_question_waits_for_what_the_service_says_of_its_time(
    tmp_path: Path, delivery: str, wait_s: float
):
    async with open_rig(tmp_path, {"pending_for": "1000000"}) as rig:
        service = PricedService(id=ServiceId("1"), name="x", delivery=delivery)
        rig.ledger.record_prices(ACCOUNT, [service])
        job = rig.add_job(5)
        await rig.run(job)
        rows = {row.id: row for row in rig.rows(job)}
        due = rig.ledger.due_orders(job, rig.clock.now() + timedelta(days=1))
        assert len(due) == 5
        for one in due:
            accepted_at = rows[one.id].accepted_at
            assert accepted_at is not None
            assert 0.85 * wait_s <= (one.due_at - accepted_at).total_seconds() <= 1.3 * wait_s + 1


async def test_calls_are_as_long_as_the_server_takes_and_that_is_remembered(tmp_path: Path):
    async with open_fast(tmp_path, status_limit=30) as rig:
        job = rig.add_job(200)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        assert rig.ledger.count_anomalies(job) == {}
        learned = {entry.kind: entry.value for entry in rig.ledger.learned(ACCOUNT)}
        why = "the provider named all of a call of 30 orders"
        assert learned[IDS_KIND] == {"size": 30, "failed": 31, "why": why}
        again = rig.add_job(90)
        await rig.run(again)
        view = (await track(rig, again)).view()
        assert view is not None
        assert (view.ids_per_call, view.ids_reason) == (30, why)


@pytest.mark.parametrize("options", [{"status_limit": 30, "status_limit_error": True}, {"status_limit": 1}])
async def test_a_server_that_takes_few_ids_or_refuses_many_is_asked_for_all(tmp_path: Path, options: dict[str, Any]):
    async with open_fast(tmp_path, **options) as rig:
        job = rig.add_job(60)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        assert rig.ledger.count_open(job) == 0
        assert rig.ledger.count_anomalies(job) == {}


async def test_ids_that_the_provider_does_not_know_are_said_and_keep_nobody_else_waiting(tmp_path: Path):
    async with open_fast(tmp_path, speed=200.0, status_unknown_share=0.15) as rig:
        job = rig.add_job(120)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        left = rig.ledger.count_open(job)
        assert 0 < left < 40
        assert rig.ledger.count_anomalies(job) == {StatusAnomalyKind.UNKNOWN: left}
        assert rig.ledger.count_unknown(job, misses=3) == left
        assert rig.ledger.status_counts(job)[COMPLETED] == 120 - left
        learned = {entry.kind: entry.value for entry in rig.ledger.learned(ACCOUNT)}
        assert learned[IDS_KIND] == {"size": 100, "failed": None, "why": "no call was cut so far"}


async def test_a_word_on_another_imei_is_not_believed_and_a_status_may_go_back(tmp_path: Path):
    odd = {"status_foreign_share": 0.1, "status_backwards_share": 1.0, "status_extra": 3}
    async with open_fast(tmp_path, speed=60.0, process_for="300", **odd) as rig:
        job = rig.add_job(60)
        await rig.run(job)
        await track(rig, job)  # which ends, although these come to no end
        agree(rig, job)
        kinds = rig.ledger.count_anomalies(job)
        foreign = kinds[StatusAnomalyKind.FOREIGN_IMEI]
        assert 0 < foreign < 30
        assert kinds[StatusAnomalyKind.BACKWARDS] > 0
        assert rig.ledger.status_counts(job)[COMPLETED] == 60 - foreign
        assert rig.ledger.count_open(job) == rig.ledger.count_unusable(job) == foreign
        book = {entry.reference: entry for entry in rig.sim.book}
        for one in rig.ledger.stuck_orders(job):
            assert one.kind is StatusAnomalyKind.FOREIGN_IMEI
            assert book[one.reference].imei == one.imei


async def test_what_is_in_vain_is_asked_for_once_more_before_it_is_given_up(tmp_path: Path):
    async with open_fast(tmp_path, pending_for="0", process_for="0", status_foreign_share=1.0) as rig:
        job = rig.add_job(10)
        await rig.run(job)
        await track(rig, job)
        assert rig.ledger.count_unusable(job) == 10
        rig.behave(status_foreign_share=0.0)
        await track(rig, job)
        assert rig.ledger.count_open(job) == 10  # nothing was due that somebody called for
        skip(rig, 60)
        rig.ledger.hurry(job, asked_before=rig.clock.now())
        again = make_tracker(rig, FinalGoal(rig.ledger, [job], rig.clock.now()))
        async with asyncio.timeout(PATIENCE_S):
            await again.run()
        agree(rig, job)
        assert rig.ledger.count_open(job) == 0


async def test_lost_replies_lose_nothing(tmp_path: Path):
    faults = {"faults": ("reset:after@20%", "cut-xml:after@20%", "html-502@20%"), "fault_actions": ("getimeis",)}
    async with open_fast(tmp_path, speed=100.0, **faults) as rig:
        job = rig.add_job(150)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        assert rig.ledger.count_open(job) == 0
        assert rig.ledger.count_anomalies(job) == {}


async def test_an_error_of_the_account_ends_the_asking_with_the_reason(tmp_path: Path):
    async with open_fast(tmp_path) as rig:
        job = rig.add_job(20)
        await rig.run(job)
        rig.behave(lockout="inactive")
        before = rig.sim.stats.actions["getimeis"]
        tracker = await track(rig, job)
        assert tracker.halted == "This user is not active"
        assert rig.ledger.count_open(job) == 20
        assert rig.sim.stats.actions["getimeis"] == before + 1


async def test_a_rate_that_the_server_sets_holds_for_statuses_as_well(tmp_path: Path):
    async with open_fast(tmp_path, rate="30/min", rate_refusal="retry-after", status_limit=5) as rig:
        job = rig.add_job(200, chunk_size=100)
        await rig.run(job)
        await track(rig, job)
        agree(rig, job)
        refused = sum(rig.sim.stats.refused.values())
        assert rig.ledger.count_open(job) == 0
        assert refused <= 12


async def test_a_second_process_asks_nothing_while_the_first_owns_the_lane_and_says_who_does(tmp_path: Path):
    async with open_fast(tmp_path) as rig:
        job = rig.add_job(50)
        await rig.run(job)
        first = make_tracker(rig, FinalGoal(rig.ledger, [job]))
        second = make_tracker(rig, FinalGoal(rig.ledger, [job]))
        async with asyncio.timeout(PATIENCE_S):
            tasks = [asyncio.create_task(first.run())]
            await until(lambda: first.view() is not None)
            tasks.append(asyncio.create_task(second.run()))
            await asyncio.gather(*tasks)
        agree(rig, job)
        assert second.view() is None
        assert second.owner is not None
        assert "process" in second.owner


async def test_one_look_asks_each_order_once_and_leaves_the_rest_for_their_time(tmp_path: Path):
    async with open_fast(tmp_path, pending_for="3600") as rig:
        job = rig.add_job(150)
        await rig.run(job)
        skip(rig, 60)
        rig.ledger.hurry(job, asked_before=rig.clock.now())
        tracker = make_tracker(rig, OnceGoal(rig.ledger, [job], rig.clock.now()))
        async with asyncio.timeout(PATIENCE_S):
            await tracker.run()
        view = tracker.view()
        assert view is not None
        assert view.asked == 150
        assert rig.ledger.count_open(job) == 150


async def test_a_job_that_starts_meanwhile_is_placed_by_the_process_that_has_the_lane(tmp_path: Path):
    async with open_fast(tmp_path, process_for="40") as rig:
        job = rig.add_job(50)
        await rig.run(job)
        tracker = make_tracker(rig, FinalGoal(rig.ledger, [job]))
        tracking = asyncio.create_task(tracker.run())
        async with asyncio.timeout(PATIENCE_S):
            await until(lambda: tracker.view() is not None)
            later = rig.add_job(150)
            await until(lambda: rig.state(later) is JobState.FINISHED)
            await tracking
        agree(rig, job)
        assert rig.count(later, OrderState.ACCEPTED) == 150
        rig.judge()


async def test_being_stopped_or_given_up_at_any_moment_forgets_nothing(tmp_path: Path):
    async with open_fast(tmp_path, read_latency="2") as rig:
        job = rig.add_job(250)
        await rig.run(job)
        for moment in (0.0, 0.05, 0.15, 0.3):
            tracker = make_tracker(rig, FinalGoal(rig.ledger, [job]))
            task = asyncio.create_task(tracker.run())
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            agree(rig, job)
        await track(rig, job)
        agree(rig, job)
        assert rig.ledger.count_open(job) == 0


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another task does."""
    while not is_so():  # noqa: ASYNC110 - the ledger tells nobody
        await asyncio.sleep(0.02)


def skip(rig: Rig, seconds: float) -> None:
    """Let time pass at once, for both sides."""
    assert isinstance(rig.clock, FastClock)
    rig.clock.skip(seconds)
