"""Looking back: earlier orders of an IMEI, attempts and evidence."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, delete, func, select

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId, Token
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.recurrence import PLACED, UNSETTLED
from imeiflow.domain.reply import Anomaly, AnomalyKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.attempt_record import Attempt, Evidence, OrderAttempt
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.dialect import AnyRow, encode_rows, fetch_rows, from_micros, json_rows
from imeiflow.ledger.record import PastOrder
from imeiflow.ledger.schema import attempt, attempt_evidence, attempt_order, job, orders

_PLACED_STATES = {state.value: state for state in PLACED}
_SHOWN = 500  #: characters of an earlier result
_STATUSES: dict[str | None, ResultStatus | None] = {None: None, **{status.value: status for status in ResultStatus}}

#: What comes before and after all else, by state or status.
_RANKS = {**{state.value: 2 for state in UNSETTLED}, ResultStatus.REJECTED.value: 0}

_imeis = json_rows("imeis", imei=Text())


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
        """Find for each IMEI the earlier order under the same service that matters most (see `PastOrder`)."""
        query = (
            select(
                orders.c.id,
                orders.c.imei,
                orders.c.job_id,
                orders.c.state,
                orders.c.reference,
                orders.c.status,
                job.c.created_at,
                func.substr(orders.c.result, 1, _SHOWN).label("result"),
            )
            .join(job, job.c.id == orders.c.job_id + 0)  # no index on the job: the IMEIs lead
            .where(
                orders.c.imei.in_(select(_imeis.c.imei)),
                job.c.account == account,
                job.c.service == service,
                orders.c.state.in_(list(_PLACED_STATES)),
            )
        )
        if exclude_job is not None:
            query = query.where(job.c.id != exclude_job)
        with self._read() as connection:
            if connection.execute(_any_job(account, service, exclude_job)).scalar() is None:
                return {}
            rows = fetch_rows(connection, query, {"imeis": encode_rows([(imei,) for imei in imeis])})
        rows.sort(key=_rank)
        return {
            imei: PastOrder(id_, its_job, _PLACED_STATES[state], reference, _STATUSES[status], _instant(at), result)
            for id_, imei, its_job, state, reference, status, at, result in rows
        }

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


def _rank(row: Sequence[Any]) -> tuple[int, int]:
    """Rank a found order by how much it matters: the last one counts."""
    return _RANKS.get(row[3], _RANKS.get(row[5], 1)), row[0]


def _instant(micros: int | None) -> Any:
    return from_micros(micros)


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
