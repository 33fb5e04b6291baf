"""Lists given back: the files' own columns in the original order, and what became of every row.

Reads only, at any time, also half done. Memory does not grow with the jobs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, TextIO, TypeAlias, assert_never

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState
from imeiflow.domain.recurrence import may_be_sent_anew
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Filter
from imeiflow.ledger.record import Job, OrderRow
from imeiflow.operations.cell import Cell, make_safe, make_texts
from imeiflow.operations.new_file import write_file
from imeiflow.operations.session import Session
from imeiflow.operations.spool import Spool
from imeiflow.operations.table import FailedTable, JsonTable, Notes, ProviderTable, ResultTable, Table, is_at_provider
from imeiflow.operations.workbook import write_workbook
from imeiflow.results.result import Note

_BATCH: Final = 2_000

Report: TypeAlias = Callable[[int], None]


class ExportFormat(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


class Layout(StrEnum):
    """What an export holds."""

    RESULTS = "results"  #: the file's own columns and ours
    FAILED = "failed"  #: the file's own columns and an Error, of rows that can be mended and sent again
    GSM_FUSION = "gsm-fusion"  #: the provider's own columns, tab separated


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be exported: rows of some jobs (None: all, oldest first) that a filter lets through.

    `orders`: only those, by their ids. `is_draft`: the jobs may be drafts, as a preview has them.
    """

    jobs: tuple[JobId, ...] | None
    filter: Filter = field(default_factory=Filter)
    orders: frozenset[OrderId] | None = None
    is_draft: bool = False
    format: ExportFormat = ExportFormat.CSV
    layout: Layout = Layout.RESULTS


#: A server says in this header of a list what was written, as the JSON of an `Exported`.
EXPORTED_HEADER: Final = "imeiflow-export"


@dataclass(slots=True, kw_only=True)
class Exported:
    """What was written: `open` of the `rows` have no answer yet; `left_out` were not of the layout.

    `cut` texts were too long for a sheet, and say so where they stand. `notes` counts the results of which something
    has to be said, such as a date that can be read in two ways.
    """

    jobs: int
    rows: int = 0
    open: int = 0
    left_out: int = 0
    sheets: int = 1
    cut: int = 0
    notes: Mapping[Note, int] = field(default_factory=dict)


def choose_format(target: Path | None, named: str | None, layout: Layout = Layout.RESULTS) -> ExportFormat:
    """Give the format that was named, or that the file's extension names. Raises UsageError where neither does."""
    suffix = target.suffix.lower().removeprefix(".") if target is not None else ""
    word = named or suffix
    formats = ", ".join(ExportFormat)
    if layout is Layout.GSM_FUSION and word not in {"xlsx", "jsonl", "ndjson"}:
        return ExportFormat.CSV
    try:
        chosen = ExportFormat({"ndjson": "jsonl", "xlsm": ""}.get(word, word))
    except ValueError:
        what = f"{target.name}: its name does not say the format" if target else "standard output needs --format"
        raise UsageError(problem=what, remedy=f"Say which with --format: {formats}.") from None
    if target is None and chosen is ExportFormat.XLSX:
        raise UsageError(problem="a workbook cannot be written to standard output", remedy="Name a file with -o.")
    if layout is Layout.GSM_FUSION:
        raise UsageError(problem="the layout gsm-fusion is tab separated text", remedy="Name a .tsv or .txt file.")
    if layout is Layout.FAILED and chosen is ExportFormat.JSONL:
        raise UsageError(problem="failed rows are a list to be sent again", remedy="Write them as .csv or .xlsx.")
    return chosen


def export_to_file(
    session: Session, wish: Wish, target: Path, *, replaces: bool = False, on_rows: Report = lambda _: None
) -> Exported:
    """Write a list to a file that only its owner can read; it appears whole or not at all.

    Raises UnknownJobError, ExistsError where the file is there and `replaces` is not said, ExportError.
    """
    jobs = _choose_jobs(session, wish)
    with write_file(target, replaces=replaces) as file:
        if wish.format is not ExportFormat.XLSX:
            return _write_text(session, jobs, wish, file, on_rows, folder=target.parent)
        done, notes = Exported(jobs=len(jobs)), Notes()
        with Spool(target.parent) as spool:
            rows = _count(_pick(session, jobs, wish, on_rows, done), done)
            headings, laid = _make_table(jobs, wish, spool, notes).lay_out_all(rows)
            done.sheets, done.cut = write_workbook(file, target, headings, laid)
        done.notes = notes.counts
        return done


def export_to_stream(session: Session, wish: Wish, stream: BinaryIO, *, on_rows: Report = lambda _: None) -> Exported:
    """Write a list as text to a stream, in UTF-8 without a byte order mark."""
    return _write_text(session, _choose_jobs(session, wish), wish, stream, on_rows)


