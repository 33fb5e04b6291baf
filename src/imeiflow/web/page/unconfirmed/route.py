"""Orders that may have been placed: the evidence of each, and settling them by word or by the provider's export.

They are never shown as failed. What is settled is said by a person, or by the provider's own list; both are in the log.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Final

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.operations.audit import record_action
from imeiflow.operations.chosen import Chosen
from imeiflow.operations.claim import Obscurity
from imeiflow.operations.doubt_view import count_unconfirmed, list_doubtful_jobs
from imeiflow.operations.job_view import count_job
from imeiflow.operations.reconciliation import Reconciliation, reconcile, settle_wholly
from imeiflow.operations.session import Session
from imeiflow.operations.settlement import (
    SettlementPlan,
    choose_orders,
    find_last_attempt,
    page_doubtful,
    plan_settlement,
    settle_not_placed,
    settle_placed,
)
from imeiflow.operations.time_zone import name_time_zone
from imeiflow.operations.upload_folder import list_path
from imeiflow.web.access import needs
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page.job.chosen import Ticks, choose
from imeiflow.web.page.job.selection import draw_after
from imeiflow.web.page.new_job.upload import receive
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread, threaded
from imeiflow.web.wording import say_capital, say_count

_PAGE: Final = "page/unconfirmed/page.html"
_LIST: Final = 50
_MOST_SHOWN: Final = 20_000
_MOST_EXPORT: Final = 64 * 1_048_576


@get("/unconfirmed")
@threaded
def unconfirmed_jobs(request: WebRequest, before: FromQuery[int | None] = None) -> Response[str]:
    """List the jobs in which something waits for a person, newest first; each of them, however old it is."""
    office = office_of(request)
    lines, more = list_doubtful_jobs(office.session, office.runner.view, before=before, limit=_LIST)
    block = "list" if "hx-request" in request.headers else None
    return draw(request, "page/unconfirmed/jobs.html", block, lines=lines, more=more, before=before)


@get("/unconfirmed/badge")
@threaded
def unconfirmed_badge(request: WebRequest) -> Response[str]:
    """Say how many orders of all jobs are unconfirmed: the badge of the navigation, empty where none is."""
    number = count_unconfirmed(office_of(request).session)
    return draw(request, "page/unconfirmed/badge.html", number=number)


@get("/jobs/{job_id:int}/unconfirmed")
@threaded
def unconfirmed_page(request: WebRequest, job_id: FromPath[int], after: FromQuery[int] = 0) -> Response[str]:
    """Show a job's unconfirmed orders, with what can be done about them."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    line = count_job(office.session, job, office.runner.view(job.id))
    last = find_last_attempt(office.session, job.id)
    found, more = page_doubtful(office.session, job.id, after=OrderId(after), limit=_LIST)
    if after and not found:  # all of the last page are settled
        after, (found, more) = 0, page_doubtful(office.session, job.id, after=OrderId(0), limit=_LIST)
    return draw(request, _PAGE, job=job, line=line, found=found, after=after, more=more, last=last)


@get("/jobs/{job_id:int}/attempts/{attempt:int}")
@threaded
def attempt_evidence(request: WebRequest, job_id: FromPath[int], attempt: FromPath[int]) -> Response[str]:
    """Show what a call sent, keys blanked, and what came back."""
    session = office_of(request).session
    evidence = session.ledger.attempt_evidence(AttemptId(attempt)) if _belongs(session, job_id, attempt) else None
    if evidence is None:
        raise NotFoundException
    return draw(request, "page/unconfirmed/evidence.html", sent=_show(evidence.request), came=_show(evidence.reply))


@post("/jobs/{job_id:int}/unconfirmed/settle", guards=[needs(Role.OPERATOR)], status_code=200)
async def settle(request: WebRequest, job_id: FromPath[int]) -> Response[Any]:
    """Settle the orders that were chosen, or all, as the person says."""
    form = await request.form()
    ticks, seen = await Ticks.read(request), str(form.get("seen", ""))
    session, name = office_of(request).session, request.user.user.name
    told = await in_thread(
        _settle,
        session,
        await in_thread(choose, request, job_id, ticks),
        seen=AttemptId(int(seen) if seen.isdecimal() and len(seen) < 16 else 0),
        verdict=str(form.get("verdict", "")),
        reference=str(form.get("reference", "")).strip(),
        note=str(form.get("note", ""))[:500],
        actor=name,
    )
    if form.get("stays") == "yes":  # chosen on the job's own page
        return await in_thread(draw_after, request, job_id)
    return await in_thread(_go_on_settling, request, job_id, str(form.get("after", "")), told)


@post(
    "/jobs/{job_id:int}/unconfirmed/export", guards=[needs(Role.OPERATOR)], status_code=200, request_max_body_size=None
)
async def compare_export(request: WebRequest, job_id: FromPath[int], zone: FromQuery[str] = "") -> Response[str]:
    """Take the provider's export in, and show what it would settle; nothing is settled yet."""
    office = office_of(request)
    folder = await in_thread(office.preparations.make_folder, request.user.user.name, _purpose(job_id))
    try:
        await receive(request, list_path(folder), most=_MOST_EXPORT)
        found = await in_thread(_reconcile, office.session, job_id, list_path(folder), zone)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    obscure = Counter(why for _, why in found.obscure)
    return draw(
        request,
        "page/unconfirmed/export.html",
        job_id=job_id,
        found=found,
        folder=folder.name,
        obscure=obscure,
        zone=zone,
        is_unsure_of_time=Obscurity.TIME_UNKNOWN in obscure,
    )


