"""A list of IMEIs, opened: what was found in it, and its rows as a stream that can be read again.

Nothing is ordered, stored or dropped here: every row that holds anything is yielded, with its IMEI or its flaw.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile, islice
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self

from imeiflow.domain.imei import Flaw, Reading, read_imei
from imeiflow.intake.column import Choice, choose_column, show_letter
from imeiflow.intake.error import ColumnError, EmptyInputError, FormatError, RowError
from imeiflow.intake.format import Format, detect_format
from imeiflow.intake.layout import Arrangement
from imeiflow.intake.origin import Origin, take_origin
from imeiflow.intake.record import Reader, Record
from imeiflow.intake.text import TextReader
from imeiflow.intake.workbook import WorkbookReader

_SAMPLE_SIZE: Final = 300
_MOST_COLUMNS: Final = 16_384  #: as many as a spreadsheet has


class Row(NamedTuple):
    """One row of a list.

    `line` is the file's line or the spreadsheet's row, from 1; in a pasted list the number of the value. `columns` are
    all its cells as they stood, at least as many as the sheet has columns; `value` is the one of the IMEI column.
    """

    line: int
    value: str
    was_number: bool
    reading: Reading
    columns: tuple[str, ...]


class Sheet:
    """An opened list. A context manager: closing it deletes a temporary copy and frees a workbook's memory.

    - `name`: what messages call it; `format`; `encoding` and `delimiter` of a text, `worksheet` of a workbook
    - `columns`: the original column names, in order, as they stand; letters where there is no header
    - `imei_column`: the place of the IMEIs among them, from 0; `alternatives`: others that hold IMEIs as well
    - `header_line`: the line of the header, None without one
    - `notes`: in sentences, what was found, how it is read and what is not read
    """

    def __init__(self, origin: Origin, column: str | None, sheet: str | None) -> None:
        self.name = origin.name
        self.encoding: str | None = None
        self.delimiter: str | None = None
        self.worksheet: str | None = None
        self._origin = origin
        self.format = detect_format(origin)
        self._reader = self._open_reader(sheet)
        sample, choice = self._find_list(column, is_named=sheet is not None)
        self.imei_column = choice.column
        self.alternatives = choice.alternatives
        self.header_line = None if choice.header is None else sample[choice.header][0]
        names = [] if choice.header is None else [_clean_name(name) for name in sample[choice.header][1]]
        self.columns = _name_columns(names, choice)
        self.notes = (*self._describe(choice, sample[0][0]), *self._reader.notes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def has_header(self) -> bool:
        """Say whether a header was found."""
        return self.header_line is not None

    def close(self) -> None:
        """Delete a temporary copy, free a workbook's memory. Does no harm twice."""
        self._reader.close()
        self._origin.close()

    def rows(self) -> Iterator[Row]:
        """Yield every row below the header that holds anything, each time from the first.

        Raises RowError where rows can no longer be told apart, ChangedInputError when the file is not what it was.
        """
        column, width, start = self.imei_column, len(self.columns), self.header_line or 0
        records = self._reader.records()
        for line, cells, numbers in dropwhile(lambda record: record[0] <= start, records):
            value = cells[column] if column < len(cells) else ""
            was_number = column in numbers
            reading = read_imei(value, was_number=was_number)
            if reading.imei is None and reading.flaw is Flaw.EMPTY and not any(map(str.strip, cells)):
                continue
            if len(cells) != width:
                if len(cells) > _MOST_COLUMNS:
                    raise self._report_width(line, len(cells))
                cells = [*cells, *[""] * (width - len(cells))]  # noqa: PLW2901
            yield Row(line, value, was_number, reading, tuple(cells))

    def _find_list(self, column: str | None, *, is_named: bool) -> tuple[list[Record], Choice]:
        """Find the rows and the column of IMEIs; where nobody named a sheet and it holds no list, in the next ones."""
        try:
            return self._look(column)
        except (ColumnError, EmptyInputError) as error:
            first = self._reader
            if is_named or not isinstance(first, WorkbookReader) or not first.others:
                raise
            first.close()
            for name in first.others:
                with suppress(ColumnError, EmptyInputError):
                    self._reader = self._open_reader(name)
                    return self._look(column)
            if isinstance(error, EmptyInputError):
                raise
            others = ", ".join(map(repr, first.others))
            data = {**error.data, "problem": f"{error.data['problem']} of the sheet {first.name!r}, nor in {others}"}
            raise ColumnError(**data, remedy=error.remedy) from None

    def _look(self, column: str | None) -> tuple[list[Record], Choice]:
        sample = self._take_sample()
        if not sample:
            raise EmptyInputError(source=self.name, problem="it holds no rows")
        choice = choose_column(sample, column, source=self.name)
        if choice.header is not None and len(sample) == choice.header + 1:
            raise EmptyInputError(source=self.name, problem="it holds a header and nothing below it")
        return sample, choice

    def _open_reader(self, sheet: str | None) -> Reader:
        if not self.format.is_text:
            workbook = WorkbookReader(self._origin, self.format, sheet)
            self.worksheet = workbook.name
            return workbook
        if sheet is not None:
            remedy = "Leave the sheet out, or name a workbook."
            raise FormatError(source=self.name, problem=f"a text has no sheet {sheet!r}", remedy=remedy)
        text = TextReader(self._origin)
        self.encoding = text.encoding.name
        self.delimiter = text.layout.delimiter
        if text.layout.arrangement is not Arrangement.ROWS:
            self.format = Format.TXT
        return text

    def _describe(self, choice: Choice, first_line: int) -> Iterator[str]:
        suffix = self._origin.suffix
        if suffix in {f".{kind}" for kind in Format} and self.format.is_text != Format(suffix[1:]).is_text:
            yield f"Its name ends in {suffix}, but it is {self._kind}: read as that."
        chosen = self._show_column(choice.column)
        if len(self.columns) > 1:
            yield f"The IMEIs are taken from column {chosen}."
        if choice.alternatives:
            others = ", ".join(map(self._show_column, choice.alternatives))
            yield f"IMEIs stand in column {others} as well: those are not ordered."
        if self.header_line is None:
            yield "There is no header."
        else:
            yield f"Line {self.header_line} is the header, not an order."
            if first_line < self.header_line:
                yield f"What stands above line {self.header_line} is not read."

    @property
    def _kind(self) -> str:
        return "text" if self.format.is_text else f"a workbook ({self.format})"

    def _show_column(self, column: int) -> str:
        letter = show_letter(column)
        return letter if self.header_line is None else f"{letter} ({self.columns[column]!r})"

    def _take_sample(self) -> list[Record]:
        """Take the first records; one that is too wide ends it, before many of them fill the memory."""
        sample = []
        for record in islice(self._reader.records(), _SAMPLE_SIZE + 1):
            if len(record[1]) > _MOST_COLUMNS:
                raise self._report_width(record[0], len(record[1]))
            sample.append(record)
        return sample

    def _report_width(self, line: int, width: int) -> RowError:
        remedy = "Check the line's delimiters: a spreadsheet has at most 16,384 columns."
        return RowError(source=self.name, line=line, problem=f"it has {width:,} cells", remedy=remedy)


def open_sheet(
    source: Path | BinaryIO, *, column: str | None = None, sheet: str | None = None, name: str | None = None
) -> Sheet:
    """Open a list of IMEIs: a CSV, TXT, XLSX, XLSB, XLS or ODS file, or a stream of bytes of the same.

    `column` names the IMEI column: by its header, its letter, or its number from 1; otherwise it is found by name
    and content. `sheet` names a workbook's sheet. `name` is what messages call a stream.

    Raises InputError or one of its kinds, naming the file, what is wrong and what to do.
    """
    origin = take_origin(source, name)
    try:
        return Sheet(origin, column, sheet)
    except BaseException:
        origin.close()
        raise


def _name_columns(names: list[str], choice: Choice) -> tuple[str, ...]:
    if choice.header is None:
        return tuple(map(show_letter, range(choice.width)))
    return tuple(names + [""] * (choice.width - len(names)))


def _clean_name(name: str) -> str:
    return name.strip(" \t\r\n\ufeff\u00a0")
