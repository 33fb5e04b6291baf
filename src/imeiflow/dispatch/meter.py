"""Calls and orders a second over the last while. Pure: the time is passed in by a clock.

The engine's loop counts; threads that draw pages read meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_SPAN_S = 10.0


class Meter:
    """Counts what ended within the last ten seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = clock()
        self._slots: deque[tuple[float, int, int]] = deque()
        self.calls = 0
        self.orders = 0

    def add(self, orders: int) -> None:
        """Count one call that ended and settled `orders` orders."""
        now = self._clock()
        self.calls += 1
        self.orders += orders
        if self._slots and now - self._slots[-1][0] < 0.1:
            at, calls, counted = self._slots[-1]
            self._slots[-1] = (at, calls + 1, counted + orders)
        else:
            self._slots.append((now, 1, orders))
            while self._slots[0][0] < now - _SPAN_S:
                self._slots.popleft()

    def rates(self) -> tuple[float, float]:
        """Give calls and orders a second."""
        now = self._clock()
        span = max(1.0, min(_SPAN_S, now - self._began_at))
        recent = [slot for slot in tuple(self._slots) if slot[0] >= now - _SPAN_S]
        return sum(slot[1] for slot in recent) / span, sum(slot[2] for slot in recent) / span
