"""Looking back: earlier orders of an IMEI, searches over all jobs, attempts and evidence."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, Text, delete, func, select

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId, Token
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Anomaly, AnomalyKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.dialect import AnyRow, encode_rows, fetch_rows, from_micros, json_rows
from imeiflow.ledger.record import Attempt, Evidence, FoundOrder, OrderAttempt, PastOrder
from imeiflow.ledger.schema import attempt, attempt_evidence, attempt_order, job, orders

#: Orders that were placed, or may have been.
_PLACED = {
    state.value: state
    for state in (OrderState.ACCEPTED, OrderState.DUPLICATE, OrderState.UNCONFIRMED, OrderState.SENDING)
}
_STATUSES: dict[str | None, ResultStatus | None] = {None: None, **{status.value: status for status in ResultStatus}}

_imeis = json_rows("imeis", imei=Text())
_references = json_rows("refs", reference=Text())


class History(Access):
    """The part of the ledger that looks back."""

    def find_ordered_before(
        self,
        account: AccountName,
        service: ServiceId,
        imeis: Sequence[Imei],
        *,
        exclude_job: JobId | None = None,
    ) -> dict[Imei, PastOrder]:
        """Find for each IMEI its newest earlier order that was placed, or may have been, under the same service."""
        query = (
            select(
                orders.c.id,
                orders.c.imei,
                orders.c.job_id,
                orders.c.state,
                orders.c.reference,
                orders.c.status,
                job.c.created_at,
            )
            .join(job, job.c.id == orders.c.job_id + 0)  # no index on the job: the IMEIs lead
            .where(
                orders.c.imei.in_(select(_imeis.c.imei)),
                job.c.account == account,
                job.c.service == service,
                orders.c.state.in_(list(_PLACED)),
            )
        )
        if exclude_job is not None:
            query = query.where(job.c.id != exclude_job)
        with self._read() as connection:
            if connection.execute(_any_job(account, service, exclude_job)).scalar() is None:
                return {}
            rows = fetch_rows(connection, query, {"imeis": encode_rows([(imei,) for imei in imeis])})
        rows.sort(key=itemgetter(0))
        return {
            imei: PastOrder(id_, its_job, _PLACED[state], reference, _STATUSES[status], _instant(at))
            for id_, imei, its_job, state, reference, status, at in rows
        }

    def search_orders(
        self,
        *,
        imeis: Sequence[Imei] | None = None,
        references: Sequence[Reference] | None = None,
        states: AbstractSet[OrderState] | None = None,
        statuses: AbstractSet[ResultStatus] | None = None,
        job_id: JobId | None = None,
        service: ServiceId | None = None,
        account: AccountName | None = None,
        after: OrderId | None = None,
        limit: int = 100,
    ) -> list[FoundOrder]:
        """Search the orders of all jobs but drafts, newest first; `after` is the last id of the page before."""
        names = [name for name in FoundOrder.__dataclass_fields__ if name not in {"job", "account", "service"}]
        query = (
            select(*(orders.c[name] for name in names), orders.c.job_id, job.c.account, job.c.service)
            .join(job, job.c.id == orders.c.job_id)
            .where(job.c.state != "draft")
            .order_by(orders.c.id.desc())
            .limit(limit)
        )
        parameters: dict[str, object] = {}
        if imeis is not None:
            query = query.where(orders.c.imei.in_(select(_imeis.c.imei)))
            parameters["imeis"] = encode_rows([(imei,) for imei in imeis])
        if references is not None:
            query = query.where(orders.c.reference.in_(select(_references.c.reference)))
            parameters["refs"] = encode_rows([(reference,) for reference in references])
        if states is not None:
            query = query.where(orders.c.state.in_(sorted(states)))
        if statuses is not None:
            query = query.where(orders.c.status.in_(sorted(statuses)))
        for column, value in ((orders.c.job_id, job_id), (job.c.service, service), (job.c.account, account)):
            if value is not None:
                query = query.where(column == value)
        if after is not None:
            query = query.where(orders.c.id < after)
        with self._read() as connection:
            return [_read_found(row) for row in connection.execute(query, parameters)]

    def attempts_of(self, order: OrderId) -> list[OrderAttempt]:
        """List the attempts on an order, oldest first, one under way included."""
        told = (
            select(attempt, attempt_order)
            .join(attempt_order, attempt_order.c.attempt_id == attempt.c.id)
            .where(attempt_order.c.order_id == order)
        )
        under_way = (
            select(attempt)
            .join(orders, orders.c.attempt_id == attempt.c.id)
            .where(orders.c.id == order, orders.c.state == OrderState.SENDING.value)
        )
        with self._read() as connection:
            found = [
                OrderAttempt(
                    attempt=_read_attempt(row),
                    outcome=Outcome(row.outcome),
                    reference=None if row.reference is None else Reference(row.reference),
                    message=row.message or "",
                    price=row.price,
                    charges=row.charges,
                    settled_at=row.settled_at,
                )
                for row in connection.execute(told)
            ]
            found += [
                OrderAttempt(_read_attempt(row), None, None, "", None, 0, None) for row in connection.execute(under_way)
            ]
        return sorted(found, key=lambda one: one.attempt.id)

    def attempt_evidence(self, attempt_id: AttemptId) -> Evidence | None:
        """Give what an attempt sent and received; None where nothing was kept."""
        query = select(attempt_evidence).where(attempt_evidence.c.attempt_id == attempt_id)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        request, reply = bytes(row.request), bytes(row.reply)
        return Evidence(
            request=zlib.decompress(request) if row.packed & 1 else request,
            reply=zlib.decompress(reply) if row.packed & 2 else reply,
        )

    def forget_evidence(self, before: datetime) -> int:
        """Delete requests and replies of attempts that ended before a time, and count the attempts."""
        old = select(attempt.c.id).where(attempt.c.ended_at < before)
        return self._write(
            lambda c: c.execute(delete(attempt_evidence).where(attempt_evidence.c.attempt_id.in_(old))).rowcount
        )

    def list_attempts(
        self,
        job_id: JobId,
        *,
        endings: AbstractSet[Ending] | None = None,
        after: AttemptId | None = None,
        limit: int = 100,
    ) -> list[Attempt]:
        """List a job's attempts, newest first; `after` is the last id of the page before."""
        query = select(attempt).where(attempt.c.job_id == job_id).order_by(attempt.c.id.desc()).limit(limit)
        if endings is not None:
            query = query.where(attempt.c.ending.in_(sorted(endings)))
        if after is not None:
            query = query.where(attempt.c.id < after)
        with self._read() as connection:
            return [_read_attempt(row) for row in connection.execute(query)]

    def count_attempts(self, job_id: JobId) -> int:
        """Count the calls that were made, or were about to be, for a job."""
        query: Select[int] = select(func.count()).select_from(attempt).where(attempt.c.job_id == job_id)
        with self._read() as connection:
            return connection.execute(query).scalar_one()


