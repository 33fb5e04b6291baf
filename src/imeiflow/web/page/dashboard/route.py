"""The dashboard: what is under way, what waits for a person, and what it costs."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get

from imeiflow.operations.account_view import name_learned, say_learned
from imeiflow.operations.dashboard import (
    DAYS,
    count_results,
    list_lanes,
    list_under_way,
    list_waiting,
    sum_up_money,
)
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/dashboard/page.html"


@get("/dashboard")
@threaded
def dashboard_page(request: WebRequest) -> Response[str]:
    """Show all at a glance; only the jobs under way where those are asked for again."""
    office = office_of(request)
    under_way = list_under_way(office.session, office.runner.view)
    if "hx-request" in request.headers:
        return draw(request, _TEMPLATE, "under_way", under_way=under_way)
    return draw(request, _TEMPLATE, under_way=under_way, **_read_rest(request))


@get("/dashboard/rest")
@threaded
def dashboard_rest(request: WebRequest) -> Response[str]:
    """Show what changes slowly."""
    return draw(request, _TEMPLATE, "rest", **_read_rest(request))


def _read_rest(request: WebRequest) -> dict[str, Any]:
    office = office_of(request)
    waiting, waiting_count = list_waiting(office.session)
    return {
        "waiting": waiting,
        "waiting_count": waiting_count,
        "money": sum_up_money(office.session),
        "results": count_results(office.session),
        "lanes": list_lanes(office.session, list_under_way(office.session, office.runner.view)),
        "days": DAYS,
        "name_learned": name_learned,
        "say_learned": say_learned,
    }


PAGE = Page(
    handlers=[dashboard_page, dashboard_rest], entry=Entry(label="Dashboard", path="/dashboard", icon="home", rank=10)
)
