"""Reading workbooks: XLSX, XLSB, XLS and ODS. A sheet is held in memory while it is open, its rows are not copied.

calamine's errors are translated here and nowhere else.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import python_calamine as calamine

from imeiflow.intake.error import EmptyInputError, FormatError, ProtectedInputError
from imeiflow.intake.format import ZIP_ERRORS, Format
from imeiflow.intake.guard import check_workbook
from imeiflow.intake.origin import Origin
from imeiflow.intake.record import Record

_MOST_CELLS: Final = 50_000_000
_DIMENSION: Final = re.compile(rb'<dimension ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')


class WorkbookReader:
    """Yields the records of one sheet: the named one, or the first visible one that holds anything.

    `others` are the visible ones beside it.
    """

    def __init__(self, origin: Origin, kind: Format, sheet: str | None) -> None:
        self._origin = origin
        with _translated(origin):
            if kind is Format.XLSX:
                _check_dimensions(origin)
            check_workbook(origin, kind)
            with origin.open() as file, calamine.CalamineWorkbook.from_filelike(file) as book:
                chosen = _choose_sheet(book, origin) if sheet is None else _find_sheet(book, origin, sheet)
                self.others = [name for name in _visible_names(book) if name != chosen.name]
        _check_span(origin, chosen.height, chosen.total_width)
        self.name: str = chosen.name
        self._sheet: calamine.CalamineSheet | None = chosen

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in sentences what was found and how it is read."""
        if not self.others:
            return ()
        others = ", ".join(repr(name) for name in self.others)
        return (f"Only the sheet {self.name!r} is read, not {others}.",)

    def records(self) -> Iterator[Record]:
        """Yield every row that is not empty, numbered as the spreadsheet numbers it, from column A on."""
        if self._sheet is None:
            raise ValueError("the workbook is closed")
        start = self._sheet.start
        margin = [""] * (start[1] if start else 0)
        with _translated(self._origin):
            for number, row in enumerate(self._sheet.iter_rows(), 1):
                cells = [cell if type(cell) is str else show_cell(cell) for cell in row]
                if any(cells):  # of a million empty rows before a cell far out, none is given its margin
                    yield (
                        number,
                        margin + cells,
                        [place for place, cell in enumerate(row, len(margin)) if type(cell) in _NUMBERS],
                    )

    def close(self) -> None:
        """Let go of the workbook's memory."""
        self._sheet = None


def _choose_sheet(book: calamine.CalamineWorkbook, origin: Origin) -> calamine.CalamineSheet:
    for name in _visible_names(book):
        sheet = book.get_sheet_by_name(name)
        if sheet.start is not None:
            return sheet
    raise EmptyInputError(source=origin.name, problem="no sheet holds anything")


def _find_sheet(book: calamine.CalamineWorkbook, origin: Origin, wanted: str) -> calamine.CalamineSheet:
    names = book.sheet_names
    found = [name for name in names if name == wanted] or [
        name for name in names if name.strip().casefold() == wanted.strip().casefold()
    ]
    if not found:
        remedy = f"Its sheets are {', '.join(map(repr, names))}."
        raise FormatError(source=origin.name, problem=f"there is no sheet {wanted!r}", remedy=remedy)
    sheet = book.get_sheet_by_name(found[0])
    if sheet.start is None:
        raise EmptyInputError(source=origin.name, problem=f"the sheet {found[0]!r} is empty")
    return sheet


_NUMBERS: Final = frozenset({int, float})


def show_cell(cell: object) -> str:
    """Write a cell that is not text as a spreadsheet would show it: whole numbers in full, times in ISO 8601."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, bool):
        return str(cell).upper()
    show = getattr(cell, "isoformat", None)
    return str(show(*[" "] if hasattr(cell, "hour") and hasattr(cell, "year") else []) if show else cell)


def _visible_names(book: calamine.CalamineWorkbook) -> list[str]:
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.visible == calamine.SheetVisibleEnum.Visible and sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def _check_dimensions(origin: Origin) -> None:
    """Refuse a sheet whose one stray cell far out would fill the memory: calamine holds the whole rectangle."""
    with origin.open() as file, zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/sheet"):
                continue
            with archive.open(name) as sheet:
                found = _DIMENSION.search(sheet.read(4096))
            if found is None:
                continue
            width = _column_number(found[3]) - _column_number(found[1]) + 1
            _check_span(origin, int(found[4]) - int(found[2]) + 1, width)


def _check_span(origin: Origin, height: int, width: int) -> None:
    if height * width > _MOST_CELLS:
        problem = f"a sheet spans {height:,} rows and {width:,} columns"
        remedy = "Delete the empty rows and columns around the list, save it, or save it as CSV."
        raise FormatError(source=origin.name, problem=problem, remedy=remedy)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


@contextmanager
def _translated(origin: Origin) -> Iterator[None]:
    try:
        yield
    except calamine.PasswordError as error:
        raise ProtectedInputError(source=origin.name, problem="the workbook is protected by a password") from error
    except (calamine.CalamineError, *ZIP_ERRORS) as error:
        raise FormatError(source=origin.name, problem=f"the workbook is damaged ({error})") from error
    except BaseException as error:
        # A panic inside the library, below its own errors, is a BaseException of a module that cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise FormatError(source=origin.name, problem="the workbook is damaged") from error
