"""How many calls in a time, learned from refusals; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps.

A rate limiter is a window (so many calls in so many seconds) or a bucket (so many a second, with a burst).
From the moment one call is admitted again after a refusal until the next such moment, a limiter admits exactly
what it allows: calls admitted / time elapsed is its rate, whichever kind it is. So each refusal that could not be
avoided is also a measurement, and the pace settles just under it:

    free       nothing known: no pace
    blocked    refused: silence for as long as the provider says, or a doubling gap
    probing    one call at a time, each waiting until a refusal of the one before would be back
    paced      by window or bucket; tries a little more after long quiet, rarely, and less often each time it fails
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

_MARGIN = 0.975
_FIRST_GAP_S = 0.25
_MAX_GAP_S = 60.0
_BAN_GAP_S = 10.0
_MAX_BAN_GAP_S = 600.0
_LONG_WAIT_S = 1.5
_QUIET_S = 2.0
_MAX_QUIET_S = 3600.0
_QUIET_CALLS = 12
_MAX_QUIET_CALLS = 400
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
    refused_at: float = math.inf
    banned: bool = False


class Pace:
    """The gate of calls over time. `ceiling` is the user's own rate and is never exceeded."""

    def __init__(self, *, ceiling: Window | None = None, model: Model | None = None) -> None:
        self.ceiling = ceiling
        self.model = model
        self.reason = "learned earlier" if model else "no limit known"
        self.bans = 0
        self.blocked_until = -math.inf
        self._starts: deque[float] = deque()
        self._ceiling_starts: deque[float] = deque()
        self._tokens = model.burst if isinstance(model, Bucket) else 0.0
        self._tokens_at: float | None = None
        self._cycle: _Cycle | None = None
        self._first: _Cycle | None = None
        self._gap_s = _FIRST_GAP_S
        self._grace_s = 0.020
        self._probing = False
        self._allowance = math.inf  #: starts allowed before the gate closes for a grace
        self._batch = 1.0
        self._gate_at = -math.inf
        self._quiet_s = _QUIET_S
        self._quiet_since: float | None = None
        self._calls_since_change = 0
        self._quiet_calls = _QUIET_CALLS
        self._step = 0.02
        self._is_binding = False

    @property
    def is_limiting(self) -> bool:
        """Say whether a rate limit is known or being measured."""
        return self.model is not None or self._probing

    def ready_at(self, now: float) -> float:
        """Say when one more call may begin: `now` or a later time."""
        ready = max(now, self.blocked_until, self._by_ceiling(now))
        if self._probing:
            ready = max(ready, self._by_probing(now))
        match self.model:
            case None:
                return ready
            case Window():
                paced = self._by_window(self.model, now)
            case Bucket():
                paced = self._by_bucket(self.model, now)
        self._is_binding = self._is_binding or paced > ready
        return max(ready, paced)

    def started(self, now: float) -> None:
        """Count a call that begins now."""
        if self._cycle is None:
            self._cycle = _Cycle(now)
        if self._probing and self._allowance < 1:
            self._allowance = self._batch
        self._allowance -= 1
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
        self._try_more(now)

    def refused(
        self,
        now: float,
        *,
        began_at: float,
        retry_after_s: float | None = None,
        is_ban: bool = False,
    ) -> None:
        """Learn that the call that began at `began_at` was refused for its rate, after the others now counted."""
        cycle = self._cycle or _Cycle(began_at)
        self._cycle = cycle
        cycle.admitted = max(0, cycle.admitted - 1)
        self._discount(began_at)
        self._grace_s = min(2.0, max(self._grace_s, 2.0 * (now - began_at)))
        is_same_event = cycle.refused_at < math.inf and began_at <= cycle.refused_at
        if is_ban and not cycle.banned:
            self.bans += 1
            cycle.banned = True
        if retry_after_s is not None:
            self.blocked_until = max(self.blocked_until, now + retry_after_s + 0.01)
        elif not is_same_event:
            self.blocked_until = max(self.blocked_until, self._ask_again_at(now, cycle, is_ban=is_ban))
        if not is_same_event:
            if not self._probing or cycle.refused_at is math.inf:
                cycle.refused_at = now
            self._quiet_s = min(_MAX_QUIET_S, self._quiet_s * (8 if is_ban else 2))
            self._quiet_calls = min(_MAX_QUIET_CALLS, self._quiet_calls * 2)
        self._probing = True
        self._allowance, self._batch = 0, 1.0
        self._gate_at = self.blocked_until
        self._quiet_since = None
        self.reason = "banned: silence" if is_ban else "refused: too many calls in the time"

    def admitted(self, now: float, *, began_at: float) -> None:
        """Learn that the call that began at `began_at` was served."""
        cycle = self._cycle
        if cycle is not None and cycle.refused_at < began_at:
            self._close_cycle(cycle, began_at, now)

    def settle(self, now: float) -> None:
        """Take a call that was not refused within the grace for admitted."""
        cycle = self._cycle
        if cycle is None or cycle.refused_at is math.inf or not self._starts:
            return
        last = self._starts[-1]
        if last > cycle.refused_at and now >= last + self._grace_s:
            self._close_cycle(cycle, last, now)

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
        return max(spacing, self._ceiling_starts[0] + ceiling.period_s)

    def _by_probing(self, now: float) -> float:
        self.settle(now)
        if not self._probing or self._allowance >= 1 or now >= self._gate_at:
            if self._probing and self._allowance < 1 and self._cycle and self._cycle.refused_at is math.inf:
                self._batch = min(4096.0, self._batch * 1.5 + 0.5)
                if self._batch >= 256:
                    self._probing, self._allowance = False, math.inf
            return now
        return self._gate_at

    def _by_window(self, model: Window, now: float) -> float:
        self._prune(now - model.period_s)
        if len(self._starts) < model.calls:
            return now
        return self._starts[len(self._starts) - model.calls] + model.period_s

    def _by_bucket(self, model: Bucket, now: float) -> float:
        self._prune(now - 60)
        self._refill(model, now)
        return now if self._tokens >= 1 else now + (1 - self._tokens) / model.rate

    def _refill(self, model: Bucket, now: float) -> None:
        if self._tokens_at is not None:
            self._tokens = min(model.burst, self._tokens + (now - self._tokens_at) * model.rate)
        self._tokens_at = now

    def _prune(self, before: float) -> None:
        while self._starts and self._starts[0] <= before:
            self._starts.popleft()

    def _discount(self, began_at: float) -> None:
        try:
            self._starts.remove(began_at)
        except ValueError:
            return

    # what refusals teach

    def _ask_again_at(self, now: float, cycle: _Cycle, *, is_ban: bool) -> float:
        """Double the gap, and move the moment to the end of a usual period where one is near."""
        if is_ban:
            self._gap_s = max(self._gap_s, _BAN_GAP_S)
        gap = self._gap_s
        self._gap_s = min(_MAX_BAN_GAP_S if is_ban else _MAX_GAP_S, gap * 2)
        ends = [cycle.began_at + period * 1.002 + 0.05 for period in _USUAL_PERIODS_S]
        near = [end for end in ends if now + 0.4 * gap <= end <= now + 1.6 * gap]
        return near[0] if near and not is_ban else now + gap

    def _close_cycle(self, cycle: _Cycle, again_at: float, now: float) -> None:
        """One call is admitted again: measure the cycle that ended and begin the next."""
        count, elapsed = cycle.admitted - 1, max(1e-3, again_at - cycle.began_at)
        self._cycle = _Cycle(again_at, admitted=1)
        self._gap_s = _FIRST_GAP_S
        self._learn(cycle, max(1, count), elapsed, wait_s=again_at - cycle.refused_at)
        self._first = self._first or replace(cycle)
        # The silence may have been longer than needed, and few calls measure badly: so much may be missing.
        missing = 0.5 * (again_at - cycle.refused_at) / elapsed
        self._step = min(0.25, max(0.02, 1.0 / (count + 1), missing))
        self._quiet_since, self._calls_since_change, self._is_binding = now, 0, False

    def _learn(self, cycle: _Cycle, count: int, elapsed: float, *, wait_s: float) -> None:
        before = self.model
        match before:
            case _ if cycle.banned:
                rate = min(count / elapsed, before.rate / 2 if before else math.inf)
                self._adopt(Bucket(max(rate, 1e-4), 1.0))
            case Window() if count >= 0.7 * before.calls:
                self._adopt(Window(max(1, min(before.calls - 1, count)), before.period_s))
            case Window():
                rate = count / elapsed
                self._adopt(Bucket(max(rate * _MARGIN, 1e-4), 1.0))
            case Bucket():
                rate = min(before.rate * _MARGIN, max(count / elapsed, before.rate * 0.5))
                self._adopt(Bucket(max(rate, 1e-4), max(1.0, before.burst / 2)))
            case None if wait_s >= _LONG_WAIT_S and wait_s > 0.15 * elapsed:
                self._adopt(Window(count, elapsed * 1.005 + 0.02))
            case None:
                self._adopt(Bucket(max(count / elapsed * 0.9, 1e-4), 1.0))

    def _adopt(self, model: Model) -> None:
        self.model = model
        if isinstance(model, Bucket):
            self._tokens, self._tokens_at = 0.0, None
            self._probing, self._allowance = False, math.inf
            self.reason = f"learned from a refusal: {_per_time(model.rate)}"
        else:
            self._probing, self._allowance = False, math.inf
            self.reason = f"learned from a refusal: {model.calls} calls in {model.period_s:.0f} s"

    def _try_more(self, now: float) -> None:
        """After long quiet, and only when the pace was what held us back, allow a little more."""
        if self.model is None or self._probing:
            return
        if self._quiet_since is None:
            self._quiet_since = now
        if not self._is_binding or now - self._quiet_since < self._quiet_s:
            return
        enough = 10 * self.model.calls if isinstance(self.model, Window) else 0
        if self._calls_since_change < max(self._quiet_calls, enough):
            return
        self._quiet_since, self._calls_since_change, self._is_binding = now, 0, False
        match self.model:
            case Bucket(rate=rate, burst=burst):
                self.model = Bucket(rate * (1 + self._step), burst)
                self.reason = f"trying a little more: {_per_time(self.model.rate)}"
            case Window(calls=calls, period_s=period):
                self.model = Window(calls + max(1, calls // 50), period)
                self.reason = f"trying a little more: {self.model.calls} calls in {period:.0f} s"


def _per_time(rate: float) -> str:
    return f"{rate:.1f} calls a second" if rate >= 1 else f"{rate * 60:.1f} calls a minute"
