"""Jobs, steered: paused, cancelled, let go on, sent again. Nothing waits here: what is under way ends by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.catalogue import PriceList
from imeiflow.operations.price import find_rise, refuse_rise
from imeiflow.operations.spend_limit import hold_probe
from imeiflow.operations.steering import (
    RETRIED,
    Resumed,
    RetryPlan,
    cancel_job,
    pause_job,
    plan_retry,
    resume_job,
    retry_job,
)
from imeiflow.web.api.operation import Call, Operation, Reply
from imeiflow.web.api.problem import ApiError
from imeiflow.web.api.resource.job import EXAMPLE, find_job, summarise
from imeiflow.web.api.value import Amount, In, JobSummary, Out, read_amount
from imeiflow.web.thread import in_thread


class ResumeBody(In):
    """How to go on."""

    max_spend: Annotated[Amount, Meta(description="Another spending cap.")] | None = None
    accept_price: (
        Annotated[Amount, Meta(description="What one order may cost, where the price has risen since.")] | None
    ) = None
    probe_up_to: (
        Annotated[Amount, Meta(description="What a repeated order may cost, to learn whether doubts can be settled.")]
        | None
    ) = None


class ResumeAnswer(Out):
    """Whether a job may go on at today's price. Nothing is sent before a higher one is accepted."""

    price: Annotated[Amount, Meta(description="What one order costs, as it was confirmed.")] | None
    price_now: Annotated[Amount, Meta(description="What may be accepted, where it has risen; else null.")] | None
    currency: str
    change: Annotated[str, Meta(description="Why it may not go on as it was confirmed; empty where it may.")]
    cost: Annotated[str, Meta(description="What the rest would cost.")]
    price_problem: Annotated[str, Meta(description="Why the price list could not be fetched.")]


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


def pause_running_job(call: Call) -> Reply:
    """Pause a job: nothing more is sent.

    Calls under way end first, and what they order is charged: the job's state is `running` until then.
    """
    job = find_job(call)
    pause_job(call.session, job)
    return _asked(call, job, "pause")


def cancel_waiting_orders(call: Call) -> Reply:
    """Cancel what a job has not sent yet, for good.

    Calls under way end first. What was accepted stays ordered and charged.
    """
    job = find_job(call)
    cancel_job(call.session, job)
    return _asked(call, job, "cancel")


async def resume_paused_job(call: Call) -> Reply:
    """Go on with a job: paused, or finished with something still to do.

    One that runs already goes on; of one with nothing to do nothing is sent, and it is finished.
    """
    job = await in_thread(find_job, call)
    body: ResumeBody = call.body
    cap, probe = read_amount(body.max_spend, "body.max_spend"), read_amount(body.probe_up_to, "body.probe_up_to")
    price = read_amount(body.accept_price, "body.accept_price")
    await go_on(call, job, accept_price=price, max_spend=cap, probe_up_to=probe)
    return await in_thread(_asked, call, job, "resume")


async def show_resume(call: Call) -> dict[str, Any]:
    """Say whether a job may go on at today's price, and what its rest would cost otherwise; nothing is sent.

    A price list of some minutes ago is fetched again first.
    """
    job = await in_thread(find_job, call)
    prices = await call.office.enquiries.renew(job)
    return await in_thread(_show_resume, call, job, prices)


def _show_resume(call: Call, job: JobId, prices: PriceList | None) -> dict[str, Any]:
    found, rise = call.session.find_job(job), find_rise(call.session, job)
    if found.state not in {JobState.PAUSED, JobState.FINISHED}:
        rise = None
    return {
        "price": found.unit_price,
        "price_now": None if rise is None or rise.price is None else rise.price.amount,
        "currency": found.currency,
        "change": "" if rise is None else rise.change,
        "cost": "" if rise is None else rise.cost,
        "price_problem": "" if prices is None or prices.is_fresh else prices.problem,
    }


async def show_retry(call: Call) -> dict[str, Any]:
    """Say what a retry would send again, and what it costs today; nothing is sent.

    A price list older than `price_max_age_s` is fetched again.
    """
    query: RetryQuery = call.query
    job = await in_thread(find_job, call)
    plan = await in_thread(plan_retry, call.session, job, _read_states(query.states), is_again=query.again)
    if plan.count:
        await call.office.enquiries.renew(job)
    return await in_thread(_show_retry, call, job, plan)


def _show_retry(call: Call, job: JobId, plan: RetryPlan) -> dict[str, Any]:
    found = call.session.find_job(job)
    rise = find_rise(call.session, job, more=plan.count) if plan.count else None
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
    job, states = await in_thread(find_job, call), _read_states(body.states)
    highest = read_amount(body.max_price, "body.max_price")
    plan = await in_thread(plan_retry, call.session, job, states, is_again=body.again)
    _check_expected(plan, (await in_thread(call.session.find_job, job)).price, body.max_count, highest)
    if plan.count:
        await call.office.enquiries.renew(job)
        await in_thread(refuse_rise, call.session, job, more=plan.count, up_to=highest)
        how: dict[str, Any] = {"is_again": body.again, "most": plan.count, "accept_price": highest}
        how |= {"actor": call.actor, "spender": call.actor}
        _, resumed = await in_thread(retry_job, call.session, job, states, **how)
        _take_over(call, resumed)
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
    call: Call,
    job: JobId,
    *,
    accept_price: Decimal | None = None,
    max_spend: Decimal | None = None,
    probe_up_to: Decimal | None = None,
) -> None:
    """Let a job go on under this server's runner."""
    runner = call.office.runner
    amounts: dict[str, Any] = {"accept_price": accept_price, "max_spend": max_spend, "probe_up_to": probe_up_to}
    before = runner.allowed_probe(job)
    if probe_up_to is not None:
        await in_thread(hold_probe, call.session, job, call.actor, probe_up_to)
        runner.allow_probe(job, probe_up_to)  # first: it may come to its doubts at once
    try:
        resumed = await in_thread(resume_job, call.session, job, **amounts, actor=call.actor, spender=call.actor)
    except BaseException:
        runner.allow_probe(job, before)  # what it was allowed before, while it runs, it still is
        raise
    _take_over(call, resumed)


def _take_over(call: Call, resumed: Resumed) -> None:
    """Have this server's runner answer for a job that runs, unless another does."""
    if resumed.is_to_follow and not resumed.was_running:
        call.office.runner.adopt(resumed.job, resumed.lock)
        return
    resumed.lock.release()
    if not resumed.is_to_follow:
        call.office.runner.allow_probe(resumed.job, None)


def _asked(call: Call, job: JobId, action: str) -> Reply:
    record_action(call.session, call.actor, action, job=job, token=call.token.name)
    summary = summarise(call, job)
    is_under_way = summary["state"] == JobState.RUNNING
    return Reply(value=summary, status=202 if is_under_way else 200, headers={"location": f"/api/v1/jobs/{job}"})


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
        path="/jobs/{job}/resume",
        tag="Jobs",
        scope=Scope.READ,
        handle=show_resume,
        answer=ResumeAnswer,
        errors=(404, 409, 422),
        path_example={"job": 7},
        example={
            "price": Decimal("0.08"),
            "price_now": Decimal("0.10"),
            "currency": "USD",
            "change": "service 12 costs $0.10 now, not $0.08",
            "cost": "The 120 that wait would cost $12.00 instead of $9.60.",
            "price_problem": "",
        },
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
