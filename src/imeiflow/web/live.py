"""The one stream of a page: server-sent events that say only which topics have changed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog
from litestar import get
from litestar.exceptions import HTTPException
from litestar.params import FromQuery
from litestar.response import Stream

from imeiflow.domain.order import JobState
from imeiflow.errors import LedgerError
from imeiflow.operations.identity import find_web_session
from imeiflow.web.access import cookie_name
from imeiflow.web.hub import ALL, WEBHOOKS, job_topic
from imeiflow.web.office import Office, WebRequest, office_of
from imeiflow.web.room import Place
from imeiflow.web.thread import in_thread

log = structlog.get_logger(__name__)

_TOPIC: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_MOST_TOPICS: Final = 16
_LOOK_AGAIN_S: Final = 10.0  #: whether the session still stands
_LOOK_EVERY_S: Final = 1.0
#: An event that pages hear, unlike a comment: where nothing is heard, something on the way holds the stream back.
_HERE: Final = "event: here\ndata: yes\n\n"


@get("/live", include_in_schema=False)
async def live(request: WebRequest, topic: FromQuery[list[str]]) -> Stream:
    """Say which of the topics change, until the page goes."""
    office = office_of(request)
    if office.is_stopping:
        raise HTTPException(status_code=503, detail="The server is being stopped.")
    place = office.streams.enter(request.user.user.name)
    topics = [name for name in topic[:_MOST_TOPICS] if _TOPIC.fullmatch(name)]
    secret = request.cookies.get(cookie_name(office.settings), "")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(_tell(office, place, topics, secret), media_type="text/event-stream", headers=headers)


async def _tell(office: Office, place: Place, topics: list[str], secret: str) -> AsyncIterator[str]:
    with place, office.hub.watch(topics) as viewer:
        yield f"retry: 3000\n{_HERE}"
        looked_at, pace_s = time.monotonic(), 0.0
        async for changed in viewer.changes():
            if time.monotonic() - looked_at >= _LOOK_AGAIN_S:
                if not await _is_valid(office, secret):
                    return
                looked_at = time.monotonic()
            if pace_s != office.hub.pace_s:
                pace_s = office.hub.pace_s
                yield f"event: pace\ndata: {round(pace_s * 1000)}\n\n"
            yield f"event: changed\ndata: {' '.join(sorted(changed))}\n\n" if changed else _HERE


async def _is_valid(office: Office, secret: str) -> bool:
    """Say whether the session that opened a stream still stands: it may have been revoked."""
    try:
        return await in_thread(find_web_session, office.session, secret, is_seen=False) is not None
    except LedgerError:
        return True


async def watch_ledger(office: Office) -> None:
    """Tell the pages what other processes have done to the ledger, while anybody looks."""
    last, last_delivery = 0, (0, 0)
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if not office.hub.viewers:
            continue
        with suppress(LedgerError):
            newest = await in_thread(office.session.ledger.last_event)
            if newest != last:
                last = newest
                office.hub.tell(ALL)
            if WEBHOOKS in office.hub.topics:
                newest_delivery = await in_thread(office.session.ledger.newest_delivery)
                if newest_delivery != last_delivery:
                    last_delivery = newest_delivery
                    office.hub.tell(WEBHOOKS)
            running = await in_thread(office.session.ledger.list_jobs, JobState.RUNNING)
            for job in running:
                office.hub.tell(job_topic(job.id), "jobs")
