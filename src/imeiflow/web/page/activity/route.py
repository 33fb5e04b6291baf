"""The activity log: who did what, when; newest first, filtered by kind, job and person."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery

from imeiflow.domain.ident import JobId
from imeiflow.ledger.record import Event
from imeiflow.operations.activity import describe_event
from imeiflow.operations.audit import ACTION
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/activity/page.html"
_MOST: Final = 100
#: What people ask for through the web, as it is said of them.
_DEEDS: Final = {
    "order": "ordered a list",
    "pause": "paused it",
    "resume": "let it go on",
    "retry": "sent orders again",
    "cancel": "cancelled what waits",
    "cancel orders": "cancelled orders",
    "settle": "settled doubts",
    "export": "exported it",
    "test webhook": "sent a webhook a test",
    "retry delivery": "sent a webhook something again",
    "retry deliveries": "sent webhooks again what was given up",
}
#: What the name of a job's change says.
_NAMED: Final = frozenset({"from", "to"})
#: What goes on many times a day by itself, and is looked at only by who asks for it.
_NOISE: Final = frozenset({"lane_taken", "lane_released"})


@get("/activity")
@threaded
def activity_page(
    request: WebRequest,
    kind: FromQuery[str] = "",
    job: FromQuery[str] = "",
    person: FromQuery[str] = "",
    before: FromQuery[int | None] = None,
) -> Response[str]:
    """Show what happened."""
    ledger = office_of(request).session.ledger
    kinds = ledger.event_kinds()
    number = int(job) if job.isascii() and job.isdecimal() and len(job) < 16 else None
    events = ledger.recent_events(
        job=None if number is None else JobId(number),
        kinds=[kind] if kind else [each for each in kinds if each not in _NOISE],
        actor=person.strip().lower() or None,
        before=before,
        limit=_MOST + 1,
    )
    shown = events[:_MOST]
    pairs = (("kind", kind), ("job", "" if number is None else job), ("person", person))
    query = urlencode({name: text for name, text in pairs if text})
    return draw(
        request,
        _TEMPLATE,
        lines=[(event, _name(event), _describe(event)) for event in shown],
        kinds=kinds,
        kind=kind,
        job=job,
        person=person,
        people=[user.name for user in ledger.list_users()],
        query=query,
        before=before,
        next_before=shown[-1].id if len(events) > _MOST else None,
    )


def _name(event: Event) -> str:
    """Say what happened in a word or two."""
    if event.kind == ACTION:
        action = str(event.data.get("action", "something"))
        return _DEEDS.get(action, action)
    to = event.data.get("to")
    return f"job {to}" if event.kind == "job_changed" and to else event.kind.replace("_", " ")


def _describe(event: Event) -> str:
    """Say what else is known of it, besides what its name says already."""
    if event.kind != "job_changed":
        return describe_event(event)
    return describe_event(replace(event, data={key: one for key, one in event.data.items() if key not in _NAMED}))


PAGE = Page(handlers=[activity_page], entry=Entry(label="Activity log", path="/activity", icon="log", rank=70))
