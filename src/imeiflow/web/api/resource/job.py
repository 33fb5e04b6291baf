"""Jobs: listed, shown, followed, and steered. Nothing waits for a job: what is under way ends by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.job_detail import describe_job, read_job_detail
from imeiflow.operations.json_text import dump_json
from imeiflow.operations.price import find_rise, refuse_rise, renew_prices
from imeiflow.operations.spend_limit import check_rest
from imeiflow.operations.steering import (
    RETRIED,
    RetryPlan,
    cancel_job,
    pause_job,
    plan_retry,
    resume_job,
    retry_orders,
)
from imeiflow.web.api.operation import Call, Operation, Reply, StreamReply
from imeiflow.web.api.problem import ApiError
from imeiflow.web.api.value import Account, Amount, Finished, In, JobSummary, Limit, Out, read_amount
from imeiflow.web.hub import job_topic
from imeiflow.web.live import is_full
from imeiflow.web.thread import in_thread

#: A job of a million orders takes a while to count: so much of the time goes into it at most.
_COUNTING_SHARE: Final = 0.2
_LOOK_AGAIN_S: Final = 10.0  #: whether the token is still good
_STILL_HERE: Final = ": still here\n\n"

#: What a list says of a job besides its summary.
_LISTED: Final = (
    "account",
    "service",
    "service_name",
    "name",
    "source",
    "created_at",
    "started_at",
    "ended_at",
    "unit_price",
)

EXAMPLE: Final = {
    "job": 7,
    "state": "finished",
    "total": 20000,
    "accepted": 19990,
    "duplicate": 0,
    "refused": 8,
    "failed": 0,
    "unconfirmed": 2,
    "queued": 0,
    "invalid": 0,
    "repeated": 0,
    "cancelled": 0,
    "sending": 0,
    "attempts": 201,
    "spent": Decimal("1599.20"),
    "refunded": Decimal("0.00"),
    "in_doubt": Decimal("0.16"),
    "currency": "USD",
    "seconds": 31.2,
    "reason": None,
}


_LISTED_EXAMPLE: Final = {
    **EXAMPLE,
    "account": "gsm-fusion",
    "service": "12",
    "service_name": "iPhone carrier check",
    "name": "phones.xlsx",
    "source": "phones.xlsx",
    "created_at": "2026-11-28T14:29:50+00:00",
    "started_at": "2026-11-28T14:30:00+00:00",
    "ended_at": "2026-11-28T14:30:31+00:00",
    "unit_price": Decimal("0.08"),
}


class JobQuery(In):
    """Which jobs."""

    state: Annotated[Finished, Meta(description="Only jobs in this state.")] | None = None
    account: Account | None = None
    limit: Limit = 50
    cursor: (
        Annotated[int, Meta(ge=1, le=999_999_999_999_999_999, description="The `next` of the page before.")] | None
    ) = None


class ListedJob(JobSummary):
    """A job in a list."""

    account: str
    service: str
    service_name: str
    name: str
    source: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    unit_price: Annotated[Amount, Meta(description="What one order costs, as it was confirmed.")] | None


class JobPage(Out):
    """Some jobs, newest first."""

    jobs: list[ListedJob]
    next: Annotated[int, Meta(description="`cursor` of the next page; null at the end.")] | None


class ShownJob(JobSummary):
    """A job as `imeiflow show --json` prints it: also its terms, reasons, doubts, probes and learned limits."""

    account: str
    provider: str
    service: str
    service_name: str
    name: str
    source: str
    wanted: Annotated[JobState, Meta(description="What it was asked to become, while calls under way end.")] | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    price: Amount | None
    max_spend: Amount | None
    policy: Literal["settle", "hold"]
    kind: OrderKind
    priority: int
    chunk_size: int | None
    max_concurrency: int | None
    rate: Annotated[float, Meta(description="Calls a minute that it may make at most.")] | None
    follow_results: Annotated[bool, Meta(description="It goes on until every result is there.")]
    hold_after: Annotated[int, Meta(description="It is a trial: it pauses after so many.")] | None
    largest_chunk: int | None
    submitted_by: str | None
    has_header: bool
    imei_column: Annotated[str, Meta(description="Column of the IMEIs in its file.")] | None
    reasons: Annotated[list[dict[str, Any]], Meta(description="Why orders are not accepted, most frequent first.")]
    doubts: Annotated[list[dict[str, Any]], Meta(description="The first 100 unconfirmed orders with their evidence.")]
    probes: Annotated[list[dict[str, Any]], Meta(description="Repeat probes that cost, or may have cost, something.")]
    statuses: Annotated[dict[str, int], Meta(description="Accepted orders by what became of them.")]
    dear_probe: Annotated[Amount, Meta(description="What the repeat probe costs that waits for your word.")] | None
    status_anomaly_counts: dict[str, int]
    status_anomalies: Annotated[list[dict[str, Any]], Meta(description="What the provider said that does not fit.")]
    limits: list[dict[str, Any]]
    findings: Annotated[dict[str, Any], Meta(description="How often results say what; null unless asked for.")] | None


class ShowQuery(In):
    """What is to be told beside the job itself."""

    findings: Annotated[bool, Meta(description="Count what its results say: carrier, lock, Find My.")] = False


class ResumeBody(In):
    """How to go on."""

    max_spend: Annotated[Amount, Meta(description="Another spending cap.")] | None = None
    accept_price: (
        Annotated[Amount, Meta(description="What one order may cost, where the price has risen since.")] | None
    ) = None


class RetryBody(In):
    """What to send again."""

    states: (
        Annotated[list[Literal["refused", "failed"]], Meta(min_length=1, max_length=2, description="Otherwise both.")]
        | None
    ) = None
    again: Annotated[bool, Meta(description="Also what another job has ordered since.")] = False
    max_count: (
        Annotated[int, Meta(ge=0, le=10**9, description="Turn it away where it would send more orders than this.")]
        | None
    ) = None
    max_price: (
        Annotated[
            Amount,
            Meta(description="Turn it away where one order costs more; up to it, a price that has risen is accepted."),
        ]
        | None
    ) = None


class RetryQuery(In):
    """What would be sent again."""

    states: Annotated[list[Literal["refused", "failed"]], Meta(max_length=2, description="Otherwise both.")] | None = (
        None
    )
    again: Annotated[bool, Meta(description="Also what another job has ordered since.")] = False


class RetryAnswer(Out):
    """What a retry would send again, and what it costs."""

    count: int
    by_state: dict[str, int]
    price: Annotated[Amount, Meta(description="What one order costs today; null where it is not known.")] | None
    cost: Annotated[Amount, Meta(description="Null where the price is not known.")] | None
    currency: str
    price_change: Annotated[str, Meta(description="Why it may not go on at the confirmed price; else empty.")]
    elsewhere: Annotated[list[dict[str, int]], Meta(description="Left alone: other jobs ordered them since.")]
    waiting: Annotated[int, Meta(description="Orders that still wait, and are sent then, too.")]


def list_jobs(call: Call) -> dict[str, Any]:
    """List jobs, newest first."""
    query: JobQuery = call.query
    found = call.session.ledger.list_jobs(
        None if query.state is None else JobState(query.state),
        None if query.account is None else AccountName(query.account),
        query.limit + 1,
        before=None if query.cursor is None else JobId(query.cursor),
    )
    shown = found[: query.limit]
    summaries = call.session.ledger.summaries([job.id for job in shown])
    return {
        "jobs": [{**summaries[job.id].as_dict(), **{name: getattr(job, name) for name in _LISTED}} for job in shown],
        "next": shown[-1].id if len(found) > query.limit else None,
    }


def show_job(call: Call) -> dict[str, Any]:
    """Show a job: its terms, counts, reasons, doubts and limits."""
    return describe_job(read_job_detail(call.session, _find(call), has_findings=call.query.findings))


async def follow_job(call: Call) -> StreamReply:
    """Follow a job by server-sent events.

    Each event `job` carries the job's summary; the first comes at once, the others when something has changed. The
    event `end` carries the last one, when the job does not run any more, and ends the stream.
    """
    job = await in_thread(_find, call)
    if is_full(call.office, call.actor):
        remedy = "Ask /jobs/{job} now and then, or end some of them."
        raise ApiError(503, "Too many streams are open.", remedy=remedy, headers={"retry-after": "10"})
    return StreamReply(parts=_tell(call, job), media_type="text/event-stream")


async def _tell(call: Call, job: JobId) -> AsyncIterator[str]:
    office = call.office
    with office.hub.watch([job_topic(job), "jobs"], call.actor) as viewer:
        last, looked_at = "", time.monotonic()
        changes = viewer.changes()
        while True:
            began = time.monotonic()
            summary = await in_thread(summarise, call, job)
            took = time.monotonic() - began
            told = dump_json(summary)
            if summary["state"] != JobState.RUNNING or office.is_stopping:
                yield f"event: end\ndata: {told}\n\n"
                return
            yield f"event: job\ndata: {told}\n\n" if told != last else _STILL_HERE
            last = told
            await asyncio.sleep(took / _COUNTING_SHARE)
            if await anext(changes, None) is None:
                return
            if time.monotonic() - looked_at >= _LOOK_AGAIN_S:
                looked_at = time.monotonic()
                if not await in_thread(_is_good, call):
                    return


def _is_good(call: Call) -> bool:
    """Say whether the token that asked is still good for anything."""
    now = call.session.clock.now()
    for one in call.session.ledger.list_api_tokens():
        if one.id == call.token.id:
            is_over = one.expires_at is not None and one.expires_at <= now
            return one.revoked_at is None and one.user.disabled_at is None and not is_over
    return False


def pause_running_job(call: Call) -> Reply:
    """Pause a job: nothing more is sent.

    Calls under way end first, and what they order is charged: the job's state is `running` until then.
    """
    job = _find(call)
    pause_job(call.session, job)
    return _asked(call, job, "pause")


def cancel_waiting_orders(call: Call) -> Reply:
    """Cancel what a job has not sent yet, for good.

    Calls under way end first. What was accepted stays ordered and charged.
    """
    job = _find(call)
    cancel_job(call.session, job)
    return _asked(call, job, "cancel")


async def resume_paused_job(call: Call) -> Reply:
    """Go on with a job: paused, or finished with something still to do.

    One that runs already goes on; one with nothing to do stays as it is.
    """
    job = await in_thread(_find, call)
    body: ResumeBody = call.body
    cap = read_amount(body.max_spend, "body.max_spend")
    await go_on(call, job, accept_price=read_amount(body.accept_price, "body.accept_price"), max_spend=cap)
    return await in_thread(_asked, call, job, "resume")


def show_retry(call: Call) -> dict[str, Any]:
    """Say what a retry would send again, and what it costs today; nothing is sent.

    A price list older than `price_max_age_s` is fetched again.
    """
    query: RetryQuery = call.query
    job = _find(call)
    plan = plan_retry(call.session, job, _read_states(query.states), is_again=query.again)
    found = call.session.find_job(job)
    rise = None
    if plan.count:
        renew_prices(call.session, job)
        rise = find_rise(call.session, job, more=plan.count)
    today = None if rise is None else rise.price
    cost = plan.cost if today is None else today * plan.count
    return {
        "count": plan.count,
        "by_state": {state.value: number for state, number in plan.counts.items()},
        "price": found.unit_price if today is None else today.amount,
        "cost": None if cost is None else cost.amount,
        "currency": found.currency,
        "price_change": "" if rise is None else rise.change,
        "elsewhere": [{"job": other, "count": number} for other, number in plan.elsewhere.items()],
        "waiting": call.session.ledger.tally(job).waiting,
    }


async def retry_refused_orders(call: Call) -> Reply:
    """Send again what was refused or failed, and what still waits; nothing else.

    What was accepted, or may have been placed, is never part of it. Ask first what it costs: where the price has risen,
    nothing is sent before that is accepted.
    """
    body: RetryBody = call.body
    job, states = await in_thread(_find, call), _read_states(body.states)
    highest = read_amount(body.max_price, "body.max_price")
    plan = await in_thread(plan_retry, call.session, job, states, is_again=body.again)
    _check_expected(plan, (await in_thread(call.session.find_job, job)).price, body.max_count, highest)
    if plan.count:
        await in_thread(refuse_rise, call.session, job, more=plan.count, up_to=highest)
        await in_thread(check_rest, call.session, job, call.actor, more=plan.count)
        is_again, most, actor = body.again, plan.count, call.actor
        await in_thread(retry_orders, call.session, job, states, is_again=is_again, most=most, actor=actor)
        await go_on(call, job, accept_price=highest)
    return await in_thread(_asked, call, job, "retry")


def _check_expected(plan: RetryPlan, price: Money | None, most: int | None, highest: Decimal | None) -> None:
    """Raise ApiError where a retry would send more than whoever asks knows of, or at a higher price."""
    detail = ""
    if most is not None and plan.count > most:
        detail = f"It would send {plan.count:,} orders, more than {most:,}: nothing was sent."
    elif highest is not None and price is not None and price.amount > highest:
        detail = f"One order costs {price}, more than {Money(highest, price.currency)}: nothing was sent."
    if detail:
        raise ApiError(409, detail, code="more-than-expected", remedy="Ask again what a retry would send.")


async def go_on(
    call: Call, job: JobId, *, accept_price: Decimal | None = None, max_spend: Decimal | None = None
) -> None:
    """Let a job go on under this server's runner."""
    amounts = {"accept_price": accept_price, "max_spend": max_spend}
    resumed = await in_thread(resume_job, call.session, job, **amounts, actor=call.actor, spender=call.actor)
    if resumed.is_to_follow and not resumed.was_running:
        call.office.runner.adopt(job, resumed.lock)
    else:
        resumed.lock.release()


