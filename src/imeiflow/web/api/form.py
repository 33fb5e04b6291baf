"""Forms with a file, as they come: the fields are few and short, and the file goes to disk, not through memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from litestar import Request
from litestar.datastructures import State
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from imeiflow.web.api.operation import Upload
from imeiflow.web.api.problem import ApiError
from imeiflow.web.thread import in_thread

_MOST_PARTS: Final = 100
_LONGEST_FIELDS: Final = 100_000  #: bytes of all of them
_HELD: Final = 1 << 20  #: bytes of a file that are written together


@dataclass(slots=True)
class _File:
    """A file that is coming in; what comes of another than the first is not kept."""

    name: str
    path: Path
    target: BinaryIO | None
    most: int
    size: int = 0
    held: bytearray = field(default_factory=bytearray)
    digest: Any = field(default_factory=hashlib.sha256)

    async def take(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self.most:
            raise ApiError(413, "The file is larger than this server takes.", remedy="Part it into several lists.")
        if self.target is not None:
            self.held += part
            if len(self.held) >= _HELD:
                await self.flush()

    async def flush(self) -> None:
        if self.target is not None:
            self.digest.update(self.held)
            await in_thread(self.target.write, bytes(self.held))
            self.held.clear()


async def receive_form(
    request: Request[Any, Any, State], folder: Path, *, most: int
) -> tuple[list[tuple[str, str]], list[tuple[str, Upload]]]:
    """Receive a form: its fields and its files by name; the first file is written into `folder`.

    `most` are the bytes of a file. Raises ApiError: 400 for what is no form, 413.
    """
    boundary = request.content_type[1].get("boundary", "")
    if not boundary:
        raise _refuse("it names no boundary")
    pairs: list[tuple[str, str]] = []
    files: list[tuple[str, Upload]] = []
    path = folder / "upload"
    with path.open("wb") as target:
        try:
            async for segment, events in _list_segments(request, boundary):
                if segment.filename:
                    file = _File(segment.filename, path, None if files else target, most)
                    async for part in events:
                        await file.take(part)
                    await file.flush()
                    upload = Upload(name=file.name, path=path, size=file.size, digest=file.digest.hexdigest())
                    files.append((segment.name, upload))
                else:
                    left = _LONGEST_FIELDS - sum(len(text) for _, text in pairs)
                    pairs.append((segment.name, await _read_field(segment, events, left)))
        except ParserLimitReached:
            raise ApiError(413, f"The form has more than {_MOST_PARTS} fields.", remedy="Send each once.") from None
        except MultipartError as error:
            raise _refuse(str(error)) from None
    return pairs, files


async def _read_field(segment: MultipartSegment, events: AsyncIterator[bytes], left: int) -> str:
    text = bytearray()
    async for part in events:
        text += part
        if len(text) > left:
            raise ApiError(413, f"The field {segment.name[:40]!r} is too long.", remedy="Send the list as `file`.")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise _refuse(f"the field {segment.name[:40]!r} is not in UTF-8") from None


async def _list_segments(
    request: Request[Any, Any, State], boundary: str
) -> AsyncIterator[tuple[MultipartSegment, AsyncIterator[bytes]]]:
    """Give each part of a form with what it holds, which has to be read before the next."""
    with PushMultipartParser(boundary, max_segment_count=_MOST_PARTS) as parser:
        events = _list_events(request, parser)

        async def read_on() -> AsyncIterator[bytes]:
            async for event in events:
                if event is None:
                    return
                yield event

        async for event in events:
            if isinstance(event, MultipartSegment):
                yield event, read_on()


async def _list_events(request: Request[Any, Any, State], parser: PushMultipartParser) -> AsyncIterator[Any]:
    async for chunk in request.stream():
        if chunk and not parser.closed:
            for event in parser.parse(chunk):
                yield event


def _refuse(problem: str) -> ApiError:
    return ApiError(400, f"The body is no form: {problem}.", remedy="Send multipart/form-data.")
