"""When an order's status is asked for: by what the service says of its delivery time, and by the order's age.

Pure. A delivery time is a text for people (`Instant`, `1-5 Minutes`, `3-10 Business Days`); what cannot be read may be
anything from a minute to a day. The first question comes early in the time that the service names, the next ones at a
sixth of the order's age: seconds apart for an instant service, hours for a slow unlock, and ever seldomer for an order
that is overdue. Nothing is asked twice within 4 seconds, nor less often than every 8 hours, unless the provider does
not know it: then up to a day apart.

Times are rounded up to a grid as coarse as a fraction of the wait, so that orders placed one by one are asked for
together, many in a call. Each account's grid has a phase of its own, so that not all ask at the full hour.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0
#: In the order in which they are tried: `mo` is a month, `m` a minute.
_UNITS = (
    ("sec", 1.0),
    ("mo", 30 * _DAY_S),
    ("min", _MINUTE_S),
    ("hour", _HOUR_S),
    ("hr", _HOUR_S),
    ("day", _DAY_S),
    ("week", 7 * _DAY_S),
    ("wk", 7 * _DAY_S),
    ("s", 1.0),
    ("m", _MINUTE_S),
    ("h", _HOUR_S),
    ("d", _DAY_S),
    ("w", 7 * _DAY_S),
)
_WORKING = re.compile(r"\b(?:business|working|work)\b", re.IGNORECASE)
_WORKING_FACTOR = 7 / 5
_INSTANT = re.compile(r"\b(?:instant(?:ly)?|immediate(?:ly)?|real ?time|auto(?:matic)?|live)\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"(?<![\d.,/])(\d{1,4}(?:[.,]\d)?)\s*"
    r"(?:(?:-|–|—|~|to)\s*(\d{1,4}(?:[.,]\d)?)\s*)?\+?\s*"
    r"(?:(?:business|working|work)\s+)?"
    r"(sec\w*|mo(?:n\w*)?|min\w*|hours?|hrs?|days?|weeks?|wks?|[smhdw])\b",
    re.IGNORECASE,
)
_UP_TO = re.compile(r"\b(?:up to|within|max(?:imum)?|less than|under)\b|<", re.IGNORECASE)
_LONGEST_TEXT = 200

_SHORTEST_S = 5.0
_FIRST_MOST_S = 6 * _HOUR_S
_LOW_MOST_S = _HOUR_S
_HIGH_LEAST_S = 30.0
_HIGH_MOST_S = 6 * _HOUR_S
_MISSED_MOST_S = _DAY_S
_AGE_SHARE = 6
_OVERDUE = 3
_GRID_SHARE = 8
_A_SECOND = 4  #: as many moments of a second are planned apart
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Delivery:
    """How long a service takes: at least, and usually at most, in seconds."""

    least_s: float
    most_s: float


INSTANT = Delivery(0.0, _MINUTE_S)
UNKNOWN = Delivery(_MINUTE_S, _DAY_S)


def read_delivery(text: str) -> Delivery | None:
    """Read a delivery time; None where the text names none that can be told."""
    text = text[:_LONGEST_TEXT]
    spans = [_read_span(match) for match in _AMOUNT.finditer(text)]
    if not spans:
        return INSTANT if _INSTANT.search(text) else None
    least, most = min(span[0] for span in spans), max(span[1] for span in spans)
    if _INSTANT.search(text) or (_UP_TO.search(text) and least == most):
        least = 0.0
    factor = _WORKING_FACTOR if _WORKING.search(text) else 1.0
    return Delivery(least, most * factor)


def _read_span(match: re.Match[str]) -> tuple[float, float]:
    low = float(match[1].replace(",", "."))
    high = low if match[2] is None else float(match[2].replace(",", "."))
    unit = match[3].lower()
    seconds = next(size for name, size in _UNITS if unit.startswith(name))
    return min(low, high) * seconds, max(low, high) * seconds


def first_wait(delivery: Delivery) -> float:
    """Give the seconds from an order's placing to the first question about its status."""
    return min(_FIRST_MOST_S, max(_SHORTEST_S, delivery.least_s / 4))


def next_wait(delivery: Delivery, age_s: float, misses: int = 0) -> float:
    """Give the seconds to the next question about an order of this age; `misses` replies did not name it."""
    low = min(_LOW_MOST_S, max(_SHORTEST_S, delivery.least_s / 20))
    high = min(_HIGH_MOST_S, max(_HIGH_LEAST_S, delivery.most_s / 8))
    if age_s > _OVERDUE * delivery.most_s:
        high = _HIGH_MOST_S
    wait = max(low, min(high, age_s / _AGE_SHARE))
    return wait if not misses else min(_MISSED_MOST_S, wait * 2.0 ** min(misses, 20))


def plan_first(placed_at: datetime, delivery: Delivery, phase: float) -> datetime:
    """Say when orders placed at a moment are asked for first; those of one quarter of a second at once."""
    return _plan_first(math.ceil(placed_at.timestamp() * _A_SECOND), delivery, phase)


@lru_cache(maxsize=64)  # asked for with each call
def _plan_first(moment: int, delivery: Delivery, phase: float) -> datetime:
    placed_at = _EPOCH + timedelta(seconds=moment / _A_SECOND)
    return plan(placed_at, first_wait(delivery), jitter=draw_jitter(phase, placed_at), phase=phase)


def draw_jitter(phase: float, now: datetime) -> float:
    """Draw a `jitter` that is the same for a moment of an account, so that orders asked for together stay together."""
    return _draw(f"{phase}:{now.timestamp() // 2}")


@lru_cache(maxsize=8)
def _draw(seed: str) -> float:
    return Random(seed).random()


def plan(now: datetime, wait_s: float, *, jitter: float = 0.5, phase: float = 0.0) -> datetime:
    """Say when a wait is over; `jitter` and `phase`, from 0 to 1, move it within a tenth and along the grid."""
    wait_s *= 1 - _JITTER + 2 * _JITTER * jitter
    grid_us = 1_000_000
    while grid_us * 2 * _GRID_SHARE <= wait_s * 1_000_000:
        grid_us *= 2
    offset = int(phase * grid_us)
    due_us = (now - _EPOCH) // timedelta(microseconds=1) + int(wait_s * 1_000_000)
    cells = -(-(due_us - offset) // grid_us)
    return _EPOCH + timedelta(microseconds=cells * grid_us + offset)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
