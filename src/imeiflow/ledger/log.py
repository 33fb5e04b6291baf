"""Adding to the log of events. Rows are only ever added: the database itself forbids the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert

from imeiflow.ledger.schema import event

#: Kinds of events about repeat probes: one that was charged, and one that may have been.
PROBE_CHARGED = "probe_charged"
PROBE_IN_DOUBT = "probe_in_doubt"
#: The kind of event that says which price was agreed to anew for a job.
PRICE_ACCEPTED = "price_accepted"
#: The kind of event that says that a job at rest was given another spending cap.
CAP_CHANGED = "cap_changed"
#: The kind of event that says that a price rose while orders were placed, and what they may have cost besides.
PRICE_ROSE = "price_rose_unseen"
#: Kinds of events that come with orders that are queued from then on: written in the transaction that queues them.
JOB_STARTED = "job_started"
ORDERS_RETRIED = "orders_retried"
MARKED_NOT_PLACED = "marked_not_placed"
QUEUEING: Final = frozenset({JOB_STARTED, ORDERS_RETRIED, MARKED_NOT_PLACED})

_INSERT = insert(event)


def write_event(
    connection: Connection,
    kind: str,
    *,
    at: datetime,
    account: str | None = None,
    job: int | None = None,
    order: int | None = None,
    attempt: int | None = None,
    data: Mapping[str, object] | None = None,
    actor: str | None = None,
) -> None:
    """Add one event within the transaction."""
    connection.execute(
        _INSERT,
        {
            "at": at,
            "kind": kind,
            "account": account,
            "job_id": job,
            "order_id": order,
            "attempt_id": attempt,
            "data": dict(data or {}),
            "actor": actor,
        },
    )
