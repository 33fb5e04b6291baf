"""A word about what was just done, told once on the page that follows: to whoever did it, and there alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

_LASTS_S: Final = 60.0
_MOST: Final = 1000


class Flashes:
    """The words that wait for their page. `clock` gives monotonic seconds. For many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[tuple[str | None, str], tuple[float, str]] = {}

    def keep(self, session: str | None, path: str, text: str) -> None:
        """Keep a word for the next page at `path` that a session loads, within a minute."""
        with self._lock:
            self._waiting.pop((session, path), None)
            self._waiting[session, path] = self._clock() + _LASTS_S, text
            if len(self._waiting) > _MOST:
                del self._waiting[next(iter(self._waiting))]

    def take(self, session: str | None, path: str) -> str:
        """Give the word that waits for a page, for this once; empty where there is none."""
        with self._lock:
            until, text = self._waiting.pop((session, path), (0.0, ""))
        return text if self._clock() <= until else ""
