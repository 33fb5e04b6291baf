"""One order: where it stands, what it cost, all that happened to it, and what the provider found out."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from imeiflow.domain.ident import AttemptId, OrderId
from imeiflow.operations.order_view import read_exchange, read_order
from imeiflow.web.navigation import Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/order/page.html"
_LARGEST: Final = 1 << 62


@get("/orders/{order_id:int}")
@threaded
def order_page(request: WebRequest, order_id: FromPath[int]) -> Response[str]:
    """Show one order; only what lives where it is asked for again."""
    found = read_order(office_of(request).session, OrderId(order_id)) if 0 < order_id < _LARGEST else None
    if found is None:
        raise NotFoundException
    block = "live" if "hx-request" in request.headers else None
    return draw(request, _TEMPLATE, block, view=found, order=found.line.order, job=found.line.job)


@get("/orders/{order_id:int}/attempts/{attempt_id:int}")
@threaded
def attempt_evidence(request: WebRequest, order_id: FromPath[int], attempt_id: FromPath[int]) -> Response[str]:
    """Show what an attempt sent and what came back, keys blanked."""
    if not (0 < order_id < _LARGEST and 0 < attempt_id < _LARGEST):
        raise NotFoundException
    found = read_exchange(office_of(request).session, OrderId(order_id), AttemptId(attempt_id))
    return draw(request, _TEMPLATE, "evidence", exchange=found)


PAGE = Page(handlers=[order_page, attempt_evidence])
