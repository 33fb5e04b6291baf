"""Where a day begins. Pure, but for the machine's own time zone, which it asks where no other is named."""

from __future__ import annotations

from datetime import date, datetime, time, tzinfo


def start_of_day(day: date, zone: tzinfo | None = None) -> datetime:
    """Give the moment at which a day begins, in the local time zone unless another is named."""
    return (
        datetime.combine(day, time(), tzinfo=zone) if zone is not None else datetime.combine(day, time()).astimezone()
    )
