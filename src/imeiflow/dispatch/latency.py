"""Does the server queue? Latencies by how many calls were under way when each call began.

Pure: times are passed in. A server with a fixed number of slots answers calls that found all slots taken later;
a server whose latency merely varies does not. So the question is not whether calls are slow, but whether those
that began in a crowd are slower than those that began among half as many: Welch's test on the logarithms, with the
spread of both taken together, so that a few calls which happen to agree prove nothing.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass

_KEEP = 32  #: samples of a group, and of the base
_MIN_SAMPLES = 8
_MIN_RATIO = 1.5
_SIGMAS = 4.0
#: Below this a wait costs nothing, and may as well be this machine's own.
_MIN_EXCESS_S = 0.2
_FORGET_AFTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Queueing:
    """Calls begun among `crowd` others take `ratio` times as long as those begun among few."""

    crowd: float
    ratio: float
    is_certain: bool  #: beyond what chance does


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    log_s: float
    crowd: int


class LatencyBook:
    """Latencies of calls of one chunk size, by the number of calls under way when they began."""

    def __init__(self) -> None:
        self.sigmas = _SIGMAS
        self._groups: dict[int, deque[_Sample]] = {}
        self._open: Counter[int] = Counter()

    def begin(self, crowd: int) -> None:
        """Note a call that begins while `crowd` others are under way."""
        self._open[_group_of(crowd)] += 1

    def drop(self, crowd: int) -> None:
        """Note that a call begun among `crowd` ended without a latency worth keeping."""
        self._open[_group_of(crowd)] -= 1

    def add(self, now: float, crowd: int, latency_s: float) -> None:
        """Record a call that began while `crowd` others were under way."""
        group = self._groups.setdefault(_group_of(crowd), deque(maxlen=_KEEP))
        group.append(_Sample(now, math.log(max(latency_s, 1e-4)), crowd))

    def forget(self, *, above: float = -1.0) -> None:
        """Forget the latencies of calls that began among more than `above` others."""
        for group in [group for group in self._groups if group >= _group_of(max(0, math.ceil(above)))]:
            del self._groups[group]

    def compare(self, now: float, crowd: int) -> Queueing | None:
        """Compare calls begun among about `crowd` with those begun among at most half as many; None: too few."""
        here = self._recent(_group_of(crowd), now)
        if len(here) < _MIN_SAMPLES:
            return None
        typical = sum(sample.crowd for sample in here) / len(here)
        base = self._base(now, typical / 2)
        if len(base) < _MIN_SAMPLES:
            return None
        mean, variance = _moments(here)
        base_mean, base_variance = _moments(base)
        spread = (variance * (len(here) - 1) + base_variance * (len(base) - 1)) / (len(here) + len(base) - 2)
        error = math.sqrt(spread * (1 / len(here) + 1 / len(base))) + 0.02
        excess = mean - base_mean
        is_certain = (
            excess >= math.log(_MIN_RATIO)
            and excess >= self.sigmas * error
            and math.exp(mean) - math.exp(base_mean) >= _MIN_EXCESS_S
        )
        return Queueing(typical, math.exp(excess), is_certain)

    def median_s(self, crowd: int) -> float | None:
        """Give the median latency of calls begun among about `crowd`."""
        values = sorted(sample.log_s for sample in self._groups.get(_group_of(crowd), ()))
        return math.exp(values[len(values) // 2]) if values else None

    def _base(self, now: float, most: float) -> list[_Sample]:
        """Give the calls begun among the fewest. A group with calls still under way has shown only its fastest."""
        base: list[_Sample] = []
        for group in sorted(self._groups):
            if len(base) >= _KEEP or group > _group_of(most):
                break
            if not self._open[group]:
                base.extend(sample for sample in self._recent(group, now) if sample.crowd <= most)
        return base

    def _recent(self, group: int, now: float) -> list[_Sample]:
        return [sample for sample in self._groups.get(group, ()) if now - sample.at < _FORGET_AFTER_S]


def _group_of(crowd: float) -> int:
    """Group crowds by thirds of a doubling, so that neighbours differ by a quarter."""
    return round(3 * math.log2(crowd + 1))


def _moments(samples: list[_Sample]) -> tuple[float, float]:
    """Give mean and variance of the logarithms."""
    count = len(samples)
    mean = sum(sample.log_s for sample in samples) / count
    return mean, sum((sample.log_s - mean) ** 2 for sample in samples) / max(1, count - 1)
