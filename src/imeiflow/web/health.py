"""Whether the server lives, and whether it can do its work: for whoever watches over it.

Anybody may ask, so asking costs next to nothing: one look at a time, and one a second.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from litestar import HttpMethod, MediaType, Response, route

from imeiflow.errors import LedgerError
from imeiflow.web.office import Office, WebRequest
from imeiflow.web.thread import in_thread

_GOOD_FOR_S: Final = 1.0
_PATIENCE_S: Final = 3.0
_UNWRITABLE: Final = "the ledger cannot be written"


#: Some watchers ask for the head alone.
_LOOKS: Final = [HttpMethod.GET, HttpMethod.HEAD]


@route(
    "/healthz",
    http_method=_LOOKS,
    opt={"public": True},
    media_type=MediaType.TEXT,
    include_in_schema=False,
    sync_to_thread=False,
)
def healthz() -> str:
    """Say that the event loop answers."""
    return "ok\n"


class Readiness:
    """Looks whether the ledger can be written and the runner works."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._looked_at = -_GOOD_FOR_S
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    async def find_problem(self) -> str:
        """Say what keeps the server from its work; nothing where nothing does."""
        if self._office.is_stopping:
            return "stopping"
        if not self._office.runner.is_alive:
            return "the runner does not work"
        if self._task is None and time.monotonic() - self._looked_at >= _GOOD_FOR_S:
            self._task = asyncio.create_task(self._look())
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=_PATIENCE_S)
            if late:
                return _UNWRITABLE
        return self._trouble

    async def _look(self) -> None:
        try:
            await in_thread(self._office.session.ledger.check_writable)
            self._trouble = ""
        except LedgerError:
            self._trouble = _UNWRITABLE
        finally:
            self._looked_at = time.monotonic()
            self._task = None


@route("/readyz", http_method=_LOOKS, opt={"public": True}, include_in_schema=False)
async def readyz(request: WebRequest) -> Response[str]:
    """Say whether the ledger can be written, and the runner works."""
    readiness: Readiness = request.scope["state"]["readiness"]
    problem = await readiness.find_problem()
    return Response(f"{problem or 'ok'}\n", media_type=MediaType.TEXT, status_code=503 if problem else 200)
