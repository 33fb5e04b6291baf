"""What a person sees of jobs: counts that add up, speed and why, money; from the runner, or else from the ledger.

Reads only. A job at rest is counted once and remembered until something of it changes: opening a job of a million
orders again costs nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Generic, TypeAlias, TypeVar

from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.price_rise import PriceRise
from imeiflow.domain.progress import Tally
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Filter
from imeiflow.ledger.record import FoundOrder, Job, Reason
from imeiflow.operations.session import Session

T = TypeVar("T")

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
_REMEMBERED: Final = 2000
_LARGE: Final = 50_000  #: rows of a job that takes long enough to count that a person would notice
_JOBS_AT_ONCE: Final = 200
_MOST_POINTS: Final = 600
_MOST_CHANGES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a list: how far it is and what it has cost. `spent` is None where a price is not known."""

    job: Job
    tally: Tally
    spent: Money | None
    view: JobView | None
    probed: Money | None = None  #: the part of `spent` that is for repeat probes
    price_rise: PriceRise | None = None  #: one that was seen only after orders were placed; of a job at rest

    @property
    def parts(self) -> list[tuple[OrderState, int]]:
        """Give the counts by state, in the order in which they are shown; they add up to the total."""
        return [(state, self.tally[state]) for state in SHOWN]

    @property
    def done(self) -> int:
        """Count the orders whose calls have ended: neither those that wait nor those that were cancelled."""
        return self.tally.to_place - self.tally.waiting - self.cancelled

    @property
    def answered(self) -> int:
        """Count the orders of which is known what became of them: done, and not unconfirmed."""
        return self.done - self.unconfirmed

    @property
    def cancelled(self) -> int:
        """Count the orders that will never be sent."""
        return self.tally[OrderState.CANCELLED]

    @property
    def unconfirmed(self) -> int:
        """Count the orders that may have been placed."""
        return self.tally[OrderState.UNCONFIRMED]

    @property
    def share(self) -> float:
        """Give the share that is done of what is to be done, from 0 to 1; of a cancelled job that of the whole list."""
        is_cancelled = self.job.state is JobState.CANCELLED
        whole = self.tally.to_place - (0 if is_cancelled else self.cancelled)
        return self.done / whole if whole else 1.0

    @property
    def stopping(self) -> JobState | None:
        """Say what a running job was asked to become."""
        if self.job.state is not JobState.RUNNING:
            return None
        return self.view.stopping if self.view is not None and self.view.stopping is not None else self.job.wanted

    @property
    def calls_under_way(self) -> int:
        """Count the calls whose answer is awaited, as far as is known here."""
        return self.view.calls_under_way if self.view is not None else 0

    @property
    def most(self) -> Money | None:
        """Give what the job can cost at most; None where its price is not known."""
        price = self.job.price
        return None if price is None else price * (self.tally.to_place - self.tally[OrderState.CANCELLED])

    @property
    def at_stake(self) -> Money | None:
        """Give what may have been spent on orders that are unconfirmed."""
        return None if self.job.price is None else self.job.price * self.unconfirmed

    @property
    def at_risen_price(self) -> Money | None:
        """Give what may have been spent where the price rose unseen; None where it did not, or that is not known."""
        return None if self.price_rise is None else self.price_rise.at_most(self.spent)

    @property
    def is_cap_passed(self) -> bool:
        """Say whether the job's cap may have been passed by a price that rose unseen."""
        rise = self.price_rise
        return rise is not None and rise.passes(self.job.cap, self.spent, self.at_stake)


