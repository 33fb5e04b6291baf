"""Which record is the header and which column holds the IMEIs, told by name and by content. Pure: works on a sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imeiflow.intake.error import ColumnError
from imeiflow.intake.record import Record, rate_value

_HEADER_DEPTH: Final = 20  #: records among which a header is looked for
_PLAUSIBLE: Final = 0.5  #: share of a column's values that look like IMEIs
_LIKELY: Final = 0.25

_EXACT_NAME: Final = re.compile(r"imeis?1?(?:no|nr|number|nummer|code)?1?")
_SECOND: Final = re.compile(
    r"imei[^a-z0-9]*(?:no|nr|number)?[^a-z0-9]*2|(?:second|2nd|esim|old|previous|former).*imei|2.*imei"
)
_KINDRED: Final = re.compile(r"serial|meid|^sn$|^s/n|device ?id|identifier|imei ?sv")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was told from a sample.

    `column` counts from 0; `header` is the header's place in the sample, None without one; `alternatives` are
    other columns that hold IMEIs too.
    """

    column: int
    header: int | None
    width: int
    alternatives: tuple[int, ...] = ()


def choose_column(sample: Sequence[Record], wanted: str | None = None, *, source: str) -> Choice:
    """Find header and IMEI column in the first records of a list, or the column that the user named.

    `wanted` is a header's text, a letter as in a spreadsheet, or a number from 1. Raises ColumnError, naming `source`.
    """
    rows = [cells for _, cells, _ in sample]
    ratings = [[rate_value(cell) if cell else 0.0 for cell in cells] for cells in rows]
    width = max(map(len, rows), default=0)
    header = _find_header(rows, ratings, wanted)
    if wanted is not None:
        column = _resolve(wanted, rows[header] if header is not None else (), width, source)
        return Choice(column, header, width)
    first = 0 if header is None else header + 1
    shares, coverages = _measure(rows[first:], ratings[first:], width)
    names = [*(rows[header] if header is not None else ()), *[""] * width][:width]
    ranks = [rank_name(name) for name in names]
    order = sorted(
        range(width),
        key=lambda place: (-(shares[place] >= _PLAUSIBLE), -ranks[place], -round(coverages[place], 1), place),
    )
    if not order or (shares[order[0]] < _LIKELY and ranks[order[0]] < 3):
        raise _report_missing(rows, header, width, source)
    best = order[0]
    alternatives = [place for place in sorted(order) if place != best and shares[place] >= _PLAUSIBLE]
    return Choice(best, header, width, tuple(alternatives))


def rank_name(name: str) -> int:
    """Rank how well a column's name promises the IMEI to order: 4 exactly, 3 in other words, 0 another one."""
    plain = name.strip().casefold()
    if _EXACT_NAME.fullmatch(re.sub(r"[^a-z0-9]", "", plain)):
        return 4
    if _SECOND.search(plain):
        return 0
    if _KINDRED.search(plain) and "imei/" not in plain and "/imei" not in plain:
        return 2
    return 3 if "imei" in plain else 1


def show_letter(column: int) -> str:
    """Name a column, counted from 0, as a spreadsheet does: A, B … Z, AA …"""
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def is_name(cell: str) -> bool:
    """Say whether a cell can be a column's name: it has a letter, and no number of weight."""
    return any(map(str.isalpha, cell)) and sum(map(str.isdigit, cell)) < 5 and len(cell) < 200


def _find_header(rows: Sequence[Sequence[str]], ratings: Sequence[Sequence[float]], wanted: str | None) -> int | None:
    """Find the header: the record above all IMEIs that names them, or a first record of nothing but names."""
    depth = min(_HEADER_DEPTH, len(rows))
    top = next((place for place in range(depth) if max(ratings[place], default=0.0) >= 0.5), depth)
    if wanted is not None:
        key = _simplify(wanted)
        for place in range(top):
            if any(_simplify(cell) == key for cell in rows[place]):
                return place
    naming = [place for place in range(top) if any(is_name(cell) and rank_name(cell) >= 3 for cell in rows[place])]
    if naming:
        # A title such as "IMEI list of May" stands above the header and has fewer cells.
        return max(naming, key=lambda place: (sum(map(bool, rows[place])), place))
    if top > 0 and all(is_name(cell) for cell in rows[0] if cell.strip()):
        return 0
    return None


def _measure(
    rows: Sequence[Sequence[str]], ratings: Sequence[Sequence[float]], width: int
) -> tuple[list[float], list[float]]:
    """Measure each column: its IMEIs among its values, and among all rows."""
    found, filled = [0.0] * width, [0] * width
    for cells, rated in zip(rows, ratings, strict=True):
        for place, cell in enumerate(cells):
            if cell and not cell.isspace():
                filled[place] += 1
                found[place] += rated[place]
    shares = [total / count if count else 0.0 for total, count in zip(found, filled, strict=True)]
    return shares, [total / len(rows) if rows else 0.0 for total in found]


def _resolve(wanted: str, names: Sequence[str], width: int, source: str) -> int:
    """Find the column that the user named, by name before number and letter."""
    exact = [place for place, name in enumerate(names) if name == wanted]
    found = exact or [
        place for place, name in enumerate(names) if name.strip() and _simplify(name) == _simplify(wanted)
    ]
    if len(found) > 1:
        places = ", ".join(show_letter(place) for place in found)
        remedy = f"Give the column's letter instead: {places}."
        raise ColumnError(source=source, problem=f"several columns are named {wanted!r}", value=wanted, remedy=remedy)
    if found:
        return found[0]
    column = -1
    plain = wanted.strip()
    if plain.isascii() and plain.isdigit() and len(plain) < 6:
        column = int(plain) - 1
    elif plain.isascii() and plain.isalpha() and len(plain) <= 3:
        for letter in plain.upper():
            column = (column + 1) * 26 + ord(letter) - 65
    if 0 <= column < width:
        return column
    remedy = f"Its columns are {_list_columns(names, width)}."
    raise ColumnError(source=source, problem=f"there is no column {wanted!r}", value=wanted, remedy=remedy)


def _report_missing(rows: Sequence[Sequence[str]], header: int | None, width: int, source: str) -> ColumnError:
    columns = _list_columns(rows[header] if header is not None else (), width)
    return ColumnError(
        source=source,
        problem=f"none of its columns holds IMEIs in the first {len(rows)} rows",
        remedy=f"Name the column (name, letter or number) if there is one. Its columns are {columns}.",
    )


def _list_columns(names: Sequence[str], width: int) -> str:
    shown = [
        f"{show_letter(place)} {names[place]!r}" if place < len(names) else show_letter(place) for place in range(width)
    ]
    return ", ".join(shown[:30]) + (" …" if width > 30 else "")


def _simplify(name: str) -> str:
    return " ".join(name.casefold().split())
