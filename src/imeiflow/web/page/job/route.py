"""One job, live: how far it is, how fast and why, what it costs."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from imeiflow.domain.ident import JobId
from imeiflow.operations.job_view import count_job
from imeiflow.web.navigation import Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE = "page/job/page.html"


@get("/jobs/{job_id:int}")
@threaded
def job_page(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Show a job; only what lives where it is asked for again."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    line = count_job(office.session, job, office.runner.view(job.id))
    block = "live" if "hx-request" in request.headers else None
    return draw(request, _TEMPLATE, block, job=job, line=line)


PAGE = Page(handlers=[job_page])
