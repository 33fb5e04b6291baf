"""Jobs: listed, shown, and followed by server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Scope
from imeiflow.operations.job_detail import describe_job, read_job_detail
from imeiflow.operations.json_text import dump_json
from imeiflow.web.api.operation import Call, Operation, StreamReply
from imeiflow.web.api.value import Account, Amount, Finished, In, JobSummary, Limit, Out
from imeiflow.web.hub import job_topic
from imeiflow.web.room import Place
from imeiflow.web.thread import in_thread

#: A job of a million orders takes a while to count: so much of the time goes into it at most.
_COUNTING_SHARE: Final = 0.2
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
    "probed": Decimal("0.00"),
    "price_rise": None,
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
    older: Annotated[int, Meta(ge=0, description="Jobs that match behind this page.")]


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
    dear_probe: (
        Annotated[Amount, Meta(description="What repeat probes may cost in all where one waits for your word.")] | None
    )
    no_repeat: Annotated[
        str, Meta(description="Why going on would send none of its unconfirmed orders again; empty where it may.")
    ]
    status_anomaly_counts: dict[str, int]
    status_anomalies: Annotated[list[dict[str, Any]], Meta(description="What the provider said that does not fit.")]
    reply_anomaly_counts: dict[str, int]
    reply_anomalies: Annotated[
        list[dict[str, Any]],
        Meta(description="What replies to placing calls named that does not fit to what was sent."),
    ]
    limits: list[dict[str, Any]]
    findings: Annotated[dict[str, Any], Meta(description="How often results say what; null unless asked for.")] | None


class ShowQuery(In):
    """What is to be told beside the job itself."""

    findings: Annotated[bool, Meta(description="Count what its results say: carrier, lock, Find My.")] = False


def list_jobs(call: Call) -> dict[str, Any]:
    """List jobs, newest first."""
    query: JobQuery = call.query
    ledger = call.session.ledger
    state = None if query.state is None else JobState(query.state)
    account = None if query.account is None else AccountName(query.account)
    before = None if query.cursor is None else JobId(query.cursor)
    shown = ledger.list_jobs(state, account, query.limit, before=before)
    older = 0
    if len(shown) == query.limit:
        older = ledger.count_jobs(state, account, before=shown[-1].id)
    summaries = ledger.summaries([job.id for job in shown])
    return {
        "jobs": [{**summaries[job.id].as_dict(), **{name: getattr(job, name) for name in _LISTED}} for job in shown],
        "next": shown[-1].id if older else None,
        "older": older,
    }


def show_job(call: Call) -> dict[str, Any]:
    """Show a job: its terms, counts, reasons, doubts and limits."""
    return describe_job(read_job_detail(call.session, find_job(call), has_findings=call.query.findings))


async def follow_job(call: Call) -> StreamReply:
    """Follow a job by server-sent events.

    Each event `job` carries the job's summary; the first comes at once, the others when something has changed. The
    event `end` carries the last one, when the job does not run any more, and ends the stream.
    """
    job = await in_thread(find_job, call)
    place = call.office.streams.enter(call.actor)
    return StreamReply(parts=_tell(call, place, job), media_type="text/event-stream")


async def _tell(call: Call, place: Place, job: JobId) -> AsyncIterator[str]:
    office = call.office
    with place, office.hub.watch([job_topic(job), "jobs"]) as viewer:
        last = ""
        changes = viewer.changes()
        while await in_thread(call.session.ledger.is_good_token, call.token.id):
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


def summarise(call: Call, job: JobId) -> dict[str, Any]:
    """Give a job's summary."""
    summary: dict[str, Any] = call.session.ledger.summary(job).as_dict()
    return summary


def find_job(call: Call) -> JobId:
    """Give the job that a path names. Raises UnknownJobError."""
    return call.session.find_job(JobId(call.path["job"])).id


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
        example={"jobs": [_LISTED_EXAMPLE], "next": None, "older": 0},
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
)
