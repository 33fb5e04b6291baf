"""Exports: lists given back while they are being read, so that memory does not grow with the jobs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from imeiflow.domain.ident import JobId
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.export import ExportFormat, Layout, Wish, export_to_file, export_to_stream
from imeiflow.web.api.operation import Call, Operation, StreamReply
from imeiflow.web.api.resource.order import Selection, read_selection
from imeiflow.web.api.value import contradict
from imeiflow.web.thread import in_thread

_TYPES: Final = {
    ExportFormat.CSV: "text/csv",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.JSONL: "application/jsonl",
}
_TABBED: Final = "text/tab-separated-values"
_PART: Final = 1 << 18
_WAITING: Final = 16  #: parts that are made before they can be sent


class ExportQuery(Selection):
    """Which rows, and how they are written."""

    format: Annotated[ExportFormat, Meta(description="csv, xlsx or jsonl.")] = ExportFormat.CSV
    layout: Annotated[
        Layout,
        Meta(description="results; failed: what can be mended and sent again; gsm-fusion: the provider's own columns."),
    ] = Layout.RESULTS


def export_orders(call: Call) -> StreamReply:
    """Give lists back with what became of every row; all jobs unless some are named.

    The files' own columns stay as they are, in the original order. Works at any time, also half way. CSV and JSON
    lines come while they are read; a workbook comes when it is whole.
    """
    query: ExportQuery = call.query
    _check(query)
    wish = Wish(
        jobs=tuple(map(JobId, query.job)) if query.job else None,
        filter=read_selection(query, "query"),
        format=query.format,
        layout=query.layout,
    )
    for job in wish.jobs or ():
        call.session.find_job(job)
    only = wish.jobs[0] if wish.jobs is not None and len(wish.jobs) == 1 else None
    record_action(call.session, call.actor, "export", job=only, token=call.token.name, format=query.format.value)
    is_tabbed = query.layout is Layout.GSM_FUSION
    suffix = "tsv" if is_tabbed else query.format.value
    of = "jobs" if only is None else f"job-{only}"
    media_type = _TABBED if is_tabbed else _name_type(query.format)
    return StreamReply(
        parts=_send_workbook(call, wish) if query.format is ExportFormat.XLSX else _send_text(call, wish),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{of}-{query.layout.value}.{suffix}"'},
    )


def _check(query: ExportQuery) -> None:
    if query.layout is Layout.GSM_FUSION and query.format is not ExportFormat.CSV:
        remedy = "Leave `format` out: it is tab separated text."
        raise contradict("query.format", "the layout gsm-fusion has a format of its own", remedy, query.format.value)
    if query.layout is Layout.FAILED and query.format is ExportFormat.JSONL:
        remedy = "Take csv or xlsx: they are a list to be sent again."
        raise contradict("query.format", "failed rows are no JSON lines", remedy, query.format.value)


def _name_type(format_: ExportFormat) -> str:
    # The framework says the character set of texts by itself.
    return _TYPES[format_] + ("; charset=utf-8" if format_ is ExportFormat.JSONL else "")


class _Pipe:
    """A stream that is written in a thread and read in the event loop; the writer waits while it is full."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._loop = loop
        self._held = bytearray()
        self._is_left = False

    def write(self, data: bytes) -> int:
        """Take bytes; raises BrokenPipeError where nobody reads any more."""
        self._held += data
        if len(self._held) >= _PART:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand on what is held."""
        if self._held:
            self._put(bytes(self._held))
            self._held.clear()

    def end(self) -> None:
        """Say that there is no more."""
        self._put(None)

    def leave(self) -> None:
        """Let the writer go: the reader has gone."""
        self._is_left = True
        while not self.parts.empty():
            self.parts.get_nowait()

    def _put(self, part: bytes | None) -> None:
        if self._is_left:
            raise BrokenPipeError
        asyncio.run_coroutine_threadsafe(self.parts.put(part), self._loop).result()

    def readable(self) -> bool:
        """Say no."""
        return False

    def writable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say no."""
        return False

    closed = False


async def _send_text(call: Call, wish: Wish) -> AsyncIterator[bytes]:
    pipe = _Pipe(asyncio.get_running_loop())

    def write() -> None:
        export_to_stream(call.session, wish, pipe)  # type: ignore[arg-type]
        pipe.flush()
        pipe.end()

    writing = asyncio.create_task(_run(write))
    try:
        while True:
            getting = asyncio.create_task(pipe.parts.get())
            await asyncio.wait({getting, writing}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and writing.done():
                getting.cancel()
                writing.result()
            part = await getting
            if part is None:
                break
            yield part
    finally:
        pipe.leave()
        await asyncio.gather(writing, return_exceptions=True)


async def _run(write: Callable[[], None]) -> None:
    await asyncio.to_thread(write)


async def _send_workbook(call: Call, wish: Wish) -> AsyncIterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="imeiflow-") as folder:
        target = Path(folder) / "export.xlsx"
        await asyncio.to_thread(export_to_file, call.session, wish, target)
        with target.open("rb") as file:
            while part := await in_thread(file.read, _PART):
                yield part


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/export",
        tag="Orders",
        scope=Scope.READ,
        handle=export_orders,
        query=ExportQuery,
        media_types=(*_TYPES.values(), _TABBED),
        errors=(404, 409, 422),
        query_example={"job": 7, "format": "csv"},
    ),
)
