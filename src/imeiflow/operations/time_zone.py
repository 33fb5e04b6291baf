"""In which time zone, and in which order of day and month, an export writes when orders were placed.

It does not say so. Orders that are certain, because ledger and export have exactly one of their IMEI, tell. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from imeiflow.dispatch.sighting import find_offset
from imeiflow.errors import UsageError
from imeiflow.ledger.record import KnownOrder
from imeiflow.operations.statement import Dated, ExportedOrder, Statement
from imeiflow.results.moment import DateOrder, read_zone

#: How far from its call an export may say that an order was placed that is known to be.
SLACK = timedelta(minutes=30)
#: How far it may be where only that tells that it was: one made by hand meanwhile is another.
NEAR = timedelta(minutes=2)
#: Where it names days only, and nobody knows whose.
_DAYS_APART = timedelta(hours=38)
#: When a day begins at the earliest and ends at the latest, from its midnight: of a zone, and where nobody knows which.
_DAY_OF_ZONE = timedelta(), timedelta(hours=24)
_DAY_OF_ANY = timedelta(hours=-14), timedelta(hours=36)
_QUARTER = timedelta(minutes=15)
_FARTHEST = timedelta(hours=14, minutes=15)
#: A second offset is believed (summer time begins within the export) from this share of the certain orders on.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class ExportClock:
    """How the dates of an export are read.

    `pairs` is how many certain orders told; 0: the user did. `ahead` is by how much the provider's clock is ahead of
    ours; None: not known. `day` is when a row's order was made that names its day only, from midnight on.
    """

    date_order: DateOrder
    zones: tuple[tzinfo, ...]
    pairs: int = 0
    ahead: timedelta | None = None
    day: tuple[timedelta, timedelta] | None = None

    @property
    def slack(self) -> timedelta:
        """Give how far from its call a row may be of an order that is known to be placed."""
        return SLACK if self.day is None else _DAYS_APART

    @property
    def near(self) -> timedelta:
        """Give how far from its calls a row may be of an order in doubt."""
        return NEAR if self.day is None else _DAYS_APART

    @property
    def margin(self) -> timedelta:
        """Give by how much the export's times may be wrong by ours."""
        return SLACK if self.ahead is None else NEAR

    def read(self, order: Dated) -> list[datetime]:
        """Give the moments that a row can mean, by our clock."""
        moment = order.moments.get(self.date_order)
        if moment is None:
            return []
        ahead = self.ahead or timedelta()
        if moment.tzinfo is not None:
            return [moment.astimezone(UTC) - ahead]
        return [moment.replace(tzinfo=zone).astimezone(UTC) - ahead for zone in self.zones]

    def bounds(self, order: Dated) -> list[tuple[datetime, datetime]]:
        """Give, for each moment that a row can mean, from when to when its order was made."""
        before, after = self.day or (timedelta(), timedelta())
        return [(at + before, at + after) for at in self.read(order)]

    def cover(self, statement: Statement) -> tuple[datetime, datetime] | None:
        """Give the time that is surely between the first row of an export and its last; None where there is none.

        Of several readings of a row the one counts that leaves the least.
        """
        read = [bounds for row in statement if (bounds := self.bounds(row))]
        if not read:
            return None
        begin = min(max(last for _, last in bounds) for bounds in read) + self.margin
        end = max(min(first for first, _ in bounds) for bounds in read) - self.margin
        return (begin, end) if begin <= end else None

    def distance(self, order: ExportedOrder, known: KnownOrder, *, within: timedelta) -> timedelta | None:
        """Say how far a row is from the calls that may have placed an order; None: too far, or it does not say."""
        found = [max(known.began_at - at, at - known.ended_at, timedelta()) for at in self.read(order)]
        nearest = min(found, default=None)
        return None if nearest is None or nearest > within else nearest

    def describe(self) -> str:
        """Say it in words."""
        zones = " or ".join(_name_zone(zone) for zone in self.zones)
        return zones if self.day is None else f"{zones}, days only"


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
        day = _DAY_OF_ANY if zone is None else _DAY_OF_ZONE
        return ExportClock(statement.readings[0], (zone or UTC,), day=day) if len(statement.readings) == 1 else None
    pairs = list(certain)
    best = max((_rate(order, pairs, zone) for order in statement.readings), key=lambda rated: rated[0])
    count, order, zones = best
    if zone is not None and (count or len(statement.readings) == 1):
        return _set(ExportClock(order, (zone,)), pairs)
    return _set(ExportClock(order, zones, pairs=count), pairs) if count * 2 > len(pairs) else None


def _set(clock: ExportClock, pairs: list[tuple[ExportedOrder, KnownOrder]]) -> ExportClock:
    """Set an export's clock by the orders that are certain, where most of them agree."""
    told = []
    for row, known in pairs:
        read = [(at, min(max(at, known.began_at), known.ended_at)) for at in clock.read(row)]
        nearest = min(read, key=lambda pair: abs(pair[0] - pair[1]), default=None)
        if nearest is not None and abs(nearest[0] - nearest[1]) <= SLACK:
            told.append(nearest)
    return replace(clock, ahead=find_offset(told))


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
