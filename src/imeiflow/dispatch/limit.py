"""How many calls at once. A number that learns; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps.

    ramp     value grows while it is the bottleneck, tenfold in a second whatever the length of a step; a step lasts
             as long as a refusal would take to come back, not as long as a call
    capped   a refusal showed the most that is admitted; one more is tried now and then, and if it is admitted the
             ramp goes on from there, by one, two, four …
    queued   latency showed that calls wait at the server; value = crowd / (ratio - 1), so that the server surely
             stays busy; grows again while no wait shows. Taken back when fewer calls are no faster

Never above the ceiling. A number proved earlier (learned) is used at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from imeiflow.dispatch.latency import LatencyBook, Queueing, Sample
from imeiflow.dispatch.learned import EARLIER

_GROWING = "growing: no call is refused, nor seen to wait at the server"
_START = 2
_GROWTH_PER_S = math.log(10.0)
_MIN_GROWTH = 1 / 25
_MAX_GROWTH = 1 / 5
_STEP_S = 0.020
_MAX_STEP_S = 0.250
_EXPLORE_S = 8.0
_EXPLORE_CALLS = 250
_MAX_EXPLORE_S = 600.0
#: A server that is kept busy lets calls wait about so long, as a share of a call; below, it may have room.
_BUSY_RATIO = 1.1
_EASING = 1.5
_REGROWTH = 0.05
_MAX_REGROWTH = 0.4


@dataclass(slots=True)
class _Trial:
    """A shrunk value on trial: are calls faster now?"""

    value: float  #: before
    size: int
    median_s: float  #: before
    ratio: float


class ConcurrencyLimit:
    """The number of calls that may be under way, learned from refusals and latency."""

    def __init__(
        self,
        *,
        ceiling: int,
        proven: int = 0,
        cap: int | None = None,
        queued: int | None = None,
        why: str = EARLIER,
    ) -> None:
        self.ceiling = max(1, ceiling)
        self.proven = proven  #: the most that was ever admitted at once
        self.cap = cap  #: the most that is admitted, once a refusal has shown it
        self.bound: int | None = None  #: the lane holds the ramp here while the chunk size is unknown
        self.value = float(max(1, queued or cap or max(_START, proven)))
        self.reason = why if proven or cap or queued else "just begun"
        self._queued = queued is not None
        self._books: dict[int, LatencyBook] = {}
        self.step_s = _STEP_S
        self._step_at = -math.inf
        self._stride = math.inf  #: the most that a step adds
        self._eased: float | None = None  #: less than the value for a moment: the way back after a refusal
        self._easing = 1.0
        self._explore_s = _EXPLORE_S
        self._explore_at = math.inf
        self._calls_until_explore = _EXPLORE_CALLS
        self._trying: int | None = None
        self._regrowth = _REGROWTH
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
    def is_eased(self) -> bool:
        """Say whether the way back is being taken in steps."""
        return self._eased is not None

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
        if self._eased is not None and self._eased < min(self.value, self._top()):
            return self._ease_off(now, self._eased)
        self._eased = None
        if limit >= self._top() or self._queued:
            return math.inf
        if self.cap is not None:
            return self._explore(now)
        if now < self._step_at:
            return self._step_at
        amount = max(1.0, min(self._stride, limit * self._growth))
        self.value = min(self._top(), limit + 1.0)
        self._stride *= 2 ** (1 / amount)
        self._spread_step(now, amount)
        self.reason = _GROWING
        return now

    def ease(self, now: float, in_flight: int) -> None:
        """Take the way back from here in steps: what all wait for must not leave at once when a silence ends."""
        self._eased, self._easing = float(in_flight + 1), 1.0
        self._step_at = now + self.step_s

    def note_connect(self, connect_s: float) -> None:
        """Let a ramp step last one and a half connection round trips: a refusal would be back by then."""
        wanted = min(_MAX_STEP_S, max(_STEP_S, 1.5 * connect_s))
        self.step_s += 0.3 * (wanted - self.step_s)

    def note_refusal_latency(self, latency_s: float) -> None:
        """Let a ramp step last as long as a refusal takes."""
        self.step_s = min(_MAX_STEP_S, max(self.step_s, 1.2 * latency_s))

    def begun(self, now: float, *, crowd: int, size: int) -> Sample:
        """Note a call that begins while `crowd` others are under way; the sample is given back at its end."""
        return self._book(size).begin(now, crowd)

    def ended(self, sample: Sample, *, size: int) -> None:
        """Note a call that ended without showing a latency."""
        self._book(size).drop(sample)

    def admitted(self, now: float, sample: Sample, *, size: int, crowd: int, is_trial: bool) -> None:
        """Learn from a call that was served beside `crowd` others. `is_trial`: it was the one more that was tried."""
        self.proven = max(self.proven, crowd + 1)
        self._calls_until_explore -= 1
        if self._trying is not None and is_trial:
            self.free(value=self.value)
            self._stride = 1
            self._explore_s = max(_EXPLORE_S, self._explore_s / 2)
        book = self._book(size)
        if book.end(now, sample) and crowd + 1 >= 0.7 * self.value:
            self._heed(book.compare(now, crowd), book, size)

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
        self.reason = f"the provider takes {self.cap} calls at once, and refused one more"
        self._plan_exploring(now)

    def lower(self, crowd: int) -> None:
        """Learn that of the calls refused together one was even among fewer."""
        if self.cap is not None and crowd < self.cap:
            self.cap = max(1, crowd)
            self.value = min(self.value, float(self.cap))

    def free(self, *, value: float) -> None:
        """Take the cap back: the refusal came from a rate limit, or more is admitted now."""
        self.value, self.cap = max(1.0, value), None
        self._trying = None
        self._explore_at = math.inf
        self._stride = math.inf
        self.reason = _GROWING

    def _book(self, size: int) -> LatencyBook:
        book = self._books.get(size)
        if book is None:
            book = self._books[size] = LatencyBook()
        return book

    def _limit(self) -> float:
        limit = max(1.0, min(self.value, self._top()))
        return limit if self._eased is None else min(limit, self._eased)

    def _top(self) -> int:
        return min(self.ceiling, self.bound) if self.bound is not None else self.ceiling

    @property
    def _growth(self) -> float:
        """Give what a step of the ramp adds, as a share."""
        return min(_MAX_GROWTH, max(_MIN_GROWTH, math.expm1(_GROWTH_PER_S * self.step_s)))

    def _ease_off(self, now: float, eased: float) -> float:
        if now < self._step_at:
            return self._step_at
        self._spread_step(now, self._easing)
        self._easing *= _EASING ** (1 / self._easing)
        self._eased = eased + 1.0
        return now

    def _spread_step(self, now: float, amount: float) -> None:
        """Let the calls of a step leave one after the other: the first that is refused spares the others.

        Whoever comes late is owed what was due since, unless it is so late that the limit held nothing back.
        """
        due_at = self._step_at if self._step_at >= now - self.step_s else now
        self._step_at = due_at + self.step_s / amount

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
        self.reason = f"trying {self.cap} calls at once: with fewer, none was refused for a while"
        self._trying = self.cap
        self._plan_exploring(now)
        return now

    def _plan_exploring(self, now: float) -> None:
        self._explore_at = now + self._explore_s
        self._calls_until_explore = _EXPLORE_CALLS

    # queueing

    def _heed(self, queueing: Queueing | None, book: LatencyBook, size: int) -> None:
        """Shrink when calls certainly wait; grow a shrunk value while they do not."""
        trial = self._trial
        if trial is not None and trial.size == size and queueing is not None:
            self._trial = None
            if queueing.median_s > trial.median_s * trial.ratio**-0.35:
                self._take_back(trial, book)
                return
        if queueing is not None and queueing.is_certain:
            self._shrink(queueing, book, size)
        elif self._queued and (queueing is None or queueing.ratio < _BUSY_RATIO):
            self.value = min(float(self.ceiling), self.value + max(1.0, self.value * self._regrowth))
            self._regrowth = min(_MAX_REGROWTH, self._regrowth * 2)
            self.reason = "growing again: calls do not wait at the server"
        else:
            self._regrowth = _REGROWTH

    def _shrink(self, queueing: Queueing, book: LatencyBook, size: int) -> None:
        # Calls that leave together are served in waves: the number of slots lies between crowd / ratio and this.
        value = math.ceil(queueing.crowd / (queueing.ratio - 1.0)) + 1.0
        if value >= self.value:
            return
        self._trial = _Trial(self.value, size, queueing.median_s, queueing.ratio)
        self._queued = True
        self._regrowth = _REGROWTH
        self.value = value
        self.reason = (
            f"calls wait at the server: with {queueing.crowd:.0f} at once, each took {queueing.ratio:.1f} times as long"
        )
        book.forget(above=0.7 * value)

    def _take_back(self, trial: _Trial, book: LatencyBook) -> None:
        """Go back to the value before: fewer calls at once were no faster."""
        book.doubt_more()
        self._queued = False
        self.value = max(self.value, trial.value)
        self.reason = "the server is slow, but not because of the number of calls"
