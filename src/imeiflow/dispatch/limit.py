"""How many calls at once. A number that learns; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps.

    ramp     value grows while it is the bottleneck, tenfold in a second whatever the length of a step; a step lasts
             as long as a refusal would take to come back, not as long as a call
    capped   a refusal showed the most that is admitted; one more is tried now and then, and if it is admitted the
             ramp goes on from there, by one, two, four …
    queued   latency showed that calls wait at the server; value = crowd / (ratio - 1/2), so that the server stays
             busy; grows again while no wait shows. Taken back when fewer calls turn out to be no faster

Never above the ceiling. A number proved earlier (learned) is used at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from imeiflow.dispatch.latency import LatencyBook, Queueing

_START = 2
_GROWTH_PER_S = math.log(10.0)
_MIN_GROWTH = 1 / 12
_STEP_S = 0.020
_MAX_STEP_S = 0.250
_EXPLORE_S = 8.0
_EXPLORE_CALLS = 250
_MAX_EXPLORE_S = 600.0
#: A server that is kept busy lets calls wait about so long, as a share of a call; below, it may have room.
_BUSY_RATIO = 1.1
#: How many calls show whether a shrunk crowd is any faster, and how many of them must have ended.
_TRIAL_CALLS = 12
_TRIAL_ENDED = 9


@dataclass(slots=True)
class _Trial:
    """A shrunk value on trial: are calls faster now?"""

    began_at: float
    value: float  #: before
    size: int
    median_s: float  #: before
    ratio: float
    last_begin_at: float = math.inf
    begun: int = 0
    served: int = 0
    latencies_s: list[float] = field(default_factory=list)


class ConcurrencyLimit:
    """The number of calls that may be under way, learned from refusals and latency."""

    def __init__(self, *, ceiling: int, proven: int = 0, cap: int | None = None, queued: int | None = None) -> None:
        self.ceiling = max(1, ceiling)
        self.proven = proven  #: the most that was ever admitted at once
        self.cap = cap  #: the most that is admitted, once a refusal has shown it
        self.bound: int | None = None  #: the lane holds the ramp here while the chunk size is unknown
        self.value = float(max(1, queued or cap or max(_START, proven)))
        self.reason = "learned earlier" if proven or cap or queued else "starting"
        self._queued = queued is not None
        self._books: dict[int, LatencyBook] = {}
        self._step_s = _STEP_S
        self._step_at = -math.inf
        self._stride = math.inf  #: the most that a step adds
        self._explore_s = _EXPLORE_S
        self._explore_at = math.inf
        self._calls_until_explore = _EXPLORE_CALLS
        self._trying: int | None = None
        self._round = 0
        self._trial: _Trial | None = None

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

    @property
    def is_queued(self) -> bool:
        """Say whether latency, not a refusal, set the value."""
        return self._queued

    @property
    def allowed(self) -> int:
        """Give the number of calls that may be under way now."""
        return int(self._limit())

    def room_at(self, now: float, in_flight: int) -> float:
        """Say when one more call may begin: `now`, a later time, or infinity (when one ends)."""
        limit = self._limit()
        if in_flight < int(limit):
            return now
        if limit >= self._top() or self._queued:
            return math.inf
        if self.cap is not None:
            return self._explore(now)
        if now < self._step_at:
            return self._step_at
        growth = max(_MIN_GROWTH, math.expm1(_GROWTH_PER_S * self._step_s))
        self.value = min(self._top(), limit + max(1.0, min(self._stride, limit * growth)))
        self._stride *= 2
        self._step_at = now + self._step_s
        self.reason = "growing: nothing refused, no queueing"
        return now

    def note_connect(self, connect_s: float) -> None:
        """Let a ramp step last one and a half connection round trips: a refusal would be back by then."""
        wanted = min(_MAX_STEP_S, max(_STEP_S, 1.5 * connect_s))
        self._step_s += 0.3 * (wanted - self._step_s)

    def note_refusal_latency(self, latency_s: float) -> None:
        """Let a ramp step last as long as a refusal takes."""
        self._step_s = min(_MAX_STEP_S, max(self._step_s, 1.2 * latency_s))

    def begun(self, now: float, *, crowd: int, size: int) -> None:
        """Note a call that begins while `crowd` others are under way."""
        self._book(size).begin(crowd)
        trial = self._trial
        if trial is not None and trial.size == size and trial.begun < _TRIAL_CALLS:
            trial.begun += 1
            if trial.begun == _TRIAL_CALLS:
                trial.last_begin_at = now

    def ended(self, *, crowd: int, size: int) -> None:
        """Note a call that ended without showing a latency."""
        self._book(size).drop(crowd)

    def admitted(self, now: float, *, crowd: int, latency_s: float, size: int) -> None:
        """Learn from a call that was served; it began while `crowd` others were under way."""
        self.proven = max(self.proven, crowd + 1)
        self._calls_until_explore -= 1
        if self._trying is not None and crowd + 1 >= self._trying:
            self.free(value=self.value)
            self._stride = 1
            self._explore_s = max(_EXPLORE_S, self._explore_s / 2)
        book = self._book(size)
        book.drop(crowd)
        trial = self._trial
        if trial is not None and now - latency_s < trial.began_at:
            return  # it waited with the old crowd
        book.add(now, crowd, latency_s)
        if trial is not None and trial.size == size:
            self._try_shrunk(now - latency_s, latency_s, trial)
        elif crowd + 1 >= 0.7 * self.value:
            self._heed(now, book.compare(now, crowd), size)

    def verify(self, at: float) -> None:
        """Ask for one call more than the cap at `at`: was it really their number?"""
        self._explore_at, self._calls_until_explore = at, 0

    def refused(self, now: float, *, crowd: int) -> None:
        """Learn from a call that was refused for being one too many: only `crowd` were admitted."""
        if self.cap is not None and crowd >= self.cap - 1:
            self._explore_s = min(_MAX_EXPLORE_S, self._explore_s * 2)
        self._trying = None
        self.cap = max(1, crowd)
        self.value = min(self.value, float(self.cap))
        self.reason = f"refused: the provider takes {self.cap} at once"
        self._plan_exploring(now)

    def free(self, *, value: float) -> None:
        """Take the cap back: the refusal came from a rate limit, or more is admitted now."""
        self.value, self.cap = max(1.0, value), None
        self._trying = None
        self._explore_at = math.inf
        self._stride = math.inf
        self.reason = "growing: nothing refused, no queueing"

    def _book(self, size: int) -> LatencyBook:
        return self._books.setdefault(size, LatencyBook())

    def _limit(self) -> float:
        return max(1.0, min(self.value, self._top()))

    def _top(self) -> int:
        return min(self.ceiling, self.bound) if self.bound is not None else self.ceiling

    # refusals

    def _explore(self, now: float) -> float:
        if self._trying is not None:
            return math.inf
        if self._explore_at is math.inf:
            self._plan_exploring(now)
        if now < self._explore_at or self._calls_until_explore > 0:
            return self._explore_at if self._explore_at > now else math.inf
        self.cap = (self.cap or 0) + 1
        self.value = float(self.cap)
        self.reason = f"trying {self.cap} at once"
        self._trying = self.cap
        self._plan_exploring(now)
        return now

    def _plan_exploring(self, now: float) -> None:
        self._explore_at = now + self._explore_s
        self._calls_until_explore = _EXPLORE_CALLS

    # queueing

    def _heed(self, now: float, queueing: Queueing | None, size: int) -> None:
        """Shrink when calls certainly wait; grow a shrunk value, once a round, while they do not."""
        self._round += 1
        if queueing is not None and queueing.is_certain:
            self._shrink(now, queueing, size)
        elif self._queued and self._round >= self.value:
            self._round = 0
            if queueing is not None and queueing.ratio < _BUSY_RATIO:
                self.value = min(float(self.ceiling), self.value + max(1.0, self.value / 20))
                self.reason = "growing slowly: no queueing"

    def _shrink(self, now: float, queueing: Queueing, size: int) -> None:
        value = max(1.0, math.ceil(queueing.crowd / (queueing.ratio - 0.5)) + 1.0)
        if value >= self.value:
            return
        book = self._book(size)
        median_s = book.median_s(round(queueing.crowd)) or 0.0
        self._trial = _Trial(now, self.value, size, median_s, queueing.ratio)
        self._queued = True
        self.value = value
        self._round = 0
        self.reason = f"calls wait at the server: {queueing.ratio:.1f} times slower among {queueing.crowd:.0f}"
        book.forget(above=0.7 * value)

    def _try_shrunk(self, began_at: float, latency_s: float, trial: _Trial) -> None:
        """Judge the shrunk value by the first calls begun under it; take it back when they are no faster."""
        trial.served += 1
        if began_at <= trial.last_begin_at:
            trial.latencies_s.append(latency_s)
        if len(trial.latencies_s) < _TRIAL_ENDED and trial.served < 3 * _TRIAL_CALLS:
            return
        self._trial = None
        # Calls that have not ended are among the slowest.
        latencies_s = sorted(trial.latencies_s) + [math.inf] * _TRIAL_CALLS
        median_s = latencies_s[_TRIAL_CALLS // 2]
        if median_s <= trial.median_s * trial.ratio**-0.35:
            return
        book = self._book(trial.size)
        book.forget()
        book.sigmas *= 1.5
        self._queued = False
        self.value = max(self.value, trial.value)
        self.reason = "slow, but not because of the number of calls"
