"""Which orders are wanted, and where a page of them ended: values that every listing shares."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus

#: Two times of different machines, or of one whose clock was set, say of each other no more than this.
CLOCK_MAY_ERR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, aware: from `start` on, before `end`; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, at: datetime | None) -> bool:
        return at is not None and (self.start is None or self.start <= at) and (self.end is None or at < self.end)

    @property
    def is_empty(self) -> bool:
        """Say whether no time is in it."""
        return self.start is not None and self.end is not None and self.start >= self.end

    def ends_before(self, other: Span) -> bool:
        """Say whether it is over before the other one is."""
        return self.end is not None and (other.end is None or self.end < other.end)

    def within(self, other: Span) -> Span:
        """Give the part that both have."""
        starts = [at for at in (self.start, other.start) if at is not None]
        ends = [at for at in (self.end, other.end) if at is not None]
        return Span(max(starts, default=None), min(ends, default=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which orders are wanted: those that meet all that is given; None is any. Drafts are never among them."""

    imeis: Sequence[Imei] | None = None
    references: Sequence[Reference] | None = None
    states: AbstractSet[OrderState] | None = None
    statuses: AbstractSet[ResultStatus] | None = None
    jobs: Sequence[JobId] | None = None
    service: ServiceId | None = None
    account: AccountName | None = None
    accepted: Span | None = None
    completed: Span | None = None

    def reduce(self) -> Filter | None:
        """Leave out what follows from the rest; None where nothing can meet all of it.

        Only an accepted order has a time of acceptance, only one that the provider has a status, and only one that
        came to its end a time of that. Whoever looked for others would read all orders in vain.
        """
        states, statuses = self.states, self.statuses
        if self.completed is not None and statuses is not None:
            statuses = None if statuses >= FINAL else statuses & FINAL
        known = _ACCEPTED if self.accepted is not None else WITH_STATUS
        if states is not None and (known is _ACCEPTED or self.statuses is not None or self.completed is not None):
            states = None if states >= known else states & known
        is_met_by_none = any(one is not None and not one for one in (states, statuses))
        if is_met_by_none or any(one is not None and one.is_empty for one in self.clip()):
            return None
        return replace(self, states=states, statuses=statuses)

    @property
    def is_of_jobs(self) -> bool:
        """Say whether only the orders of some jobs are wanted."""
        return self.jobs is not None or self.service is not None or self.account is not None

    @property
    def is_narrow(self) -> bool:
        """Say whether anything is wanted beside a time."""
        return self.states is not None or self.statuses is not None or self.is_of_jobs

    @property
    def over_at(self) -> datetime | None:
        """Say when the wanted time is over, give or take what a clock may err; None where it is open."""
        ends = [one.end for one in (self.accepted, self.completed) if one is not None and one.end is not None]
        return _move(min(ends, default=None), CLOCK_MAY_ERR)

    def led_by(self) -> tuple[str, Span] | None:
        """Name the time that leads, of two the one that is over first, and its stretch; None where none is wanted."""
        accepted, completed = self.clip()
        if accepted is not None and (completed is None or accepted.ends_before(completed)):
            return "accepted_at", accepted
        return None if completed is None else ("completed_at", completed)

    def clip(self) -> tuple[Span | None, Span | None]:
        """Give the times of acceptance and of completion without what the other one rules out: an order comes to its
        end after it was accepted, give or take a day, by which a clock may have been wrong."""
        accepted, completed = self.accepted, self.completed
        if accepted is None or completed is None:
            return accepted, completed
        earliest = _move(accepted.start, -CLOCK_MAY_ERR)
        latest = _move(completed.end, CLOCK_MAY_ERR)
        return accepted.within(Span(end=latest)), completed.within(Span(earliest))


def _move(at: datetime | None, by: timedelta) -> datetime | None:
    """Move a time; None, which is open, where there is none, or no calendar goes so far."""
    try:
        return None if at is None else at + by
    except OverflowError:
        return None


_ACCEPTED = frozenset({OrderState.ACCEPTED})
WITH_STATUS = frozenset({OrderState.ACCEPTED, OrderState.DUPLICATE})
FINAL = frozenset(status for status in ResultStatus if status.is_final)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended. It belongs to the filter of that page: `major` is a job, or a time in microseconds."""

    major: int
    order: OrderId

    def __str__(self) -> str:
        return f"{self.major}-{self.order}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor as it was written. Raises ValueError."""
        major, _, order = text.partition("-")
        if not (major.isdecimal() and order.isdecimal() and major.isascii() and order.isascii()):
            raise ValueError(f"{text!r} is no cursor")
        if max(len(major), len(order)) > 18:
            raise ValueError(f"{text[:40]!r} is no cursor")
        return cls(int(major), OrderId(int(order)))
