"""Where a day begins. Pure, but for the machine's own time zone, which it asks where no other is named."""

from __future__ import annotations

from datetime import date, datetime, time, tzinfo

from imeiflow.errors import UsageError


def start_of_day(day: date, zone: tzinfo | None = None) -> datetime:
    """Give the moment at which a day begins, in the local time zone unless another is named."""
    return (
        datetime.combine(day, time(), tzinfo=zone) if zone is not None else datetime.combine(day, time()).astimezone()
    )


def check_days(first: date | None, last: date | None) -> None:
    """Raise UsageError where the last of some days lies before the first; None: open to that side."""
    if first is not None and last is not None and last < first:
        raise UsageError(problem="the last day lies before the first", remedy="Change the two, or leave one out.")
