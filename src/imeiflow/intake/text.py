"""Reading text: CSV with any delimiter, one value a line, or a pasted list. Memory does not grow with its length."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, assert_never

from imeiflow.domain.imei import read_imei
from imeiflow.intake.encoding import Encoding, detect_encoding
from imeiflow.intake.error import RowError
from imeiflow.intake.layout import Arrangement, Layout, detect_layout
from imeiflow.intake.origin import Origin
from imeiflow.intake.record import Record

_SAMPLE_LENGTH: Final = 65_536
_LONGEST_LINE: Final = 1 << 20
_LONGEST_ENTRY: Final = 1 << 16

_LONG_RUN: Final = re.compile(r"\d{14}")

_QUOTE_REMEDY: Final = (
    "A quote has no partner there, or stands inside a value without being doubled. Mend that line; or open the file "
    "in a spreadsheet, see that no rows are missing, and save it as XLSX."
)


class TextReader:
    """Yields the records of a text. `encoding` and `layout` say how it is read."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.encoding: Encoding = detect_encoding(origin)
        with self._open() as text:
            sample = text.read(_SAMPLE_LENGTH)
        end = max(sample.rfind("\n"), sample.rfind("\r")) + 1
        if len(sample) == _SAMPLE_LENGTH and end:
            sample = sample[:end]
        self.layout: Layout = detect_layout(sample.replace("\0", ""))

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in sentences what was found and how it is read."""
        notes = []
        if not self.encoding.is_exact:
            notes.append("It is not UTF-8: read as Western European. Letters with accents may differ, digits do not.")
        if self.layout.arrangement is Arrangement.LIST:
            notes.append("Its lines hold several values: each is taken as an IMEI of its own, numbered from 1.")
        return tuple(notes)

    def records(self) -> Iterator[Record]:
        """Yield every record; its number is the line it begins on, in a pasted list the number of the value.

        Raises RowError where rows can no longer be told apart, ChangedInputError when the file changed meanwhile.
        """
        match self.layout.arrangement:
            case Arrangement.ROWS:
                return self._read_rows()
            case Arrangement.LINES:
                return self._read_lines()
            case Arrangement.LIST:
                return self._read_entries()
            case _:
                assert_never(self.layout.arrangement)

    def close(self) -> None:
        """Let go of nothing: a text is never held."""

    @contextmanager
    def _reading(self) -> Iterator[io.TextIOWrapper]:
        """Open the text to its end, and see then that it is still the same."""
        with self._open() as text:
            yield text
            self._origin.check()

    def _open(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._origin.open(), encoding=self.encoding.name, errors="replace", newline="")

    def _split_lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        """Yield lines with their ends, without NUL characters, none longer than memory should bear."""
        number = 0
        while line := text.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and line[-1] not in "\r\n":
                problem = f"the line is longer than {_LONGEST_LINE:,} characters"
                remedy = "Check that this is a list of IMEIs, one a line or one a row."
                raise RowError(source=self._origin.name, line=number, problem=problem, remedy=remedy)
            yield line.replace("\0", "") if "\0" in line else line

    def _read_rows(self) -> Iterator[Record]:
        with self._reading() as text:
            lines = self._split_lines(text)
            declared = int(self.layout.is_declared and next(lines, None) is not None)
            # Strict: otherwise a quote without a partner swallows the rows that follow it without a word.
            reader = csv.reader(lines, delimiter=self.layout.delimiter or ",", strict=True)
            end = declared
            try:
                for cells in reader:
                    line, end = end + 1, declared + reader.line_num
                    if end > line:
                        self._check_multiline(line, cells)
                    if cells:
                        yield line, cells, ()
            except csv.Error as error:
                problem = f"its cells cannot be told apart ({error})"
                raise RowError(source=self._origin.name, line=end + 1, problem=problem, remedy=_QUOTE_REMEDY) from error

    def _check_multiline(self, line: int, cells: list[str]) -> None:
        """Refuse a cell with line ends that seems to have swallowed other rows: they would be lost in silence."""
        delimiter = self.layout.delimiter or ","
        for cell in cells:
            if delimiter not in cell or not ("\n" in cell or "\r" in cell):
                continue
            for value in re.split(rf"[\r\n{re.escape(delimiter)}]", cell):
                if read_imei(value).imei is not None:
                    problem = f"a quote opened there swallows the row with {value.strip()!r}"
                    raise RowError(
                        source=self._origin.name, line=line, problem=problem, value=value, remedy=_QUOTE_REMEDY
                    )

    def _read_lines(self) -> Iterator[Record]:
        with self._reading() as text:
            for number, line in enumerate(self._split_lines(text), 1):
                value = line.rstrip("\r\n")
                if value and not (value[0] == "#" and not _LONG_RUN.search(value)):
                    yield number, [value], ()

    def _read_entries(self) -> Iterator[Record]:
        number = 0
        with self._reading() as text:
            for entry in self._split_entries(text):
                value = entry.strip().replace("\0", "")
                if value:
                    number += 1
                    yield number, [value], ()

    def _split_entries(self, text: io.TextIOWrapper) -> Iterator[str]:
        separator = self.layout.separator
        if separator is None:
            raise AssertionError("a list has a separator")
        rest = ""
        while block := text.read(_SAMPLE_LENGTH):
            *entries, rest = separator.split(rest + block)
            if len(rest) > _LONGEST_ENTRY:
                problem = f"a value is longer than {_LONGEST_ENTRY:,} characters"
                raise RowError(source=self._origin.name, line=1, problem=problem, remedy="Check that this is a list.")
            yield from entries
        yield rest