def summarise(call: Call, job: JobId) -> dict[str, Any]:
    """Give a job's summary."""
    summary: dict[str, Any] = call.session.ledger.summary(job).as_dict()
    return summary


def _asked(call: Call, job: JobId, action: str) -> Reply:
    record_action(call.session, call.actor, action, job=job, token=call.token.name)
    summary = summarise(call, job)
    is_under_way = summary["state"] == JobState.RUNNING
    return Reply(value=summary, status=202 if is_under_way else 200, headers={"location": f"/api/v1/jobs/{job}"})


def _find(call: Call) -> JobId:
    return call.session.find_job(JobId(call.path["job"])).id


def _read_states(names: list[Literal["refused", "failed"]] | None) -> frozenset[OrderState]:
    return frozenset(map(OrderState, names)) if names else RETRIED


_STEERED: Final[dict[str, Any]] = {
    "scope": Scope.ORDER,
    "tag": "Jobs",
    "answer": JobSummary,
    "errors": (404, 409, 422),
    "is_repeatable": True,
    "example": EXAMPLE,
    "path_example": {"job": 7},
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/jobs",
        tag="Jobs",
        scope=Scope.READ,
        handle=list_jobs,
        query=JobQuery,
        answer=JobPage,
        errors=(422,),
        example={"jobs": [_LISTED_EXAMPLE], "next": None},
        query_example={"state": "finished", "limit": 20},
    ),
    Operation(
        method="GET",
        path="/jobs/{job}",
        tag="Jobs",
        scope=Scope.READ,
        handle=show_job,
        query=ShowQuery,
        answer=ShownJob,
        errors=(404, 422),
        path_example={"job": 7},
    ),
    Operation(
        method="GET",
        path="/jobs/{job}/events",
        tag="Jobs",
        scope=Scope.READ,
        handle=follow_job,
        media_types=("text/event-stream",),
        errors=(404,),
        path_example={"job": 7},
    ),
    Operation(method="POST", path="/jobs/{job}/pause", handle=pause_running_job, **_STEERED),
    Operation(method="POST", path="/jobs/{job}/cancel", handle=cancel_waiting_orders, **_STEERED),
    Operation(
        method="POST",
        path="/jobs/{job}/resume",
        handle=resume_paused_job,
        body=ResumeBody,
        body_example={"max_spend": 500},
        **_STEERED,
    ),
    Operation(
        method="GET",
        path="/jobs/{job}/retry",
        tag="Jobs",
        scope=Scope.READ,
        handle=show_retry,
        query=RetryQuery,
        answer=RetryAnswer,
        errors=(404, 409, 422),
        path_example={"job": 7},
        example={
            "count": 8,
            "by_state": {"refused": 8},
            "price": Decimal("0.08"),
            "cost": Decimal("0.64"),
            "currency": "USD",
            "price_change": "",
            "elsewhere": [],
            "waiting": 0,
        },
    ),
    Operation(
        method="POST",
        path="/jobs/{job}/retry",
        handle=retry_refused_orders,
        body=RetryBody,
        body_example={"states": ["refused"], "max_count": 8, "max_price": "0.08"},
        **_STEERED,
    ),
)
