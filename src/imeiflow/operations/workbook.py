"""An export as a workbook: texts stay texts, numbers, times and days are such; row by row, in bounded memory.

What a sheet has no room for is never left out unsaid: rows go on in another sheet, texts that are cut say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from imeiflow.operations.cell import Cell
from imeiflow.operations.new_file import ExportError

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MOST_ROWS: Final = 1_048_576
_MOST_COLUMNS: Final = 16_384
_MOST_TEXT: Final = 32_767
_CUT: Final = " … (cut: longer than a cell of a sheet may be; .csv and .jsonl have it whole)"
_FIRST_YEAR: Final = 1900  #: sheets know no day before it
_SAMPLE: Final = 300  #: rows whose cells say how wide a column is
_NARROWEST, _WIDEST = 6, 48


class _Widths:
    """How wide the columns have to be, from the headings and the first rows."""

    def __init__(self, headings: Sequence[str]) -> None:
        self.widths = [len(heading) + 3 for heading in headings]  # room for the filter's button
        self._left = _SAMPLE

    def see(self, cells: Sequence[Cell]) -> None:
        """Look at a row, if it is among the first."""
        if self._left:
            self._left -= 1
            for place, cell in enumerate(cells[: len(self.widths)]):
                size = 19 if isinstance(cell, datetime) else 10 if isinstance(cell, date) else len(str(cell or ""))
                self.widths[place] = max(self.widths[place], size + 1)


class _Pen:
    """Writes cells by their kind; `cut` counts the texts that were too long."""

    def __init__(self, book: Any) -> None:
        self.cut = 0
        self.heading: Format = book.add_format({"bold": True})
        self._money: Format = book.add_format({"num_format": "0.00##"})
        self._time: Format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._day: Format = book.add_format({"num_format": "yyyy-mm-dd"})

    def write(self, sheet: Worksheet, number: int, cells: Iterable[Cell]) -> None:
        """Write one row."""
        for column, cell in enumerate(cells):
            match cell:
                case None | "":
                    pass
                case str():
                    if len(cell) > _MOST_TEXT:
                        self.cut += 1
                        cell = cell[: _MOST_TEXT - len(_CUT)] + _CUT  # noqa: PLW2901
                    sheet.write_string(number, column, cell)
                case int():
                    sheet.write_number(number, column, cell)
                case Decimal():
                    sheet.write_number(number, column, float(cell), self._money)
                case datetime():
                    sheet.write_datetime(number, column, cell.astimezone(UTC).replace(tzinfo=None), self._time)
                case date() if cell.year >= _FIRST_YEAR:
                    sheet.write_datetime(number, column, cell, self._day)
                case date():
                    sheet.write_string(number, column, cell.isoformat())


def write_workbook(
    file: BinaryIO,
    target: Path,
    headings: Sequence[str],
    rows: Iterable[Iterable[Cell]],
    *,
    most_rows: int = MOST_ROWS,
) -> tuple[int, int]:
    """Write rows below their headings, in as many sheets as they need; give the sheets, and the texts that were cut.

    `target` is named in errors. Raises ExportError where there are more columns than a sheet has.
    """
    if len(headings) > _MOST_COLUMNS:
        problem = f"a sheet has {_MOST_COLUMNS:,} columns at most, this list would have {len(headings):,}"
        raise ExportError(target=target, problem=problem, remedy="Write it as .csv or .jsonl.")
    from xlsxwriter import Workbook  # noqa: PLC0415 - slow to import, and most commands write no workbook

    options = {"constant_memory": True, "strings_to_formulas": False, "tmpdir": str(target.parent)}
    with Workbook(file, options) as book:
        pen = _Pen(book)
        left = iter(rows)
        sheets = 0
        first: list[Iterable[Cell]] = list(islice(left, 1))
        while first or not sheets:
            sheets += 1
            sheet = book.add_worksheet("orders" if sheets == 1 else f"orders {sheets}")
            _write_sheet(sheet, headings, islice(chain(first, left), most_rows - 1), pen)
            first = list(islice(left, 1))
    return sheets, pen.cut


def _write_sheet(sheet: Worksheet, headings: Sequence[str], rows: Iterator[Iterable[Cell]], pen: _Pen) -> None:
    sheet.freeze_panes(1, 0)
    sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, heading[:_MOST_TEXT], pen.heading)
    widths = _Widths(headings)
    number = 0
    for number, row in enumerate(rows, 1):
        cells = list(row)
        widths.see(cells)
        pen.write(sheet, number, cells)
    for column, width in enumerate(widths.widths):
        sheet.set_column(column, column, max(_NARROWEST, min(_WIDEST, width)))
    sheet.autofilter(0, 0, number, len(headings) - 1)
