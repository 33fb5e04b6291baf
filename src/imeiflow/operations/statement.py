"""A provider's own export of its orders: which column is what, and what each row says. Contacts nobody.

The columns of GSM Fusion's "Advanced Export" are `SERVICE, IMEI NO., CREDITS, STATUS, CODE, IMEI 2, CARRIER, SIMLOCK,
MODEL, FMI, ORDER DATE, NOTES`; they may be fewer, in another order or otherwise written. An export is held in memory
as a whole: it is a list of orders of days, not the ledger.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from html import unescape
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from imeiflow.domain.ident import Reference
from imeiflow.domain.imei import Flaw, Imei
from imeiflow.domain.money import Money, read_money
from imeiflow.domain.order import ResultStatus
from imeiflow.errors import InputError
from imeiflow.intake.sheet import Row, Sheet, open_sheet
from imeiflow.results.moment import DateOrder, read_moments

#: The names of a column, without spaces and punctuation, as exports and people write them.
_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset({"service", "servicename", "package", "packagetitle", "network", "product"}),
    "credits": frozenset({"credits", "credit", "price", "cost", "amount", "charged"}),
    "status": frozenset({"status", "orderstatus", "state"}),
    "code": frozenset({"code", "result", "results", "reply", "unlockcode", "response"}),
    "date": frozenset({"orderdate", "date", "orderedat", "orderedon", "ordered", "requestedat", "datetime", "created"}),
    "reference": frozenset({"orderid", "id", "reference", "orderno", "ordernumber", "order"}),
}
_STATUSES: Final[Mapping[str, ResultStatus]] = {
    "pending": ResultStatus.PENDING,
    "new": ResultStatus.PENDING,
    "inprocess": ResultStatus.IN_PROCESS,
    "inprogress": ResultStatus.IN_PROCESS,
    "processing": ResultStatus.IN_PROCESS,
    "completed": ResultStatus.COMPLETED,
    "complete": ResultStatus.COMPLETED,
    "success": ResultStatus.COMPLETED,
    "successful": ResultStatus.COMPLETED,
    "available": ResultStatus.COMPLETED,
    "rejected": ResultStatus.REJECTED,
    "cancelled": ResultStatus.REJECTED,
    "canceled": ResultStatus.REJECTED,
    "refunded": ResultStatus.REJECTED,
}
_MOST_UNREADABLE: Final = 5
_SHORTENED: Final = (
    "A spreadsheet has shortened IMEIs in it (3.57E+14), and their digits are gone: save it from the provider's site "
    "once more, and give it as it came, without opening it first."
)


#: Rows of an export that are held in memory at most.
MOST_ROWS: Final = 1_000_000


class ExportColumnError(InputError):
    """{source}: it has no header, so that nobody can tell which column is what."""

    remedy = "Export it again with its header: SERVICE, IMEI NO., CREDITS, STATUS, CODE, …, ORDER DATE."


@dataclass(frozen=True, slots=True)
class ExportedOrder:
    """One row of the export; empty or None where it does not say. `at` has every reading of its date."""

    line: int
    imei: Imei
    service: str
    price: Money | None
    status: ResultStatus | None
    code: str
    reference: Reference | None
    moments: Mapping[DateOrder, datetime]


class Dated(Protocol):
    """What names a time, in every reading of it."""

    @property
    def moments(self) -> Mapping[DateOrder, datetime]:
        """Give the readings."""
        ...


@dataclass(frozen=True, slots=True)
class UnreadRow:
    """A row of the export whose IMEI cannot be read: it may be that of any order of its service and time."""

    service: str
    moments: Mapping[DateOrder, datetime]


@dataclass(slots=True)
class Statement:
    """An export that was read. `orders` are its rows by IMEI, `date_orders` the readings that fit all its dates."""

    name: str
    columns: Mapping[str, int]
    notes: list[str] = field(default_factory=list)
    orders: dict[Imei, list[ExportedOrder]] = field(default_factory=dict)
    total: int = 0
    unread: list[UnreadRow] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    date_orders: tuple[DateOrder, ...] = ()

    @property
    def unreadable(self) -> int:
        """Count the rows whose IMEI cannot be read."""
        return len(self.unread)

    @property
    def has_dates(self) -> bool:
        """Say whether it tells when orders were placed."""
        return "date" in self.columns and bool(self.date_orders)

    @property
    def has_times(self) -> bool:
        """Say whether its dates name a time of day."""
        return any(moment.time() != time() for order in self for moment in order.moments.values())

    @property
    def readings(self) -> tuple[DateOrder, ...]:
        """List the readings of its dates that differ from each other."""
        return self.date_orders[:1] if _is_one_reading(self) else self.date_orders

    def __iter__(self) -> Iterator[ExportedOrder]:
        return (order for orders in self.orders.values() for order in orders)


def read_statement(
    source: Path | BinaryIO, *, currency: str, name: str | None = None, most_rows: int = MOST_ROWS
) -> Statement:
    """Read an export; `currency` is that of credits that name none. It is held in memory. Raises InputError."""
    with open_sheet(source, name=name) as sheet:
        if not sheet.has_header:
            raise ExportColumnError(source=sheet.name)
        columns = _find_columns(sheet)
        statement = Statement(name=sheet.name, columns=columns, notes=list(sheet.notes))
        fits: Counter[DateOrder] = Counter()
        dated = 0
        for row in sheet.rows():
            statement.total += 1
            if statement.total > most_rows:
                remedy = "Export a shorter time, such as that of the job alone."
                raise InputError(source=sheet.name, problem=f"it has over {most_rows:,} rows", remedy=remedy)
            order = _read_row(row, columns, currency)
            if order is None:
                _note_unreadable(statement, row, columns)
                continue
            statement.orders.setdefault(order.imei, []).append(order)
            if order.moments:
                dated += 1
                fits.update(order.moments.keys())
        statement.date_orders = tuple(order for order in DateOrder if dated and fits[order] == dated)
        _describe(statement, dated)
    return statement


def simplify_name(name: str) -> str:
    """Give a service's name without what exports change in it: case, entities, spaces, punctuation."""
    return "".join(filter(str.isalnum, unescape(unescape(name)).casefold()))


