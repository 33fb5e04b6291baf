"""Does the server queue? Latencies by how many calls were under way when each call began.

Pure: times are passed in. A server with a fixed number of slots answers calls that found all slots taken later;
a server whose latency merely varies does not. So the question is not whether calls are slow, but whether those
that began in a crowd are slower than those that began in a small one: Welch's test on the logarithms.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

_KEEP = 48
_MIN_SAMPLES = 4
_MIN_RATIO = 1.5
_SIGMAS = 3.5
#: Below this a wait costs nothing, and may as well be this machine's own.
_MIN_EXCESS_S = 0.2
_ASK_EVERY_S = 0.1
_FORGET_AFTER_S = 180.0


@dataclass(frozen=True, slots=True)
class Queueing:
    """Calls begun among `crowd` others take `ratio` times as long as those begun among few."""

    crowd: float
    ratio: float


class LatencyBook:
    """Latencies of calls of one chunk size, by the number of calls under way when they began."""

    def __init__(self) -> None:
        self._by_crowd: dict[int, deque[tuple[float, float, int]]] = {}
        self._open: Counter[int] = Counter()
        self._asked_at = -math.inf
        self._last_s = 0.0

    def begin(self, crowd: int) -> None:
        """Note a call that begins while `crowd` others are under way."""
        self._open[_bucket(crowd)] += 1

    def drop(self, crowd: int) -> None:
        """Note that a call begun among `crowd` ended without a latency worth keeping."""
        self._open[_bucket(crowd)] -= 1

    def add(self, now: float, crowd: int, latency_s: float) -> None:
        """Record a call that began while `crowd` others were under way."""
        self.drop(crowd)
        self._last_s = latency_s
        bucket = self._by_crowd.setdefault(_bucket(crowd), deque(maxlen=_KEEP))
        bucket.append((now, math.log(max(latency_s, 1e-4)), crowd))

    def queueing(self, now: float, crowd: int) -> Queueing | None:
        """Say whether calls begun among `crowd` are reliably slower than those begun among fewer.

        Asked at most ten times a second, and only of calls slow enough to have waited; else None.
        """
        if now - self._asked_at < _ASK_EVERY_S or self._last_s < _MIN_EXCESS_S:
            return None
        self._asked_at = now
        here = self._recent(_bucket(crowd), now)
        if len(here) < _MIN_SAMPLES:
            return None
        # A group with calls still under way has shown only its fastest so far: it is no floor yet.
        lower = [
            self._recent(bucket, now)
            for bucket in self._by_crowd
            if bucket < _bucket(crowd) and not self._open[bucket]
        ]
        floors = [_moments(samples) for samples in lower if len(samples) >= _MIN_SAMPLES]
        if not floors:
            return None
        base_mean, base_error = min(floors)
        mean, error = _moments(here)
        excess = mean - base_mean
        if excess < math.log(_MIN_RATIO) or excess < _SIGMAS * math.hypot(error, base_error):
            return None
        if math.exp(mean) - math.exp(base_mean) < _MIN_EXCESS_S:
            return None
        typical = sum(crowd_ for _, _, crowd_ in here) / len(here)
        return Queueing(typical, math.exp(excess))

    def _recent(self, bucket: int, now: float) -> list[tuple[float, float, int]]:
        return [sample for sample in self._by_crowd.get(bucket, ()) if now - sample[0] < _FORGET_AFTER_S]


def _bucket(crowd: int) -> int:
    """Group crowds by thirds of a doubling, so that neighbours differ by a quarter."""
    return round(3 * math.log2(crowd + 1))


def _moments(samples: list[tuple[float, float, int]]) -> tuple[float, float]:
    """Give mean and standard error of the logarithms."""
    count = len(samples)
    mean = sum(value for _, value, _ in samples) / count
    variance = sum((value - mean) ** 2 for _, value, _ in samples) / max(1, count - 1)
    return mean, math.sqrt(variance / count) + 0.02
