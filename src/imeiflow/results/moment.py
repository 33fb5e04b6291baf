"""Dates with their time of day, as exports write them, each with the order of day and month under which it is read.

Pure. `03/04/2025 3:33` is read twice; which of both holds is for whoever sees more of them than one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, timezone
from enum import StrEnum
from typing import Final

from imeiflow.results.date import read_dates


class DateOrder(StrEnum):
    """What comes first in a date that is written in numbers."""

    YEAR = "year"
    DAY = "day"
    MONTH = "month"


_TIME: Final = re.compile(
    r"[ T,]{1,2}(?:at )?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)? ?([AP])?\.?M?\.?"
    r" ?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?$",
    re.ASCII | re.IGNORECASE,
)
_ZONE: Final = re.compile(r"Z|UTC|GMT|([+-])(\d{2}):?(\d{2})", re.ASCII | re.IGNORECASE)
_NUMBERS: Final = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})", re.ASCII)


def read_moments(text: str) -> Mapping[DateOrder, datetime]:
    """Read every moment that a text can mean, by what would come first in it; empty if it is none.

    Naive unless the text names a zone. A date without a time of day is its midnight.
    """
    text = text.strip()
    found = _TIME.search(text)
    at = _read_time(found) if found else time()
    if at is None:
        return {}
    moments: dict[DateOrder, datetime] = {}
    for day in read_dates(text):
        moment = datetime.combine(day, at)
        for order in _orders_of(text, moment):
            moments.setdefault(order, moment)
    return moments


def read_zone(text: str | None) -> timezone | None:
    """Read `Z`, `UTC`, `GMT` or `+05:30`; None for anything else."""
    found = _ZONE.fullmatch(text or "")
    if found is None:
        return None
    if found[1] is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset) if offset < timedelta(hours=24) else None


def _orders_of(text: str, moment: datetime) -> list[DateOrder]:
    numbers = _NUMBERS.match(text)
    if numbers is None:
        return list(DateOrder)  # the month is a word: it can be read in one way only
    first, second = int(numbers[1]), int(numbers[2])
    if len(numbers[1]) == 4:
        return list(DateOrder)
    readings = {
        DateOrder.YEAR: (first, second) == (moment.year % 100, moment.month),
        DateOrder.DAY: (first, second) == (moment.day, moment.month),
        DateOrder.MONTH: (first, second) == (moment.month, moment.day),
    }
    return [order for order, fits in readings.items() if fits]


def _read_time(found: re.Match[str]) -> time | None:
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    half = (found[4] or "").upper()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "P" else 0)
    try:
        return time(hour, minute, second, tzinfo=read_zone(found[5]))
    except ValueError:
        return None
