"""How many orders are in which state, over all jobs: taken again and again without counting all of them again.

What is worked on here is known; of the rest only jobs are counted anew that something has happened to since.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Tally
from imeiflow.ledger.record import Job
from imeiflow.operations.session import Session

_PAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stocktaking:
    """What was counted: orders and jobs by state, and since when the oldest job runs that has orders queued."""

    at: datetime
    orders: dict[OrderState, int] = field(default_factory=dict)
    jobs: dict[JobState, int] = field(default_factory=dict)
    queued_since: datetime | None = None


class Stock:
    """Counts the orders of a ledger. `find_tally` gives the counts of a job that is worked on here. Safe in threads."""

    def __init__(self, session: Session, find_tally: Callable[[JobId], Tally | None]) -> None:
        self._session = session
        self._find_tally = find_tally
        self._lock = threading.Lock()
        self._known: dict[JobId, tuple[JobState, Tally]] = {}
        self._open: set[JobId] = set()
        self._last_event = 0

    def take(self) -> Stocktaking:
        """Count again what has changed."""
        with self._lock:
            return self._take()

    def _take(self) -> Stocktaking:
        ledger = self._session.ledger
        newest = ledger.last_event()
        jobs = self._list_new()
        for id_ in (self._open | self._list_touched(newest)) - {job.id for job in jobs}:
            found = ledger.find_job(id_)
            if found is not None and found.state is not JobState.DRAFT:
                jobs.append(found)
        for job in jobs:
            self._count(job)
        self._last_event = newest
        return self._sum_up([job for job in jobs if job.state is JobState.RUNNING])

    def _list_new(self) -> list[Job]:
        """List the jobs that have come since; a draft that became one has its event."""
        known = max(self._known, default=0)
        new: list[Job] = []
        before: JobId | None = None
        while jobs := self._session.ledger.list_jobs(before=before, limit=_PAGE):
            new += [job for job in jobs if job.id > known]
            before = jobs[-1].id
            if before <= known:
                break
        return new

    def _list_touched(self, newest: int) -> set[JobId]:
        touched: set[JobId] = set()
        after = self._last_event
        while self._known and after < newest:
            events = self._session.ledger.events(after=after, limit=1000)
            if not events:
                break
            touched |= {event.job for event in events if event.job is not None}
            after = events[-1].id
        return touched

    def _count(self, job: Job) -> None:
        tally = self._find_tally(job.id) or self._session.ledger.tally(job.id)
        self._known[job.id] = (job.state, tally)
        if job.state in {JobState.RUNNING, JobState.PAUSED}:
            self._open.add(job.id)
        else:
            self._open.discard(job.id)

    def _sum_up(self, running: list[Job]) -> Stocktaking:
        orders: Counter[OrderState] = Counter()
        for _, tally in self._known.values():
            orders.update(tally.counts)
        starts = [
            job.started_at
            for job in running
            if job.started_at is not None and self._known[job.id][1][OrderState.QUEUED] > 0
        ]
        return Stocktaking(
            at=self._session.clock.now(),
            orders=dict(orders),
            jobs=Counter(state for state, _ in self._known.values()),
            queued_since=min(starts, default=None),
        )
