"""IMEIs and files to read in tests."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import xlsxwriter

from imeiflow.domain.imei import check_digit
from imeiflow.intake.sheet import Row, Sheet, open_sheet


def make_imei(number: int) -> str:
    first14 = f"35693803{number:06}"
    return first14 + check_digit(first14)


def make_imeis(count: int, start: int = 1) -> list[str]:
    return [make_imei(number) for number in range(start, start + count)]


def read(source: Path | bytes, **options: str) -> tuple[Sheet, list[Row]]:
    """Open, read twice, and give the sheet with its rows."""
    with open_sheet(BytesIO(source) if isinstance(source, bytes) else source, **options) as sheet:
        rows = list(sheet.rows())
        assert list(sheet.rows()) == rows
        return sheet, rows


def imeis_of(rows: list[Row]) -> list[str | None]:
    return [row.reading.imei for row in rows]


def write_xlsx(path: Path, sheets: dict[str, list[list[object]]], hidden: tuple[str, ...] = ()) -> Path:
    with xlsxwriter.Workbook(str(path)) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for place, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if isinstance(cell, str):
                        sheet.write_string(place, column, cell) if cell else None
                    elif cell is not None:
                        sheet.write(place, column, cell)
            if name in hidden:
                sheet.hide()
    return path
