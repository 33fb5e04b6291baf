"""Which doubts a complete export leaves out because they were not placed, and why that is not known of others. Pure.

Whoever says that an export is complete says so of its own time and kind of orders. Not to be named there proves that an
order was not placed only where all of it lies within: what cannot be known stays unconfirmed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.ledger.record import Doubt, Job
from imeiflow.operations.statement import Statement
from imeiflow.operations.time_zone import ExportClock


class Silence(StrEnum):
    """Why it proves nothing that no row of an export names a doubt."""

    OTHER_KIND = "other_kind"
    OTHER_SERVICES = "other_services"
    TIME_UNKNOWN = "time_unknown"
    OUTSIDE = "outside"
    UNREADABLE = "unreadable"

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Silence.OTHER_KIND: "it lists IMEIs, and these are files or fields of a server service",
    Silence.OTHER_SERVICES: "none of its rows is of this service",
    Silence.TIME_UNKNOWN: "when its orders were made cannot be told",
    Silence.OUTSIDE: "their calls were not surely within its time, from its first row to its last",
    Silence.UNREADABLE: "a row whose IMEI cannot be read may be one of them",
}


_ALWAYS: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an export covers, asked for one job. `fits` says whether a name that it writes may be that of a service."""

    job: Job
    statement: Statement
    clock: ExportClock | None
    fits: Callable[[ServiceId, str], bool]

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """Give the time that is surely covered, first and last moment; None where there is none, or it is not known."""
        return None if self.clock is None else self.clock.cover(self.statement)


def explain_silence(coverage: Coverage, doubts: list[Doubt]) -> list[Silence | None]:
    """Say of doubts that no row names why that proves nothing; None where it shows that they were not placed."""
    job, statement = coverage.job, coverage.statement
    if job.kind is not OrderKind.IMEI:
        return [Silence.OTHER_KIND] * len(doubts)
    if coverage.clock is None:
        return [Silence.TIME_UNKNOWN] * len(doubts)
    if not any(coverage.fits(job.service, row.service) for row in statement):
        return [Silence.OTHER_SERVICES] * len(doubts)
    span, unread = coverage.span, _find_unread(coverage, coverage.clock)
    return [_explain(doubt, span, unread) for doubt in doubts]


def _explain(
    doubt: Doubt, span: tuple[datetime, datetime] | None, unread: Sequence[tuple[datetime, datetime]]
) -> Silence | None:
    if span is None or doubt.ended_at is None or doubt.began_at < span[0] or doubt.ended_at > span[1]:
        return Silence.OUTSIDE
    ended_at = doubt.ended_at
    place = bisect_right(unread, ended_at, key=lambda time: time[0])  # the last that begins in time ends last, too
    return Silence.UNREADABLE if place and unread[place - 1][1] >= doubt.began_at else None


def _find_unread(coverage: Coverage, clock: ExportClock) -> list[tuple[datetime, datetime]]:
    """Give the times of rows of the service whose IMEI cannot be read, in order, apart from each other."""
    times: list[tuple[datetime, datetime]] = []
    for row in coverage.statement.unread:
        if coverage.fits(coverage.job.service, row.service):
            bounds = clock.bounds(row)
            times += [(first - clock.margin, last + clock.margin) for first, last in bounds] or [_ALWAYS]
    apart: list[tuple[datetime, datetime]] = []
    for first, last in sorted(times):
        if apart and first <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(last, apart[-1][1])
        else:
            apart.append((first, last))
    return apart
