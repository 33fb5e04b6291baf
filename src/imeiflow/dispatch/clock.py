"""Time, injected. Wall times never run backwards within a process, whatever somebody does to the machine's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_BOOT_TIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """What the engine asks for the time."""

    unsure_before: datetime | None
    """Where the wall clock was set back: how long ago something was that began before this is not known."""

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
        self.unsure_before = self._started_at if self._started_at > wall else None
        self._monotonic_start = self.monotonic()

    def now(self) -> datetime:
        """Give the time of day."""
        return self._started_at + timedelta(0, self.monotonic() - self._monotonic_start)

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start, those of a suspended machine included where it can tell them."""
        return time.clock_gettime(_BOOT_TIME) if _BOOT_TIME is not None else time.monotonic()
