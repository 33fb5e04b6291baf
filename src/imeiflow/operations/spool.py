"""Rows of an export, kept in a temporary file until it is known which columns all of them need.

A file without a name, which only this process can read; memory does not grow with the rows.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from imeiflow.operations.cell import Cell

_BATCH: Final = 500  #: rows that are written together, so that texts which they share are written once


class Spooled(NamedTuple):
    """A row: the cells of its fixed columns, those of its result by column, and what its file had beyond its header."""

    cells: list[Cell]
    fields: Mapping[str, Cell]
    beyond: Sequence[Cell]


class Spool:
    """Takes rows once, and gives them back in their order."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as the spool is
        self._batches = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def fill(self, rows: Iterable[Spooled]) -> None:
        """Take all rows."""
        left = iter(rows)
        while batch := [tuple(row) for row in islice(left, _BATCH)]:
            pickle.dump(batch, self._file, pickle.HIGHEST_PROTOCOL)
            self._batches += 1

    def read(self) -> Iterator[Spooled]:
        """Give the rows back."""
        self._file.seek(0)
        for _ in range(self._batches):
            # Nobody else can have written it: the file has no name.
            yield from map(Spooled._make, pickle.load(self._file))  # noqa: S301
