"""Exports: written to disk first, in threads of their own, so that each is whole or not at all; and sent from there.

Whoever reads slowly holds up no thread and no connection of the ledger; only so many are made and sent at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from litestar.response import Stream

from imeiflow.operations.export import Exported, ExportFormat, Layout, Wish, export_to_file, export_to_stream
from imeiflow.operations.session import Session
from imeiflow.web.office import Office
from imeiflow.web.thread import in_export_thread, in_thread

_PART: Final = 1 << 16
_TABBED: Final = "text/tab-separated-values"
_TYPES: Final = {
    ExportFormat.CSV: "text/csv",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.JSONL: "application/jsonl; charset=utf-8",  # of texts the framework says it by itself
}
#: All that exports can be.
MEDIA_TYPES: Final = (*(kind.partition(";")[0] for kind in _TYPES.values()), _TABBED)


def choose_format(word: str) -> ExportFormat:
    """Give the format that an address names; CSV where it names none."""
    return ExportFormat(word) if word in set(ExportFormat) else ExportFormat.CSV


def choose_text_format(word: str) -> ExportFormat:
    """Give the format of a list that is to be dropped again: a workbook, or CSV."""
    return ExportFormat.XLSX if word == ExportFormat.XLSX.value else ExportFormat.CSV


def name_type(wish: Wish) -> str:
    """Give the media type of what is wished for."""
    return _TABBED if wish.layout is Layout.GSM_FUSION else _TYPES[wish.format]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """An export that lies ready; `held` is let go of when it was sent."""

    path: Path
    size: int
    done: Exported
    held: ExitStack

    async def parts(self) -> AsyncIterator[bytes]:
        """Give what it holds."""
        with self.held, self.path.open("rb") as file:
            while part := await in_thread(file.read, _PART):
                yield part


async def pack(office: Office, owner: str, wish: Wish, *, is_marked: bool = True) -> Parcel:
    """Write what a person wishes for; texts begin with a byte order mark, which Excel asks for, if `is_marked`.

    Raises FullError where too many exports are made or sent already.
    """
    with ExitStack() as stack:
        stack.enter_context(office.exports.enter(owner))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imeiflow-export-"))
        target = Path(folder) / f"list.{wish.format.value}"
        write = export_to_file if is_marked or wish.format is ExportFormat.XLSX else _write_unmarked
        done = await in_export_thread(write, office.session, wish, target)
        return Parcel(path=target, size=target.stat().st_size, done=done, held=stack.pop_all())


async def send_export(office: Office, owner: str, wish: Wish, name: str) -> Stream:
    """Write what is wished for, and send it as a file of that name. Raises FullError."""
    parcel = await pack(office, owner, wish)
    headers = {
        "content-disposition": f'attachment; filename="imeiflow-{name}.{wish.format.value}"',
        "content-length": str(parcel.size),
    }
    return Stream(parcel.parts(), media_type=name_type(wish), headers=headers)


def _write_unmarked(session: Session, wish: Wish, target: Path) -> Exported:
    with target.open("xb") as file:
        return export_to_stream(session, wish, file)
