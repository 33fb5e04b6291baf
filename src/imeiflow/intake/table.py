"""Small tables of named values, from a CSV or a workbook: the first row names the columns. Judges no value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from imeiflow.intake.error import EmptyInputError, RowError
from imeiflow.intake.format import detect_format
from imeiflow.intake.origin import Origin, take_origin
from imeiflow.intake.record import Reader, Record
from imeiflow.intake.text import TextReader
from imeiflow.intake.workbook import WorkbookReader

#: The line or row number from 1, and the cells that are not empty by the name of their column.
TableRow: TypeAlias = tuple[int, Mapping[str, str]]


def read_table(source: Path | BinaryIO) -> Iterator[TableRow]:
    """Yield every row below the header that holds anything.

    Raises InputError or one of its kinds, naming the file, the line and what to do: for no rows, a column without a
    name, two of one name, or a cell to the right of the header.
    """
    origin = take_origin(source)
    try:
        with _open_reader(origin) as reader:
            records = reader.records()
            header = next((record for record in records if any(map(str.strip, record[1]))), None)
            if header is None:
                raise EmptyInputError(source=origin.name, problem="it holds no rows")
            names = _read_names(origin, header)
            count = 0
            for record in records:
                row = _read_row(origin, names, record)
                if row[1]:
                    count += 1
                    yield row
            if not count:
                raise EmptyInputError(source=origin.name, problem="it holds a header and nothing below it")
    finally:
        origin.close()


@contextmanager
def _open_reader(origin: Origin) -> Iterator[Reader]:
    kind = detect_format(origin)
    reader: Reader = TextReader(origin) if kind.is_text else WorkbookReader(origin, kind, None)
    try:
        yield reader
    finally:
        reader.close()


def _read_names(origin: Origin, header: Record) -> list[str]:
    line, cells, _ = header
    names = [cell.strip("\ufeff \t\u00a0") for cell in cells]
    while names and not names[-1]:
        names.pop()
    for place, name in enumerate(names, 1):
        if not name or name in names[: place - 1]:
            problem = f"column {place} has no name" if not name else f"two columns are called {name!r}"
            remedy = "The first row names the columns, each by a name of its own."
            raise RowError(source=origin.name, line=line, problem=problem, remedy=remedy)
    return names


def _read_row(origin: Origin, names: list[str], record: Record) -> TableRow:
    line, cells, _ = record
    values = [cell.strip() for cell in cells]
    if any(values[len(names) :]):
        remedy = "Name its column in the first row, or put a value that holds the delimiter into quotes."
        raise RowError(
            source=origin.name, line=line, problem="a value stands in a column without a name", remedy=remedy
        )
    return line, {name: value for name, value in zip(names, values, strict=False) if value}