class _Memory(Generic[T]):
    """What was counted of jobs at rest, by what would change with them. Who asks while it is counted waits for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = [threading.Lock() for _ in range(64)]
        self._known: OrderedDict[tuple[str, JobId], tuple[object, T]] = OrderedDict()

    def find(self, session: Session, job: Job, count: Callable[[], T]) -> T:
        """Give what is remembered of a job, or count it; of one that runs it is always counted."""
        if job.state is JobState.RUNNING:
            return count()
        key = (session.ledger.path, job.id)
        mark = (job.state, job.ended_at, session.ledger.last_event(job.id))
        with self._counting[job.id % len(self._counting)]:
            with self._lock:
                known = self._known.get(key)
                if known is not None and known[0] == mark:
                    self._known.move_to_end(key)
                    return known[1]
            counted = count()
            with self._lock:
                self._known[key] = (mark, counted)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            return counted


_counts: Final = _Memory[tuple[Tally, Money | None, Money | None, PriceRise | None]]()
_reasons: Final = _Memory[list[Reason]]()


def count_job(session: Session, job: Job, view: JobView | None = None) -> JobLine:
    """Count one job, as cheaply as can be."""
    if view is not None:
        return JobLine(job=job, tally=view.tally, spent=view.spent, view=view, probed=view.probed)
    ledger, id_ = session.ledger, job.id
    counted = _counts.find(
        session, job, lambda: (ledger.tally(id_), ledger.spending(id_), ledger.probed(id_), ledger.price_rise(id_))
    )
    tally, spent, probed, rise = counted
    return JobLine(job=job, tally=tally, spent=spent, view=None, probed=probed, price_rise=rise)


def group_reasons(session: Session, job: Job) -> list[Reason]:
    """Group what keeps a job's rows from being accepted, most frequent first."""
    return _reasons.find(session, job, lambda: session.ledger.reasons(job.id))


def warm_counts(session: Session, *, limit: int = 20, is_stopped: Callable[[], bool] = lambda: False) -> int:
    """Count jobs at rest before anybody asks, so that the largest opens at once; give how many there were.

    These are the `limit` newest, and of all others the large ones. Blocks for some tenths of a second for each million
    orders; between two jobs `is_stopped` ends it.
    """
    warmed = 0
    for place, job in enumerate(_list_all(session)):
        if is_stopped():
            break
        if job.state is JobState.RUNNING or (place >= limit and session.ledger.span_rows(job.id) < _LARGE):
            continue
        count_job(session, job)
        group_reasons(session, job)
        warmed += 1
    return warmed


def _list_all(session: Session) -> Iterator[Job]:
    """List all jobs, newest first."""
    before: JobId | None = None
    while jobs := session.ledger.list_jobs(before=before, limit=_JOBS_AT_ONCE):
        yield from jobs
        before = jobs[-1].id


def list_job_lines(session: Session, find_view: FindView, *, before: int | None = None, limit: int) -> list[JobLine]:
    """List jobs, newest first, those older than `before`."""
    jobs = session.ledger.list_jobs(before=None if before is None else JobId(before), limit=limit)
    return [count_job(session, job, find_view(job.id)) for job in jobs]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some of a job's orders, and where the next begin."""

    orders: list[FoundOrder]
    next: str | None


def list_orders(session: Session, job: JobId, wanted: Filter, *, after: str | None, limit: int = 50) -> OrderPage:
    """Give a page of a job's orders that match, in the order of its file. Raises UsageError for a place that is none.

    A place is the number of the order with which the page before ended.
    """
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) < 19):
        raise UsageError(problem="this page of the list is not there any more", remedy="Begin at its start.")
    begin = None if after is None else OrderId(int(after))
    orders, last = session.ledger.page_rows(job, wanted, after=begin, limit=limit)
    return OrderPage(orders, None if last is None else str(last))


def chart_job(session: Session, job: JobId) -> dict[str, object]:
    """Give the speed of a job over time as columns for a chart, thinned to some hundred moments, and why it changed."""
    samples = session.ledger.samples(job)
    changes = [
        {"at": one.at.timestamp(), "about": about, "why": why}
        for one in samples
        for about, why in (one.reasons or {}).items()
        if why
    ]
    step = max(1, len(samples) // _MOST_POINTS)
    kept = samples[::step]
    if samples and kept[-1] is not samples[-1]:
        kept.append(samples[-1])
    refused = [0, *(one.refused for one in kept)]
    return {
        "at": [one.at.timestamp() for one in kept],
        "orders": [round(one.orders_per_s, 2) for one in kept],
        "calls": [round(one.calls_per_s, 2) for one in kept],
        "in_flight": [one.in_flight for one in kept],
        "concurrency": [one.concurrency for one in kept],
        "chunk_size": [one.chunk_size for one in kept],
        "pace": [None if one.pace is None else round(one.pace, 3) for one in kept],
        "refused": [max(0, now - before) for before, now in pairwise(refused)],
        "changes": changes[-_MOST_CHANGES:],
    }
