"""Time, injected. Wall times never run backwards within a process, whatever somebody does to the machine's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the engine asks for the time."""

    def now(self) -> datetime:
        """Give the time of day: aware, UTC, never less than before."""

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start."""


class SteadyClock:
    """The wall clock as it was at the start, moved on by the monotonic one: a jump of the wall clock changes nothing.

    `not_before` is the ledger's newest time, so that a clock set back between two runs does not reorder events.
    """

    def __init__(self, *, not_before: datetime | None = None) -> None:
        wall = datetime.now(UTC)
        self._started_at = max(wall, not_before) if not_before else wall
        self._monotonic_start = time.monotonic()

    def now(self) -> datetime:
        """Give the time of day."""
        return self._started_at + timedelta(seconds=time.monotonic() - self._monotonic_start)

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start."""
        return time.monotonic()
