"""Room for so many at once, of one person and in all: whoever comes beyond that is asked to come again.

Knows no request. Safe in all threads.
"""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType
from typing import Final, Self

from litestar.exceptions import ServiceUnavailableException

_COME_AGAIN_S: Final = 10


class FullError(ServiceUnavailableException):
    """There is no room just now."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail, headers={"retry-after": str(_COME_AGAIN_S)})


class Place:
    """One place in a room, until it is left; whoever lets go of it has left it."""

    def __init__(self, room: Room, owner: str) -> None:
        self._room = room
        self._owner: str | None = owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()

    def __del__(self) -> None:
        # An answer that nobody came for is never begun, and so never ended.
        self.leave()

    def leave(self) -> None:
        """Make room. Does no harm twice."""
        owner, self._owner = self._owner, None
        if owner is not None:
            self._room.leave(owner)


class Room:
    """Counts who is in. `problem` is what whoever finds no room is told."""

    def __init__(self, *, most: int, most_of_one: int, problem: str) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._problem = problem
        self._lock = threading.RLock()  # a place may be let go of anywhere, in here, too
        self._within: Counter[str] = Counter()

    def enter(self, owner: str) -> Place:
        """Take a place for a person. Raises FullError."""
        with self._lock:
            if self._within[owner] >= self._most_of_one or self._within.total() >= self._most:
                raise FullError(self._problem)
            self._within[owner] += 1
        return Place(self, owner)

    def count(self, owner: str) -> int:
        """Count the places of a person."""
        with self._lock:
            return self._within[owner]

    def leave(self, owner: str) -> None:
        """Give a place of a person back; for places."""
        with self._lock:
            self._within[owner] -= 1
            if not self._within[owner]:
                del self._within[owner]
