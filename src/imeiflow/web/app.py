"""Puts the application together: pages, API, static files, the stream, who may enter, and how errors look."""

from __future__ import annotations

from functools import cache

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from imeiflow.web.access import Authentication, require_sign_in
from imeiflow.web.api.allowance import Buckets
from imeiflow.web.api.application import Branch, make_api
from imeiflow.web.api.repeat import Repeats
from imeiflow.web.arrival import look_at
from imeiflow.web.asset import static_file
from imeiflow.web.failure import HANDLERS
from imeiflow.web.gate import Gate
from imeiflow.web.health import Readiness, healthz, readyz
from imeiflow.web.live import live
from imeiflow.web.metric import Meter
from imeiflow.web.navigation import find_pages
from imeiflow.web.office import Office
from imeiflow.web.scrape import Measures, metrics
from imeiflow.web.watch import Watch

_MOST_FORM_BYTES = 2_000_000  #: of anything but an upload, which is a stream


def create_app(office: Office) -> ASGIApp:
    """Make the application of an office."""
    meter = Meter()
    office.session.ledger.observe(meter)
    branch = Branch(Authentication(_make_pages(), office), make_api(office.settings.max_upload_bytes))
    reception = Reception(
        branch,
        office=office,
        readiness=Readiness(office),
        measures=Measures(office, meter),
        buckets=Buckets(office.settings.allowance),
        repeats=Repeats(office.session),
    )
    return Watch(Gate(reception, office.settings), meter)


class Reception:
    """Tells those behind it which office a request came to, and what that keeps for them: they serve any office."""

    def __init__(self, app: ASGIApp, **kept: object) -> None:
        self._app = app
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        scope.setdefault("state", {}).update(self._kept)
        await self._app(scope, receive, send)


@cache
def _make_pages() -> ASGIApp:
    """Make what serves the pages of any office, once a process: it takes a fifth of a second."""
    pages = (handler for page in find_pages() for handler in page.handlers)
    return Litestar(
        route_handlers=[*pages, static_file, live, healthz, readyz, metrics],
        guards=[require_sign_in],
        before_request=look_at,
        exception_handlers=HANDLERS,
        request_max_body_size=_MOST_FORM_BYTES,
        openapi_config=None,
        logging_config=None,
    )
