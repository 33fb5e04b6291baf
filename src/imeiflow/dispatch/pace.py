"""How many calls in a time, learned from refusals; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps.

A rate limiter is a window (so many calls in so many seconds) or a bucket (so many a second, with a burst).
From the moment one call is admitted again after a refusal until the next such moment, a limiter admits exactly
what it allows: calls admitted / time elapsed is its rate, whichever kind it is. So each refusal that could not be
avoided is also a measurement, and the pace settles just under it:

    free       nothing known: no pace
    blocked    refused: silence for as long as the provider says, or a growing gap
    probing    one call at a time, each waiting until a refusal of the one before would be back
    paced      by window or bucket; tries a little more after quiet, and goes back to what was good when refused

The silence may have been longer than needed: the limit lies between what was admitted in the whole time and what was
admitted until the last refusal. Where a usual period (a second, a minute) ends in between, it is that.

After a ban nothing is taken that was not measured: the pace begins at what was admitted in the whole time, grows
only after as many calls as were once admitted in a row, and not at all where the first refusal is already a ban.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_MARGIN = 0.975
_FIRST_GAP_S = 0.25
_GAP_GROWTH = 2.5
_MAX_GAP_S = 60.0
_BAN_GAP_S = 10.0
_MAX_BAN_GAP_S = 600.0
_LONG_WAIT_S = 1.5
_MAX_GRACE_S = 3.0
_QUIET_S = 2.0
_WARNED_QUIET_S = 120.0
_MAX_QUIET_S = 3600.0
_QUIET_CALLS = 12
_MAX_QUIET_CALLS = 400
_MIN_STEP = 0.02
_MAX_STEP = 0.25
_CAREFUL_WAIT_S = 5.0
_MIN_RATE = 1e-4
_REMEMBER_S = 60.0
#: Periods that limiters are usually set to: right after the end of one is a good moment to ask again.
_USUAL_PERIODS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0)


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


@dataclass(slots=True)
class _Cycle:
    """From one moment of being admitted (again) to the next."""

    began_at: float
    admitted: int = 0
    refused_at: float = math.inf  #: the first time
    asked_at: float = -math.inf  #: when the last call that was refused began
    due_at: float | None = None  #: when a Retry-After that was not a ban's said to come again
    refusals: int = 0
    is_banned: bool = False


class Pace:
    """The gate of calls over time. `ceiling` is the user's own rate and is never exceeded."""

    def __init__(
        self,
        *,
        ceiling: Window | None = None,
        model: Model | None = None,
        step: float | None = None,
        bans: int = 0,
        warnings: int | None = None,
        run: int = 0,
    ) -> None:
        self.ceiling = ceiling
        self.model = model
        self.reason = f"{describe_model(model)}, learned earlier" if model else "no limit known"
        self.bans = bans
        self.blocked_until = -math.inf
        self.is_at_ceiling = False
        self._warnings = warnings  #: the fewest refusals that came before a ban
        self._run = run  #: the most calls that were admitted until a refusal
        self._starts: deque[float] = deque()
        self._ceiling_starts: deque[float] = deque()
        self._tokens = model.burst if isinstance(model, Bucket) else 0.0
        self._tokens_at: float | None = None
        self._cycle: _Cycle | None = None
        self._refused_at = -math.inf  #: the last time, of any cycle
        self._gap_s = _FIRST_GAP_S
        self._grace_s = 0.020
        self._probing = False
        self._gate_at = -math.inf
        self._good: Model | None = None  #: what was not refused, while more is being tried
        self._quiet_s = _QUIET_S
        self._quiet_since: float | None = None
        self._calls_since_change = 0
        self._quiet_calls = _QUIET_CALLS
        self._step = step if step is not None else _MIN_STEP
        self._is_binding = False

    @property
    def is_limiting(self) -> bool:
        """Say whether a rate limit is known or being measured."""
        return self.model is not None or self._probing

    @property
    def is_unsettled(self) -> bool:
        """Say whether the limit is being measured, or more than is known to be allowed is being tried."""
        return self._probing or self._good is not None

    def as_learned(self) -> dict[str, object] | None:
        """Give what is worth remembering, as JSON values; None when no limit is known."""
        extra = {"step": self._step, "bans": self.bans, "warnings": self._warnings, "run": self._run}
        match self._good or self.model:
            case Window(calls=calls, period_s=period):
                return {"calls": calls, "period_s": period, **extra}
            case Bucket(rate=rate, burst=burst):
                return {"rate": rate, "burst": burst, **extra}
            case None:
                return None

    def ready_at(self, now: float) -> float:
        """Say when one more call may begin: `now` or a later time."""
        by_ceiling = self._by_ceiling(now)
        ready = max(now, self.blocked_until, by_ceiling)
        if self._probing:
            self._settle(now)
        if self._probing:
            ready = max(ready, self._gate_at)
        paced = self._by_model(now)
        self._is_binding = self._is_binding or paced > ready
        self.is_at_ceiling = by_ceiling >= max(ready, paced) > now
        return max(ready, paced)

    def started(self, now: float) -> None:
        """Count a call that begins now."""
        if self._cycle is None:
            self._cycle = _Cycle(now)
        if self._probing:
            self._gate_at = now + self._grace_s
        self._cycle.admitted += 1
        self._calls_since_change += 1
        self._starts.append(now)
        if self.ceiling is not None:
            self._ceiling_starts.append(now)
        if isinstance(self.model, Bucket):
            self._refill(self.model, now)
            self._tokens -= 1
        self._prune(now)
        self._try_more(now)

    def discount(self, began_at: float) -> None:
        """Take a call that was refused out of those that were admitted."""
        if self._cycle is not None and began_at >= self._cycle.began_at:
            self._cycle.admitted = max(0, self._cycle.admitted - 1)
        try:
            self._starts.remove(began_at)
        except ValueError:
            return  # pruned: too long ago to matter

    def refused(
        self,
        now: float,
        *,
        began_at: float,
        retry_after_s: float | None = None,
        is_ban: bool = False,
    ) -> None:
        """Learn that the call that began at `began_at` was refused for its rate, after the others now counted."""
        cycle = self._cycle = self._cycle or _Cycle(began_at)
        self.discount(began_at)
        self._grace_s = min(_MAX_GRACE_S, max(self._grace_s, 1.5 * (now - began_at)))
        is_same_event = began_at <= self._refused_at
        self._note_ban(cycle, is_ban=is_ban)
        if retry_after_s is not None:
            self.blocked_until = max(self.blocked_until, now + retry_after_s + 0.01)
            if not is_ban and cycle.due_at is None:
                cycle.due_at = now + retry_after_s
        elif not is_same_event:
            self.blocked_until = max(self.blocked_until, self._ask_again_at(now, cycle, is_ban=is_ban))
        if not is_same_event:
            self._refused_at = now
            cycle.asked_at = max(cycle.asked_at, began_at)
            if cycle.refused_at == math.inf:
                self._begin_refusals(now, cycle)
        self._probing = True
        self._gate_at = self.blocked_until
        self._quiet_since = None
        self.reason = "banned" if is_ban else "refused: too many calls in the time"

    def admitted(self, now: float, *, began_at: float) -> None:
        """Learn that the call that began at `began_at` was served."""
        cycle = self._cycle
        if cycle is not None and cycle.refused_at < began_at:
            self._close_cycle(cycle, began_at, now)

    def good_moment(self, now: float, gap_s: float) -> float:
        """Give a moment about `gap_s` from now, right after the end of a usual period where one is near."""
        began_at = self._cycle.began_at if self._cycle is not None else now
        ends = (began_at + period * 1.002 + 0.05 for period in _USUAL_PERIODS_S)
        near = (end for end in ends if now + 0.4 * gap_s <= end <= now + 1.6 * gap_s)
        return next(near, now + gap_s)

    # what the gate allows

    def _by_ceiling(self, now: float) -> float:
        ceiling = self.ceiling
        if ceiling is None:
            return now
        while self._ceiling_starts and self._ceiling_starts[0] <= now - ceiling.period_s:
            self._ceiling_starts.popleft()
        spacing = self._ceiling_starts[-1] + ceiling.period_s / ceiling.calls if self._ceiling_starts else now
        if len(self._ceiling_starts) < ceiling.calls:
            return spacing
        return max(spacing, self._ceiling_starts[len(self._ceiling_starts) - ceiling.calls] + ceiling.period_s)

    def _by_model(self, now: float) -> float:
        match self.model:
            case None:
                return now
            case Window(calls=calls, period_s=period_s):
                return self._starts[len(self._starts) - calls] + period_s if len(self._starts) >= calls else now
            case Bucket():
                self._refill(self.model, now)
                return now if self._tokens >= 1 else now + (1 - self._tokens) / self.model.rate

    def _refill(self, model: Bucket, now: float) -> None:
        if self._tokens_at is not None:
            self._tokens = min(model.burst, self._tokens + (now - self._tokens_at) * model.rate)
        self._tokens_at = now

    def _prune(self, now: float) -> None:
        keep_s = max(_REMEMBER_S, self.model.period_s if isinstance(self.model, Window) else 0.0)
        while self._starts[0] <= now - keep_s:
            self._starts.popleft()

    def _settle(self, now: float) -> None:
        """Take a call that was not refused within the grace for admitted."""
        cycle = self._cycle
        if cycle is None or cycle.refused_at == math.inf or not self._starts:
            return
        last = self._starts[-1]
        if last > self._refused_at and now >= last + self._grace_s:
            self._close_cycle(cycle, last, now)

    # what refusals teach

    def _note_ban(self, cycle: _Cycle, *, is_ban: bool) -> None:
        if is_ban and not cycle.is_banned:
            self.bans += 1
            cycle.is_banned = True
            self._warnings = min(cycle.refusals, self._warnings if self._warnings is not None else cycle.refusals)
        cycle.refusals += 1

    def _begin_refusals(self, now: float, cycle: _Cycle) -> None:
        cycle.refused_at = now
        self._run = max(self._run, cycle.admitted) if self.model is None else self._run
        self._quiet_s = min(_MAX_QUIET_S, self._quiet_s * 2)
        if self.bans:
            self._quiet_s = max(_WARNED_QUIET_S, self._quiet_s)
        self._quiet_calls = min(_MAX_QUIET_CALLS, self._quiet_calls * 2)

    def _ask_again_at(self, now: float, cycle: _Cycle, *, is_ban: bool) -> float:
        """Ask when the pace so far would allow it, and then after growing gaps."""
        is_first = cycle.refused_at == math.inf
        if is_ban:
            gap_s = max(self._gap_s, _BAN_GAP_S)
            self._gap_s = min(_MAX_BAN_GAP_S, gap_s * 2)
            return now + gap_s
        gap_s, self._gap_s = self._gap_s, min(_MAX_GAP_S, self._gap_s * _GAP_GROWTH)
        if self.bans:
            return now + max(gap_s, self._careful_s())
        match self.model:
            case Window() if is_first:
                return max(now + gap_s, self._by_model(now))
            case Bucket(rate=rate) if is_first:
                return now + max(gap_s, 1.05 / rate)
            case _:
                return self.good_moment(now, gap_s)

    def _careful_s(self) -> float:
        """Say how long a window that admits the longest run can be, at the rate that was not refused."""
        model = self._good or self.model
        return max(_CAREFUL_WAIT_S, 1.1 * self._run / model.rate) if model is not None else _CAREFUL_WAIT_S

    def _close_cycle(self, cycle: _Cycle, again_at: float, now: float) -> None:
        """One call is admitted again: measure the cycle that ended and begin the next."""
        count = max(1, cycle.admitted - 1)
        self._cycle = _Cycle(again_at, admitted=1)
        self._gap_s = _FIRST_GAP_S
        self._adopt(self._learn(cycle, count, again_at))
        self._quiet_since, self._calls_since_change, self._is_binding = now, 0, False

    def _learn(self, cycle: _Cycle, count: int, again_at: float) -> Model:
        """Choose the pace after a cycle of refusals; sets the size of the next step, too."""
        before, good = self.model, self._good
        self._good = None
        if cycle.is_banned and cycle.due_at is None:
            rate = count / (again_at - cycle.began_at)
            self._step = _MAX_STEP
            if good is not None:
                return good
            return Bucket(max(_MIN_RATE, _MARGIN * min(rate, before.rate / 2 if before else math.inf)), 1.0)
        if good is not None:
            self._step = max(_MIN_STEP, self._step / 2)
            return good
        measured = self._measure(cycle, count, again_at)
        if before is None:
            return measured
        if isinstance(before, Bucket):
            return Bucket(max(_MIN_RATE, min(before.rate * _MARGIN, max(measured.rate, before.rate / 2))), 1.0)
        if count <= 1.2 * before.calls and measured.rate < before.rate:
            return measured
        calls = math.floor(before.calls * _MARGIN)
        return Window(calls, before.period_s) if calls else Bucket(before.rate * _MARGIN, 1.0)

    def _measure(self, cycle: _Cycle, count: int, again_at: float) -> Model:
        """Say what a limiter allows that admitted `count` in the cycle."""
        if cycle.is_banned and cycle.due_at is not None:
            again_at = cycle.due_at
        elapsed_s = max(1e-3, again_at - cycle.began_at)
        earliest_s = cycle.asked_at - cycle.began_at
        if cycle.due_at is not None:
            # Servers round Retry-After up to whole seconds.
            earliest_s = max(earliest_s, cycle.due_at - 1.0 - cycle.began_at)
        self._step = min(_MAX_STEP, max(_MIN_STEP, 1 / (count + 1), 0.5 * (elapsed_s - earliest_s) / elapsed_s))
        for period_s in _USUAL_PERIODS_S:
            if earliest_s < period_s <= elapsed_s + 0.01:
                self._step = _MIN_STEP
                return Window(count, period_s * 1.005 + 0.02)
        wait_s = again_at - cycle.refused_at
        if wait_s >= _LONG_WAIT_S and wait_s > 0.15 * elapsed_s:
            return Window(count, elapsed_s * 1.005 + 0.02)
        return Bucket(max(_MIN_RATE, 0.9 * count / elapsed_s), 1.0)

    def _adopt(self, model: Model) -> None:
        self.model = model
        self._probing = False
        if isinstance(model, Bucket):
            self._tokens, self._tokens_at = 0.0, None
        self.reason = f"{describe_model(model)}, learned from a refusal"

    def _try_more(self, now: float) -> None:
        """After quiet, and only when the pace was what held us back, allow a little more."""
        model = self.model
        if model is None or self._probing or (self.bans and not self._warnings):
            return
        if self._quiet_since is None:
            self._quiet_since = now
        quiet_s = self._quiet_s if not self.bans else max(self._quiet_s, self._careful_s())
        if not self._is_binding or now - self._quiet_since < quiet_s:
            return
        if self._calls_since_change < max(self._quiet_calls, model.calls + 1 if isinstance(model, Window) else 0):
            return
        if self._good is not None:
            self._step = min(_MAX_STEP, self._step * 1.5)
        self._good = model
        self._quiet_since, self._calls_since_change, self._is_binding = now, 0, False
        match model:
            case Bucket(rate=rate, burst=burst):
                self.model = Bucket(rate * (1 + self._step), burst)
            case Window(calls=calls, period_s=period_s):
                self.model = Window(calls + max(1, round(calls * self._step)), period_s)
        self.reason = f"{describe_model(self.model)}, trying a little more"


def describe_model(model: Model) -> str:
    """Say a pace in words."""
    match model:
        case Window(calls=calls, period_s=period_s):
            return f"{calls} calls in {period_s:.3g} s"
        case Bucket(rate=rate):
            return per_time(rate)


def per_time(rate: float) -> str:
    """Say calls a second in words."""
    return f"{rate:.1f} calls a second" if rate >= 1 else f"{rate * 60:.1f} calls a minute"
