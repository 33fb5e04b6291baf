"""When an order in doubt may be sent again: what is known of how a service treats repeats.

Pure. That a service refuses repeats is known only by having seen it refuse one, only up to that order's age, and only
for some time. Ages are bounds that hold wherever the order was placed within its call: a refused order is as old as
the time from the end of its own call to the start of its repeat, a doubt as old as the time since its call began.

A completed order's refusal is the stronger evidence: it also speaks where ages cannot be told, of whatever was ordered
later than that order, and it alone speaks where orders as young as the doubt are known to be completed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Doubts of the first calls are always a little older than any accepted order: a refusal reaches this much further than
#: its age, and a share of it. An open order may be completed at any moment, so little further, and never more than the
#: slack; a completed one is refused for good or for some time, and that time is unlikely to end just then.
MOMENT = timedelta(seconds=0.1)
OPEN_SHARE = 1 / 10
OPEN_SLACK = timedelta(seconds=30)
COMPLETED_SHARE = 1 / 2
#: For how long a refusal that was seen is evidence, where nothing else is set.
LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RepeatEvidence:
    """A repeat that the provider answered: refused (free) or charged.

    `age` is the time from the end of the call that placed the order to the start of its repeat.
    """

    observed_at: datetime
    age: timedelta
    is_refusal: bool
    of_completed: bool = False

    @property
    def reach(self) -> timedelta:
        """Give the age up to which a refusal speaks for other orders."""
        extra = self.age * COMPLETED_SHARE if self.of_completed else min(OPEN_SLACK, self.age * OPEN_SHARE)
        return self.age + MOMENT + extra

    @property
    def placed_by(self) -> datetime:
        """Give when the first order was surely placed."""
        return self.observed_at - self.age


def covers_from(doubt_at: datetime, placed_by: datetime, *, takes: timedelta, of_completed: bool) -> datetime | None:
    """Say from when on the refusal of an order would cover a doubt; None where it never would.

    The order was placed before `placed_by`; the doubt's call began at `doubt_at`, and it would leave a while, `takes`,
    after the refused repeat has begun.
    """
    behind = placed_by - doubt_at + takes - MOMENT
    if behind <= timedelta(0):
        return placed_by
    if of_completed:
        return placed_by + behind / COMPLETED_SHARE
    return placed_by + behind / OPEN_SHARE if behind <= OPEN_SLACK else None


def keep_lasting(evidence: Iterable[RepeatEvidence]) -> list[RepeatEvidence]:
    """Leave out the refusals of orders that were open then: how long orders are open may have changed since."""
    return [seen for seen in evidence if seen.of_completed or not seen.is_refusal]


def are_repeats_charged(evidence: Iterable[RepeatEvidence], now: datetime, *, lasts: timedelta = LASTS) -> bool:
    """Say whether a charge is newer than all refusals that still count: no doubt of any age is covered then."""
    charged_at = refused_at = None
    for seen in evidence:
        if not seen.is_refusal:
            charged_at = max(charged_at or seen.observed_at, seen.observed_at)
        elif now - seen.observed_at <= lasts:
            refused_at = max(refused_at or seen.observed_at, seen.observed_at)
    return charged_at is not None and (refused_at is None or charged_at >= refused_at)


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
    is_completing: bool = False,
) -> Coverage:
    """Say whether an order whose doubtful attempt began at `doubt_at` is covered at `now`.

    The newest contradiction wins: a charge seen after the last refusal of at least that age says that repeats
    are charged. A refusal seen longer ago than it `lasts` is forgotten, a charge never. Times are aware UTC; where the
    clock was set back, the age of what began before `unsure_before`, or later than `now`, is not known, and only the
    refusal of a completed order covers it, one that was placed before it. `is_completing`: orders as young as the doubt
    are known to be completed, so that the refusal of one that is still open says nothing of it.
    """
    age = now - doubt_at
    is_known = age >= timedelta(0) and (unsure_before is None or doubt_at >= unsure_before)
    refused_at: datetime | None = None
    charged_at: datetime | None = None
    for seen in evidence:
        if not seen.is_refusal:
            charged_at = max(charged_at or seen.observed_at, seen.observed_at)
        elif now - seen.observed_at > lasts or (is_completing and not seen.of_completed):
            continue
        elif age <= seen.reach if is_known else seen.of_completed and seen.placed_by <= doubt_at:
            refused_at = max(refused_at or seen.observed_at, seen.observed_at)
    if charged_at is not None and (refused_at is None or charged_at >= refused_at):
        return Coverage.CHARGED
    return Coverage.COVERED if refused_at is not None else Coverage.UNKNOWN


def explain_no_room(limit_of: str | None) -> str:
    """Say that a job's spending cap allows no repeat probe; `limit_of` is whose limit of the day it comes from."""
    origin = "" if limit_of is None else f", which comes from what {limit_of} may spend in a day,"
    return f"the spending cap{origin} leaves no room for a repeat probe"
