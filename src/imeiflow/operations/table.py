"""What an export lays out: its headings, and the cells of each row under them.

Nothing is written here. Memory does not grow with the rows; result fields have to be looked through once beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Protocol

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.record import Job, OrderRow
from imeiflow.operations.cell import ADDED, Cell, describe_row, explain_row, make_keys, read_cells, show_cell
from imeiflow.results.column import ColumnCollector, fill_cells
from imeiflow.results.reader import read_result
from imeiflow.results.result import Result

_PREFIX: Final = "imeiflow_"
_ERROR: Final = "Error"
_LONGEST_REASON: Final = 300

_read: Any = lru_cache(maxsize=512)(read_result)


class Table(Protocol):
    """Headings, and the cells of a row of a job; they may be more than the headings."""

    @property
    def headings(self) -> Sequence[str]:
        """Name the columns."""

    def lay_out(self, row: OrderRow) -> Iterable[Cell]:
        """Give the cells of a row."""


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


class ResultTable:
    """The files' own columns, ours, and one for each thing that the results say."""

    def __init__(self, jobs: Sequence[Job], rows: Iterable[OrderRow]) -> None:
        self._own = OwnColumns(jobs)
        self._has_job = len(jobs) > 1
        added = ("job", *ADDED) if self._has_job else ADDED
        named = [*self._own.names, *name_columns(self._own.names, added)]
        collector = ColumnCollector()
        for result in read_results(rows):
            collector.add(result)
        self._fields = collector.list_columns(named)
        self._blank: list[Cell] = [None] * len(self._fields)
        self.headings = (*named, *(column.heading for column in self._fields))

    def lay_out(self, row: OrderRow) -> Iterator[Cell]:
        """Give the cells of a row, at the end those that its file had beyond its header."""
        own, beyond = self._own.read(row)
        job: tuple[Cell, ...] = (row.job,) if self._has_job else ()
        fields = self._blank if row.result is None else fill_cells(_read(row.result), self._fields)
        return chain(own, job, describe_row(row), fields, beyond)


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
        self.headings = (*names[: self._width], error)

    def lay_out(self, row: OrderRow) -> Iterator[Cell]:
        """Give the cells of a row."""
        own, beyond = self._own.read(row)
        if not self._own.names:
            own = [row.value if row.value is not None else row.imei or ""]
        return chain(own[: self._width], (explain_failure(row),), beyond)


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

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}

    def lay_out(self, row: OrderRow) -> Iterator[Cell]:
        """Give the cells of a row, each a text in one line."""
        job = self._jobs[row.job]
        result = _read(row.result) if row.result is not None else Result("")
        found = {name: result.find(name) for name in ("imei2", "carrier", "simlock", "model", "find_my")}
        cells = (
            job.service_name or job.service,
            row.imei or "",
            "" if row.price is None else str(Money(row.price * row.charges, job.currency)),
            _WORDS[row.status or ResultStatus.PENDING],
            row.result or "",
            *("" if field is None else field.text for field in found.values()),
            _show_provider_time(row.accepted_at),
            f"job {row.job}, order {row.reference}" if row.reference else f"job {row.job}",
        )
        return (" ".join(cell.split()) for cell in cells)


_WORDS: Final = {
    ResultStatus.PENDING: "Pending",
    ResultStatus.IN_PROCESS: "In Process",
    ResultStatus.COMPLETED: "Completed",
    ResultStatus.REJECTED: "Rejected",
}


def read_results(rows: Iterable[OrderRow]) -> Iterator[Result]:
    """Read the results of some rows."""
    return (_read(row.result) for row in rows if row.result is not None)


def name_columns(own: Sequence[str], added: Sequence[str] = ADDED) -> list[str]:
    """Name the added columns; one whose name the file has already gets a prefix."""
    taken = set(own)
    return [f"{_PREFIX}{name}" if name in taken else name for name in added]


def explain_failure(row: OrderRow) -> str:
    """Say why a row has to be sent again, in words for its Error column."""
    if row.status is ResultStatus.REJECTED:
        said = " ".join((row.result or "").split())[:_LONGEST_REASON]
        return f"Rejected by the provider{': ' if said else '.'}{said}"
    return explain_row(row) or f"{row.state.value}, and no reason is known"


class JsonTable:
    """Rows as JSON objects: ours by name, the file's columns and the result's fields apart from them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
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
            values["fields"] = _gather(_read(row.result))
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
