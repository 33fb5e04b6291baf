"""What was drawn a moment ago for a crowd of open pages. Knows no request."""

from __future__ import annotations

import threading
import time
from typing import Final

from litestar import Response

from imeiflow.web.hub import CROWD_LAG_S

_MOST: Final = 200


class Shared:
    """What was drawn a moment ago, by what was asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: dict[tuple[str, ...], tuple[float, Response[str]]] = {}

    def find(self, key: tuple[str, ...]) -> Response[str] | None:
        """Give what was drawn, unless it is too old."""
        with self._lock:
            at, answer = self._drawn.get(key, (-1.0, None))
        return answer if answer is not None and time.monotonic() - at < CROWD_LAG_S else None

    def keep(self, key: tuple[str, ...], began_at: float, answer: Response[str]) -> None:
        """Keep what was drawn from what was known at a time."""
        with self._lock:
            self._drop_old()
            if len(self._drawn) < _MOST:
                self._drawn[key] = (began_at, answer)

    def _drop_old(self) -> None:
        too_old = time.monotonic() - CROWD_LAG_S
        for key in [key for key, (at, _) in self._drawn.items() if at <= too_old]:
            del self._drawn[key]
