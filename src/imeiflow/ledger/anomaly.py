"""What does not fit in replies about statuses, and the orders that wait in vain because of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Text, and_, func, insert, literal_column, or_, select, update

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.status import VAIN_ANSWERS, StatusAnomaly, StatusAnomalyKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import mend_text
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.schema import orders, status_anomaly
from imeiflow.ledger.status_record import KeptAnomaly, StuckOrder

#: Of a followed order, nothing could be used of what the last answers said; whether it was named is another matter.
_UNUSABLE = and_(
    orders.c.due_at.is_not(None),
    orders.c.misses < VAIN_ANSWERS,
    status_anomaly.c.last_at >= func.coalesce(orders.c.status_at, status_anomaly.c.last_at),
    or_(
        *(
            and_(status_anomaly.c.kind == kind.value, status_anomaly.c.times >= kind.stuck_after)
            for kind in StatusAnomalyKind
            if kind.stuck_after is not None and kind is not StatusAnomalyKind.UNKNOWN
        )
    ),
)


class StatusAnomalies(Access):
    """The part of the ledger that keeps what does not fit about statuses, and what waits in vain because of it."""

    def count_unknown(self, job_id: JobId, *, misses: int = 1) -> int:
        """Count a job's orders that are followed although the last so many replies did not name them."""
        query = (
            select(func.count())
            .select_from(orders)
            .where(orders.c.job_id == job_id, orders.c.due_at.is_not(None), orders.c.misses >= misses)
        )
        with self._read() as connection:
            return connection.execute(query).scalar_one()

    def count_unusable(self, job_id: JobId) -> int:
        """Count a job's orders that are followed although nothing can be used of what the provider says of them."""
        query = (
            select(func.count(orders.c.id.distinct()))
            .join(status_anomaly, status_anomaly.c.order_id == orders.c.id)
            .where(status_anomaly.c.job_id == job_id, _UNUSABLE)
        )
        with self._read() as connection:
            return connection.execute(query).scalar_one()

    def stuck_orders(self, job_id: JobId, *, limit: int = 100) -> list[StuckOrder]:
        """List a job's orders that come to no end by waiting, by line."""
        columns = [orders.c[name] for name in ("id", "job_id", "line", "imei", "reference")]
        told = [status_anomaly.c[name] for name in ("kind", "times", "detail")]
        unusable = (
            select(*columns, *told)
            .join(status_anomaly, status_anomaly.c.order_id == orders.c.id)
            .where(status_anomaly.c.job_id == job_id, _UNUSABLE)
            .order_by(orders.c.line, orders.c.id, status_anomaly.c.last_at.desc())
        )
        kind = literal_column(f"'{StatusAnomalyKind.UNKNOWN.value}'", Text()).label("kind")
        unknown = (
            select(*columns, kind, orders.c.misses.label("times"), literal_column("''", Text()).label("detail"))
            .where(orders.c.job_id == job_id, orders.c.due_at.is_not(None), orders.c.misses >= VAIN_ANSWERS)
            .order_by(orders.c.due_at, orders.c.id)
            .limit(limit)
        )
        with self._read() as connection:
            found: dict[int, StuckOrder] = {}
            for query in (unusable.limit(limit), unknown):
                for row in connection.execute(query):
                    found.setdefault(row.id, _read_stuck(row))
        return sorted(list(found.values())[:limit], key=lambda one: (one.line, one.id))

    def status_anomalies(
        self,
        *,
        job_id: JobId | None = None,
        order: OrderId | None = None,
        account: AccountName | None = None,
        limit: int = 100,
    ) -> list[KeptAnomaly]:
        """List what did not fit in replies about statuses, last seen first; of a job, or of an account as a whole.

        `order`: of that one alone, which leads to nothing by itself: give its job, too.
        """
        query = (
            select(status_anomaly).order_by(status_anomaly.c.last_at.desc(), status_anomaly.c.id.desc()).limit(limit)
        )
        wanted = {"job_id": job_id, "order_id": order, "account": account}
        for column, value in ((status_anomaly.c[name], value) for name, value in wanted.items()):
            if value is not None:
                query = query.where(column == value)
        with self._read() as connection:
            return [_read_anomaly(row) for row in connection.execute(query)]

    def count_anomalies(self, job_id: JobId) -> dict[StatusAnomalyKind, int]:
        """Count a job's orders with anomalies about their status, by kind."""
        query = (
            select(status_anomaly.c.kind, func.count())
            .where(status_anomaly.c.job_id == job_id)
            .group_by(status_anomaly.c.kind)
        )
        with self._read() as connection:
            return {StatusAnomalyKind(kind): count for kind, count in connection.execute(query)}


def keep_anomalies(
    connection: Connection, account: str, anomalies: Sequence[StatusAnomaly], now: datetime
) -> dict[StatusAnomalyKind, int]:
    """Add anomalies, or count them once more; each reference has one of a kind. Count those that are new."""
    fresh: Counter[StatusAnomalyKind] = Counter()
    latest = {(one.kind, one.reference): one for one in anomalies}
    for (kind, reference), one in latest.items():
        key = and_(
            status_anomaly.c.account == account,
            status_anomaly.c.kind == kind.value,
            status_anomaly.c.reference == reference,
        )
        again = {"last_at": now, "times": status_anomaly.c.times + 1, "detail": mend_text(one.detail) or ""}
        if connection.execute(update(status_anomaly).where(key).values(again)).rowcount:
            continue
        its_job = select(orders.c.job_id).where(orders.c.id == one.order).scalar_subquery()
        connection.execute(
            insert(status_anomaly).values(
                account=account,
                kind=kind.value,
                reference=reference,
                order_id=one.order,
                job_id=its_job if one.order is not None else None,
                detail=mend_text(one.detail) or "",
                first_at=now,
                last_at=now,
                times=1,
            )
        )
        fresh[kind] += 1
    return fresh


def _read_stuck(row: AnyRow) -> StuckOrder:
    return StuckOrder(
        id=OrderId(row.id),
        job=JobId(row.job_id),
        line=row.line,
        imei=None if row.imei is None else Imei(row.imei),
        reference=Reference(row.reference),
        kind=StatusAnomalyKind(row.kind),
        times=row.times,
        detail=row.detail,
    )


def _read_anomaly(row: AnyRow) -> KeptAnomaly:
    values = row._asdict()
    del values["id"]
    values["kind"] = StatusAnomalyKind(row.kind)
    values["job"], values["order"] = values.pop("job_id"), values.pop("order_id")
    return KeptAnomaly(**values)
