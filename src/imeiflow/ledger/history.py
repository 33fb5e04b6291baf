"""Looking back: attempts and evidence."""

from __future__ import annotations

import zlib
from collections.abc import Set as AbstractSet
from datetime import datetime

from sqlalchemy import Select, delete, func, select

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, Token
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Anomaly, AnomalyKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.attempt_record import Attempt, Evidence, OrderAttempt
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.schema import attempt, attempt_evidence, attempt_order, orders


class History(Access):
    """The part of the ledger that looks back."""

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

    def list_odd_attempts(self, job_id: JobId, *, limit: int = 100) -> list[Attempt]:
        """List a job's attempts whose replies named what does not fit, newest first."""
        odd = attempt.c.job_id == job_id, attempt.c.anomalies.is_not(None)
        query = select(attempt).where(*odd).order_by(attempt.c.id.desc()).limit(limit)
        with self._read() as connection:
            return [_read_attempt(row) for row in connection.execute(query)]

    def count_attempts(self, job_id: JobId) -> int:
        """Count the calls that were made, or were about to be, for a job."""
        query: Select[int] = select(func.count()).select_from(attempt).where(attempt.c.job_id == job_id)
        with self._read() as connection:
            return connection.execute(query).scalar_one()


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
