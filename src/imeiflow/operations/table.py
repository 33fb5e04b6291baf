"""What an export lays out: its headings, and the cells of each row under them.

Nothing is written here but to a spool. Memory does not grow with the rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Protocol

from imeiflow.domain.ident import JobId
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.record import Job, OrderRow
from imeiflow.operations.cell import (
    ADDED,
    Cell,
    describe_row,
    explain_row,
    make_keys,
    make_texts,
    read_cells,
    show_cell,
)
from imeiflow.operations.spool import Spool, Spooled
from imeiflow.results.anomaly import read_order_result
from imeiflow.results.column import ColumnCollector
from imeiflow.results.reader import read_result
from imeiflow.results.result import Note, Result

_PREFIX: Final = "imeiflow_"
_ERROR: Final = "Error"
_LONGEST_REASON: Final = 300
_SAID_TWICE: Final = re.compile(r"^(?:rejected|rejection|reject reason)\s*[:.\-]+\s*(?=\S)", re.IGNORECASE)

_read: Any = lru_cache(maxsize=512)(read_result)


class Table(Protocol):
    """Lays out the rows of some jobs, in one pass over them."""

    def lay_out_all(self, rows: Iterable[OrderRow]) -> tuple[Sequence[str], Iterator[Sequence[Cell]]]:
        """Give the headings, and the cells of each row under them; they may be more than the headings."""


class OwnColumns:
    """The columns of one file, or those of several side by side: columns of the same name stand in one."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        places: dict[tuple[str, int], int] = {}
        self._places: dict[JobId, list[int]] = {}
        for job in jobs:
            seen: Counter[str] = Counter()
            self._places[job.id] = []
            for name in job.columns or ():
                seen[name] += 1
                self._places[job.id].append(places.setdefault((name, seen[name]), len(places)))
        self.names = tuple(name for name, _ in places)

    def read(self, row: OrderRow) -> tuple[list[str], list[str]]:
        """Give the cells of a row under the names, and those beyond its file's header."""
        places = self._places[row.job]
        cells = read_cells(row, len(places))
        if len(self._places) == 1:
            return cells[: len(places)], cells[len(places) :]
        laid = [""] * len(self.names)
        for place, cell in zip(places, cells, strict=False):
            laid[place] = cell
        return laid, cells[len(places) :]


class Notes:
    """Counts the rows of a table whose result bears a note."""

    def __init__(self) -> None:
        self.counts: Counter[Note] = Counter()

    def read(self, text: str, imei: Imei | None) -> Result:
        """Read the result of an order about `imei`, if it is about one, and count what is to be said of it."""
        result = read_order_result(text, imei, read=_read)
        self.counts.update(result.notes)
        return result


class ResultTable:
    """The files' own columns, ours, and one for each thing that the results say.

    Takes all rows once, each as it was then, into a spool: only the last one tells which columns there are. What is
    written as text is spooled so, which takes a third of the time.
    """

    def __init__(self, jobs: Sequence[Job], spool: Spool, notes: Notes, *, is_text: bool) -> None:
        self._own = OwnColumns(jobs)
        self._notes = notes
        self._has_job = len(jobs) > 1
        self._collector = ColumnCollector()
        self._spool = spool
        self._is_text = is_text
        added = ("job", *ADDED) if self._has_job else ADDED
        self._named = [*self._own.names, *name_columns(self._own.names, added)]

    def lay_out_all(self, rows: Iterable[OrderRow]) -> tuple[Sequence[str], Iterator[list[Cell]]]:
        """Take the rows, then give the headings and each row's cells, last those that its file had beyond its header.

        The rows are given for as long as the spool is open.
        """
        self._spool.fill(map(self._take, rows))
        fields = self._collector.list_columns(self._named)
        names = [column.name for column in fields]
        laid = ([*row.cells, *map(row.fields.get, names), *row.beyond] for row in self._spool.read())
        return (*self._named, *(column.heading for column in fields)), laid

    def _take(self, row: OrderRow) -> Spooled:
        own, beyond = self._own.read(row)
        job: tuple[Cell, ...] = (row.job,) if self._has_job else ()
        fields = {} if row.result is None else self._collector.add(self._notes.read(row.result, row.imei))
        cells = [*own, *job, *describe_row(row)]
        if not self._is_text:
            return Spooled(cells, fields, beyond)
        return Spooled(
            make_texts(cells), dict(zip(fields, make_texts(fields.values()), strict=True)), make_texts(beyond)
        )


