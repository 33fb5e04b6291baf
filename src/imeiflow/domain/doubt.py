"""When an order in doubt may be sent again: what is known of how a service treats repeats.

Pure. That a service refuses repeats is known only by having seen it refuse one, only up to that order's age, and only
for some time. A completed order's refusal is the stronger evidence: it also speaks where ages cannot be told, of
whatever was ordered later than that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Ages are those of attempts, and calls that left in the same moment differ by a little: a refusal reaches this much
#: further, and a tenth of its age, but never more than the second.
MOMENT = timedelta(seconds=0.1)
SLACK = timedelta(seconds=1)
#: For how long a refusal that was seen is evidence, where nothing else is set.
LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RepeatEvidence:
    """A repeat that the provider answered: refused (free) or charged.

    `age` is the time between the first order's attempt and its repeat.
    """

    observed_at: datetime
    age: timedelta
    is_refusal: bool
    of_completed: bool = False

    @property
    def reach(self) -> timedelta:
        """Give the age up to which a refusal speaks for other orders."""
        return self.age + min(SLACK, MOMENT + self.age / 10)

    @property
    def placed_at(self) -> datetime:
        """Give when the attempt of the first order began."""
        return self.observed_at - self.age


class Coverage(StrEnum):
    """What the evidence says about sending a doubtful order again."""

    COVERED = "covered"  #: a repeat would be refused: send it again, alone
    CHARGED = "charged"  #: repeats are charged here: hold it
    UNKNOWN = "unknown"  #: nothing seen yet, or only of younger orders


def cover(
    doubt_at: datetime,
    now: datetime,
    evidence: Iterable[RepeatEvidence],
    *,
    unsure_before: datetime | None = None,
    lasts: timedelta = LASTS,
) -> Coverage:
    """Say whether an order whose doubtful attempt began at `doubt_at` is covered at `now`.

    The newest contradiction wins: a charge seen after the last refusal of at least that age says that repeats
    are charged. A refusal seen longer ago than it `lasts` is forgotten, a charge never. Times are aware UTC; where the
    clock was set back, the age of what began before `unsure_before`, or later than `now`, is not known, and only the
    refusal of a completed order covers it, one that was placed before it.
    """
    age = now - doubt_at
    is_known = age >= timedelta(0) and (unsure_before is None or doubt_at >= unsure_before)
    refused_at: datetime | None = None
    charged_at: datetime | None = None
    for seen in evidence:
        if not seen.is_refusal:
            charged_at = max(charged_at or seen.observed_at, seen.observed_at)
        elif now - seen.observed_at > lasts:
            continue
        elif age <= seen.reach if is_known else seen.of_completed and seen.placed_at <= doubt_at:
            refused_at = max(refused_at or seen.observed_at, seen.observed_at)
    if charged_at is not None and (refused_at is None or charged_at >= refused_at):
        return Coverage.CHARGED
    return Coverage.COVERED if refused_at is not None else Coverage.UNKNOWN
