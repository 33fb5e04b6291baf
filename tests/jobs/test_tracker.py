from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.dispatch.poll import IDS_KIND
from imeiflow.jobs.goal import FinalGoal, OnceGoal
from imeiflow.jobs.tracker import Tracker
from imeiflow.simulator.result import make_result
from tests.rig import ACCOUNT, PATIENCE_S, FastClock, Rig, open_rig

COMPLETED, REJECTED = ResultStatus.COMPLETED, ResultStatus.REJECTED


@asynccontextmanager
async def open_fast(path: Path, speed: float = 20.0, **behaviour: Any) -> AsyncIterator[Rig]:
    """Open a rig whose clock runs fast; orders live for a moment."""
    life = {"pending_for": "4", "process_for": "4-20"}
    async with open_rig(path, {**life, **behaviour}, clock=FastClock(speed)) as rig:
        yield rig


def agree(rig: Rig, job: JobId, *, without: int = 0) -> None:
    """Compare status and result of each order with the book; `without` may be known there only."""
    now = rig.sim.site.now() if hasattr(rig.sim.site, "now") else rig.clock.now().timestamp()
    behaviour = rig.sim.behaviour
    behind = 0
    for row in rig.rows(job):
        if row.state is not OrderState.ACCEPTED or row.reference is None:
            continue
        entry = rig.sim.book.find(row.reference)
        assert entry is not None
        assert entry.imei == row.imei
        status = entry.status_at(now)
        if row.status is not status:
            behind += 1
            assert row.status is None or not row.status.is_final, "a status that the provider never had"
            continue
        if status.is_final:
            told = make_result(
                entry.imei, entry.service, behaviour.seed, behaviour.result_layout, is_rejected=status is REJECTED
            )
            assert row.result is not None
            assert row.result.split() == told.replace("\r\n", " ").split() or row.result
            assert row.completed_at is not None
    assert behind <= without
    changes = rig.ledger.status_changes(is_end=True, limit=100_000)
    assert len({change.order for change in changes}) == len(changes)


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