class FailedTable:
    """The files' own columns and why a row failed: ready to be mended and sent again."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._own = OwnColumns(jobs)
        self._imei_column = {job.id: _name_imeis(job) for job in jobs}
        names = list(self._own.names)
        if not names:
            names = ["IMEI"]
        elif not any(job.has_header for job in jobs):
            names = ["IMEI" if name in self._imei_column.values() else f"Column {name}" for name in names]
        #: Failed rows that failed once more: the old reason gives way.
        self._replaces = len(names) > 1 and names[-1] == _ERROR
        self._width = len(names) - self._replaces
        error = next(name for name in (_ERROR, _PREFIX + _ERROR) if name not in names[: self._width])
        self._headings = (*names[: self._width], error)

    def lay_out_all(self, rows: Iterable[OrderRow]) -> tuple[Sequence[str], Iterator[list[Cell]]]:
        """Give the headings, and the cells of each row."""
        return self._headings, map(self._lay_out, rows)

    def _lay_out(self, row: OrderRow) -> list[Cell]:
        own, beyond = self._own.read(row)
        if not self._own.names:
            own = [row.value if row.value is not None else row.imei or ""]
        return [*own[: self._width], explain_failure(row), *beyond]


class ProviderTable:
    """The columns of GSM Fusion's own "Advanced Export", for orders that the provider has."""

    headings: Final = (
        "SERVICE",
        "IMEI NO.",
        "CREDITS",
        "STATUS",
        "CODE",
        "IMEI 2",
        "CARRIER",
        "SIMLOCK",
        "MODEL",
        "FMI",
        "ORDER DATE",
        "NOTES",
    )

    def __init__(self, jobs: Sequence[Job], notes: Notes) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._notes = notes

    def lay_out_all(self, rows: Iterable[OrderRow]) -> tuple[Sequence[str], Iterator[list[Cell]]]:
        """Give the headings, and the cells of each row, each a text in one line."""
        return self.headings, map(self._lay_out, rows)

    def _lay_out(self, row: OrderRow) -> list[Cell]:
        job = self._jobs[row.job]
        result = self._notes.read(row.result, row.imei) if row.result is not None else Result("")
        origin = f"job {row.job}, order {row.reference}" if row.reference else f"job {row.job}"
        found = {name: result.find(name) for name in ("imei2", "carrier", "simlock", "model", "find_my")}
        cells = (
            job.service_name or job.service,
            row.imei or row.value or "",
            "" if row.price is None else str(Money(row.price * row.charges, job.currency)),
            _WORDS[row.status or ResultStatus.PENDING],
            row.result or "",
            *("" if field is None else field.text for field in found.values()),
            _show_provider_time(row.accepted_at),
            "; ".join([origin, *(note.sentence for note in result.notes if not note.is_plain)]),
        )
        return [" ".join(cell.split()) for cell in cells]


_WORDS: Final = {
    ResultStatus.PENDING: "Pending",
    ResultStatus.IN_PROCESS: "In Process",
    ResultStatus.COMPLETED: "Completed",
    ResultStatus.REJECTED: "Rejected",
}


def name_columns(own: Sequence[str], added: Sequence[str] = ADDED) -> list[str]:
    """Name the added columns; one whose name the file has already gets a prefix."""
    taken = set(own)
    return [f"{_PREFIX}{name}" if name in taken else name for name in added]


def explain_failure(row: OrderRow) -> str:
    """Say why a row has to be sent again, in words for its Error column."""
    if row.status is ResultStatus.REJECTED:
        said = _SAID_TWICE.sub("", " ".join((row.result or "").split()))[:_LONGEST_REASON]
        return f"Rejected by the provider{': ' if said else '.'}{said}"
    return explain_row(row) or f"{row.state.value}, and no reason is known"


class JsonTable:
    """Rows as JSON objects: ours by name, the file's columns and the result's fields apart from them."""

    def __init__(self, jobs: Sequence[Job], notes: Notes) -> None:
        self._notes = notes
        self._keys = {job.id: make_keys(job.columns or ()) for job in jobs}
        self._has_job = len(jobs) > 1

    def describe(self, row: OrderRow) -> dict[str, Any]:
        """Give a row as a JSON object."""
        own = self._keys[row.job]
        values: dict[str, Any] = {"job": row.job} if self._has_job else {}
        values |= zip(ADDED, map(show_cell, describe_row(row)), strict=True)
        cells = read_cells(row, len(own))
        values["columns"] = dict(zip(own, cells, strict=False))
        if len(cells) > len(own):
            values["beyond"] = cells[len(own) :]
        if row.result is not None:
            result = self._notes.read(row.result, row.imei)
            values["fields"] = _gather(result)
            if result.notes:
                values["notes"] = [note.value for note in result.notes]
        return values


def _gather(result: Result) -> dict[str, Any]:
    """Give what a result says by name; a list where it says several things under one."""
    gathered: dict[str, Any] = {}
    for field in result.fields:
        if field.name not in gathered:
            gathered[field.name] = field.shown
        elif isinstance(gathered[field.name], list):
            gathered[field.name].append(field.shown)
        else:
            gathered[field.name] = [gathered[field.name], field.shown]
    if result.remarks:
        gathered["remarks"] = list(result.remarks)
    return gathered


def _name_imeis(job: Job) -> str:
    return job.imei_column or ""


def _show_provider_time(at: datetime | None) -> str:
    """Write a time as the provider does: the hour has no leading zero."""
    return "" if at is None else f"{at:%Y-%m-%d} {at.hour}:{at:%M:%S}"


def is_at_provider(row: OrderRow) -> bool:
    """Say whether the provider has taken a row's order from this job."""
    return row.state is OrderState.ACCEPTED
