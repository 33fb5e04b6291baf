"""Does the server queue? Latencies by how many calls were under way when each call began.

Pure: times are passed in. A server with a fixed number of slots answers calls that found all slots taken later;
a server whose latency merely varies does not. So the question is not whether calls are slow, but whether those
that began in a crowd are slower than those that began among at most half as many.

Calls are sampled by their begin, in cohorts: whoever takes the last calls to end takes the slowest. A cohort is judged
when three quarters of it have ended; the others count as slower than they have been so far. The test is Mann and
Whitney's, on ranks: it asks nothing of the shape of the latencies, so heavy tails prove nothing to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

from msgspec import Struct

_COHORT = 16
_RIPE = 12  #: ended calls of a full cohort
_MAX_BASE = 32
_MIN_BASE = 4  #: fewer than eight never make certain
#: Where a server has few slots, calls begun among a dozen wait already: then the fewest alone tell what a call takes.
_FLOOR = 8
_FLOOR_SIGMAS = 3.0
_MIN_RATIO = 1.5
_SIGMAS = 3.8
_MAX_SIGMAS = 5.0
#: Below this a wait costs nothing, and may as well be this machine's own.
_MIN_EXCESS_S = 0.2
_FORGET_AFTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Queueing:
    """Calls begun among `crowd` others take `ratio` times as long as those begun among few."""

    crowd: float
    ratio: float
    median_s: float
    is_certain: bool  #: beyond what chance does


class Sample(Struct, eq=False):
    """One call, from its begin."""

    began_at: float
    crowd: int
    took_s: float | None = None  #: None while it is under way
    is_kept: bool = False  #: in a cohort

    def least_s(self, now: float) -> float:
        """Give what it took, or has taken so far."""
        return self.took_s if self.took_s is not None else now - self.began_at


@dataclass(slots=True)
class _Group:
    """Calls begun in crowds of about one size: the last cohort that was judged, and the one that fills."""

    ripe: list[Sample] = field(default_factory=list)
    filling: list[Sample] = field(default_factory=list)

    def known(self) -> list[Sample]:
        return self.ripe or self.filling


class LatencyBook:
    """Latencies of calls of one chunk size, by the number of calls under way when they began."""

    def __init__(self) -> None:
        self._sigmas = _SIGMAS
        self._groups: dict[int, _Group] = {}

    def begin(self, now: float, crowd: int) -> Sample:
        """Note a call that begins while `crowd` others are under way."""
        sample = Sample(now, crowd)
        number = _group_of(crowd)
        group = self._groups.get(number)
        if group is None:
            group = self._groups[number] = _Group()
        if len(group.filling) < _COHORT:
            group.filling.append(sample)
            sample.is_kept = True
        return sample

    def drop(self, sample: Sample) -> None:
        """Note that a call ended without a latency worth keeping."""
        group = self._groups.get(_group_of(sample.crowd))
        if sample.is_kept and group is not None and sample in group.filling:
            group.filling.remove(sample)

    def end(self, now: float, sample: Sample) -> bool:
        """Note that a call was served; say whether that made a cohort fit to be compared."""
        sample.took_s = now - sample.began_at
        if not sample.is_kept:
            return False
        group = self._groups.get(_group_of(sample.crowd))
        if group is None or len(group.filling) < _COHORT:
            return False
        if sum(1 for other in group.filling if other.took_s is not None) < _RIPE:
            return False
        group.ripe, group.filling = group.filling, []
        return True

    def doubt_more(self) -> None:
        """Forget all latencies, and be harder to convince: calls were slow for another reason."""
        self._groups.clear()
        self._sigmas = min(_MAX_SIGMAS, self._sigmas * 1.15)

    def forget(self, *, above: float) -> None:
        """Forget the calls that began among more than `above` others."""
        for group in [group for group in self._groups if group >= _group_of(max(0, math.ceil(above)))]:
            del self._groups[group]

    def compare(self, now: float, crowd: int) -> Queueing | None:
        """Compare the last cohort of about `crowd` with calls begun among at most half as many; None: too few."""
        group = self._groups.get(_group_of(crowd))
        here = group.ripe if group is not None else []
        if not here:
            return None
        typical = sum(sample.crowd for sample in here) / len(here)
        base = self._base(now, typical / 2)
        if sum(1 for sample in base if sample.took_s is not None) < _MIN_BASE:
            return None
        floor, rest = base[:_FLOOR], base[_FLOOR:]
        if len(rest) >= _FLOOR and _sigmas_slower(rest, floor, now) >= _FLOOR_SIGMAS:
            base = floor
        median_s, base_s = _median_s(here), _median_s(base)
        if math.isinf(base_s) or math.isinf(median_s):
            return None
        is_certain = (
            median_s >= _MIN_RATIO * base_s
            and median_s - base_s >= _MIN_EXCESS_S
            and _sigmas_slower(here, floor + rest, now) >= self._sigmas
        )
        return Queueing(typical, median_s / max(base_s, 1e-4), median_s, is_certain)

    def _base(self, now: float, most: float) -> list[Sample]:
        """Give the calls begun among the fewest, the fewest first."""
        base: list[Sample] = []
        for number in sorted(self._groups):
            if len(base) >= _MAX_BASE or number > _group_of(most):
                break
            known = self._groups[number].known()
            base.extend(s for s in known if s.crowd <= most and now - s.began_at < _FORGET_AFTER_S)
        return sorted(base, key=lambda sample: sample.crowd)


@lru_cache(maxsize=4096)
def _group_of(crowd: float) -> int:
    """Group crowds by thirds of a doubling, so that neighbours differ by a quarter."""
    return round(3 * math.log2(crowd + 1))


def _median_s(samples: list[Sample]) -> float:
    """Give the median; calls under way count as the slowest."""
    took = sorted(math.inf if sample.took_s is None else sample.took_s for sample in samples)
    return took[(len(took) - 1) // 2]


def _sigmas_slower(here: list[Sample], base: list[Sample], now: float) -> float:
    """Say by how many standard deviations of chance `here` outranks `base` (Mann and Whitney's U)."""
    wins = sum(_rank(one, other, now) for one in here for other in base)
    pairs = len(here) * len(base)
    return (wins - pairs / 2) / math.sqrt(pairs * (len(here) + len(base) + 1) / 12)


def _rank(one: Sample, other: Sample, now: float) -> float:
    """Say whether `one` took longer than `other`: 1, 0, or a half where they are alike or it cannot be known."""
    one_s, other_s = one.least_s(now), other.least_s(now)
    if other.took_s is not None and one_s > 1.02 * other_s:
        return 1.0
    if one.took_s is not None and other_s > 1.02 * one_s:
        return 0.0
    return 0.5
