"""Where changes wait for the writer's thread, and how long it waits for more of them.

Waking a thread, a transaction and the hand-over of its results cost far more than one more change in it. So whoever
puts something in wakes the writer only when it waits, and beside a busy event loop it waits a moment for company.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Between these a change waits for others, where they come thick.
_LEAST_LINGER_S = 0.003
_MOST_LINGER_S = 0.01
#: Fewer changes a second are not worth waiting for.
_MANY_PER_S = 1300.0


def choose_company(waiting: int, under_way: int, per_s: float) -> int:
    """Say with how many changes to go on, when `waiting` wait, and `per_s` came a second lately.

    `under_way` counts the calls that are out: each brings one more change. Where few changes come, or none can,
    there is nothing to wait for.
    """
    return waiting if per_s < _MANY_PER_S else max(waiting, under_way)


def choose_linger(takes_s: float) -> float:
    """Say how many seconds to wait for company, when the writer is away for `takes_s` with what it took.

    As long as that: a transaction takes longest where event loop and writer compete for the processors, and then one
    that holds twice as much saves most.
    """
    return min(_MOST_LINGER_S, max(_LEAST_LINGER_S, takes_s))


class Inbox(Generic[T]):
    """Takes changes from any thread and gives them, all that wait at once, to the one that writes."""

    def __init__(
        self, *, now: Callable[[], float] = time.monotonic, choose_linger: Callable[[float], float] = choose_linger
    ) -> None:
        self.is_closed = False
        self._now = now
        self._choose_linger = choose_linger
        self._entry = threading.Lock()
        self._waiting: list[T] = []
        self._is_urgent = False
        self._wanted = math.inf  #: rings the bell when so many wait
        self._bell = threading.Lock()  #: held unless it rings
        self._bell.acquire()
        self._taken_at = now()
        self._per_s = 0.0
        self._takes_s = 0.0  #: how long the writer is away with what it took

    def put(self, change: T, *, is_urgent: bool = False) -> bool:
        """Add a change; False when closed. One that is urgent, because a thread waits, waits for no company."""
        with self._entry:
            if self.is_closed:
                return False
            self._waiting.append(change)
            if is_urgent:
                self._is_urgent = True
            if len(self._waiting) >= self._wanted or (is_urgent and self._wanted < math.inf):
                self._ring()
            return True

    def take(self, *, is_patient: bool, under_way: int = 0) -> list[T]:
        """Give all that waits, after waiting for a first change if patient; nothing then means that it is closed."""
        self._takes_s += 0.3 * (self._now() - self._taken_at - self._takes_s)
        if is_patient:
            self._wait_for(1, None)
            self._wait_for(
                choose_company(len(self._waiting), under_way, self._per_s), self._choose_linger(self._takes_s)
            )
        with self._entry:
            taken, self._waiting, self._is_urgent = self._waiting, [], False
        now = self._now()
        since_s, self._taken_at = max(now - self._taken_at, 1e-6), now
        self._per_s += 0.3 * (len(taken) / since_s - self._per_s)
        return taken

    def close(self) -> None:
        """Take nothing more; what waits can still be taken."""
        with self._entry:
            self.is_closed = True
            if self._wanted < math.inf:
                self._ring()

    def _wait_for(self, count: int, timeout_s: float | None) -> None:
        with self._entry:
            is_urgent = self._is_urgent and self._waiting
            if len(self._waiting) >= count or is_urgent or self.is_closed:
                return
            self._wanted = count
        if self._bell.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return
        with self._entry:
            if self._wanted < math.inf:
                self._wanted = math.inf
            else:
                self._bell.acquire()  # it rang just after the time was up

    def _ring(self) -> None:
        self._wanted = math.inf
        self._bell.release()
