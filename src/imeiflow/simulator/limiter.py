"""How many calls a server lets in: rate limits, bans, and calls at once.

Pure: `now` is passed in, in seconds of any clock that does not run backwards, so that a benchmark can use these under
a virtual clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, assert_never

RATE_FORM = "CALLS/PERIOD, for example 60/min, 5/s, 1000/h or 10/2.5s; several with commas"
_PERIODS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0}

T = TypeVar("T")


class RateKind(StrEnum):
    """How a limit counts."""

    FIXED = "fixed"  #: windows that begin at multiples of the period
    SLIDING = "sliding"  #: never more than the limit in any period
    BUCKET = "bucket"  #: tokens that refill evenly, up to a burst


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds."""

    calls: int
    period: float

    @classmethod
    def parse(cls, text: str) -> tuple[Rate, ...]:
        """Read rates in the form of `RATE_FORM`; an empty text is no limit. ValueError for anything else."""
        return tuple(cls._parse_one(part) for part in text.split(",") if part.strip())

    @classmethod
    def _parse_one(cls, text: str) -> Rate:
        calls, slash, period = text.strip().partition("/")
        unit = period.lstrip("0123456789. ")
        number = period[: len(period) - len(unit)].strip()
        if not slash or unit not in _PERIODS:
            raise ValueError(RATE_FORM)
        rate = cls(int(calls), float(number or 1) * _PERIODS[unit])
        if rate.calls < 1 or not rate.period > 0:
            raise ValueError(RATE_FORM)
        return rate


class Limiter(Protocol):
    """One limit. `wait` only looks; `take` counts a call, whether it was let in or not."""

    def wait(self, now: float) -> float:
        """Say how many seconds it takes until a call is let in; 0 lets it in."""

    def take(self, now: float) -> None:
        """Count one call."""


class FixedWindow:
    """Never more than the limit in a window that begins at a multiple of the period."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._window = -math.inf
        self._count = 0

    def wait(self, now: float) -> float:
        """Say how long until the next window, or 0."""
        window = now // self._rate.period
        if window != self._window or self._count < self._rate.calls:
            return 0.0
        return max((window + 1) * self._rate.period - now, 1e-9)

    def take(self, now: float) -> None:
        """Count one call in its window."""
        window = now // self._rate.period
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1


class SlidingWindow:
    """Never more than the limit in any stretch of one period."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: deque[float] = deque(maxlen=rate.calls)

    def wait(self, now: float) -> float:
        """Say how long until the oldest of the last calls is a period old, or 0."""
        if len(self._taken) < self._rate.calls or now - self._taken[0] >= self._rate.period:
            return 0.0
        return max(self._taken[0] + self._rate.period - now, 1e-9)

    def take(self, now: float) -> None:
        """Count one call; only the last ones, as many as the limit, matter."""
        self._taken.append(now)


class TokenBucket:
    """Never more than the burst and what refills meanwhile."""

    def __init__(self, rate: Rate, burst: int) -> None:
        self._per_s = rate.calls / rate.period
        self._burst = burst
        self._tokens = float(burst)
        self._at = -math.inf

    def wait(self, now: float) -> float:
        """Say how long until a token is there, or 0."""
        missing = 1.0 - self._tokens_at(now)
        return missing / self._per_s if missing > 1e-9 else 0.0

    def take(self, now: float) -> None:
        """Take a token, down to none."""
        self._tokens = max(0.0, self._tokens_at(now) - 1.0)
        self._at = now

    def _tokens_at(self, now: float) -> float:
        return min(float(self._burst), self._tokens + max(0.0, now - self._at) * self._per_s)


def make_limiter(kind: RateKind, rate: Rate, burst: int = 0) -> Limiter:
    """Make the limiter of a rate; `burst` 0 stands for a bucket as large as the rate's calls."""
    match kind:
        case RateKind.FIXED:
            return FixedWindow(rate)
        case RateKind.SLIDING:
            return SlidingWindow(rate)
        case RateKind.BUCKET:
            return TokenBucket(rate, burst or rate.calls)
        case _:
            assert_never(kind)


@dataclass(frozen=True, slots=True)
class BanRule:
    """So many refused calls within a time lead to silence for another; `calls` 0 bans never."""

    calls: int
    within: float
    lasts: float
    extends: bool = False  #: a call during the ban starts it anew


@dataclass(frozen=True, slots=True)
class Turned:
    """A call that was turned away: by a ban or by the rate, and the seconds until one may be let in."""

    is_ban: bool
    wait: float


class RateGate:
    """All of an account's rate limits, and the ban of whoever runs into them too often."""

    def __init__(self, limiters: Sequence[Limiter], ban: BanRule, *, counts_refused: bool = False) -> None:
        self._limiters = tuple(limiters)
        self._ban = ban
        self._counts_refused = counts_refused
        self._refused: deque[float] = deque(maxlen=max(1, ban.calls))
        self._banned_until = -math.inf
        self.bans = 0

    def admit(self, now: float) -> Turned | None:
        """Let a call in (None), or turn it away. A call that is let in counts against every limit."""
        if now < self._banned_until:
            if self._ban.extends:
                self._banned_until = now + self._ban.lasts
            return Turned(is_ban=True, wait=self._banned_until - now)
        if not self._limiters:
            return None
        wait = max([limiter.wait(now) for limiter in self._limiters])
        if wait <= 0 or self._counts_refused:
            for limiter in self._limiters:
                limiter.take(now)
        if wait <= 0:
            return None
        return self._refuse(now, wait)

    def _refuse(self, now: float, wait: float) -> Turned:
        self._refused.append(now)
        rule = self._ban
        if rule.calls and len(self._refused) == rule.calls and now - self._refused[0] <= rule.within:
            self._refused.clear()
            self._banned_until = now + rule.lasts
            self.bans += 1
            return Turned(is_ban=True, wait=rule.lasts)
        return Turned(is_ban=False, wait=wait)


class Seat(StrEnum):
    """What becomes of a call at the door of a server with so many workers."""

    TAKEN = "taken"
    QUEUED = "queued"
    REFUSED = "refused"


class Capacity(Generic[T]):
    """So many calls at once; the others wait in the order in which they came, or are refused. 0 is no limit."""

    def __init__(self, limit: int, *, queues: bool, queue_limit: int = 0) -> None:
        self.limit = limit
        self.queues = queues
        self.queue_limit = queue_limit
        self.busy = 0
        self.peak = 0
        self._queue: deque[T] = deque()

    @property
    def waiting(self) -> int:
        """Count the calls in the queue."""
        return len(self._queue)

    def enter(self, ticket: T) -> Seat:
        """Take a seat, or a place in the queue, or neither."""
        if not self.limit or self.busy < self.limit:
            self.busy += 1
            self.peak = max(self.peak, self.busy)
            return Seat.TAKEN
        if self.queues and (not self.queue_limit or len(self._queue) < self.queue_limit):
            self._queue.append(ticket)
            return Seat.QUEUED
        return Seat.REFUSED

    def leave(self) -> None:
        """Give a seat back."""
        self.busy -= 1

    def call_next(self) -> T | None:
        """Give a free seat to the call that has waited longest; returns its ticket, or None."""
        if not self._queue or (self.limit and self.busy >= self.limit):
            return None
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        return self._queue.popleft()
