"""How often orders are asked for until they come to their ends, counted at the provider, while hours pass at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.order import ResultStatus
from imeiflow.jobs.goal import OnceGoal
from imeiflow.jobs.tracker import Tracker
from imeiflow.ledger.record import PricedService
from tests.rig import ACCOUNT, PATIENCE_S, FastClock, Rig, open_rig


@pytest.mark.parametrize(
    ("delivery", "takes", "most"),
    [("Instant", "40-115", 14), ("1-24 Hours", "43200-72000", 31), ("3-10 Business Days", "432000-691200", 36)],
)
async def test_no_order_is_asked_for_more_often_than_its_delivery_time_and_age_allow(
    tmp_path: Path, delivery: str, takes: str, most: int
):
    orders = 400
    behaviour = {"pending_for": "1", "process_for": takes}
    async with open_rig(tmp_path, behaviour, clock=FastClock()) as rig:
        rig.ledger.record_prices(ACCOUNT, [PricedService(id=ServiceId("1"), name="x", delivery=delivery)])
        job = rig.add_job(orders, chunk_size=100)
        await rig.run(job)
        asked, moments = await follow_by_leaps(rig, job)
        assert rig.ledger.status_counts(job) == {ResultStatus.COMPLETED: orders}
        calls = rig.sim.stats.actions["getimeis"]
        assert 5 * orders <= asked <= most * orders
        assert calls <= asked / 100 + 2 * moments, "they are asked for together"
        assert moments <= 5 * most, "the provider is left alone in between"


async def follow_by_leaps(rig: Rig, job: JobId) -> tuple[int, int]:
    """Follow a job to its end; no time passes between two questions. Count orders asked for, and the moments."""
    assert isinstance(rig.clock, FastClock)
    asked = moments = 0
    async with asyncio.timeout(PATIENCE_S):
        while due := [one.due_at for one in rig.ledger.due_jobs(ACCOUNT)]:
            rig.clock.skip(max(0.0, (min(due) - rig.clock.now()).total_seconds()))
            now = rig.clock.now()
            count = rig.ledger.count_open(job, until=now)
            goal = OnceGoal(rig.ledger, [job], now)
            tracker = Tracker(ledger=rig.ledger, account=rig.account, clock=rig.clock, home=rig.path, goal=goal)
            await tracker.run()
            view = tracker.view()
            assert view is not None
            assert view.asked >= count
            asked, moments = asked + view.asked, moments + 1
    return asked, moments
