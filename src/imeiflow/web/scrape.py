"""`/metrics`, for whoever has the token; without one, for this machine alone, and only without a proxy."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Final

import structlog
from litestar import MediaType, Response, get
from litestar.exceptions import PermissionDeniedException
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from imeiflow.domain.ident import JobId
from imeiflow.domain.progress import Tally
from imeiflow.errors import LedgerError
from imeiflow.operations.stock import Stock
from imeiflow.web.metric import Look, Meter
from imeiflow.web.office import Office, WebRequest, office_of
from imeiflow.web.setting import WebSettings, is_loopback
from imeiflow.web.thread import in_thread

log = structlog.get_logger(__name__)

_COUNT_EVERY_S: Final = 10.0
_SHARE: Final = 20.0  #: counting may take this part of the time
_PATIENCE_S: Final = 2.0
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Counting:
    """Keeps what was counted fresh enough, one count at a time, and the longer a count takes the seldomer."""

    def __init__(self, office: Office, look: Look) -> None:
        def find_tally(job: JobId) -> Tally | None:
            view = office.runner.view(job)
            return None if view is None else view.tally

        self._stock = Stock(office.session, find_tally)
        self._look = look
        self._next_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Count again where it is time, and wait a little for it; a longer count is there for the next who asks."""
        if self._task is None and time.monotonic() >= self._next_at:
            self._task = asyncio.create_task(self._count())
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_PATIENCE_S)

    async def _count(self) -> None:
        began_at = time.monotonic()
        try:
            self._look.stock = await in_thread(self._stock.take)
        except LedgerError as error:
            log.warning("not_counted", error=str(error))
        finally:
            now = time.monotonic()
            self._next_at = now + max(_COUNT_EVERY_S, _SHARE * (now - began_at))
            self._task = None


class Measures:
    """What was measured at an office, and what is counted there when somebody asks."""

    def __init__(self, office: Office, meter: Meter) -> None:
        look = Look(office)
        meter.registry.register(look)
        self._meter = meter
        self._counting = Counting(office, look)

    async def write(self) -> bytes:
        """Give them in Prometheus' text format."""
        await self._counting.refresh()
        return generate_latest(self._meter.registry)


@get("/metrics", opt={"public": True}, include_in_schema=False)
async def metrics(request: WebRequest) -> Response[bytes]:
    """Give what was measured, in Prometheus' text format."""
    _check(request, office_of(request).settings)
    measures: Measures = request.scope["state"]["measures"]
    headers = {"content-type": CONTENT_TYPE_LATEST}
    return Response(await measures.write(), media_type=MediaType.TEXT, headers=headers)


def _check(request: WebRequest, settings: WebSettings) -> None:
    if settings.metrics_token is not None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.metrics_token}".encode()):
            raise PermissionDeniedException(detail="This needs the token of --metrics-token-file.")
        return
    is_direct = settings.is_local and settings.public_url is None and not any(map(request.headers.get, _FORWARDED))
    if not is_direct or request.client is None or not is_loopback(request.client.host):
        raise PermissionDeniedException(detail="Only this machine may ask for it; others need --metrics-token-file.")
