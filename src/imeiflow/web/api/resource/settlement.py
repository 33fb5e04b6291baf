"""Unconfirmed orders: the evidence, and the user's word about them. Only what is unconfirmed can be settled."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.json_object import describe_reconciliation
from imeiflow.operations.json_text import as_values
from imeiflow.operations.order_list import read_wanted
from imeiflow.operations.preparation import clean_file_name
from imeiflow.operations.reconciliation import reconcile, settle_wholly
from imeiflow.operations.reconciliation_view import tell_reconciliation
from imeiflow.operations.settlement import (
    find_last_attempt,
    page_doubtful,
    plan_settlement,
    settle_not_placed,
    settle_placed,
)
from imeiflow.operations.time_zone import name_time_zone
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.resource.job import EXAMPLE, summarise
from imeiflow.web.api.value import Amount, In, JobSummary, Limit, Number, Out, Text, contradict, refuse

_NOTE: Final = Meta(max_length=500, description="How you know; it is kept in the log.")


class DoubtQuery(In):
    """Which page of them."""

    limit: Limit = 100
    cursor: Annotated[Number, Meta(description="The `next` of the page before.")] | None = None


class DoubtfulOrder(Out):
    """An order that may have been placed, and the call that may have done it."""

    order: int
    imei: str | None
    attempt: int
    began_at: str
    size: Annotated[int, Meta(description="How many orders the call carried.")]
    ending: str | None
    http_status: int | None
    message: Annotated[str, Meta(description="What came back, in words.")]
    attempts_in_doubt: int
    line: int
    value: Annotated[str | None, Meta(description="The file, or the fields, where it is about no IMEI.")]


class DoubtPage(Out):
    """Some of a job's unconfirmed orders, in the order of the list."""

    orders: list[DoubtfulOrder]
    next: int | None


class Settlement(In):
    """What became of unconfirmed orders. Your word is taken: look at the provider's own order page first."""

    outcome: Annotated[
        Literal["placed", "not_placed"],
        Meta(description="placed: the provider has them. not_placed: it has not, and they are queued again."),
    ]
    imeis: Annotated[
        Literal["all"] | Annotated[list[Text], Meta(min_length=1, max_length=100_000)] | None,
        Meta(description="These; or `all`: every unconfirmed order of the job."),
    ] = None
    lines: Annotated[
        Annotated[list[Number], Meta(min_length=1, max_length=100_000)] | None,
        Meta(description="Instead of `imeis`: what stands on these lines of the list."),
    ] = None
    reference: (
        Annotated[str, Meta(min_length=1, max_length=200, description="The provider's own id, of one order.")] | None
    ) = None
    note: Annotated[str, _NOTE] = ""
    dry_run: Annotated[bool, Meta(description="Say how many it would settle, at what cost; change nothing.")] = False
    last_attempt: (
        Annotated[
            int,
            Meta(ge=0, le=999_999_999_999_999_999, description="As a dry run gave it: settle nothing sent since."),
        ]
        | None
    ) = None


class Settled(Out):
    """How many were settled, and the job since."""

    settled: int
    last_attempt: Annotated[int, Meta(description="The newest of the job's calls: give it back with your word.")]
    cost: Annotated[Amount, Meta(description="What they cost; null where the price is not known.")] | None
    job: JobSummary


class ExportForm(In):
    """How the provider's own export is to be taken; `file` beside it is the export."""

    timezone: (
        Annotated[
            Text, Meta(description="Of the export's dates, where orders do not tell: UTC, +05:30, Europe/Berlin.")
        ]
        | None
    ) = None
    complete: Annotated[
        bool, Meta(description="It has all orders of its time: what it does not name was not placed.")
    ] = False
    dry_run: Annotated[bool, Meta(description="Say what it would change; change nothing.")] = False
    note: Annotated[str, _NOTE] = ""


class ExportSettlement(Out):
    """What an export says, and what was settled by it."""

    found: Annotated[dict[str, Any], Meta(description="As `imeiflow settle --from-export --dry-run --json` prints it.")]
    told: Annotated[list[str], Meta(description="The same in sentences, a line each.")]
    placed: int
    not_placed: int
    job: JobSummary


def list_doubts(call: Call) -> dict[str, Any]:
    """List a job's unconfirmed orders with their evidence."""
    job, query = _find(call), call.query
    found, rest = page_doubtful(call.session, job, after=OrderId(query.cursor or 0), limit=query.limit)
    return {"orders": [{"order": order, **as_values(one)} for order, one in found], "next": rest}


