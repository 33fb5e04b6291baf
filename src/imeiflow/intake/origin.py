"""Where the bytes of a list come from, so that they can be read more than once.

A regular file is read where it lies, and must not change between two readings. Anything else (standard input,
a pipe, an upload) is copied once into a private temporary file, which is gone when the origin is closed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO, BinaryIO

from imeiflow.intake.error import ChangedInputError, MissingInputError, UncopiedInputError

_PROBLEMS = {
    errno.ENOENT: ("there is no such file", "Check the name and the folder."),
    errno.EISDIR: ("this is a folder, not a file", "Name the file in it."),
    errno.EACCES: ("this file may not be read", "Allow your user to read it, or copy it to where it may."),
}


class Origin:
    """A file that can be opened again and again, and proves unchanged each time."""

    def __init__(self, name: str, path: Path, spool: IO[bytes] | None = None) -> None:
        self.name = name
        self._path = path
        self._spool = spool
        with self._open() as file:
            self._mark = _fingerprint(file)

    @property
    def suffix(self) -> str:
        """Give the extension of the name, in lower case, with its dot."""
        return Path(self.name).suffix.lower()

    @property
    def size(self) -> int:
        """Give the size in bytes."""
        return self._mark[2]

    def open(self) -> BinaryIO:
        """Open it at its start. Raises ChangedInputError when it is not the file it was."""
        file = self._open()
        if _fingerprint(file) != self._mark:
            file.close()
            raise ChangedInputError(source=self.name)
        return file

    def check(self) -> None:
        """Raise ChangedInputError when it is not the file it was."""
        self.open().close()

    def close(self) -> None:
        """Delete the temporary copy, if there is one. Does no harm twice."""
        if self._spool is not None:
            self._spool.close()

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise _translate(self.name, error) from error


def take_origin(source: Path | BinaryIO, name: str | None = None) -> Origin:
    """Take a path, or any stream of bytes, as an origin; `name` is what messages call it.

    A stream is read to its end. Raises MissingInputError, or UncopiedInputError.
    """
    if not isinstance(source, Path):
        return _copy(source, name or _stream_name(source))
    name = name or str(source)
    try:
        mode = source.stat().st_mode
        if stat.S_ISREG(mode):
            return Origin(name, source)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with source.open("rb") as stream:
            return _copy(stream, name)
    except OSError as error:
        raise _translate(name, error) from error


def _copy(stream: BinaryIO, name: str) -> Origin:
    # Private by construction: the file is created with mode 0600.
    spool = tempfile.NamedTemporaryFile(prefix="imeiflow-")  # noqa: SIM115
    try:
        shutil.copyfileobj(stream, spool, 1 << 20)
        spool.flush()
        return Origin(name, Path(spool.name), spool)
    except OSError as error:
        spool.close()
        raise UncopiedInputError(source=name, problem=error.strerror or error) from error
    except BaseException:
        spool.close()
        raise


def _stream_name(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and not name.startswith("<") else "standard input"


def _fingerprint(file: BinaryIO) -> tuple[int, int, int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _translate(name: str, error: OSError) -> MissingInputError:
    problem, remedy = _PROBLEMS.get(error.errno or 0, (f"cannot be read: {error.strerror or error}", ""))
    return MissingInputError(source=name, problem=problem, remedy=remedy)
