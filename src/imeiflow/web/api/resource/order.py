"""Orders: found over all jobs, page by page, and one with all that became of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.user import Scope
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.operations.json_text import as_values
from imeiflow.operations.order_list import read_wanted
from imeiflow.operations.timeline import read_timeline
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.problem import ApiError
from imeiflow.web.api.value import (
    Account,
    CursorText,
    In,
    Instant,
    Limit,
    Number,
    Order,
    Out,
    Text,
    contradict,
    refuse,
)

_SHOWN: Final = 80
_MOST_UNREADABLE: Final = 100

EXAMPLE: Final = {
    "id": 41,
    "job": 7,
    "account": "gsm-fusion",
    "service": "12",
    "line": 2,
    "imei": "356938030000013",
    "value": None,
    "state": "accepted",
    "attempts": 1,
    "reference": "4711",
    "status": "completed",
    "status_at": "2026-11-28T14:35:10+00:00",
    "result": "Model: iPhone 13 128GB Blue",
    "error_kind": None,
    "error": None,
    "price": Decimal("0.08"),
    "charges": 1,
    "accepted_at": "2026-11-28T14:30:02+00:00",
    "completed_at": "2026-11-28T14:35:10+00:00",
}


class Selection(In):
    """Which orders: those that meet all that is given."""

    job: Annotated[list[Number], Meta(max_length=100, description="Only of these jobs.")] | None = None
    state: Annotated[list[OrderState], Meta(max_length=10, description="Only in these states.")] | None = None
    status: Annotated[list[ResultStatus], Meta(max_length=4, description="Only with these statuses.")] | None = None
    service: Annotated[Text, Meta(description="Only of this service.")] | None = None
    account: Account | None = None
    accepted_from: Instant | None = None
    accepted_before: Instant | None = None
    completed_from: Instant | None = None
    completed_before: Instant | None = None


class OrderQuery(Selection):
    """Which orders, and which page of them."""

    imei: Annotated[list[Text], Meta(max_length=100, description="Only these IMEIs, read as in a list.")] | None = None
    reference: Annotated[list[Text], Meta(max_length=100, description="Only with these references.")] | None = None
    limit: Limit = 50
    cursor: CursorText | None = None


class OrderSearch(Selection):
    """Which orders, where there are too many IMEIs for an address."""

    imei: Annotated[list[Text], Meta(max_length=100_000, description="Only these IMEIs, read as in a list.")] | None = (
        None
    )
    reference: Annotated[list[Text], Meta(max_length=100_000, description="Only with these references.")] | None = None
    limit: Limit = 50
    cursor: CursorText | None = None


class OrderPage(Out):
    """Some orders, newest first."""

    orders: list[Order]
    next: Annotated[str, Meta(description="`cursor` of the next page; null at the end.")] | None
    unreadable: Annotated[list[str], Meta(description="What was asked for as an IMEI and is none: the first 100.")]


class Happening(Out):
    """Something that happened to an order."""

    at: datetime
    kind: str
    sentence: str
    attempt: int | None


class ShownOrder(Out):
    """An order, with every attempt and every change of its status."""

    order: Order
    attempts: Annotated[list[dict[str, Any]], Meta(description="Every call that carried it, oldest first.")]
    changes: Annotated[list[dict[str, Any]], Meta(description="Every change of its status, oldest first.")]
    timeline: Annotated[list[Happening], Meta(description="All that happened to it, in sentences, oldest first.")]


def list_orders(call: Call) -> dict[str, Any]:
    """Find orders over all jobs, newest first.

    With a time, the latest come first. What a repeated row repeats is listed with the job that ordered it.
    """
    return _find_page(call, call.query, "query")


def search_orders(call: Call) -> dict[str, Any]:
    """Find orders by thousands of IMEIs or references.

    The same as the list of orders, with the parameters in the body.
    """
    return _find_page(call, call.body, "body")


def show_order(call: Call) -> dict[str, Any]:
    """Show one order: every attempt, and every change of its status."""
    order = OrderId(call.path["order"])
    found = call.session.ledger.find_order(order)
    if found is None:
        raise ApiError(404, f"There is no order {order}.", remedy="`id` of /orders names them.")
    attempts = call.session.ledger.attempts_of(order)
    changes = call.session.ledger.status_changes(order=order)
    return {
        "order": as_values(found),
        "attempts": [
            {
                **as_values(one.attempt, "token", "headers", "anomalies"),
                **as_values(one, "attempt"),
                "anomalies": [as_values(anomaly) for anomaly in one.attempt.anomalies],
            }
            for one in attempts
        ],
        "changes": [as_values(change, "job", "order") for change in changes],
        "timeline": [as_values(one) for one in read_timeline(call.session, found)],
    }


def read_selection(selection: Selection, place: str) -> Filter:
    """Make the filter of a selection. Raises ApiError 422."""
    return Filter(
        states=frozenset(selection.state) if selection.state else None,
        statuses=frozenset(selection.status) if selection.status else None,
        jobs=tuple(map(JobId, selection.job)) if selection.job else None,
        service=None if selection.service is None else ServiceId(selection.service),
        account=None if selection.account is None else AccountName(selection.account),
        accepted=_read_span(f"{place}.accepted", selection.accepted_from, selection.accepted_before),
        completed=_read_span(f"{place}.completed", selection.completed_from, selection.completed_before),
    )


def _find_page(call: Call, query: OrderQuery | OrderSearch, place: str) -> dict[str, Any]:
    found = read_selection(query, place)
    named = read_wanted(query.imei) if query.imei else None
    wanted = Filter(
        imeis=None if named is None else tuple(named.imeis),
        references=tuple(map(Reference, query.reference)) if query.reference else None,
        states=found.states,
        statuses=found.statuses,
        jobs=found.jobs,
        service=found.service,
        account=found.account,
        accepted=found.accepted,
        completed=found.completed,
    )
    for job in wanted.jobs or ():
        call.session.find_job(job)
    page = call.session.ledger.page_orders(wanted, after=_read_cursor(query.cursor, place), limit=query.limit)
    return {
        "orders": [as_values(order) for order in page.orders],
        "next": None if page.next is None else str(page.next),
        "unreadable": [] if named is None else [text[:_SHOWN] for text in named.unreadable[:_MOST_UNREADABLE]],
    }


def _read_cursor(text: str | None, place: str) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError:
        raise refuse(f"{place}.cursor", "it is no cursor", "Give `next` of the page before as it is.", text) from None


def _read_span(field: str, start: Any, end: Any) -> Span | None:
    if start is None and end is None:
        return None
    if start is not None and end is not None and start >= end:
        raise contradict(f"{field}_before", "it lies before its beginning", "Change one, or leave it out.", str(end))
    return Span(start, end)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/orders",
        tag="Orders",
        scope=Scope.READ,
        handle=list_orders,
        query=OrderQuery,
        answer=OrderPage,
        errors=(404, 409, 422),
        query_example={"job": 7, "state": "unconfirmed"},
        example={"orders": [EXAMPLE], "next": "7-41", "unreadable": []},
    ),
    Operation(
        method="POST",
        path="/orders/search",
        tag="Orders",
        scope=Scope.READ,
        handle=search_orders,
        body=OrderSearch,
        answer=OrderPage,
        errors=(404, 409, 422),
        body_example={"imei": ["356938030000013", "356938030000021"], "limit": 1000},
        example={"orders": [EXAMPLE], "next": None, "unreadable": []},
        largest=4_000_000,
    ),
    Operation(
        method="GET",
        path="/orders/{order}",
        tag="Orders",
        scope=Scope.READ,
        handle=show_order,
        answer=ShownOrder,
        errors=(404,),
        path_example={"order": 41},
        example={
            "order": EXAMPLE,
            "attempts": [
                {
                    "id": 3,
                    "kind": "place",
                    "size": 100,
                    "started_at": "2026-11-28T14:30:01+00:00",
                    "ended_at": "2026-11-28T14:30:02+00:00",
                    "ending": "answered",
                    "http_status": 200,
                    "outcome": "accepted",
                    "reference": "4711",
                }
            ],
            "changes": [{"id": 9, "at": "2026-11-28T14:35:10+00:00", "before": "pending", "status": "completed"}],
            "timeline": [{"at": "2026-11-28T14:30:01+00:00", "kind": "attempt", "sentence": "accepted", "attempt": 3}],
        },
    ),
)
