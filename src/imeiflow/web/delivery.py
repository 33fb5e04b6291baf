"""Sending an export: written to disk first, so that it is whole or not at all, and from there to the browser."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from litestar.response import Stream

from imeiflow.operations.export import ExportFormat, Wish, export_to_file
from imeiflow.operations.session import Session
from imeiflow.web.thread import in_thread

_CHUNK: Final = 1 << 18
_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.JSONL: "application/x-ndjson",
}


def choose_format(word: str) -> ExportFormat:
    """Give the format that an address names; CSV where it names none."""
    return ExportFormat(word) if word in set(ExportFormat) else ExportFormat.CSV


def choose_text_format(word: str) -> ExportFormat:
    """Give the format of a list that is to be dropped again: a workbook, or CSV."""
    return ExportFormat.XLSX if word == ExportFormat.XLSX.value else ExportFormat.CSV


async def send_export(session: Session, wish: Wish, name: str) -> Stream:
    """Write what is wished for, and send it as a file of that name."""
    folder = tempfile.TemporaryDirectory(prefix="imeiflow-export-")
    target = Path(folder.name) / f"list.{wish.format.value}"
    try:
        await in_thread(export_to_file, session, wish, target)
    except BaseException:
        folder.cleanup()
        raise
    headers = {
        "content-disposition": f'attachment; filename="imeiflow-{name}.{wish.format.value}"',
        "content-length": str(target.stat().st_size),
    }
    return Stream(_send(folder, target), media_type=_TYPES[wish.format], headers=headers)


async def _send(folder: tempfile.TemporaryDirectory[str], target: Path) -> AsyncIterator[bytes]:
    with folder, target.open("rb") as file:
        while part := await in_thread(file.read, _CHUNK):
            yield part
