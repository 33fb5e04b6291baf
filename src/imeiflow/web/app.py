"""Puts the application together: pages, API, static files, the stream, who may enter, and how errors look."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, ControllerRouterHandler

from imeiflow.web.access import Authentication, require_sign_in
from imeiflow.web.api.application import Branch, create_api
from imeiflow.web.arrival import look_at
from imeiflow.web.asset import static_file
from imeiflow.web.failure import HANDLERS
from imeiflow.web.gate import Gate
from imeiflow.web.health import healthz, make_readyz
from imeiflow.web.live import live
from imeiflow.web.metric import Meter
from imeiflow.web.navigation import find_pages
from imeiflow.web.office import Office
from imeiflow.web.scrape import make_metrics
from imeiflow.web.watch import Watch

_MOST_FORM_BYTES = 2_000_000  #: of anything but an upload, which is a stream


def create_app(office: Office) -> ASGIApp:
    """Make the application of an office."""
    meter = Meter()
    office.session.ledger.observe(meter)
    app = Litestar(
        route_handlers=[*_list_handlers(), make_readyz(office), make_metrics(office, meter)],
        guards=[require_sign_in],
        before_request=look_at,
        exception_handlers=HANDLERS,
        request_max_body_size=_MOST_FORM_BYTES,
        openapi_config=None,
        logging_config=None,
        state=State({"office": office}),
    )
    return Watch(Gate(Branch(Authentication(app, office), create_api(office)), office.settings), meter)


@cache
def _list_handlers() -> Sequence[ControllerRouterHandler]:
    """List what serves any office, with signatures that are read once for all servers of a process: they copy them."""
    handlers = [*(handler for page in find_pages() for handler in page.handlers), static_file, live, healthz]
    for handler in handlers:
        if isinstance(handler, BaseRouteHandler):
            _ = handler.parsed_fn_signature
    return handlers
