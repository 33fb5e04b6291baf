"""Which orders are wanted, and where a page of them ended: values that every listing shares."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, aware: from `start` on, before `end`; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, at: datetime | None) -> bool:
        return at is not None and (self.start is None or self.start <= at) and (self.end is None or at < self.end)


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
