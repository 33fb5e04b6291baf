"""All orders: found by IMEI, reference, state, status, service, job or day; the address says what is shown."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from imeiflow.domain.order import ResultStatus
from imeiflow.operations.job_view import SHOWN
from imeiflow.operations.order_view import find_missing, list_order_lines
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page.orders.selection import Selection, read_cursor
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/orders/page.html"
_MOST: Final = 50
_SHOWN_MISSING: Final = 20


@get("/orders")
@threaded
def orders_page(request: WebRequest, after: FromQuery[str | None] = None) -> Response[str]:
    """Show a page of the orders that match, newest first; only the list where it is asked for alone."""
    office = office_of(request)
    chosen = Selection.read(office.session, request.query_params)
    page = list_order_lines(office.session, chosen.make_filter(), after=read_cursor(after), limit=_MOST)
    block = "list" if "hx-request" in request.headers else None
    accounts = sorted(office.session.configuration.accounts)
    return draw(
        request,
        _TEMPLATE,
        block,
        chosen=chosen,
        page=page,
        after=after,
        accounts=accounts,
        states=SHOWN,
        statuses=list(ResultStatus),
    )


@post("/orders", status_code=303)
@threaded
def search(
    request: WebRequest, data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """Make the address of what was typed: thousands of IMEIs fit into no address."""
    chosen = Selection.read(office_of(request).session, data)
    query = chosen.shorten(office_of(request).session, request.user.user.name).query
    return Redirect("/orders" + (f"?{query}" if query else ""), status_code=303)


@get("/orders/missing")
@threaded
def missing(request: WebRequest) -> Response[str]:
    """Say which of the IMEIs that were asked for are in no job at all."""
    session = office_of(request).session
    chosen = Selection.read(session, request.query_params)
    found = find_missing(session, chosen.imeis or ())
    shown = found[:_SHOWN_MISSING]
    return draw(request, _TEMPLATE, "missing", chosen=chosen, missing=shown, missing_count=len(found))


PAGE = Page(
    handlers=[orders_page, search, missing], entry=Entry(label="Orders", path="/orders", icon="orders", rank=30)
)
