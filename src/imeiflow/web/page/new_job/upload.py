"""Taking a list in: a stream of bytes, counted, to a private file. Its name is only ever shown."""

from __future__ import annotations

from pathlib import Path

from litestar.exceptions import HTTPException

from imeiflow.operations.upload_folder import taking_in
from imeiflow.web.office import WebRequest
from imeiflow.web.thread import in_thread


class TooLargeError(HTTPException):
    """An upload over the limit."""

    status_code = 413


async def receive(request: WebRequest, target: Path, *, most: int) -> int:
    """Write a body to a file that only we can read, and count its bytes. Raises TooLargeError, NoRoomError."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise _too_large(most)
    count = 0
    with taking_in():
        await in_thread(target.touch, mode=0o600, exist_ok=False)
        with target.open("wb") as file:
            async for part in request.stream():
                count += len(part)
                if count > most:
                    raise _too_large(most)
                await in_thread(file.write, part)
    return count


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(detail=f"The file is larger than {most // 1_048_576:,} MB. Part it, or save it as CSV.")
