"""One row of an export, cell by cell: the file's own, ours, and what stands for a formula. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeAlias

from imeiflow.domain.imei import Flaw
from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import OrderRow

#: What is added to the file's own columns, in this order.
ADDED: Final = (
    "row",
    "imei",
    "state",
    "reference",
    "status",
    "result",
    "error",
    "attempts",
    "price",
    "accepted_at",
    "completed_at",
)
#: Starts of a cell that a spreadsheet runs as a formula (OWASP, CSV injection); some do so with wide letters too.
_DANGEROUS: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:[.,]\d+)*")
#: Where a spreadsheet that parts at semicolons or tabs would begin another cell, with such a start.
_WITHIN: Final = re.compile(r"([;\t]\s*)([=+\-@\uff1d\uff0b\uff0d\uff20][^;\t]*)")

Cell: TypeAlias = str | int | Decimal | datetime | date | None


def make_safe(text: str) -> str:
    """Put a ' before a text that a spreadsheet would run as a formula; plain numbers stay as they are.

    So too within a text, where a spreadsheet that parts at semicolons or tabs would begin another cell.
    """
    if ";" in text or "\t" in text:
        text = _WITHIN.sub(_guard, text)
    if text[:1] in _DANGEROUS and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def _guard(found: re.Match[str]) -> str:
    before, start = found[1], found[2]
    return before + start if _NUMBER.fullmatch(start.strip()) else f"{before}'{start}"


def describe_row(row: OrderRow) -> list[Cell]:
    """Give the added columns of a row, in the order of `ADDED`; None where there is nothing to say."""
    return [
        row.line,
        row.imei,
        row.state.value,
        row.reference,
        row.status.value if row.status is not None else None,
        row.result,
        explain_row(row),
        row.attempts,
        row.price * row.charges if row.price is not None and row.charges else None,
        row.accepted_at,
        row.completed_at,
    ]


def explain_row(row: OrderRow) -> str | None:
    """Say why a row is not accepted; None where there is nothing to say."""
    if row.flaw is not None:
        with suppress(ValueError):
            return Flaw(row.flaw).sentence
        return row.flaw
    if row.state is OrderState.REPEATED:
        return row.error or f"The same IMEI stands in row {row.repeated_of}; it is ordered at most once."
    return row.error


def read_cells(row: OrderRow, width: int) -> list[str]:
    """Give the file's own cells of a row; a list of one column stores only what differs from the IMEI.

    They are more than `width` where the row is longer than the header.
    """
    if row.columns is not None:
        return [*row.columns, *[""] * (width - len(row.columns))]
    return [row.value if row.value is not None else row.imei or ""] if width == 1 else [""] * width


def show_cell(cell: Cell) -> str | int | None:
    """Write a cell as a text: amounts exactly, times in UTC to the second, days by ISO 8601."""
    match cell:
        case Decimal():
            return format(cell, "f")
        case datetime():
            return cell.isoformat(timespec="seconds")[:19] + "Z"
        case date():
            return cell.isoformat()
        case _:
            return cell


def make_texts(cells: Iterable[Cell]) -> list[Cell]:
    """Write cells as safe texts; numbers and None stay. Most are texts or nothing, and a row has dozens of them."""
    return [cell if cell is None else make_safe(cell) if isinstance(cell, str) else show_cell(cell) for cell in cells]


def make_keys(columns: Sequence[str]) -> list[str]:
    """Name every column of a file differently, for JSON: a blank one by its place, a repeated one by its count."""
    keys: dict[str, None] = {}
    taken, counts = set(columns), dict[str, int]()
    for place, name in enumerate(columns, 1):
        key = base = name or f"column {place}"
        number = counts.get(base, 1)
        while key in keys or (key != name and key in taken):
            number += 1
            key = f"{base} ({number})"
        counts[base] = number
        keys[key] = None
    return list(keys)
