"""How a text is laid out: rows with a delimiter, one IMEI a line, or a pasted list. Pure: told from a sample."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imeiflow.intake.record import rate_value


class Arrangement(StrEnum):
    """How a text holds its values."""

    ROWS = "rows"  #: cells between delimiters
    LINES = "lines"  #: one value a line
    LIST = "list"  #: several values a line, each an IMEI of its own


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text is laid out. `is_declared`: its first line is `sep=…`, not data; `separator` parts a list's values."""

    arrangement: Arrangement
    delimiter: str | None = None
    is_declared: bool = False
    separator: re.Pattern[str] | None = None


_DELIMITERS: Final = ",;\t|"
_DECLARATION: Final = re.compile(r"sep=(.)[ \t]*(?:\r\n?|\n|\Z)", re.IGNORECASE)
_ENTRY: Final = re.compile(r"[,;|\t\r\n]+")
_WORD: Final = re.compile(r"[,;|\s]+")
_SAMPLE_SIZE: Final = 300
_MOST_COLUMNS: Final = 500  #: columns among which the IMEIs are looked for


def detect_layout(sample: str) -> Layout:
    """Tell the layout from the text's beginning; its last line may be cut."""
    if declared := _DECLARATION.match(sample):
        return Layout(Arrangement.ROWS, declared[1], is_declared=True)
    lines = [line for line in re.split(r"\r\n?|\n", sample)[: _SAMPLE_SIZE + 1] if line.strip()][:_SAMPLE_SIZE]
    line_share = _rate([line for line in lines if not line.startswith("#")])
    if line_share < 0.8:
        for separator in (_ENTRY, _WORD):
            if is_list(lines, separator):
                return Layout(Arrangement.LIST, separator=separator)
    scores = {delimiter: _rate_delimiter(sample, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    share, consistency, _ = scores[best]
    if consistency > 0.5 and (share > line_share or (share == line_share and consistency > 0.9)):
        return Layout(Arrangement.ROWS, best)
    if consistency > 0.5 and line_share == 0:
        return Layout(Arrangement.ROWS, best)
    return Layout(Arrangement.LINES)


def is_list(lines: list[str], separator: re.Pattern[str]) -> bool:
    """Say whether nearly every value is an IMEI, in lines that are no rows of a table.

    Two equal columns of IMEIs, or any number under a header, are a table of phones with several each: taking them
    all would pay for each phone more than once.
    """
    if not lines or _is_header(lines[0]):
        return False
    entries = [[entry for entry in separator.split(line) if entry.strip()] for line in lines]
    widths = {len(row) for row in entries if any(map(rate_value, row))}
    if max(widths, default=0) < 2 or _rate([entry for row in entries for entry in row]) < 0.8:
        return False
    return len(lines) == 1 or widths != {2}


def _is_header(line: str) -> bool:
    cells = [cell for cell in _ENTRY.split(line) if cell.strip()]
    return len(cells) > 1 and not any(map(rate_value, cells))


def _rate(values: list[str]) -> float:
    return round(sum(map(rate_value, values)) / len(values), 2) if values else 0.0


def _rate_delimiter(sample: str, delimiter: str) -> tuple[float, float, int]:
    """Rate a delimiter: the best column's share of IMEIs, the share of rows that it parts, the width."""
    rows = []
    try:
        for row in csv.reader(sample.splitlines(keepends=True), delimiter=delimiter):
            if any(row):
                rows.append(row)
            if len(rows) == _SAMPLE_SIZE:
                break
    except csv.Error:
        pass
    widths = [len(row) for row in rows]
    if max(widths, default=0) < 2:
        return 0.0, 0.0, 0
    width = min(max(widths), _MOST_COLUMNS)
    named = any("imei" in cell.lower() and not rate_value(cell) for row in rows[:20] for cell in row)
    columns = [[row[column] for row in rows if column < len(row) and row[column].strip()] for column in range(width)]
    share = max(_rate(column) * len(column) / len(rows) for column in columns)
    return max(share, 0.1 if named else 0.0), sum(width > 1 for width in widths) / len(rows), width
