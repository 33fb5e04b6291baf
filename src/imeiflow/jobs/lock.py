"""One owner a lane on one machine: an OS file lock that dies with its process.

The lock says that somebody holds the lane; the ledger says who, and its token fences whoever lost it unnoticed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

_LOOK_EVERY_S = 0.02


class LaneLock:
    """The lock of one account's lane for one ledger."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._lock = FileLock(directory / f"{digest}.lock", mode=0o600, thread_local=False)

    @property
    def is_held(self) -> bool:
        """Say whether this object holds it."""
        return self._lock.is_locked

    def acquire(self) -> bool:
        """Take the lock if it is free; say whether it is ours now."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def acquire_within(self, seconds: float) -> bool:
        """Take the lock as soon as it is free; say whether it is ours within that time. Blocks."""
        until = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release(force=True)

    def is_free(self) -> bool:
        """Say whether nobody holds it at this moment."""
        if self._lock.is_locked:
            return False
        if not self.acquire():
            return False
        self.release()
        return True


def describe_process() -> str:
    """Say who this process is, for whoever finds the lane busy; arguments are left out, they may name files."""
    command = Path(sys.argv[0]).name or "python"
    verb = next((word for word in sys.argv[1:2] if word.replace("-", "").isalpha() and word[0] != "-"), "")
    return f"process {os.getpid()} ({' '.join(part for part in (command, verb) if part)})"
