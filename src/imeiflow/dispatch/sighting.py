"""Which order of the provider's own list a call placed whose reply was lost. Pure.

An IMEI alone proves nothing: the same phone may have been ordered by hand in the same hours. The order must have
been made while the call was under way, by the provider's clock as orders with a known time show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from imeiflow.domain.ident import Reference, ServiceId

#: Providers give times in seconds or minutes, and take a moment to write an order down.
TOLERANCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Sighting:
    """An order of the provider's list that belongs to no order of ours; its time is by the provider's clock."""

    reference: Reference
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which one doubtful call was under way."""

    began_at: datetime
    ended_at: datetime


def is_of_service(said: str, service: ServiceId, name: str) -> bool:
    """Say whether a listed order may be of a service: it is named by its title (`name`) or its id, or not at all."""
    return not said or said in {service, name}


def find_offset(known: Sequence[tuple[datetime, datetime]]) -> timedelta | None:
    """Say by how much the provider's clock is ahead: `known` are the same moments by its clock and by ours.

    None where there are none, or where most of them do not agree.
    """
    offsets = [(theirs - ours).total_seconds() for theirs, ours in known]
    if not offsets:
        return None
    middle = median(offsets)
    agreeing = sum(abs(offset - middle) <= TOLERANCE.total_seconds() for offset in offsets)
    return timedelta(seconds=middle) if agreeing * 2 > len(offsets) else None


def find_made(sightings: Sequence[Sighting], windows: Sequence[Window], offset: timedelta) -> list[Sighting]:
    """List the orders that were made while one of the calls was under way."""
    return [
        sighting
        for sighting in sightings
        if any(
            window.began_at - TOLERANCE <= sighting.requested_at - offset <= window.ended_at + TOLERANCE
            for window in windows
        )
    ]