def _any_job(account: AccountName, service: ServiceId, exclude_job: JobId | None) -> Select[int]:
    """Ask for any earlier job under a service: a first list needs no search at all."""
    query = select(job.c.id).where(job.c.account == account, job.c.service == service).limit(1)
    return query if exclude_job is None else query.where(job.c.id != exclude_job)


def _instant(micros: int | None) -> Any:
    return from_micros(micros)


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Give the enums and ids of an order's columns."""
    for name, type_ in (("state", OrderState), ("status", ResultStatus), ("error_kind", ErrorKind)):
        if values[name] is not None:
            values[name] = type_(values[name])
    return values


def _read_found(row: AnyRow) -> FoundOrder:
    values = _typed(row._asdict())
    return FoundOrder(job=JobId(values.pop("job_id")), **values)


def _read_attempt(row: AnyRow) -> Attempt:
    return Attempt(
        id=AttemptId(row.id),
        job=JobId(row.job_id),
        account=AccountName(row.account),
        kind=AttemptKind(row.kind),
        size=row.size,
        token=Token(row.token),
        started_at=row.started_at,
        ended_at=row.ended_at,
        ending=None if row.ending is None else Ending(row.ending),
        http_status=row.http_status,
        error_kind=None if row.error_kind is None else ErrorKind(row.error_kind),
        error=row.error or "",
        elapsed_ms=row.elapsed_ms,
        problem=row.problem or "",
        anomalies=tuple(Anomaly(AnomalyKind(kind), value) for kind, value in row.anomalies or ()),
        headers=row.headers or {},
    )