@post("/jobs/{job_id:int}/unconfirmed/export/{name:str}", guards=[needs(Role.OPERATOR)], status_code=200)
async def settle_export(request: WebRequest, job_id: FromPath[int], name: FromPath[str]) -> Response[Any]:
    """Settle what an export that was shown names; and, where its completeness is vouched for, what it does not."""
    form = await request.form()
    office, actor = office_of(request), request.user.user.name
    folder = office.preparations.find_folder(name, actor, _purpose(job_id))
    is_complete, zone = form.get("complete") == "yes", str(form.get("zone", ""))

    def carry_out() -> str:
        found = _reconcile(office.session, job_id, list_path(folder), zone)
        notes = "by the provider's export", "not in the export"

        def log(placed: int, missing: int) -> None:
            counts = {"placed": placed, "not_placed": missing}
            record_action(office.session, actor, "settle", job=JobId(job_id), **counts, by="export")

        placed, missing = settle_wholly(
            office.session, found, is_complete=is_complete, notes=notes, actor=actor, log=log
        )
        return _say_settled(office.session, job_id, placed=placed, not_placed=missing, by="By the provider's export")

    told = await in_thread(carry_out)
    shutil.rmtree(folder, ignore_errors=True)
    return _lead_to(request, f"/jobs/{job_id}", told)


def _go_on_settling(request: WebRequest, job_id: int, after: str, told: str) -> Response[Any]:
    """Lead to the doubts that are left, where the person was among them; to the job where none is."""
    session = office_of(request).session
    if not session.ledger.tally(JobId(job_id))[OrderState.UNCONFIRMED]:
        return _lead_to(request, f"/jobs/{job_id}", told)
    is_place = after.isascii() and after.isdecimal() and len(after) < 16 and int(after)
    query = f"?after={int(after)}" if is_place else ""
    return _lead_to(request, f"/jobs/{job_id}/unconfirmed", told, query)


def _lead_to(request: WebRequest, path: str, told: str, query: str = "") -> Response[Any]:
    """Lead to a page that says, this once, what was done."""
    office_of(request).flashes.keep(request.user.session, path, told)
    return Response("", headers={"hx-redirect": f"{path}{query}"})


def _say_settled(session: Session, job_id: int, *, placed: int, not_placed: int, by: str = "") -> str:
    """Say how many orders were settled, and what became of them."""
    is_cancelled = session.find_job(JobId(job_id)).state is JobState.CANCELLED
    parts = []
    if placed:
        parts.append(f"{say_count(placed, 'order was', 'orders were')} marked as placed")
    if not_placed:
        verb = ("is" if not_placed == 1 else "are") if is_cancelled else ("waits" if not_placed == 1 else "wait")
        what = f"{verb} cancelled" if is_cancelled else f"{verb} to be sent"
        parts.append(f"{say_count(not_placed, 'order was', 'orders were')} marked as not placed, and {what}")
    said = "; ".join(parts) or "no order was settled"
    return say_capital(f"{by}: {said}." if by else f"{said}.")


def _purpose(job_id: int) -> str:
    """Name what an export is compared for: it settles nothing else."""
    return f"export of job {job_id}"


def _settle(
    session: Session,
    chosen: Chosen,
    *,
    seen: AttemptId,
    verdict: str,
    reference: str,
    note: str,
    actor: str,
) -> str:
    job = chosen.job
    plan: SettlementPlan = plan_settlement(session, job, None, seen=seen)
    if chosen.orders is not None:
        plan = choose_orders(plan, chosen.orders)
    if not plan.orders or not chosen.includes(OrderState.UNCONFIRMED):
        remedy = "Nothing was changed. Look again: somebody else may have settled it."
        raise UsageError(problem="none of what was chosen is unconfirmed any more", remedy=remedy)
    match verdict:
        case "placed":
            settle_placed(session, plan, Reference(reference) if reference else None, note=note, actor=actor)
        case "not-placed":
            settle_not_placed(session, plan, note=note, actor=actor)
        case _:
            raise UsageError(problem="it was not said what became of them", remedy="Choose placed or not placed.")
    number = len(plan.orders)
    record_action(session, actor, "settle", job=job, verdict=verdict, count=number, note=note)
    is_placed = verdict == "placed"
    said = _say_settled(session, job, placed=number if is_placed else 0, not_placed=0 if is_placed else number)
    others = 0 if chosen.orders is None else len(chosen.orders) - number
    if not others:
        return said
    return f"{said} {say_count(others, 'other was', 'others were')} settled before, and nothing was changed about that."


def _reconcile(session: Session, job_id: int, path: Path, zone: str) -> Reconciliation:
    given = name_time_zone(zone) if zone.strip() else None
    return reconcile(session, JobId(job_id), path, zone=given, name="the export")


def _belongs(session: Session, job_id: int, attempt: int) -> bool:
    found = session.ledger.list_attempts(JobId(job_id), after=AttemptId(attempt + 1), limit=1)
    return bool(found) and found[0].id == attempt


def _show(content: bytes) -> str:
    """Give what went over the wire as text, cut where it is long."""
    text = content.decode("utf-8", "replace")
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}\n… ({len(content):,} bytes)"


PAGE = Page(
    handlers=[
        unconfirmed_jobs,
        unconfirmed_badge,
        unconfirmed_page,
        attempt_evidence,
        settle,
        compare_export,
        settle_export,
    ],
    entry=Entry(label="Unconfirmed", path="/unconfirmed", icon="doubt", rank=40, badge="/unconfirmed/badge"),
)
