"""A clock that stands still until it is moved, and the timers that hang on it."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Timeline:
    """Time as a test wants it: seconds, and callbacks that fall due when it is moved on."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._order), callback, args))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until + 1e-9:
            self.now, _, callback, args = heapq.heappop(self._due)
            callback(*args)
        self.now = until
