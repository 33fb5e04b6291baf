"""A file that appears whole or not at all, and that only its owner can read."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imeiflow.errors import ImeiflowError


class ExportError(ImeiflowError):
    """{target}: {problem}"""


class ExistsError(ExportError):
    """{target}: {problem}"""

    remedy = "Name another file, or overwrite it with --force."


@contextmanager
def write_file(target: Path, *, replaces: bool) -> Iterator[BinaryIO]:
    """Open a private file beside the target, and move it there when all was written.

    Raises ExistsError where the target is there and `replaces` is not said, ExportError.
    """
    if not replaces and target.exists():
        raise ExistsError(target=target, problem="it is there already")
    if target.is_dir():
        raise ExportError(target=target, problem="this is a folder", remedy="Name a file in it.")
    try:
        # Private by construction: created with mode 0600.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        remedy = "Check that its folder exists and belongs to you."
        raise ExportError(target=target, problem=str(error.strerror or error), remedy=remedy) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _move(part, target, replaces=replaces)
    except OSError as error:
        remedy = "Make room on its disk, or name a file elsewhere."
        raise ExportError(target=target, problem=str(error.strerror or error), remedy=remedy) from error
    finally:
        part.unlink(missing_ok=True)


def _move(part: Path, target: Path, *, replaces: bool) -> None:
    if replaces:
        is_special = target.exists() and not stat.S_ISREG(target.stat().st_mode)
        if is_special:
            raise ExportError(target=target, problem="this is no regular file", remedy="Name another file.")
        part.replace(target)
        return
    try:
        os.link(part, target)  # unlike a rename, it fails when the file has appeared meanwhile
    except FileExistsError as error:
        raise ExistsError(target=target, problem="it has appeared meanwhile") from error
    except OSError:  # a file system without hard links
        if target.exists():
            raise ExistsError(target=target, problem="it has appeared meanwhile") from None
        part.replace(target)