def _choose_jobs(session: Session, wish: Wish) -> list[Job]:
    """Find the jobs that are meant, all of them oldest first. Raises UnknownJobError."""
    if wish.jobs is not None:
        find = session.find_draft if wish.is_draft else session.find_job
        jobs = [find(job) for job in dict.fromkeys(wish.jobs)]
    else:
        jobs = session.ledger.list_jobs()[::-1]
    wanted = wish.filter
    return [
        job
        for job in jobs
        if (wanted.service is None or job.service == wanted.service)
        and (wanted.account is None or job.account == wanted.account)
    ]


def _make_table(jobs: Sequence[Job], wish: Wish, spool: Spool, notes: Notes) -> Table:
    match wish.layout:
        case Layout.RESULTS:
            return ResultTable(jobs, spool, notes, is_text=wish.format is ExportFormat.CSV)
        case Layout.FAILED:
            return FailedTable(jobs)
        case Layout.GSM_FUSION:
            return ProviderTable(jobs, notes)
        case _:
            assert_never(wish.layout)


def _pick(session: Session, jobs: Iterable[Job], wish: Wish, on_rows: Report, done: Exported) -> Iterator[OrderRow]:
    """Read the rows that are wanted, job by job, in the order of the lists."""
    states, read = wish.filter.states, 0
    imeis = None if wish.filter.imeis is None else frozenset(wish.filter.imeis)
    if wish.layout is Layout.FAILED:
        states = _FAILED_STATES if states is None else states & _FAILED_STATES
    for job in jobs:
        rows = session.ledger.order_rows(job.id, states, batch=_BATCH)
        while batch := list(islice(rows, _BATCH)):
            for row in batch:
                if not _matches(row, wish, imeis):
                    continue
                if _is_of_layout(row, wish.layout):
                    yield row
                else:
                    done.left_out += 1
            read += len(batch)
            on_rows(read)


#: States in which rows of the failed can be; of the accepted, only those that were rejected.
_FAILED_STATES: Final = frozenset({OrderState.INVALID, OrderState.REFUSED, OrderState.FAILED, OrderState.ACCEPTED})


def _matches(row: OrderRow, wish: Wish, imeis: AbstractSet[Imei] | None) -> bool:
    """Say whether a row is wanted, as it is shown: a repeated one with the status and the times of what it repeats."""
    wanted = wish.filter
    return (
        (imeis is None or row.imei in imeis)
        and (wish.orders is None or row.id in wish.orders)
        and (wanted.statuses is None or row.status in wanted.statuses)
        and (wanted.accepted is None or row.accepted_at in wanted.accepted)
        and (wanted.completed is None or row.completed_at in wanted.completed)
    )


def _is_of_layout(row: OrderRow, layout: Layout) -> bool:
    match layout:
        case Layout.RESULTS:
            return True
        case Layout.FAILED:
            return may_be_sent_anew(row.state, row.status)
        case Layout.GSM_FUSION:
            return is_at_provider(row)
        case _:
            assert_never(layout)


def _count(rows: Iterable[OrderRow], done: Exported) -> Iterator[OrderRow]:
    for row in rows:
        done.rows += 1
        done.open += row.state in {OrderState.QUEUED, OrderState.SENDING}
        yield row


def needs_mark(wish: Wish) -> bool:
    """Say whether a file of this begins with a byte order mark: Excel takes a CSV without one for another encoding."""
    return wish.format is ExportFormat.CSV and wish.layout is not Layout.GSM_FUSION


def _write_text(
    session: Session, jobs: Sequence[Job], wish: Wish, file: BinaryIO, on_rows: Report, *, folder: Path | None = None
) -> Exported:
    """Write a list as text; in a file of a `folder` it begins with a byte order mark, where it needs one."""
    done, notes = Exported(jobs=len(jobs)), Notes()
    encoding = "utf-8-sig" if folder is not None and needs_mark(wish) else "utf-8"
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
    rows = _count(_pick(session, jobs, wish, on_rows, done), done)
    try:
        if wish.format is ExportFormat.JSONL:
            table = JsonTable(jobs, notes)
            for row in rows:
                text.write(json.dumps(table.describe(row), ensure_ascii=False, separators=(",", ":")) + "\n")
        else:
            with Spool(folder) as spool:
                _write_csv(text, *_make_table(jobs, wish, spool, notes).lay_out_all(rows), wish.layout)
        text.flush()
    finally:
        text.detach()  # the stream is not ours to close
    done.notes = notes.counts
    return done


def _write_csv(text: TextIO, headings: Sequence[str], rows: Iterable[Sequence[Cell]], layout: Layout) -> None:
    writer = csv.writer(text, lineterminator="\r\n", delimiter="\t" if layout is Layout.GSM_FUSION else ",")
    writer.writerow(map(make_safe, headings))
    writer.writerows(rows if layout is Layout.RESULTS else map(make_texts, rows))
