"""How many requests a program may make: a bucket that fills steadily, one a token, or an address without one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """So many requests a second on the average, and so many at once."""

    per_s: float = 50.0
    at_once: int = 500


class Buckets:
    """Counts requests by key. Safe in one event loop."""

    def __init__(self, allowance: Allowance, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowance = allowance
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one request out of a bucket; give the seconds to wait where it is empty, else 0."""
        now = self._clock()
        left, at = self._known.pop(key, (float(self._allowance.at_once), now))
        left = min(float(self._allowance.at_once), left + (now - at) * self._allowance.per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._allowance.per_s
        self._known[key] = (left - 1 if not wait_s else left, now)
        while len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)
        return wait_s
