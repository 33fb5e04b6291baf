"""What refusals measure. Pure.

From the moment one call is admitted again after a refusal until the next such moment, a limiter admits exactly what
it allows: calls admitted / time elapsed is its rate, whichever kind it is. So it is between two refusals: nothing was
left at the first, nor at the second. Only the first cycle, which begins rested, may hold a burst besides.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from imeiflow.dispatch.rate import (
    MARGIN,
    MOST_USUAL_S,
    REMEMBER_S,
    USUAL_PERIODS_S,
    Bucket,
    Model,
    Window,
    good_moment,
    next_moment,
    pad,
    spread,
)

MIN_STEP = 0.02
MAX_STEP = 0.25
#: After a wait that long a limiter that admits again has begun a new window.
_LONG_WAIT_S = 1.5
#: A window this short is a guess: the provider rounds the time to wait up, or we did.
GUESS_S = 3.0
MIN_COUNT = 3
FIRST_GAP_S = 0.25
_HALF = 0.5
_FULL = 0.9
_ENOUGH = 10  #: then one more or less is a matter of a tenth
#: Buckets that people set fill in less.
_USUAL_FILL_S = 5.0
_AFTER_BAN = 0.93
_STEP_AFTER_BAN = 0.05
#: Servers give the time to wait in whole seconds, rounded up.
_ROUNDING_S = 1.0
_SPENT = 16
_MAX_GAP_S = 60.0


@dataclass(slots=True)
class Cycle:
    """From one moment of being admitted (again) to the next."""

    began_at: float
    admitted: int = 0
    refused_at: float = math.inf  #: the first time
    spent_at: float = math.inf  #: when the call that was refused first began: nothing was left
    asked_at: float = -math.inf  #: when the last call that was refused for its rate began
    due_at: float | None = None  #: when a time to wait that was not a ban's said to come again
    is_banned: bool = False

    @property
    def count(self) -> int:
        """Count the calls that were admitted in a row."""
        return max(1, self.admitted - 1)


class Spent:
    """The moments at which refused calls began: nothing was left then."""

    def __init__(self) -> None:
        self.moments: deque[float] = deque(maxlen=_SPENT)

    def rate_before(
        self, cycle: Cycle, starts: Iterable[float], *, is_least: bool = False, fewest: int = MIN_COUNT
    ) -> float | None:
        """Give the calls a second between a cycle's first refusal and those before it, where it can be told."""
        moments = [at for at in self.moments if cycle.spent_at - REMEMBER_S <= at < cycle.spent_at]
        return rate_between(starts, moments, cycle.spent_at, is_least=is_least, fewest=fewest)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a limiter seems to allow, and by which share it may be more."""

    model: Model
    step: float


def rate_between(
    starts: Iterable[float], moments: Iterable[float], until: float, *, is_least: bool = False, fewest: int = MIN_COUNT
) -> float | None:
    """Give the calls a second that were admitted up to a refusal since one before it; None for too few to tell.

    `moments`: when the refused calls before it began. The last since which enough were admitted counts, else the first.
    It is one more or less: `is_least` makes surer of what may be sent after a ban. `fewest` calls are enough to tell.
    """
    found = None
    for since in sorted(moments, reverse=True):
        count = sum(1 for at in starts if since < at <= until)
        if count >= fewest:
            found = (min(count, (count - 0.5) / _AFTER_BAN) if is_least else count) / (until - since)
        if count >= _ENOUGH:
            break
    return found


def ask_again_at(cycle: Cycle, model: Model | None, now: float, *, free_at: float) -> float:
    """Say when to ask a provider that refused and bans nobody: when the pace so far would, and after growing gaps.

    `free_at` is when the pace itself would let a call begin.
    """
    is_first = cycle.refused_at == math.inf
    match model:
        case Window() if is_first:
            return max(now + FIRST_GAP_S, free_at)
        case Bucket(rate=rate) if is_first:
            return now + max(FIRST_GAP_S, 1.05 / rate)
        case _ if is_first:
            return good_moment(cycle.began_at, now, FIRST_GAP_S)
        case _:
            later = next_moment(cycle.began_at, cycle.spent_at, now, _MAX_GAP_S)
            known = cycle.began_at + model.period_s if isinstance(model, Window) else math.inf
            return max(now + FIRST_GAP_S, known if now < known < later else later)


def make_sure(good: Bucket, before_good: float, starts: list[float], until: float, *, run: int, can_err: bool) -> Model:
    """Fall back further than to what was good, where a window of `run` calls does not explain the refusal at `until`.

    A bucket may have admitted at `good` what it cannot in the long run. `starts` were admitted; `before_good` is the
    rate that was good before. `can_err`: one refusal more would not lead to a ban.
    """
    starts = [at for at in starts if at <= until]
    count = sum(1 for at in starts if at > until - MARGIN * run / good.rate)
    is_window = count >= 0.9 * run
    if is_window and count <= (2.0 if can_err else 1.1) * run:
        return good
    least = least_refill(starts, until, run, fills_in_s=_USUAL_FILL_S if is_window else None)
    return spread(min(good.rate, MARGIN * max(least, before_good, good.rate / 4)))


def least_refill(starts: list[float], until: float, burst: int, *, fills_in_s: float | None = None) -> float:
    """Give the least calls a second at which a bucket refills that admitted these and was empty at `until`.

    It holds `burst` at most, and with `fills_in_s` no more than refills in that time.
    """
    least = 0.0
    for place, at in enumerate(starts):
        count, span_s = len(starts) - place, until - at
        if span_s > 0:
            least = max(least, (count - burst) / span_s, count / (span_s + fills_in_s) if fills_in_s else 0.0)
    return least


def measure(cycle: Cycle, again_at: float) -> Measurement:
    """Say what a limiter allows that admitted calls up to a refusal, and again at `again_at`.

    The silence may have been longer than needed: the limit lies between what was admitted in the whole time and what
    was admitted until the last refusal. Where a usual period ends in between, it is that.
    """
    if cycle.is_banned and cycle.due_at is not None:
        again_at = cycle.due_at
    elapsed_s = max(1e-3, again_at - cycle.began_at)
    earliest_s = cycle.asked_at - cycle.began_at
    if cycle.due_at is not None:
        earliest_s = max(earliest_s, cycle.due_at - _ROUNDING_S - cycle.began_at)
    usual = [period_s for period_s in USUAL_PERIODS_S if earliest_s < period_s <= elapsed_s + 0.01]
    if usual:  # a second, ten, a minute, an hour are set most often; the longest is not refused at once
        period_s = next((period_s for period_s in reversed(usual) if period_s in MOST_USUAL_S), usual[-1])
        return Measurement(Window(cycle.count, pad(period_s)), MIN_STEP if len(usual) == 1 else MAX_STEP)
    unsure = max(MIN_STEP, 1 / (cycle.count + 1), 0.5 * (elapsed_s - earliest_s) / elapsed_s)
    wait_s = again_at - cycle.refused_at
    if wait_s >= _LONG_WAIT_S and wait_s > 0.15 * elapsed_s:
        return Measurement(Window(cycle.count, pad(elapsed_s)), min(MAX_STEP, unsure))
    return Measurement(spread(0.9 * cycle.count / elapsed_s), min(MAX_STEP, unsure))


def measure_ban(cycle: Cycle, again_at: float, before: Model | None, *, between: float | None) -> Measurement:
    """Say what may be sent after a ban of unknown length: what was measured before it, or what surely is allowed."""
    if between is not None:
        return Measurement(spread(_AFTER_BAN * between), _STEP_AFTER_BAN)
    rate = cycle.count / max(1e-3, again_at - cycle.began_at)
    return Measurement(spread(MARGIN * min(rate, before.rate / 2 if before else math.inf)), MAX_STEP)


def is_guess(window: Window, grace_s: float) -> bool:
    """Say whether a window is so short that waiting too long may have made it up."""
    return window.period_s < max(GUESS_S, 2 * grace_s)


def correct(
    before: Model,
    measured: Model,
    cycle: Cycle,
    again_at: float,
    *,
    between: float | None,
    roughly: float | None,
    is_rough: bool,
    grace_s: float,
    starts: list[float],
) -> Model:
    """Slow a pace down that was refused. `is_rough`: it came from a cycle that began rested.

    `roughly`: the calls a second between refusals where they were too few to tell.
    `starts`: when calls that were admitted began, up to the refusal.
    """
    match before:
        case Bucket(rate=rate):
            least = 0.0 if is_rough and cycle.count >= MIN_COUNT else rate / 2
            return spread(min(rate * MARGIN, max(measured.rate, MARGIN * between if between is not None else least)))
        case Window(calls=calls, period_s=period_s):
            if is_guess(before, grace_s) and between is not None and between < 0.9 * before.rate:
                return spread(MARGIN * between)
            if _count_within(period_s, starts, cycle.spent_at) < _HALF * calls:  # it is no window, or a longer one
                longer = find_window(calls, starts, cycle.spent_at, longer_than=period_s)
                return longer or spread(MARGIN * min(between or roughly or before.rate / 2, before.rate))
            is_whole = again_at - cycle.began_at >= 0.9 * period_s  # less shows what was left, not what is allowed
            if is_whole and cycle.count <= 1.2 * calls and measured.rate < before.rate:
                return measured
            # Longer rather than fewer: calls that leave together do not arrive together.
            return Window(calls, period_s / MARGIN)


def find_window(calls: int, starts: list[float], until: float, *, longer_than: float) -> Window | None:
    """Find the shortest usual period in which as many were admitted up to a refusal at `until`, and never more."""
    for period_s in USUAL_PERIODS_S:
        if period_s > longer_than and _count_within(period_s, starts, until) >= _FULL * calls:
            most = max(place - bisect_right(starts, at - period_s) for place, at in enumerate(starts, start=1))
            return Window(calls, pad(period_s)) if most <= calls + 1 else None
    return None


def _count_within(period_s: float, starts: list[float], until: float) -> int:
    return sum(1 for at in starts if at > until - period_s)


def fall_back(good: Model, between: float | None) -> Model:
    """Go back to what was good; slower where what was admitted since shows that it was not."""
    if isinstance(good, Bucket) and between is not None and between < 0.9 * good.rate:
        return spread(MARGIN * between)
    return good
