"""What a webhook is sent: messages about jobs, and about up to MOST orders of one job at once. Pure.

    {"id": "evt_…", "type": "order.completed", "created_at": "2026-11-28T01:02:03.456789+00:00",
     "data": {"job": {…}, "orders": [{…}, …]}}

An order's message is batched: a job of 20,000 orders is told in a hundred messages, not in 20,000.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from imeiflow.domain.ident import JobId
from imeiflow.domain.imei import Imei
from imeiflow.domain.notice import Told
from imeiflow.domain.order import OrderState
from imeiflow.domain.progress import Summary
from imeiflow.ledger.notice import Notice, ToldOrder
from imeiflow.ledger.record import Job
from imeiflow.results.anomaly import read_order_result

MOST = 200
#: So long an order's notice waits for others.
LINGER = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Batch:
    """Notices that become one message: all of one event and one job."""

    event: Told
    job: JobId
    notices: tuple[Notice, ...]


def make_batches(notices: Iterable[Notice], now: datetime, *, is_urgent: bool) -> Iterator[Batch]:
    """Put notices together, those of orders up to MOST; a smaller batch waits for company, unless it `is_urgent`."""
    groups: dict[tuple[Told, JobId], list[Notice]] = {}
    for one in notices:
        if one.event.is_of_orders:
            groups.setdefault((one.event, one.job), []).append(one)
        else:
            yield Batch(one.event, one.job, (one,))
    for (event, job), group in groups.items():
        for start in range(0, len(group), MOST):
            part = tuple(group[start : start + MOST])
            if is_urgent or len(part) == MOST or now - min(one.at for one in part) >= LINGER:
                yield Batch(event, job, part)


def choose_orders(event: Told, orders: Sequence[ToldOrder]) -> list[ToldOrder]:
    """Choose the orders of which an event is still true: a doubt that was settled meanwhile is no news."""
    if event is Told.ORDER_UNCONFIRMED:
        return [order for order in orders if order.state is OrderState.UNCONFIRMED]
    return list(orders)


def write_message(event_id: str, event: str, at: datetime, data: Mapping[str, object]) -> bytes:
    """Write a message as it is sent, and signed, byte by byte."""
    whole = {"id": event_id, "type": event, "created_at": at.isoformat(), "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), default=_write).encode("utf-8", "replace")


def describe_job(job: Job, summary: Summary, notice: Notice) -> dict[str, object]:
    """Give what is told of a job: its counts as they are now, its state and reason as they were then."""
    state = notice.event.value.removeprefix("job.")
    told = {**summary.as_dict(), "state": state, "reason": notice.detail}
    return {**told, "name": job.name, "account": job.account, "service": job.service, "service_name": job.service_name}


def describe_orders(job: Job, orders: Sequence[ToldOrder]) -> dict[str, object]:
    """Give what is told of orders, and the little of their job that tells where they belong."""
    names = ("name", "account", "service", "service_name")
    return {
        "job": {"job": job.id, **{name: getattr(job, name) for name in names}},
        "orders": [_describe_order(job, order) for order in orders],
    }


def _describe_order(job: Job, order: ToldOrder) -> dict[str, object]:
    result = None if order.result is None else read_order_result(order.result, Imei(order.imei) if order.imei else None)
    return {
        "order": order.id,
        "row": order.line,
        "imei": order.imei,
        "state": order.state.value,
        "reference": order.reference,
        "status": None if order.status is None else order.status.value,
        "result": order.result,
        "fields": {} if result is None else {one.name: one.shown for one in result.fields},
        "notes": [] if result is None else [note.value for note in result.notes],
        "error": order.error,
        "price": order.price,
        "currency": job.currency,
        "accepted_at": order.accepted_at,
        "completed_at": order.completed_at,
    }


def _write(value: object) -> object:
    """Write what JSON does not know; an amount as a text, which loses no digit in any language."""
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat()
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")
