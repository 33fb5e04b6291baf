"""In which time zone, and in which order of day and month, an export writes when orders were placed.

It does not say so. Orders that are certain, because ledger and export have exactly one of their IMEI, tell. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from imeiflow.errors import UsageError
from imeiflow.ledger.record import KnownOrder
from imeiflow.operations.statement import ExportedOrder, Statement
from imeiflow.results.moment import DateOrder, read_zone

#: How far from a call an export may say that its order was placed.
SLACK = timedelta(minutes=30)
#: Where it names days only, and nobody knows whose.
_DAYS_APART = timedelta(hours=38)
_QUARTER = timedelta(minutes=15)
_FARTHEST = timedelta(hours=14, minutes=15)
#: A second offset is believed (summer time begins within the export) from this share of the certain orders on.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class ExportClock:
    """How the dates of an export are read. `pairs` is how many certain orders told; 0: the user did."""

    date_order: DateOrder
    zones: tuple[tzinfo, ...]
    slack: timedelta = SLACK
    pairs: int = 0

    def read(self, order: ExportedOrder) -> list[datetime]:
        """Give the moments that a row can mean."""
        moment = order.moments.get(self.date_order)
        if moment is None:
            return []
        if moment.tzinfo is not None:
            return [moment.astimezone(UTC)]
        return [moment.replace(tzinfo=zone).astimezone(UTC) for zone in self.zones]

    def distance(self, order: ExportedOrder, known: KnownOrder) -> timedelta | None:
        """Say how far a row is from the calls that may have placed an order; None: too far, or it does not say."""
        found = [max(known.began_at - at, at - known.ended_at, timedelta()) for at in self.read(order)]
        nearest = min(found, default=None)
        return None if nearest is None or nearest > self.slack else nearest

    def describe(self) -> str:
        """Say it in words."""
        zones = " or ".join(_name_zone(zone) for zone in self.zones)
        return zones if self.slack == SLACK else f"{zones}, days only"


def name_time_zone(text: str) -> tzinfo:
    """Read `UTC`, `+05:30` or `Europe/Berlin`. Raises UsageError."""
    zone = read_zone(text.strip())
    if zone is not None:
        return zone
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"--timezone: {text!r} is no time zone"
        raise UsageError(problem=problem, remedy="Write UTC, +05:30 or Europe/Berlin.") from None


def choose_clock(
    statement: Statement, certain: Iterable[tuple[ExportedOrder, KnownOrder]], zone: tzinfo | None
) -> ExportClock | None:
    """Find how the dates of `statement` are to be read; None where nothing tells."""
    if not statement.has_dates:
        return None
    if not statement.has_times:
        return ExportClock(statement.readings[0], (zone or UTC,), _DAYS_APART) if len(statement.readings) == 1 else None
    pairs = list(certain)
    best = max((_rate(order, pairs, zone) for order in statement.readings), key=lambda rated: rated[0])
    count, order, zones = best
    if zone is not None and (count or len(statement.readings) == 1):
        return ExportClock(order, (zone,))
    return ExportClock(order, zones, pairs=count) if count * 2 > len(pairs) else None


def _rate(
    order: DateOrder, pairs: list[tuple[ExportedOrder, KnownOrder]], zone: tzinfo | None
) -> tuple[int, DateOrder, tuple[tzinfo, ...]]:
    """Count the certain orders that a reading of the dates explains, and give the time zones that do it."""
    offsets: Counter[timedelta] = Counter()
    for exported, known in pairs:
        moment = exported.moments.get(order)
        if moment is None:
            continue
        local = moment.replace(tzinfo=None)
        aware = zone or moment.tzinfo
        if aware is not None:
            local = moment.replace(tzinfo=aware).astimezone(UTC).replace(tzinfo=None)
        offset = local - known.began_at.replace(tzinfo=None)
        rounded = round(offset / _QUARTER) * _QUARTER
        if abs(rounded) <= (SLACK if aware is not None else _FARTHEST):
            offsets[rounded] += 1
    least = max(1, round(_LEAST_SHARE * len(pairs)))
    chosen = [offset for offset, count in offsets.most_common(2) if count >= least]
    zones = tuple(timezone(offset) for offset in chosen)
    return sum(offsets[offset] for offset in chosen), order, zones


def _name_zone(zone: tzinfo) -> str:
    name = str(zone)
    return name if name.startswith("UTC") or "/" in name else f"UTC{name}"
