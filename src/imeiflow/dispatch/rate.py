"""The kinds of rate limits, as values, and in words. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Periods that limiters are usually set to: right after the end of one is a good moment to ask again.
USUAL_PERIODS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0)
#: Those of them that are set most often.
MOST_USUAL_S = frozenset({1.0, 10.0, 60.0, 3600.0})
#: So far back departures and refusals tell something.
REMEMBER_S = 60.0
#: So much of what was measured is used.
MARGIN = 0.975
_MIN_RATE = 1e-4


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` begin in any `period_s` seconds."""

    calls: int
    period_s: float

    @property
    def rate(self) -> float:
        """Calls a second in the long run."""
        return self.calls / self.period_s


@dataclass(frozen=True, slots=True)
class Bucket:
    """`rate` calls a second, `burst` of them at once after a rest."""

    rate: float
    burst: float


Model = Window | Bucket


def spread(rate: float) -> Bucket:
    """Give a pace of so many calls a second, evenly."""
    return Bucket(max(_MIN_RATE, rate), 1.0)


def pad(period_s: float) -> float:
    """Make a period a little longer than the provider's, for clocks that differ and calls that overtake."""
    return period_s * 1.005 + 0.02


def good_moment(began_at: float, now: float, gap_s: float) -> float:
    """Give a moment about `gap_s` from now: right after a usual period since `began_at`, where one ends near it."""
    ends = (began_at + period * 1.002 + 0.05 for period in USUAL_PERIODS_S)
    near = (end for end in ends if now + 0.4 * gap_s <= end <= now + 1.6 * gap_s)
    return next(near, now + gap_s)


def next_moment(began_at: float, spent_at: float, now: float, most_s: float) -> float:
    """Give a moment by which nothing was left for twice to four times as long as now: since `spent_at`.

    It is right after the end of a usual period since `began_at`, where one ends soon enough. Each question may be
    refused, and some ban whoever is refused often: few of them find any usual period.
    """
    waited_s = now - spent_at
    ends = (began_at + period * 1.002 + 0.05 for period in USUAL_PERIODS_S)
    return min(next((end for end in ends if end >= now + waited_s), math.inf), now + min(3 * waited_s, most_s))


def as_values(model: Model) -> dict[str, object]:
    """Give a pace as JSON values."""
    match model:
        case Window(calls=calls, period_s=period_s):
            return {"calls": calls, "period_s": period_s}
        case Bucket(rate=rate, burst=burst):
            return {"rate": rate, "burst": burst}


def describe_model(model: Model) -> str:
    """Say a pace in words."""
    match model:
        case Window(calls=calls, period_s=period_s):
            return f"{calls} {'call' if calls == 1 else 'calls'} in {period_s:.3g} s"
        case Bucket(rate=rate):
            return per_time(rate)


def per_time(rate: float) -> str:
    """Say calls a second in words."""
    return f"{rate:.1f} calls a second" if rate >= 1 else f"{rate * 60:.1f} calls a minute"
