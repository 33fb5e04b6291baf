"""A search at a server with known limits finds less than the truth, sends nothing into a ban, and loses no order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from imeiflow.dispatch.desk import Desk
from imeiflow.dispatch.kind import LIMITS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.ladder import Ladder, Recommendation
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.step import Grade, StepKind
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import LaneBusyError, UsageError
from imeiflow.operations.limit_desk import LimitDesk
from imeiflow.operations.limit_search import (
    Found,
    LimitSearch,
    own_lane,
    pin_limits,
    refuse_running,
    unpin_limits,
)
from imeiflow.operations.session import Session
from imeiflow.simulator.answer import Refusal
from tests.operations.stand import ACCOUNT, make_configuration
from tests.rig import FastClock, Rig, open_rig

SPEED = 10.0


class Bench:
    """A rig, and searches in its time."""

    def __init__(self, rig: Rig, **account: Any) -> None:
        self.rig = rig
        configuration = make_configuration(rig.path, rig.sim.base_url, **account)
        self.session = Session(configuration, rig.ledger, rig.clock)
        self.account = configuration.choose_account(None)
        self.steps: list[Any] = []

    def search(self, **ladder: Any) -> LimitSearch:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(seconds / SPEED)

        rungs = Ladder(**{"ceiling": 16, "rest_s": 1.0, **ladder})
        return LimitSearch(self.session, self.account, rungs, on_step=self.steps.append, sleep=sleep)

    async def read(self, **ladder: Any) -> Found:
        async with asyncio.timeout(120):
            return await self.search(**ladder).by_reading()


@asynccontextmanager
async def open_bench(path: Path, account: dict[str, Any] | None = None, **behaviour: Any) -> AsyncIterator[Bench]:
    async with open_rig(path, behaviour, clock=FastClock(SPEED)) as rig:
        yield Bench(rig, **(account or {}))


async def test_reading_finds_how_many_at_once_are_not_refused_and_orders_nothing(tmp_path):
    async with open_bench(
        tmp_path, read_latency="0.5", capacity=5, capacity_queues=False, capacity_refusal=Refusal.PLAIN_503
    ) as bench:
        found = await bench.read()
        assert found.recommendation is not None
        assert 3 <= found.recommendation.concurrency <= 5
        assert found.recommendation.per_s is None
        assert bench.rig.sim.stats.actions["placeorder"] == 0
        assert [one.grade for one in bench.steps].count(Grade.TOO_MUCH) == 1


async def test_a_window_of_calls_is_found_from_below(tmp_path):
    async with open_bench(tmp_path, read_latency="0.3", rate="20/10s", rate_refusal=Refusal.RETRY_429) as bench:
        found = await bench.read()
        assert found.recommendation is not None
        assert found.recommendation.per_s is not None
        assert 0.5 <= found.recommendation.per_s <= 2.0
        assert found.steps[-1].step.kind is StepKind.PACE
        assert found.steps[-1].grade is Grade.GOOD


async def test_a_ban_ends_it_and_there_is_no_second(tmp_path):
    async with open_bench(
        tmp_path, read_latency="0.3", rate="15/10s", ban_after=2, ban_lasts=30.0, ban_extends=True
    ) as bench:
        found = await bench.read()
        assert found.is_banned
        assert "shut us out" in found.end_reason
        assert bench.rig.sim.site.to_json()["bans"] == 1
        assert len(found.steps) <= 3


async def test_an_account_that_is_turned_away_ends_it_at_once(tmp_path):
    async with open_bench(tmp_path, {"key": "another-key-than-theirs"}) as bench:
        found = await bench.read()
        assert found.recommendation is None
        assert "turned the account away" in found.end_reason
        assert len(found.steps) <= 1


async def test_whoever_asks_for_the_lane_meanwhile_is_told_who_has_it(tmp_path):
    async with open_bench(tmp_path, read_latency="0.5") as bench:
        searching = asyncio.create_task(bench.search(ceiling=2).by_reading())
        await bench.rig.sim.wait_received(1)
        with pytest.raises(LaneBusyError, match="process"), own_lane(bench.session, bench.account):
            pass
        await searching
        with own_lane(bench.session, bench.account):
            pass


async def test_a_job_that_runs_is_not_measured_along(tmp_path):
    async with open_bench(tmp_path) as bench:
        job = bench.rig.add_job(3)
        with pytest.raises(UsageError, match=f"job {job}"):
            refuse_running(bench.session, bench.account)
        bench.rig.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
        refuse_running(bench.session, bench.account)


async def test_orders_are_measured_one_a_call_and_every_one_is_in_the_ledger(tmp_path):
    async with open_bench(
        tmp_path, latency="0.5", capacity=3, capacity_queues=False, capacity_refusal=Refusal.PLAIN_503
    ) as bench:
        job = bench.rig.add_job(200, chunk_size=1)
        async with asyncio.timeout(120):
            found = await bench.search().by_ordering(job)
        assert found.recommendation is not None
        assert 2 <= found.recommendation.concurrency <= 3
        verdict = bench.rig.judge()
        assert verdict.problems == []
        assert bench.rig.state(job) in {JobState.PAUSED, JobState.FINISHED}
        ordered = bench.rig.count(job, OrderState.ACCEPTED)
        assert ordered == len(list(bench.rig.sim.book))
        assert 60 <= ordered <= 200
        await bench.rig.run_to_the_end(job)
        assert bench.rig.count(job, OrderState.ACCEPTED) == 200


async def test_what_a_lane_knew_is_as_it_was_after_measuring_by_orders(tmp_path):
    async with open_bench(tmp_path, latency="0.2") as bench:
        known = {"proven": 9, "cap": None, "queued": None, "pace": {"calls": 50, "period_s": 60.0}}
        bench.rig.ledger.learn(ACCOUNT, WHOLE_ACCOUNT, "lane", known, "seen")
        job = bench.rig.add_job(30, chunk_size=1)
        async with asyncio.timeout(120):
            await bench.search(ceiling=2).by_ordering(job)
        (kept,) = [one for one in bench.rig.ledger.learned(ACCOUNT) if one.kind == "lane"]
        assert kept.value["proven"] == 9
        assert (kept.value["pace"]["calls"], kept.value["pace"]["period_s"]) == (50, 60.0)


async def test_an_interruption_ends_it_with_what_was_found(tmp_path):
    async with open_bench(tmp_path, read_latency="0.5") as bench:
        search = bench.search()
        search._on_step = lambda step: (bench.steps.append(step), search.interrupt())
        async with asyncio.timeout(60):
            found = await search.by_reading()
        assert found.was_interrupted
        assert len(found.steps) == 1
        assert found.recommendation is not None


async def test_an_interruption_waits_for_no_answer_of_calls_that_only_read(tmp_path):
    async with open_bench(tmp_path, read_latency="600") as bench:
        search = bench.search()
        searching = asyncio.create_task(search.by_reading())
        async with asyncio.timeout(60):
            await bench.rig.sim.wait_received(1)
            search.interrupt()
            found = await searching
        assert (found.was_interrupted, found.steps) == (True, ())
        with own_lane(bench.session, bench.account):  # it is free again
            pass


async def test_a_server_that_stops_gives_its_searches_up_and_begins_none(tmp_path):
    async with open_bench(tmp_path, read_latency="600") as bench:
        desk = LimitDesk(bench.session, lambda: None)
        desk.begin(bench.account, actor="mia")
        async with asyncio.timeout(60):
            await bench.rig.sim.wait_received(1)
            desk.stop()
            with pytest.raises(UsageError, match="stopping"):
                desk.begin(bench.account, actor="mia")
            await desk.close()
        watched = desk.find(bench.account.name)
        assert watched is not None
        assert watched.found is not None
        assert watched.found.was_interrupted


async def test_pinned_limits_are_obeyed_until_they_are_taken_back(tmp_path):
    async with open_bench(tmp_path) as bench:
        pin_limits(bench.session, bench.account, Recommendation(7, 2.0, "it bore that"))

        def lane() -> Any:
            desk = Desk(bench.rig.ledger, bench.rig.provider, ACCOUNT, DispatchSettings(), now=0.0)
            desk.take([])
            return desk.lane

        assert lane().limit.ceiling == 7
        assert lane().pace.ceiling.rate == pytest.approx(2.0, rel=0.01)
        bench.rig.ledger.learn(ACCOUNT, WHOLE_ACCOUNT, LIMITS_KIND, {"concurrency": 99}, "a guess")
        assert lane().limit.ceiling == 7
        assert unpin_limits(bench.session, bench.account)
        assert lane().limit.ceiling == 64
        assert lane().pace.ceiling is None
        assert not unpin_limits(bench.session, bench.account)


async def test_a_job_stays_below_what_is_pinned(tmp_path):
    async with open_bench(tmp_path, latency="0.5", capacity=50) as bench:
        pin_limits(bench.session, bench.account, Recommendation(3, None, "it bore that"))
        job = bench.rig.add_job(40, chunk_size=1, max_concurrency=20)
        await bench.rig.run(job)
        assert bench.rig.sim.site.to_json()["peak"] <= 3
