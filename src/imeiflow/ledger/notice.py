"""What happened and is to be told, until it is put into deliveries.

The database writes notices itself, together with the change (see `trigger`): none is missing, none is of a change that
was rolled back. Here they are read, and turned into deliveries in one transaction: each is told exactly once to each
webhook, however often a delivery has to be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, and_, delete, insert, not_, select

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.notice import Told
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.errors import GuardError
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import encode_rows
from imeiflow.ledger.delivery import NewDelivery, write_deliveries
from imeiflow.ledger.dialect import json_rows
from imeiflow.ledger.notice_schema import notice, webhook_event
from imeiflow.ledger.schema import Id, job, orders

_named = json_rows(id=Id)
#: A doubt is told of when its job has ended or paused: until then the engine may settle it by itself.
_waits = and_(notice.c.event == Told.ORDER_UNCONFIRMED.value, job.c.state == JobState.RUNNING.value)
_TELLABLE = select(notice).join(job, job.c.id == notice.c.job_id).where(not_(_waits)).order_by(notice.c.id)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened. `detail` is the reason of a job's state."""

    id: int
    event: Told
    at: datetime
    job: JobId
    order: OrderId | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOrder:
    """An order as it is told of."""

    id: OrderId
    line: int
    imei: str
    state: OrderState
    reference: str | None
    status: ResultStatus | None
    result: str | None
    error: str | None
    price: Decimal | None
    accepted_at: datetime | None
    completed_at: datetime | None


class Notices(Access):
    """The part of the ledger that knows what is to be told."""

    def subscriptions(self) -> dict[str, frozenset[Told]]:
        """Give what each webhook wants to be told of."""
        found: dict[str, set[Told]] = {}
        with self._read() as connection:
            for name, event in connection.execute(select(webhook_event.c.webhook, webhook_event.c.event)):
                found.setdefault(name, set()).add(Told(event))
        return {name: frozenset(events) for name, events in found.items()}

    def subscribe(self, wanted: Mapping[str, AbstractSet[Told]]) -> bool:
        """Let these webhooks, and no others, be told from now on; say whether that changes anything.

        What happens before is told to nobody.
        """
        if self.subscriptions() == {name: frozenset(events) for name, events in wanted.items() if events}:
            return False
        rows = [
            {"webhook": name, "event": event.value}
            for name, events in sorted(wanted.items())
            for event in sorted(events)
        ]

        def write(connection: Connection) -> None:
            connection.execute(delete(webhook_event))
            if rows:
                connection.execute(insert(webhook_event), rows)

        self._write(write)
        return True

    def notices(self, limit: int) -> list[Notice]:
        """List the oldest notices that can be told; those of doubts not while their job runs."""
        with self._read() as connection:
            return [
                Notice(
                    id=row.id,
                    event=Told(row.event),
                    at=row.at,
                    job=JobId(row.job_id),
                    order=None if row.order_id is None else OrderId(row.order_id),
                    detail=row.detail,
                )
                for row in connection.execute(_TELLABLE.limit(limit))
            ]

    def told_orders(self, ids: Sequence[OrderId]) -> list[ToldOrder]:
        """Give orders as they are now, in the order of their ids."""
        names = list(ToldOrder.__dataclass_fields__)
        query = select(*(orders.c[name] for name in names)).where(orders.c.id.in_(select(_named.c.id)))
        found: list[ToldOrder] = []
        with self._read() as connection:
            for row in connection.execute(query.order_by(orders.c.id), {"rows": encode_rows([(id_,) for id_ in ids])}):
                values = row._asdict()
                values["imei"] = row.imei or ""
                values["state"] = OrderState(row.state)
                values["status"] = None if row.status is None else ResultStatus(row.status)
                found.append(ToldOrder(**values))
        return found

    def put_into_deliveries(self, told: Iterable[Notice], deliveries: Sequence[NewDelivery]) -> None:
        """Turn notices into deliveries; raise GuardError, and change nothing, where somebody else has done so."""
        ids = sorted({one.id for one in told})

        def put(connection: Connection) -> None:
            query = delete(notice).where(notice.c.id.in_(select(_named.c.id)))
            removed = connection.execute(query, {"rows": encode_rows([(id_,) for id_ in ids])}).rowcount
            if removed != len(ids):
                raise GuardError(
                    path=self.path, problem=f"{len(ids) - removed} notices were put into deliveries before"
                )
            write_deliveries(connection, deliveries)

        if ids:
            self._write(put)
