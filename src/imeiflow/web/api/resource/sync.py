"""Asking the provider for statuses and results at once. The server's runner asks; nothing here waits for an answer.

It asks for all that is open by itself, when it is due: a sync makes it due now, and looking tells how far that is.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.json_text import as_values
from imeiflow.operations.status_tally import MOST_STUCK, count_all_anomalies, count_statuses, list_stuck
from imeiflow.operations.sync import find_scope, hurry
from imeiflow.web.api.operation import Call, Operation, Reply
from imeiflow.web.api.problem import ApiError
from imeiflow.web.api.value import Account, Count, In, Instant, Number, Out
from imeiflow.web.thread import in_thread

_MOST: Final = 1000

Jobs = Annotated[
    list[Number], Meta(min_length=1, max_length=_MOST, description="The jobs that the call for statuses named.")
]


class SyncBody(In):
    """What to ask for."""

    job: Annotated[Number, Meta(description="Only this job; otherwise all that have something open.")] | None = None


class SyncQuery(In):
    """Which sync to look at."""

    job: Jobs
    since: Annotated[Instant, Meta(description="When it was called for.")]


class Asking(Out):
    """How the asking for the orders of one account goes. `asked` and `calls` count since the server started."""

    account: Account
    owner: Annotated[str, Meta(description="Another process, which has the lane and asks.")] | None
    asked: Annotated[int, Meta(ge=0, description="Orders that were asked for and answered.")]
    calls: Count
    orders_per_s: float
    calls_per_s: float
    ids_per_call: Count
    next_due_at: str | None
    trouble: Annotated[str, Meta(description="What keeps it from asking just now.")]
    halted: Annotated[str, Meta(description="Why it asks nothing more: the account was turned away.")]
    unreached: Annotated[bool, Meta(description="Nobody has answered for several calls.")]


class Sync(Out):
    """How far the results of some jobs are, counted in accepted orders."""

    jobs: list[int]
    since: Annotated[str, Meta(description="When it was called for: give it back to look at it.")]
    now: str
    waiting: Annotated[int, Meta(ge=0, description="Orders that were due then and have not been asked for yet.")]
    is_final: Annotated[bool, Meta(description="Every order has come to its end.")]
    accepted: Count
    completed: Count
    rejected: Count
    in_process: Count
    pending: Count
    unheard: Annotated[int, Meta(ge=0, description="The provider has said nothing yet.")]
    open: Annotated[int, Meta(ge=0, description="Those that are still followed.")]
    unknown: Annotated[int, Meta(ge=0, description="Those of `open` that the provider does not know.")]
    unusable: Annotated[int, Meta(ge=0, description="Those of `open` of which nothing can be used that it says.")]
    stuck: Annotated[
        list[dict[str, Any]], Meta(description="The first 100 of `unknown` and `unusable`: waiting ends none of them.")
    ]
    without_reference: Annotated[int, Meta(ge=0, description="Those that cannot be followed.")]
    anomalies: Annotated[dict[str, int], Meta(description="What the provider said that does not fit, by kind.")]
    next_due_at: Annotated[str, Meta(description="When the next of them are due; null where none is.")] | None
    accounts: list[Asking]


async def fetch_statuses(call: Call) -> Reply:
    """Ask the provider at once for all that is open, of one job or of all.

    What was asked for less than half a minute ago is not asked for again. The runner asks in the background: look at
    it, with the `jobs` and `since` of the answer, until nothing is `waiting`.
    """
    job, session = call.body.job, call.session
    scope = await in_thread(find_scope, session, None if job is None else JobId(job))
    for name in scope:
        session.configuration.choose_account(name)
    jobs = tuple(sorted(one for jobs in scope.values() for one in jobs))
    if len(jobs) > _MOST:
        raise ApiError(409, f"{len(jobs):,} jobs have something open, over {_MOST:,}.", remedy="Name one of them.")
    await in_thread(hurry, session, jobs)
    since = session.clock.now()
    call.office.runner.ask_now(tuple(scope))
    await in_thread(record_action, session, call.actor, "sync", job=job, token=call.token.name, jobs=len(jobs))
    return Reply(value=await in_thread(_look, call, jobs, since, tuple(scope)), status=202)


def look_at_statuses(call: Call) -> dict[str, Any]:
    """Say how far the results of some jobs are, and how the asking goes."""
    query: SyncQuery = call.query
    jobs = tuple(dict.fromkeys(map(JobId, query.job)))
    accounts = tuple(dict.fromkeys(call.session.find_job(job).account for job in jobs))
    return _look(call, jobs, query.since, accounts)


def _look(call: Call, jobs: tuple[JobId, ...], since: datetime, accounts: tuple[AccountName, ...]) -> dict[str, Any]:
    ledger, tally = call.session.ledger, count_statuses(call.session, jobs)
    due = [one.due_at for name in accounts for one in ledger.due_jobs(name) if one.id in jobs]
    return {
        "jobs": list(jobs),
        "since": since,
        "now": call.session.clock.now(),
        "waiting": sum(ledger.count_open(job, until=since) for job in jobs),
        "is_final": not tally.open,
        "accepted": tally.total,
        **{status.value: tally[status] for status in ResultStatus},
        "unheard": tally[None],
        "open": tally.open,
        "unknown": tally.unknown,
        "unusable": tally.unusable,
        "stuck": [as_values(one) for one in list_stuck(call.session, jobs, limit=MOST_STUCK)] if tally.stuck else [],
        "without_reference": tally.lost,
        "anomalies": {kind.value: number for kind, number in count_all_anomalies(call.session, jobs).items() if number},
        "next_due_at": min(due, default=None),
        "accounts": [_describe_asking(call, name) for name in accounts],
    }


def _describe_asking(call: Call, name: AccountName) -> dict[str, Any]:
    polls = call.office.runner.look_at_polls(name)
    view = polls.view
    return {
        "account": name,
        "owner": polls.owner,
        "asked": polls.asked,
        "calls": polls.calls,
        "orders_per_s": 0.0 if view is None else view.orders_per_s,
        "calls_per_s": 0.0 if view is None else view.calls_per_s,
        "ids_per_call": 0 if view is None else view.ids_per_call,
        "next_due_at": None if view is None else view.next_due_at,
        "trouble": "" if view is None else view.trouble,
        "halted": polls.halted,
        "unreached": polls.is_unreached,
    }


_EXAMPLE: Final = {
    "jobs": [7],
    "since": "2026-11-28T14:30:00+00:00",
    "now": "2026-11-28T14:30:01+00:00",
    "waiting": 120,
    "is_final": False,
    "accepted": 19990,
    "completed": 19870,
    "rejected": 0,
    "in_process": 120,
    "pending": 0,
    "unheard": 0,
    "open": 120,
    "unknown": 0,
    "unusable": 0,
    "stuck": [],
    "without_reference": 0,
    "anomalies": {},
    "next_due_at": "2026-11-28T14:30:00+00:00",
    "accounts": [
        {
            "account": "gsm-fusion",
            "owner": None,
            "asked": 19870,
            "calls": 40,
            "orders_per_s": 900.0,
            "calls_per_s": Decimal("1.8"),
            "ids_per_call": 500,
            "next_due_at": None,
            "trouble": "",
            "halted": "",
            "unreached": False,
        }
    ],
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/syncs",
        tag="Statuses and results",
        scope=Scope.ORDER,
        handle=fetch_statuses,
        body=SyncBody,
        answer=Sync,
        status=202,
        errors=(404, 409, 422),
        is_repeatable=True,
        body_example={"job": 7},
        example=_EXAMPLE,
    ),
    Operation(
        method="GET",
        path="/syncs",
        tag="Statuses and results",
        scope=Scope.READ,
        handle=look_at_statuses,
        query=SyncQuery,
        answer=Sync,
        errors=(404, 422),
        query_example={"job": [7], "since": "2026-11-28T14:30:00+00:00"},
        example={**_EXAMPLE, "waiting": 0},
    ),
)
