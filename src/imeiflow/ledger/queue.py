"""What the engine asks: which orders wait, which are in doubt, what is known of repeats and limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, bindparam, delete, func, insert, select, update

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import encode_rows, from_micros
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.charge import earliest_doubt
from imeiflow.ledger.dialect import Listing, fetch_rows, json_rows
from imeiflow.ledger.log import PROBE_IN_DOUBT
from imeiflow.ledger.price_schema import service_price
from imeiflow.ledger.record import Doubt, Learned, QueuedOrder
from imeiflow.ledger.schema import attempt, attempt_order, event, job, learned, orders, repeat_seen

_LATEST = 200  #: calls: more than are ever under way at once
_NO_HOLD = 1 << 62  #: above every order's id

_asked = json_rows("refs", reference=Text(), imei=Text())
_of_job = orders.c.job_id == bindparam("job_id")
_held = select(job.c.hold_after).where(job.c.id == bindparam("job_id")).scalar_subquery()
_QUEUED = Listing(
    select(orders.c.id, func.coalesce(orders.c.imei, orders.c.value), orders.c.attempts, orders.c.line)
    .where(
        _of_job,
        orders.c.state == OrderState.QUEUED.value,
        orders.c.id > bindparam("after"),
        orders.c.id <= func.coalesce(_held, _NO_HOLD),
    )
    .order_by(orders.c.id)
    .limit(bindparam("most"))
)
_DOUBTS = Listing(
    select(
        orders.c.id,
        orders.c.imei,
        orders.c.attempt_id,
        func.coalesce(earliest_doubt, attempt.c.started_at).label("at"),
        attempt.c.started_at,
        attempt.c.ended_at,
        orders.c.line,
        orders.c.value,
    )
    .join(attempt, attempt.c.id == orders.c.attempt_id)
    .where(_of_job, orders.c.state == OrderState.UNCONFIRMED.value, orders.c.id > bindparam("after"))
    .order_by(orders.c.id)
    .limit(bindparam("most"))
)


class Queue(Access):
    """The part of the ledger that the engine reads, and where it keeps what it learned."""

    def queued_orders(self, job_id: JobId, *, after: OrderId = OrderId(0), limit: int = 1000) -> list[QueuedOrder]:  # noqa: B008
        """List orders that wait, in file order, those with an id above `after`; while a trial goes on, only its own."""
        with self._read() as connection:
            rows = _QUEUED.fetch(connection, {"job_id": job_id, "after": after, "most": limit})
        return sorted((QueuedOrder(*row) for row in rows), key=lambda order: order.id)

    def doubts(self, job_id: JobId, *, after: OrderId = OrderId(0), limit: int = 1000) -> list[Doubt]:  # noqa: B008
        """List unconfirmed orders in file order, each with the start of its earliest attempt still in doubt."""
        with self._read() as connection:
            rows = _DOUBTS.fetch(connection, {"job_id": job_id, "after": after, "most": limit})
        found = (
            Doubt(
                order=OrderId(id_),
                imei=Imei(imei or ""),
                attempt=AttemptId(last),
                began_at=_at(at),
                last_began_at=_at(last_at),
                ended_at=from_micros(ended_at),
                line=line,
                value="" if imei else value or "",
            )
            for id_, imei, last, at, last_at, ended_at, line, value in rows
        )
        return sorted(found, key=lambda doubt: doubt.order)

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

    def add_repeat(self, attempt_id: AttemptId, seen: RepeatEvidence) -> None:
        """Remember what a finished attempt showed of repeats; once, however often it is told."""
        values = {
            "observed_at": seen.observed_at,
            "age_us": round(seen.age.total_seconds() * 1_000_000),
            "is_refusal": seen.is_refusal,
            "of_completed": seen.of_completed,
            "attempt_id": attempt_id,
        }
        whose = select(attempt.c.account, job.c.service).join(job, job.c.id == attempt.c.job_id)

        def add(connection: Any) -> None:
            known = select(repeat_seen.c.id).where(repeat_seen.c.attempt_id == attempt_id).limit(1)
            if connection.execute(known).scalar() is None:
                account, service = connection.execute(whose.where(attempt.c.id == attempt_id)).one()
                connection.execute(insert(repeat_seen).values(account=account, service=service, **values))

        self._write(add)

    def last_call_at(self) -> datetime | None:
        """Give the latest time of the latest calls of all accounts; None where none was ever made."""
        query = select(attempt.c.started_at, attempt.c.ended_at).order_by(attempt.c.id.desc()).limit(_LATEST)
        with self._read() as connection:
            rows = connection.execute(query).all()
        return max((at for row in rows for at in row if at is not None), default=None)

    def last_heard(self, job_id: JobId) -> datetime | None:
        """Say when the last call of a job's orders ended, or began where its end is not known; None without any."""
        query = select(func.max(func.coalesce(attempt.c.ended_at, attempt.c.started_at))).where(
            attempt.c.job_id == job_id
        )
        with self._read() as connection:
            return connection.execute(query).scalar()

    def lost_probes(self, job_id: JobId) -> int:
        """Count the repeat probes whose reply was lost, each of which may have been charged.

        Those of the job's own orders, and those of other jobs' orders that were made for its sake.
        """
        own = (
            select(func.count())
            .select_from(attempt.join(attempt_order, attempt_order.c.attempt_id == attempt.c.id))
            .where(
                attempt.c.job_id == job_id,
                attempt.c.kind == AttemptKind.PROBE.value,
                attempt.c.ended_at.is_not(None),
                attempt_order.c.outcome == Outcome.UNCONFIRMED.value,
            )
        )
        others = (
            select(func.count())
            .select_from(event.join(orders, orders.c.id == event.c.order_id))
            .where(event.c.job_id == job_id, event.c.kind == PROBE_IN_DOUBT, orders.c.job_id != job_id)
        )
        with self._read() as connection:
            return int(connection.execute(own).scalar_one()) + int(connection.execute(others).scalar_one())

    def known_references(
        self, account: AccountName, listed: Sequence[tuple[Reference, str]]
    ) -> dict[Reference, datetime | None]:
        """Say which of the `listed` references, each with its IMEI, belong to orders of this account, and since when.

        The time is that at which the reply came that names it; None where it became known by other means.
        """
        rows: dict[str, object] = {"refs": encode_rows([(reference, imei) for reference, imei in listed])}
        by_reference = (
            select(orders.c.reference, attempt.c.ended_at, attempt_order.c.reference)
            .join(job, job.c.id == orders.c.job_id + 0)  # no index on the job: the references lead
            .outerjoin(attempt, attempt.c.id == orders.c.attempt_id)
            .outerjoin(
                attempt_order,
                (attempt_order.c.order_id == orders.c.id) & (attempt_order.c.attempt_id == orders.c.attempt_id),
            )
            .where(orders.c.reference.in_(select(_asked.c.reference)), job.c.account == account)
        )
        by_imei = (  # what a probe placed a second time stands with its attempt only
            select(attempt_order.c.reference)
            .join(orders, orders.c.id == attempt_order.c.order_id)
            .join(_asked, (_asked.c.imei == orders.c.imei) & (_asked.c.reference == attempt_order.c.reference))
        )
        with self._read() as connection:
            found: dict[Reference, datetime | None] = {
                Reference(reference): None for (reference,) in fetch_rows(connection, by_imei, rows)
            }
            for reference, ended_at, told in fetch_rows(connection, by_reference, rows):
                found[Reference(reference)] = _at(ended_at) if told == reference and ended_at is not None else None
        return found

    def learned(self, account: AccountName) -> list[Learned]:
        """List what was found out about an account's lane."""
        name = (
            select(service_price.c.name)
            .where(
                service_price.c.account == learned.c.account,
                service_price.c.kind == OrderKind.IMEI.value,
                service_price.c.service == learned.c.service,
            )
            .order_by(service_price.c.id.desc())
            .limit(1)
            .correlate(learned)
            .scalar_subquery()
        )
        query = select(learned, func.coalesce(name, "").label("service_name")).where(learned.c.account == account)
        query = query.order_by(learned.c.service, learned.c.kind)
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
