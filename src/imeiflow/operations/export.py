"""A job's list given back: the file's own columns in the original order, and what became of every row.

Reads only, at any time, also half done. Memory does not grow with the job.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO, TypeAlias

from imeiflow.domain.ident import JobId
from imeiflow.domain.imei import Flaw
from imeiflow.domain.order import OrderState
from imeiflow.errors import ImeiflowError, UsageError
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Job, OrderRow
from imeiflow.operations.session import Session

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
_BATCH: Final = 2_000
_MOST_SHEET_ROWS: Final = 1_048_576
_MOST_SHEET_COLUMNS: Final = 16_384
_MOST_SHEET_TEXT: Final = 32_767
_PREFIX: Final = "imeiflow_"
#: Starts of a cell that a spreadsheet runs as a formula (OWASP, CSV injection); some do so with wide letters too.
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:[.,]\d+)*")

Report: TypeAlias = Callable[[int], None]


class ExportError(ImeiflowError):
    """{target}: {problem}"""


class ExistsError(ExportError):
    """{target}: {problem}"""

    remedy = "Name another file, or overwrite it with --force."


class ExportFormat(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: how many rows, and how many of them have no answer yet."""

    rows: int
    open: int


def choose_format(target: Path | None, named: str | None) -> ExportFormat:
    """Give the format that was named, or that the file's extension names. Raises UsageError where neither does."""
    suffix = target.suffix.lower().removeprefix(".") if target is not None else ""
    word = named or suffix
    formats = ", ".join(ExportFormat)
    try:
        chosen = ExportFormat({"ndjson": "jsonl", "xlsm": ""}.get(word, word))
    except ValueError:
        what = f"{target.name}: its name does not say the format" if target else "standard output needs --format"
        raise UsageError(problem=what, remedy=f"Say which with --format: {formats}.") from None
    if target is None and chosen is ExportFormat.XLSX:
        raise UsageError(problem="a workbook cannot be written to standard output", remedy="Name a file with -o.")
    return chosen


def export_to_file(
    session: Session,
    job: JobId,
    target: Path,
    format_: ExportFormat,
    *,
    replaces: bool = False,
    on_rows: Report = lambda _: None,
) -> Exported:
    """Write a job's list to a file that only its owner can read; it appears whole or not at all.

    Raises UnknownJobError, ExistsError where the file is there and `replaces` is not said, ExportError.
    """
    found = session.find_job(job)
    if not replaces and target.exists():
        raise ExistsError(target=target, problem="it is there already")
    with _new_file(target, replaces=replaces) as file:
        match format_:
            case ExportFormat.XLSX:
                return _write_workbook(session.ledger, found, file, target, on_rows)
            case ExportFormat.CSV | ExportFormat.JSONL:
                return _write_text(session.ledger, found, file, format_, on_rows, has_mark=True)


def export_to_stream(
    session: Session, job: JobId, stream: BinaryIO, format_: ExportFormat, *, on_rows: Report = lambda _: None
) -> Exported:
    """Write a job's list as CSV or JSON lines to a stream, in UTF-8 without a byte order mark."""
    return _write_text(session.ledger, session.find_job(job), stream, format_, on_rows, has_mark=False)