def settle_orders(call: Call) -> dict[str, Any]:
    """Say what became of unconfirmed orders of a job that is at rest.

    Placed, they count as spent. Not placed, they are queued again, and cost their price once more if that is wrong.
    """
    job, body = _find(call), call.body
    if body.outcome == "not_placed" and body.reference is not None:
        raise contradict("body.reference", "what was not placed has none", "Leave it out.", body.reference)
    if body.imeis is None and body.lines is None:
        remedy = "Name IMEIs, or `all`; or lines of the list, as `lines`."
        raise contradict("body.imeis", "neither it nor `lines` says which are meant", remedy)
    if body.imeis is not None and body.lines is not None:
        raise contradict("body.lines", "`imeis` says already which", "Leave one of them out.")
    imeis = None
    if body.imeis is not None and body.imeis != "all":
        wanted = read_wanted(body.imeis)
        if wanted.unreadable or not wanted.imeis:
            shown = wanted.unreadable[0][:80] if wanted.unreadable else None
            remedy = "Nothing was changed. Give IMEIs of 15 digits."
            raise refuse("body.imeis", "this is no IMEI of the job", remedy, shown, status=404, code="imei")
        imeis = tuple(wanted.imeis)
    last = find_last_attempt(call.session, job)  # first: what is sent from here on was not seen
    seen = None if body.last_attempt is None else AttemptId(body.last_attempt)
    plan = plan_settlement(call.session, job, imeis, lines=body.lines, seen=seen)
    if body.dry_run:
        pass
    elif plan.orders and body.outcome == "placed":
        reference = None if body.reference is None else Reference(body.reference.strip())
        settle_placed(call.session, plan, reference, note=body.note, actor=call.actor)
    elif plan.orders:
        settle_not_placed(call.session, plan, note=body.note, actor=call.actor)
    if plan.orders and not body.dry_run:
        told = {"verdict": body.outcome, "count": len(plan.orders), "note": body.note}
        record_action(call.session, call.actor, "settle", job=job, token=call.token.name, **told)
    return {
        "settled": len(plan.orders),
        "last_attempt": last,
        "cost": None if plan.cost is None else plan.cost.amount,
        "job": summarise(call, job),
    }


def settle_from_export(call: Call) -> dict[str, Any]:
    """Settle by the provider's own export all that it names.

    That an order is missing from an export proves nothing by itself, unless you say that it is `complete`.
    """
    job, form, upload = _find(call), call.body, call.upload
    if upload is None:
        raise refuse("body.file", "it is missing", "Send the export as `file`.")
    zone = None if form.timezone is None else name_time_zone(form.timezone)
    name = clean_file_name(upload.name)
    found = reconcile(call.session, job, upload.path, zone=zone, name=name, is_complete=form.complete)
    placed = missing = 0
    if not form.dry_run:
        note = form.note or f"by the provider's export {name}"

        def log(placed: int, missing: int) -> None:
            counts = {"placed": placed, "not_placed": missing, "by": "export"}
            record_action(call.session, call.actor, "settle", job=job, token=call.token.name, **counts)

        placed, missing = settle_wholly(
            call.session,
            found,
            is_complete=form.complete,
            notes=(note, f"{note}, which is complete"),
            actor=call.actor,
            log=log,
        )
    return {
        "found": describe_reconciliation(found),
        "told": list(tell_reconciliation(found, is_complete=form.complete)),
        "placed": placed,
        "not_placed": missing,
        "job": summarise(call, job),
    }


def _find(call: Call) -> JobId:
    return call.session.find_job(JobId(call.path["job"])).id


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/jobs/{job}/doubts",
        tag="Unconfirmed orders",
        scope=Scope.READ,
        handle=list_doubts,
        query=DoubtQuery,
        answer=DoubtPage,
        errors=(404, 422),
        path_example={"job": 7},
        example={
            "orders": [
                {
                    "order": 41,
                    "imei": "356938030000013",
                    "attempt": 3,
                    "began_at": "2026-11-28T14:30:01+00:00",
                    "size": 100,
                    "ending": "in_doubt",
                    "http_status": None,
                    "message": "nothing came back",
                    "attempts_in_doubt": 1,
                    "line": 42,
                    "value": None,
                }
            ],
            "next": None,
        },
    ),
    Operation(
        method="POST",
        path="/jobs/{job}/settlements",
        tag="Unconfirmed orders",
        scope=Scope.SETTLE,
        handle=settle_orders,
        body=Settlement,
        answer=Settled,
        errors=(404, 409, 422),
        is_repeatable=True,
        largest=4_000_000,
        path_example={"job": 7},
        body_example={"outcome": "placed", "imeis": ["356938030000013"], "reference": "4711", "note": "order page"},
        example={"settled": 1, "last_attempt": 201, "cost": Decimal("0.08"), "job": EXAMPLE},
    ),
    Operation(
        method="POST",
        path="/jobs/{job}/settlements/export",
        tag="Unconfirmed orders",
        scope=Scope.SETTLE,
        handle=settle_from_export,
        form=ExportForm,
        answer=ExportSettlement,
        errors=(404, 409, 422),
        is_repeatable=True,
        path_example={"job": 7},
        body_example={"timezone": "UTC", "dry_run": True},
        example={
            "found": {"job": 7, "rows": 120, "placed": 2},
            "told": ["orders.csv: 120 rows, 120 IMEIs"],
            "placed": 0,
            "not_placed": 0,
            "job": EXAMPLE,
        },
    ),
)
