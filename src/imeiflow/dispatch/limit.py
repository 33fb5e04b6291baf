"""How many calls at once. A number that learns; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps.

    ramp     value grows by a twelfth (at least one) each step while it is the bottleneck; a step lasts as long as
             a refusal would take to come back (some connection round trips), not as long as a call
    capped   a refusal showed the most that is admitted; value = cap, one more is tried now and then
    queued   latency showed that calls wait at the server; value = crowd / ratio, then grows by one a round

Never above the ceiling. A number proved earlier (learned) is used at once.
"""

from __future__ import annotations

import math

from imeiflow.dispatch.latency import LatencyBook

_GROWTH = 1 / 12
_STEP_S = 0.020
_MAX_STEP_S = 0.250
_EXPLORE_S = 8.0
_EXPLORE_CALLS = 250
_MAX_EXPLORE_S = 600.0
_START = 2


class ConcurrencyLimit:
    """The number of calls that may be under way, learned from refusals and latency."""

    def __init__(self, *, ceiling: int, proven: int = 0, cap: int | None = None, queued: int | None = None) -> None:
        self.ceiling = max(1, ceiling)
        self.proven = proven  #: the most that was ever admitted at once
        self.cap = cap  #: the most that is admitted, once a refusal has shown it
        self.bound: int | None = None  #: the lane holds the ramp here while the chunk size is unknown
        self.value = float(min(self.ceiling, max(_START, cap or proven)))
        if cap is not None:
            self.value = float(min(self.ceiling, max(1, cap)))
        self._queued = queued is not None
        if queued is not None:
            self.value = float(min(self.ceiling, max(1, queued)))
        self.reason = "learned earlier" if proven or cap else "starting"
        self._books: dict[int, LatencyBook] = {}
        self._step_s = _STEP_S
        self._step_at = -math.inf
        self._explore_s = _EXPLORE_S
        self._explore_at = math.inf
        self._calls_until_explore = _EXPLORE_CALLS
        self._credit = 0.0
        self._trying: int | None = None

    def room_at(self, now: float, in_flight: int) -> float:
        """Say when one more call may begin: `now`, a later time, or infinity (when one ends)."""
        limit = self._limit()
        if in_flight < int(limit):
            return now
        if limit >= self._top() or self._queued:
            return math.inf
        if self.cap is not None:
            return self._explore(now)
        if now >= self._step_at:
            self.value = min(self._top(), limit + max(1.0, limit * _GROWTH))
            self._step_at = now + self._step_s
            self.reason = "growing: nothing refused, no queueing"
            return now
        return self._step_at

    def note_connect(self, connect_s: float) -> None:
        """Let a ramp step last one and a half connection round trips: a refusal would be back by then."""
        wanted = min(_MAX_STEP_S, max(_STEP_S, 1.5 * connect_s))
        self._step_s += 0.3 * (wanted - self._step_s)

    def note_refusal_latency(self, latency_s: float) -> None:
        """Let a ramp step last as long as a refusal takes."""
        self._step_s = min(_MAX_STEP_S, max(self._step_s, 1.2 * latency_s))

    def begun(self, *, crowd: int, size: int) -> None:
        """Note a call that begins while `crowd` others are under way."""
        self._book(size).begin(crowd)

    def ended(self, *, crowd: int, size: int) -> None:
        """Note a call that ended without showing a latency."""
        self._book(size).drop(crowd)

    def verify(self, at: float) -> None:
        """Ask for one call more than the cap at `at`: was it really their number?"""
        self._explore_at, self._calls_until_explore = at, 0

    @property
    def admits(self) -> int:
        """Give the most calls at once that are known to be admitted."""
        if self.cap is None:
            return self.proven
        return self.cap - 1 if self._trying is not None else self.cap

    @property
    def is_trying(self) -> bool:
        """Say whether a call beyond the last cap is being tried."""
        return self._trying is not None

    def admitted(self, now: float, *, crowd: int, latency_s: float, size: int) -> None:
        """Learn from a call that was served; it began while `crowd` others were under way."""
        self.proven = max(self.proven, crowd + 1)
        self._calls_until_explore -= 1
        if self._trying is not None and crowd + 1 >= self._trying:
            self._trying = None
            self._explore_s = max(_EXPLORE_S / 4, self._explore_s / 2)
            self._plan_exploring(now, calls=_EXPLORE_CALLS // 5)
        book = self._book(size)
        book.add(now, crowd, latency_s)
        queueing = book.queueing(now, crowd)
        if queueing is not None and crowd + 1 >= 0.7 * self.value:
            value = max(1.0, math.ceil(queueing.crowd / queueing.ratio * 1.1) + 1)
            if value < self.value:
                self.value = value
                self._queued = True
                self.reason = f"calls wait at the server: {queueing.ratio:.1f} times slower among {queueing.crowd:.0f}"
            self._credit = 0.0
        elif self._queued:
            self._credit += 0.25 / max(1.0, self.value)
            if self._credit >= 1 and self.value < self._top():
                self.value += 1
                self._credit = 0.0
                self.reason = "growing slowly: no queueing"

    def refused(self, now: float, *, crowd: int) -> None:
        """Learn from a call that was refused for being one too many: only `crowd` were admitted."""
        if self.cap is not None and crowd >= self.cap:
            self._explore_s = min(_MAX_EXPLORE_S, self._explore_s * 2)
        self._trying = None
        self.cap = max(1, crowd)
        self.value = float(self.cap)
        self.reason = f"refused: the provider takes {self.cap} at once"
        self._plan_exploring(now)

    def overrule(self, *, value: float, cap: int | None) -> None:
        """Take back a cap that turned out to be a rate limit."""
        self.value, self.cap = value, cap
        self._trying = None
        self._explore_at = math.inf

    @property
    def is_queued(self) -> bool:
        """Say whether latency, not a refusal, set the value."""
        return self._queued

    @property
    def allowed(self) -> int:
        """Give the number of calls that may be under way now."""
        return int(self._limit())

    def _book(self, size: int) -> LatencyBook:
        return self._books.setdefault(size, LatencyBook())

    def _limit(self) -> float:
        return min(self.value, self._top())

    def _top(self) -> int:
        return min(self.ceiling, self.bound) if self.bound is not None else self.ceiling

    def _explore(self, now: float) -> float:
        if self._explore_at is math.inf:
            self._plan_exploring(now)
        if now < self._explore_at or self._calls_until_explore > 0:
            return self._explore_at if self._explore_at > now else math.inf
        self.cap = None if self.cap is None else self.cap + 1
        self.value = float(self.cap or self.value)
        self.reason = f"trying {self.value:.0f} at once"
        self._trying = self.cap
        self._plan_exploring(now)
        return now

    def _plan_exploring(self, now: float, calls: int = _EXPLORE_CALLS) -> None:
        self._explore_at = now + self._explore_s
        self._calls_until_explore = calls
