"""One job, live: how far it is, how fast and why, what it costs, what can be done; its reasons, orders and exports."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Stream

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.operations.audit import record_action
from imeiflow.operations.catalogue import PriceList
from imeiflow.operations.chosen import count_matching
from imeiflow.operations.day_limit import find_user_limit
from imeiflow.operations.export import Layout, Wish
from imeiflow.operations.job_control import (
    ask_to_cancel,
    ask_to_pause,
    go_on,
    send_again,
)
from imeiflow.operations.job_detail import count_odd, list_odd_replies
from imeiflow.operations.job_view import SHOWN, chart_job, count_job, group_reasons, list_orders
from imeiflow.operations.price import PriceRoseError, find_rise
from imeiflow.operations.steering import RETRIED, plan_retry
from imeiflow.web.access import needs
from imeiflow.web.amount import read_cap, read_price
from imeiflow.web.delivery import choose_format, choose_text_format, send_export
from imeiflow.web.navigation import Page
from imeiflow.web.office import Office, WebRequest, office_of
from imeiflow.web.page.job.chosen import HANDLERS as CHOSEN
from imeiflow.web.page.job.selection import (
    adopting,
    ask_anew,
    draw_after,
    draw_job,
    make_filter,
    read_accepted,
    read_orders,
    read_shown,
    read_states,
    renew_prices,
    write_query,
)
from imeiflow.web.page_template import draw
from imeiflow.web.shared import shared
from imeiflow.web.thread import in_thread, threaded

_TEMPLATE: Final = "page/job/page.html"
_MENDABLE: Final = {OrderState.INVALID, OrderState.REFUSED, OrderState.FAILED}
_MOST_ODD: Final = 20
_ORDERS: Final = "page/job/orders.html"


@get("/jobs/{job_id:int}")
@threaded
@shared
def job_page(
    request: WebRequest, job_id: FromPath[int], imei: FromQuery[str] = "", after: FromQuery[str | None] = None
) -> Response[str]:
    """Show a job; only what lives where it is asked for again."""
    states = read_states(request.query_params.getall("state", []))
    where = {"states": states, "imei": imei, "after": after, "query": write_query(states, imei)}
    return draw_job(request, job_id, "live" if "hx-request" in request.headers else None, **where)


@get("/jobs/{job_id:int}/orders")
@threaded
@shared
def job_orders(
    request: WebRequest, job_id: FromPath[int], imei: FromQuery[str] = "", after: FromQuery[str | None] = None
) -> Response[str]:
    """Show a page of a job's orders, as filtered; the address of the whole page follows."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    states = read_states(request.query_params.getall("state", []))
    wanted = make_filter(job_id, states, imei)
    page = list_orders(office.session, job.id, wanted, after=after)
    line = count_job(office.session, job, office.runner.view(job.id))
    query = write_query(states, imei)
    answer = draw(
        request,
        _ORDERS,
        job=job,
        page=page,
        query=query,
        states=states,
        imei=imei,
        after=after,
        shown=SHOWN,
        statuses=list(ResultStatus),
        matches=count_matching(office.session, wanted, line),
        money_of=lambda order: None if order.price is None else Money(order.price * order.charges, job.currency),
    )
    place = "&".join(part for part in (query, f"after={after}" if after else "") if part)
    answer.headers["hx-replace-url"] = f"/jobs/{job_id}" + (f"?{place}" if place else "")
    return answer