def _find_columns(sheet: Sheet) -> dict[str, int]:
    """Find the column of each kind: the first of its names that is left."""
    columns: dict[str, int] = {}
    plain = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in sheet.columns]
    for kind, names in _NAMES.items():
        for place, name in enumerate(plain):
            if name in names and place != sheet.imei_column and place not in columns.values():
                columns[kind] = place
                break
    return columns


def _read_cell(row: Row, columns: Mapping[str, int], kind: str) -> str:
    place = columns.get(kind)
    return row.columns[place].strip() if place is not None and place < len(row.columns) else ""


def _read_row(row: Row, columns: Mapping[str, int], currency: str) -> ExportedOrder | None:
    imei = row.reading.imei
    if imei is None:
        return None

    def cell(kind: str) -> str:
        return _read_cell(row, columns, kind)

    reference = cell("reference")
    return ExportedOrder(
        line=row.line,
        imei=imei,
        service=cell("service"),
        price=read_money(cell("credits"), currency=currency),
        status=_STATUSES.get("".join(filter(str.isalpha, cell("status").casefold()))),
        code=cell("code"),
        reference=Reference(reference) if reference else None,
        moments=read_moments(cell("date")),
    )


def _note_unreadable(statement: Statement, row: Row, columns: Mapping[str, int]) -> None:
    service, date = _read_cell(row, columns, "service"), _read_cell(row, columns, "date")
    statement.unread.append(UnreadRow(service, read_moments(date)))
    if row.reading.flaw is Flaw.DIGITS_LOST and _SHORTENED not in statement.notes:
        statement.notes.append(_SHORTENED)
    if len(statement.examples) < _MOST_UNREADABLE:
        statement.examples.append(f"line {row.line}: {row.value.strip()[:40]!r}: {row.reading.sentence}")


def _describe(statement: Statement, dated: int) -> None:
    """Say what is missing, and what can be read in two ways."""
    missing = [kind for kind in ("service", "date", "status", "credits") if kind not in statement.columns]
    if missing:
        statement.notes.append(f"It has no column of {', '.join(missing)}.")
    if dated and not statement.date_orders:
        statement.notes.append("Its dates are written in different orders of day and month: none of them is used.")
    elif len(statement.readings) > 1:
        first, second = (order.value for order in statement.readings[:2])
        statement.notes.append(f"Its dates can be read with the {first} first or the {second} first.")


def _is_one_reading(statement: Statement) -> bool:
    return all(len(set(order.moments.values())) == 1 for order in statement if order.moments)
