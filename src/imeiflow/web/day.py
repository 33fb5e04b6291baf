"""Days as they stand in addresses. Pure."""

from __future__ import annotations

from datetime import date

from imeiflow.errors import UsageError


def read_day(text: str) -> date | None:
    """Read a day; None where none is given. Raises UsageError with the accepted form."""
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError(problem=f"{text[:40]!r} is no day", remedy="Write it as 2026-11-28.") from None
    if found is not None and not 1970 < found.year < 9000:
        raise UsageError(problem=f"{text[:40]!r} is no day of this ledger", remedy="Write it as 2026-11-28.")
    return found
