"""Private places for uploads: each of one person and for one purpose, so many of a person, for some hours."""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from imeiflow.errors import ImeiflowError, UsageError

#: The purpose of which a person may have several at once; of any other, a new one takes the place of the one before.
LIST: Final = "list"
_MOST_WAITING: Final = 20  #: of one user
_FILE: Final = "list"
_FOLDER: Final = re.compile(r"[A-Za-z0-9_-]{16}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class NoRoomError(ImeiflowError):
    """There is no room left for it on the disk of the server."""

    remedy = "Free some space there, then give it again: nothing was ordered or settled."


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: str
    purpose: str
    since: datetime


class UploadFolders:
    """The places below one folder, which is emptied first. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        shutil.rmtree(root, ignore_errors=True)  # of a server before this one

    def make(self, owner: str, purpose: str, now: datetime) -> Path:
        """Make a place. Raises UsageError where a person has too many lists waiting, or coming in, NoRoomError."""
        with self._lock:
            for name in [name for name in self._kept if not (self._root / name).exists()]:
                del self._kept[name]
            own = [name for name, one in self._kept.items() if (one.owner, one.purpose) == (owner, purpose)]
            if purpose != LIST:
                self._drop(*own)
            elif len(own) >= _MOST_WAITING:
                raise UsageError(problem=f"{len(own)} lists wait already", remedy="Order them, or discard some.")
            name = secrets.token_urlsafe(12)
            folder = self._root / name
            with taking_in():
                self._root.mkdir(mode=0o700, exist_ok=True)
                folder.mkdir(mode=0o700)
            self._kept[name] = _Kept(owner, purpose, now)
        return folder

    def find(self, name: str, owner: str, purpose: str) -> Path | None:
        """Give a place with what was uploaded; None for one that is not there, or of somebody or something else."""
        with self._lock:
            one = self._kept.get(name)
        folder = self._root / name
        is_theirs = one is not None and (one.owner, one.purpose) == (owner, purpose) and _FOLDER.fullmatch(name)
        return folder if is_theirs and list_path(folder).is_file() else None

    def drop_older(self, before: datetime) -> None:
        """Drop what was made before a time."""
        with self._lock:
            self._drop(*(name for name, one in list(self._kept.items()) if one.since < before))

    def drop_all(self) -> None:
        """Drop all: the server stops."""
        with self._lock:
            self._kept.clear()
            shutil.rmtree(self._root, ignore_errors=True)

    def _drop(self, *names: str) -> None:
        for name in names:
            self._kept.pop(name, None)
            shutil.rmtree(self._root / name, ignore_errors=True)


@contextmanager
def taking_in() -> Iterator[None]:
    """Say of a disk that is full that it is. Raises NoRoomError, and any other error as it is."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoomError from error


def list_path(folder: Path) -> Path:
    """Give where the bytes of an upload belong."""
    return folder / _FILE
