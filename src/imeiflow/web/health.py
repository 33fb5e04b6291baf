"""Whether the server lives, and whether it can do its work: for whoever watches over it."""

from __future__ import annotations

from litestar import MediaType, Response, get

from imeiflow.errors import LedgerError
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.thread import in_thread


@get("/healthz", opt={"public": True}, media_type=MediaType.TEXT, include_in_schema=False, sync_to_thread=False)
def healthz() -> str:
    """Say that the event loop answers."""
    return "ok\n"


@get("/readyz", opt={"public": True}, include_in_schema=False)
async def readyz(request: WebRequest) -> Response[str]:
    """Say whether the ledger can be read and written, and the runner works."""
    office = office_of(request)
    problem = "stopping" if office.is_stopping else ""
    try:
        await in_thread(office.session.ledger.last_event)
        trouble = office.session.ledger.trouble
        problem = problem or ("the ledger cannot be written" if trouble is not None else "")
    except LedgerError:
        problem = problem or "the ledger cannot be read"
    return Response(f"{problem or 'ok'}\n", media_type=MediaType.TEXT, status_code=503 if problem else 200)