def make_safe(text: str) -> str:
    """Put a ' before a text that a spreadsheet would run as a formula; plain numbers stay as they are."""
    if text.startswith(_DANGEROUS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def name_columns(own: Sequence[str]) -> list[str]:
    """Name the added columns; one whose name the file has already gets a prefix."""
    taken = set(own)
    return [f"{_PREFIX}{name}" if name in taken else name for name in ADDED]


def describe_row(row: OrderRow) -> list[Any]:
    """Give the added columns of a row, in the order of `ADDED`; None where there is nothing to say."""
    return [
        row.line,
        row.imei,
        row.state.value,
        row.reference,
        row.status.value if row.status is not None else None,
        row.result,
        _describe_error(row),
        row.attempts,
        format(row.price * row.charges, "f") if row.price is not None and row.charges else None,
        _show_time(row.accepted_at),
        _show_time(row.completed_at),
    ]


def _describe_error(row: OrderRow) -> str | None:
    if row.flaw is not None:
        with suppress(ValueError):
            return Flaw(row.flaw).sentence
        return row.flaw
    if row.state is OrderState.REPEATED:
        return row.error or f"The same IMEI stands in row {row.repeated_of}; it is ordered at most once."
    return row.error


def _show_time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_cells(row: OrderRow, width: int) -> list[str]:
    """Give the file's own cells of a row; a list of one column stores only what differs from the IMEI.

    They are more than `width` where the row is longer than the header.
    """
    if row.columns is not None:
        return [*row.columns, *[""] * (width - len(row.columns))]
    return [row.value if row.value is not None else row.imei or ""] if width == 1 else [""] * width


def _lay_out(row: OrderRow, width: int) -> Iterator[Any]:
    """Give the cells of a row: the file's own, ours, and what the file had beyond its header."""
    cells = _read_cells(row, width)
    return chain(cells[:width], describe_row(row), cells[width:])


def _read_rows(ledger: Ledger, job: Job, on_rows: Report) -> Iterator[OrderRow]:
    rows = ledger.order_rows(job.id, batch=_BATCH)
    done = 0
    while batch := list(islice(rows, _BATCH)):
        yield from batch
        done += len(batch)
        on_rows(done)


class _Count:
    """Counts the rows that pass, and those without an answer."""

    def __init__(self) -> None:
        self.rows = self.open = 0

    def __call__(self, row: OrderRow) -> OrderRow:
        self.rows += 1
        self.open += row.state in {OrderState.QUEUED, OrderState.SENDING}
        return row


def _write_text(
    ledger: Ledger, job: Job, file: BinaryIO, format_: ExportFormat, on_rows: Report, *, has_mark: bool
) -> Exported:
    encoding = "utf-8-sig" if has_mark and format_ is ExportFormat.CSV else "utf-8"
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    count = _Count()
    rows = map(count, _read_rows(ledger, job, on_rows))
    try:
        if format_ is ExportFormat.CSV:
            _write_csv(text, job, rows)
        else:
            _write_json(text, job, rows)
        text.flush()
    finally:
        text.detach()  # the stream is not ours to close
    return Exported(count.rows, count.open)


def _write_csv(text: TextIO, job: Job, rows: Iterator[OrderRow]) -> None:
    own = job.columns or ()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([make_safe(name) for name in chain(own, name_columns(own))])
    for row in rows:
        writer.writerow([make_safe(cell) if isinstance(cell, str) else cell for cell in _lay_out(row, len(own))])


def _write_json(text: TextIO, job: Job, rows: Iterator[OrderRow]) -> None:
    own = make_keys(job.columns or ())
    for row in rows:
        values: dict[str, Any] = dict(zip(ADDED, describe_row(row), strict=True))
        cells = _read_cells(row, len(own))
        values["columns"] = dict(zip(own, cells, strict=False))
        if len(cells) > len(own):
            values["beyond"] = cells[len(own) :]
        text.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


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


def _write_workbook(ledger: Ledger, job: Job, file: BinaryIO, target: Path, on_rows: Report) -> Exported:
    if ledger.tally(job.id).total >= _MOST_SHEET_ROWS:
        problem = f"a sheet has {_MOST_SHEET_ROWS:,} rows at most, this job has more"
        raise ExportError(target=target, problem=problem, remedy="Write it as .csv or .jsonl.")
    own = job.columns or ()
    names = [*own, *name_columns(own)]
    if len(names) > _MOST_SHEET_COLUMNS:
        problem = f"a sheet has {_MOST_SHEET_COLUMNS:,} columns at most, this list would have {len(names):,}"
        raise ExportError(target=target, problem=problem, remedy="Write it as .csv or .jsonl.")
    from xlsxwriter import Workbook  # noqa: PLC0415 - slow to import, and most commands write no workbook

    count = _Count()
    options = {"constant_memory": True, "strings_to_formulas": False, "tmpdir": str(target.parent)}
    with Workbook(file, options) as book:
        sheet = book.add_worksheet("orders")
        bold = book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(names) - 1, 18)
        sheet.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
        for column, name in enumerate(names):
            sheet.write_string(0, column, name[:_MOST_SHEET_TEXT], bold)
        for number, row in enumerate(map(count, _read_rows(ledger, job, on_rows)), 1):
            for column, cell in enumerate(_lay_out(row, len(own))):
                if cell is not None and cell != "":
                    sheet.write_string(number, column, str(cell)[:_MOST_SHEET_TEXT])
        sheet.autofilter(0, 0, count.rows, len(names) - 1)
    return Exported(count.rows, count.open)


@contextmanager
def _new_file(target: Path, *, replaces: bool) -> Iterator[BinaryIO]:
    """Open a private file beside the target, and move it there when all was written."""
    if target.is_dir():
        raise ExportError(target=target, problem="this is a folder", remedy="Name a file in it.")
    try:
        # Private by construction: created with mode 0600.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        remedy = "Check that its folder exists and belongs to you."
        raise ExportError(target=target, problem=str(error.strerror or error), remedy=remedy) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _move(part, target, replaces=replaces)
    except OSError as error:
        remedy = "Make room on its disk, or name a file elsewhere."
        raise ExportError(target=target, problem=str(error.strerror or error), remedy=remedy) from error
    finally:
        part.unlink(missing_ok=True)


def _move(part: Path, target: Path, *, replaces: bool) -> None:
    if replaces:
        is_special = target.exists() and not stat.S_ISREG(target.stat().st_mode)
        if is_special:
            raise ExportError(target=target, problem="this is no regular file", remedy="Name another file.")
        part.replace(target)
        return
    try:
        os.link(part, target)  # unlike a rename, it fails when the file has appeared meanwhile
    except FileExistsError as error:
        raise ExistsError(target=target, problem="it has appeared meanwhile") from error
    except OSError:  # a file system without hard links
        if target.exists():
            raise ExistsError(target=target, problem="it has appeared meanwhile") from None
        part.replace(target)
