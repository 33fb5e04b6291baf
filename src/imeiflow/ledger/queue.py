"""What the engine asks: which orders wait, which are in doubt, what is known of repeats and limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Text, delete, func, insert, select, update

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.charge import earliest_doubt
from imeiflow.ledger.dialect import encode_rows, fetch_rows, from_micros, json_rows
from imeiflow.ledger.record import Doubt, Learned, PlacedOrder, QueuedOrder
from imeiflow.ledger.schema import attempt, attempt_order, job, learned, orders, repeat_seen

_asked = json_rows("refs", reference=Text())


class Queue(Access):
    """The part of the ledger that the engine reads, and where it keeps what it learned."""

    def queued_orders(self, job_id: JobId, *, after: OrderId = OrderId(0), limit: int = 1000) -> list[QueuedOrder]:  # noqa: B008
        """List orders that wait, in file order, those with an id above `after`."""
        query = (
            select(orders.c.id, orders.c.imei, orders.c.attempts, orders.c.line)
            .where(orders.c.job_id == job_id, orders.c.state == OrderState.QUEUED.value, orders.c.id > after)
            .order_by(orders.c.id)
            .limit(limit)
        )
        with self._read() as connection:
            rows = fetch_rows(connection, query)
        return sorted((QueuedOrder(*row) for row in rows), key=lambda order: order.id)

    def doubts(self, job_id: JobId, *, after: OrderId = OrderId(0), limit: int = 1000) -> list[Doubt]:  # noqa: B008
        """List unconfirmed orders in file order, each with the start of its earliest attempt still in doubt."""
        query = (
            select(
                orders.c.id,
                orders.c.imei,
                orders.c.attempt_id,
                func.coalesce(earliest_doubt, attempt.c.started_at).label("at"),
                attempt.c.started_at,
            )
            .join(attempt, attempt.c.id == orders.c.attempt_id)
            .where(orders.c.job_id == job_id, orders.c.state == OrderState.UNCONFIRMED.value, orders.c.id > after)
            .order_by(orders.c.id)
            .limit(limit)
        )
        with self._read() as connection:
            rows = fetch_rows(connection, query)
        found = (
            Doubt(OrderId(id_), Imei(imei), AttemptId(last), _at(at), _at(last_at))
            for id_, imei, last, at, last_at in rows
        )
        return sorted(found, key=lambda doubt: doubt.order)

    def oldest_accepted(
        self, account: AccountName, service: ServiceId, *, job_id: JobId | None = None, limit: int = 50
    ) -> list[PlacedOrder]:
        """List the orders accepted longest ago under a service of an account, oldest first."""
        query = (
            select(
                orders.c.id,
                orders.c.imei,
                orders.c.reference,
                attempt.c.started_at,
                orders.c.status,
                orders.c.price,
                orders.c.job_id,
            )
            .join(job, job.c.id == orders.c.job_id)
            .join(attempt, attempt.c.id == orders.c.attempt_id)
            .where(job.c.account == account, job.c.service == service, orders.c.state == OrderState.ACCEPTED.value)
            .order_by(orders.c.accepted_at, orders.c.id)
            .limit(limit)
        )
        if job_id is not None:
            query = query.where(orders.c.job_id == job_id)
        with self._read() as connection:
            rows = fetch_rows(connection, query)
        return [
            PlacedOrder(
                order=OrderId(id_),
                imei=Imei(imei),
                reference=None if reference is None else Reference(reference),
                began_at=_at(at),
                status=None if status is None else ResultStatus(status),
                price=None if price is None else Decimal(price),
                job=JobId(its_job),
            )
            for id_, imei, reference, at, status, price, its_job in rows
        ]

    def repeat_evidence(self, account: AccountName, service: ServiceId) -> list[RepeatEvidence]:
        """List what was seen of repeated orders under a service, oldest first."""
        query = (
            select(repeat_seen)
            .where(repeat_seen.c.account == account, repeat_seen.c.service == service)
            .order_by(repeat_seen.c.id)
        )
        with self._read() as connection:
            return [
                RepeatEvidence(row.observed_at, timedelta(microseconds=row.age_us), row.is_refusal, row.of_completed)
                for row in connection.execute(query)
            ]

    def lost_probes(self, job_id: JobId) -> int:
        """Count the repeat probes of a job whose reply was lost: each may have been charged."""
        query = (
            select(func.count())
            .select_from(attempt.join(attempt_order, attempt_order.c.attempt_id == attempt.c.id))
            .where(
                attempt.c.job_id == job_id,
                attempt.c.kind == AttemptKind.PROBE.value,
                attempt.c.ended_at.is_not(None),
                attempt_order.c.outcome == Outcome.UNCONFIRMED.value,
            )
        )
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def known_references(self, account: AccountName, references: Sequence[Reference]) -> set[Reference]:
        """Say which of the references belong to orders of this account."""
        query = (
            select(orders.c.reference)
            .join(job, job.c.id == orders.c.job_id + 0)  # no index on the job: the references lead
            .where(orders.c.reference.in_(select(_asked.c.reference)), job.c.account == account)
        )
        with self._read() as connection:
            rows = fetch_rows(connection, query, {"refs": encode_rows([(reference,) for reference in references])})
        return {Reference(reference) for (reference,) in rows}

    def learned(self, account: AccountName) -> list[Learned]:
        """List what was found out about an account's lane."""
        query = select(learned).where(learned.c.account == account).order_by(learned.c.service, learned.c.kind)
        with self._read() as connection:
            return [Learned(**row._asdict()) for row in connection.execute(query)]

    def learn(self, account: AccountName, service: ServiceId, kind: str, value: Any, reason: str) -> bool:
        """Remember a JSON value found out about a lane; False where the user pinned another one."""
        return self._keep(account, service, kind, value, reason, is_pinned=False)

    def pin(self, account: AccountName, service: ServiceId, kind: str, value: Any, reason: str) -> None:
        """Set a value by the user's word; `learn` leaves it alone until `unpin` or `forget`."""
        self._keep(account, service, kind, value, reason, is_pinned=True)

    def unpin(self, account: AccountName, service: ServiceId, kind: str) -> bool:
        """Let a pinned value be overwritten again; False where there is none."""
        return self._write(
            lambda c: bool(
                c.execute(update(learned).where(*_key(account, service, kind)).values(pinned=False)).rowcount
            )
        )

    def forget(self, account: AccountName, service: ServiceId | None = None, kind: str | None = None) -> int:
        """Delete what was learned, pinned or not, of an account, one of its services, or one kind; count it."""
        query = delete(learned).where(learned.c.account == account)
        if service is not None:
            query = query.where(learned.c.service == service)
        if kind is not None:
            query = query.where(learned.c.kind == kind)
        return self._write(lambda c: c.execute(query).rowcount)

    def _keep(
        self, account: AccountName, service: ServiceId, kind: str, value: Any, reason: str, *, is_pinned: bool
    ) -> bool:
        now = self.clock()
        values = {"value": value, "reason": reason, "learned_at": now, "pinned": is_pinned}

        def keep(connection: Any) -> bool:
            found = connection.execute(select(learned.c.pinned).where(*_key(account, service, kind))).scalar()
            if found is None:
                connection.execute(insert(learned).values(account=account, service=service, kind=kind, **values))
            elif found and not is_pinned:
                return False
            else:
                connection.execute(update(learned).where(*_key(account, service, kind)).values(values))
            return True

        return self._write(keep)


def _key(account: str, service: str, kind: str) -> tuple[Any, ...]:
    return learned.c.account == account, learned.c.service == service, learned.c.kind == kind


def _at(micros: int) -> Any:
    return from_micros(micros)
