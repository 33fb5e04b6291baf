"""The list of jobs: what runs, what waits for a person, what is over."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromQuery
from litestar.response import Redirect

from imeiflow.operations.job_view import list_job_lines
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE = "page/jobs/page.html"
_MOST = 50


@get("/jobs")
@threaded
def jobs_page(request: WebRequest, before: FromQuery[int | None] = None) -> Response[str]:
    """Show the jobs, newest first; only the list where it is asked for again."""
    office = office_of(request)
    lines = list_job_lines(office.session, office.runner.view, before=before, limit=_MOST + 1)
    more = lines[_MOST - 1].job.id if len(lines) > _MOST else None
    block = "list" if "hx-request" in request.headers else None
    return draw(request, _TEMPLATE, block, lines=lines[:_MOST], more=more, before=before)


@get("/", sync_to_thread=False)
def start_page(request: WebRequest) -> Response[Any]:  # noqa: ARG001
    """Go to what is seen at a glance."""
    return Redirect("/dashboard", status_code=303)


PAGE = Page(handlers=[jobs_page, start_page], entry=Entry(label="Jobs", path="/jobs", icon="jobs", rank=20))
