"""What a person sees of jobs: counts that add up, speed and why, money; from the runner, or else from the ledger.

Reads only. A job at rest is counted once and remembered until something of it changes: opening a job of a million
orders again costs nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Tally
from imeiflow.ledger.record import Job
from imeiflow.operations.session import Session

#: Gives the view of a job that is worked on here.
FindView: TypeAlias = Callable[[JobId], JobView | None]

#: The states in the order in which bars and lists show them.
SHOWN: Final = (
    OrderState.ACCEPTED,
    OrderState.DUPLICATE,
    OrderState.REFUSED,
    OrderState.FAILED,
    OrderState.UNCONFIRMED,
    OrderState.SENDING,
    OrderState.QUEUED,
    OrderState.CANCELLED,
    OrderState.INVALID,
    OrderState.REPEATED,
)
_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a list: how far it is and what it has cost. `spent` is None where a price is not known."""

    job: Job
    tally: Tally
    spent: Money | None
    view: JobView | None

    @property
    def parts(self) -> list[tuple[OrderState, int]]:
        """Give the counts by state, in the order in which they are shown; they add up to the total."""
        return [(state, self.tally[state]) for state in SHOWN]

    @property
    def done(self) -> int:
        """Count the orders that wait for nothing any more."""
        return self.tally.to_place - self.tally.waiting

    @property
    def unconfirmed(self) -> int:
        """Count the orders that may have been placed."""
        return self.tally[OrderState.UNCONFIRMED]


class _Memory:
    """What was counted of jobs at rest, by what would change with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, JobId], tuple[object, Tally, Money | None]] = OrderedDict()

    def find(self, key: tuple[str, JobId], mark: object) -> tuple[Tally, Money | None] | None:
        with self._lock:
            known = self._known.get(key)
            return known[1:] if known is not None and known[0] == mark else None

    def keep(self, key: tuple[str, JobId], mark: object, tally: Tally, spent: Money | None) -> None:
        with self._lock:
            self._known[key] = (mark, tally, spent)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


_memory: Final = _Memory()


def count_job(session: Session, job: Job, view: JobView | None = None) -> JobLine:
    """Count one job, as cheaply as can be."""
    if view is not None:
        return JobLine(job=job, tally=view.tally, spent=view.spent, view=view)
    mark: tuple[object, ...] = (job.state, job.ended_at, session.ledger.last_event(job.id))
    known = None if job.state is JobState.RUNNING else _memory.find((session.ledger.path, job.id), mark)
    if known is None:
        known = (session.ledger.tally(job.id), session.ledger.spending(job.id))
        _memory.keep((session.ledger.path, job.id), mark, *known)
    return JobLine(job=job, tally=known[0], spent=known[1], view=None)


def list_job_lines(session: Session, find_view: FindView, *, before: int | None = None, limit: int) -> list[JobLine]:
    """List jobs, newest first, those older than `before`."""
    jobs = session.ledger.list_jobs(before=None if before is None else JobId(before), limit=limit)
    return [count_job(session, job, find_view(job.id)) for job in jobs]