@get("/jobs/{job_id:int}/reasons")
@threaded
@shared
def job_reasons(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Show why orders are not accepted, grouped."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    reasons = group_reasons(office.session, job)[:50]
    mendable = any(one.state in _MENDABLE for one in reasons)
    odd = list_odd_replies(office.session, job.id)
    return draw(
        request,
        "page/job/reasons.html",
        job=job,
        reasons=reasons,
        mendable=mendable,
        odd=odd[:_MOST_ODD],
        odd_counts=count_odd(odd),
        misfits=office.session.ledger.status_anomalies(job_id=job.id, limit=_MOST_ODD),
        misfit_counts=office.session.ledger.count_anomalies(job.id),
    )


@get("/jobs/{job_id:int}/chart.json")
@threaded
def job_chart(request: WebRequest, job_id: FromPath[int]) -> dict[str, object]:
    """Give what the chart is drawn from."""
    office = office_of(request)
    return chart_job(office.session, office.session.find_job(JobId(job_id)).id)


@post("/jobs/{job_id:int}/pause", guards=[needs(Role.OPERATOR)], status_code=200)
@threaded
def pause(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Ask a job to pause."""
    ask_to_pause(office_of(request).session, JobId(job_id), request.user.user.name)
    return draw_job(request, job_id, "live")


@get("/jobs/{job_id:int}/cancel", guards=[needs(Role.OPERATOR)])
@threaded
def cancel_question(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Say what would never be sent."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    tally = count_job(office.session, job, office.runner.view(job.id)).tally
    waiting, under_way = tally[OrderState.QUEUED], tally[OrderState.SENDING]
    cost = None if job.price is None else job.price * waiting
    values: dict[str, Any] = {"waiting": waiting, "under_way": under_way, "cost": cost}
    return draw(request, "page/job/cancel.html", job=job, is_running=job.state is JobState.RUNNING, **values)


@post("/jobs/{job_id:int}/cancel", guards=[needs(Role.OPERATOR)], status_code=200)
@threaded
def cancel(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Cancel what a job has not sent."""
    ask_to_cancel(office_of(request).session, JobId(job_id), request.user.user.name)
    return draw_job(request, job_id, "live")


@get("/jobs/{job_id:int}/resume", guards=[needs(Role.OPERATOR)])
async def resume_question(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Say what would be sent when a job goes on, and ask for its spending cap."""
    prices = await renew_prices(request, job_id)
    return await in_thread(_ask_to_go_on, request, JobId(job_id), None, prices)


@post("/jobs/{job_id:int}/resume", guards=[needs(Role.OPERATOR)], status_code=200)
async def resume(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Let a job go on; where its price rose, that is asked about first. One with nothing to go on with is finished."""
    office, name, job = office_of(request), request.user.user.name, JobId(job_id)
    form = await request.form()
    cap = await in_thread(_read_other_cap, office, job, str(form.get("max_spend", "")))
    price = read_price(str(form.get("accept_price", "")))
    amounts = {"accept_price": price, "max_spend": cap}
    try:
        await adopting(office, lambda adopt: go_on(office.session, job, name, adopt, **amounts))
    except PriceRoseError:
        return ask_anew(await in_thread(_ask_to_go_on, request, job, cap))
    return await in_thread(draw_job, request, job_id, "live")


def _ask_to_go_on(
    request: WebRequest, job_id: JobId, cap: Decimal | None = None, prices: PriceList | None = None
) -> Response[str]:
    session = office_of(request).session
    job, rise = session.find_job(job_id), find_rise(session, job_id)
    line = count_job(session, job)
    waiting = line.tally.waiting
    values: dict[str, Any] = {"waiting": waiting, "cost": None if job.price is None else job.price * waiting}
    values |= {"cap": job.max_spend if cap is None else cap, "spent": line.spent, "rise": rise, "prices": prices}
    price = job.price if rise is None or rise.price is None else rise.price
    if line.spent is not None and line.at_stake is not None and price is not None:
        values["needed"] = line.spent + line.at_stake + price * waiting
    values["user_limit"] = find_user_limit(session, request.user.user.name, job.currency)
    return draw(request, "page/job/resume.html", job=job, **values)


def _read_other_cap(office: Office, job_id: JobId, text: str) -> Decimal | None:
    """Read another spending cap; None where it is the one that the job has. Raises UsageError for one that is spent."""
    cap = read_cap(text)
    if cap is None:
        return None
    job = office.session.find_job(job_id)
    line = count_job(office.session, job)
    if line.spent is not None and job.unit_price is not None and line.tally.waiting:
        most = line.spent.amount + job.unit_price
        if cap < most:
            problem = f"of a spending cap of {Money(cap, job.currency)} nothing is left: {line.spent} is spent"
            raise UsageError(problem=problem, remedy=f"Write {Money(most, job.currency)} or more.")
    return None if cap == job.max_spend else cap


@get("/jobs/{job_id:int}/retry", guards=[needs(Role.OPERATOR)])
async def retry_question(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Say what a retry would send again, and what it would cost."""
    return await in_thread(_ask_to_retry, request, job_id, RETRIED, await renew_prices(request, job_id))


def _ask_to_retry(
    request: WebRequest, job_id: int, chosen: AbstractSet[OrderState], prices: PriceList | None
) -> Response[str]:
    session = office_of(request).session
    job = session.find_job(JobId(job_id))
    counts = {state: plan_retry(session, job.id, {state}).count for state in sorted(RETRIED)}
    count = plan_retry(session, job.id).count
    rise = find_rise(session, job.id, more=sum(counts[state] for state in chosen)) if count else None
    price = job.price if rise is None else rise.price
    values: dict[str, Any] = {"counts": counts, "count": count, "chosen": chosen, "rise": rise, "price": price}
    values["prices"] = prices
    return draw(request, "page/job/retry.html", job=job, waiting=session.ledger.tally(job.id).waiting, **values)


@post("/jobs/{job_id:int}/retry", guards=[needs(Role.OPERATOR)], status_code=200)
async def retry(
    request: WebRequest,
    job_id: FromPath[int],
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[str]:
    """Send the refused or the failed orders again, as chosen; where their price rose, that is asked about first."""
    office, name = office_of(request), request.user.user.name
    states = {state for state in RETRIED if state.value in data}
    if not states:
        raise UsageError(problem="nothing was chosen", remedy="Choose refused or failed orders.")
    shown = read_shown(data, *(f"seen-{state.value}" for state in states))
    how: dict[str, Any] = {"shown": shown, "accept_price": read_accepted(data)}
    prices = await renew_prices(request, job_id)
    try:
        await adopting(office, lambda adopt: send_again(office.session, JobId(job_id), states, name, adopt, **how))
    except PriceRoseError:
        return ask_anew(await in_thread(_ask_to_retry, request, job_id, states, prices))
    return await in_thread(draw_after, request, job_id)


@get("/jobs/{job_id:int}/export")
async def export(
    request: WebRequest,
    job_id: FromPath[int],
    format: FromQuery[str] = "csv",  # noqa: A002
    layout: FromQuery[str] = "",
    imei: FromQuery[str] = "",
) -> Stream:
    """Give the list back as a file, as filtered."""
    office = office_of(request)
    job = await in_thread(office.session.find_job, JobId(job_id))
    states = read_states(request.query_params.getall("state", []))
    chosen = Layout(layout) if layout in set(Layout) else Layout.RESULTS
    wish = Wish(
        jobs=(job.id,),
        filter=replace(make_filter(job_id, states, imei), jobs=None),
        orders=read_orders(request.query_params.getall("order", [])),
        format=choose_text_format(format) if chosen is Layout.FAILED else choose_format(format),
        layout=chosen,
    )
    name = request.user.user.name
    sent = await send_export(office, name, wish, f"job-{job.id}{'-failed' if wish.layout is Layout.FAILED else ''}")
    await in_thread(record_action, office.session, name, "export", job=job.id, format=wish.format)
    return sent


PAGE = Page(
    handlers=[
        job_page,
        job_orders,
        job_reasons,
        job_chart,
        pause,
        cancel_question,
        cancel,
        resume_question,
        resume,
        retry_question,
        retry,
        export,
        *CHOSEN,
    ]
)
