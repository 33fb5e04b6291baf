"""How long a provider asks to wait: the Retry-After header and the words of a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")
_WORDS = re.compile(
    r"(?:try|retry|wait|again|after|within|for)\b\D{0,30}?(\d{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b",
    re.IGNORECASE,
)
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read the seconds to wait from Retry-After: a number, or a date compared with the server's own Date header.

    `now` (aware UTC) stands in where the server gives no Date. None where there is nothing that can be read.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until_at = _read_http_date(value)
    if until_at is None:
        return None
    since_at = _read_http_date(headers.get("Date", "")) or now
    return max(0.0, (until_at - since_at).total_seconds())


def find_wait(text: str) -> float | None:
    """Find the seconds to wait in a sentence such as `try again in 2 minutes`."""
    match = _WORDS.search(text)
    if match is None:
        return None
    return int(match.group(1)) * _UNIT_S[match.group(2)[0].lower()]


def _read_http_date(value: str) -> datetime | None:
    try:
        read_at = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return read_at if read_at.tzinfo is not None else read_at.replace(tzinfo=UTC)
