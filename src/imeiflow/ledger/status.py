"""Following accepted orders: which are due, what the provider said of them, how their status changed.

Every change of status is a row of `status_change`, whose ids grow in the order of the changes: whoever tells others of
completed orders remembers the last id that it has told, and asks `status_changes` for those above it. An order has
exactly one change with `is_end`. There is no event for each order: a million of them would drown the log.

Reports carry no fencing token: nothing is paid for by them, and what is final is not written over, whoever asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Text, case, func, insert, literal_column, or_, select, update

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.status import Standing, StatusAnomaly, decide_status
from imeiflow.ledger.access import Access
from imeiflow.ledger.anomaly import keep_anomalies
from imeiflow.ledger.cell import Instant, encode_rows, mend_text, to_micros
from imeiflow.ledger.change import PutOff, StatusUpdate
from imeiflow.ledger.dialect import AnyRow, Listing, json_rows
from imeiflow.ledger.schema import Id, job, orders, status_change
from imeiflow.ledger.status_record import DueJob, DueOrder, StatusChange, StatusesKept

#: States in which the provider has the order, so that it may have a status there.
_FOLLOWED = (OrderState.ACCEPTED.value, OrderState.DUPLICATE.value)
#: Written out, so that an index of accepted orders alone can answer.
_ACCEPTED = literal_column(f"'{OrderState.ACCEPTED.value}'", Text())
_HURRIED_AT_ONCE = 10_000
_FINAL = [status.value for status in ResultStatus if status.is_final]

_named = json_rows(order_id=Id)
_UPDATED = json_rows(
    order_id=Id, status=Text(), status_at=Instant(), result=Text(), completed_at=Instant(), due_at=Instant()
)
_UPDATE = (
    update(orders)
    .where(orders.c.id == _UPDATED.c.order_id)
    .values(
        status=_UPDATED.c.status,
        status_at=_UPDATED.c.status_at,
        result=_UPDATED.c.result,
        completed_at=func.coalesce(orders.c.completed_at, _UPDATED.c.completed_at),
        due_at=_UPDATED.c.due_at,
        misses=0,
    )
)
_changed = json_rows(order_id=Id, at=Instant(), before=Text(), status=Text(), code=Text())
_INSERT_CHANGES = insert(status_change).from_select(["order_id", "at", "before", "status", "code"], select(*_changed.c))
_put_off = json_rows(order_id=Id, due_at=Instant(), missed=Integer())
_PUT_OFF = (
    update(orders)
    .where(orders.c.id == _put_off.c.order_id, orders.c.due_at.is_not(None))
    .values(
        due_at=_put_off.c.due_at,
        misses=case((_put_off.c.missed > 0, orders.c.misses + 1), else_=orders.c.misses),
    )
)


class Statuses(Access):
    """The part of the ledger that follows orders to their results."""

    # what is due

    def due_jobs(self, account: AccountName) -> list[DueJob]:
        """List the account's jobs with orders that are still followed, those due first before the others."""
        first = (
            select(func.min(orders.c.due_at))
            .where(orders.c.job_id == job.c.id, orders.c.due_at.is_not(None))
            .correlate(job)
            .scalar_subquery()
            .label("due_at")
        )
        asked = (
            select(job.c.id, job.c.service, first, job.c.follow_results, job.c.kind)
            .where(job.c.account == account)
            .subquery()
        )
        query = select(asked).where(asked.c.due_at.is_not(None)).order_by(asked.c.due_at, asked.c.id)
        with self._read() as connection:
            return [
                DueJob(JobId(row.id), ServiceId(row.service), row.due_at, row.follow_results, OrderKind(row.kind))
                for row in connection.execute(query)
            ]

    def due_orders(self, job_id: JobId, until: datetime, *, limit: int = 1000) -> list[DueOrder]:
        """List a job's orders that are due at `until`, the longest overdue first."""
        columns = [orders.c[name] for name in ("id", "job_id", "reference", "imei", "due_at", "accepted_at", "misses")]
        query = (
            select(*columns)
            .where(orders.c.job_id == job_id, orders.c.due_at.is_not(None), orders.c.due_at <= until)
            .order_by(orders.c.due_at, orders.c.id)
            .limit(limit)
        )
        with self._read() as connection:
            return [_read_due(row) for row in connection.execute(query)]

    def hurry(self, job_id: JobId, *, asked_before: datetime) -> int:
        """Make due now what a job still waits for, and count it; not what was answered for since `asked_before`."""
        now = self.clock()
        later = (
            select(orders.c.id)
            .where(
                orders.c.job_id == job_id,
                orders.c.due_at > now,
                or_(
                    orders.c.status_at.is_(None),
                    orders.c.status_at <= orders.c.accepted_at,  # that was the placing call
                    orders.c.status_at < asked_before,
                ),
            )
            .order_by(orders.c.due_at)
            .limit(_HURRIED_AT_ONCE)
        )
        query = update(orders).where(orders.c.id.in_(later)).values(due_at=now)

        def hurry(connection: Connection) -> int:
            return connection.execute(query).rowcount

        total = 0
        while count := self._write(hurry):
            total += count
        return total

    def count_open(self, job_id: JobId, *, until: datetime | None = None) -> int:
        """Count a job's orders that are still followed, or only those due at `until`. An index answers."""
        query = select(func.count()).select_from(orders).where(orders.c.job_id == job_id, orders.c.due_at.is_not(None))
        if until is not None:
            query = query.where(orders.c.due_at <= until)
        with self._read() as connection:
            return connection.execute(query).scalar_one()

    def status_counts(self, job_id: JobId) -> dict[ResultStatus | None, int]:
        """Count a job's accepted orders by status; None: the provider has not been heard yet."""
        mine = (orders.c.job_id == job_id, orders.c.state == _ACCEPTED)
        heard = (
            select(orders.c.status, func.count()).where(*mine, orders.c.status.is_not(None)).group_by(orders.c.status)
        )
        unheard = select(func.count()).select_from(orders).where(*mine, orders.c.status.is_(None))
        with self._read() as connection:
            counts = {_STATUSES[status]: count for status, count in connection.execute(heard)}
            count = connection.execute(unheard).scalar_one()
        return {**counts, None: count} if count else counts

    # what is said

    def update_statuses(
        self,
        account: AccountName,
        updates: Sequence[StatusUpdate],
        *,
        put_off: Sequence[PutOff] = (),
        anomalies: Sequence[StatusAnomaly] = (),
    ) -> StatusesKept:
        """Store, in one transaction, what a reply says of orders that the provider has; what is final stays.

        What goes backwards, or is another result than the one known, is kept as an anomaly beside those given.
        """
        now = self.clock()
        latest = {one.order: one for one in updates}

        def store(connection: Connection) -> StatusesKept:
            stored, changes, found = _store(connection, latest, now)
            if put_off:
                later = encode_rows([(one.order, to_micros(one.due_at), int(one.is_missing)) for one in put_off])
                connection.execute(_PUT_OFF, {"rows": later})
            fresh = keep_anomalies(connection, account, [*anomalies, *found], now)
            return StatusesKept(stored, changes, fresh)

        if not latest and not put_off and not anomalies:
            return StatusesKept(0, {}, {})
        return self._write(store)

    # looking back

    def status_changes(
        self, *, after: int = 0, order: OrderId | None = None, is_end: bool = False, limit: int = 1000
    ) -> list[StatusChange]:
        """List changes of status in the order in which they were heard, those with an id above `after`.

        `order`: of one order only; `is_end`: only those at which an order was completed or rejected, one an order.
        """
        columns = [status_change.c[name] for name in ("id", "order_id", "at", "before", "status", "code")]
        query = (
            select(*columns, orders.c.job_id, orders.c.result)
            .join(orders, orders.c.id == status_change.c.order_id)
            .where(status_change.c.id > after)
            .order_by(status_change.c.id)
            .limit(limit)
        )
        if order is not None:
            query = query.where(status_change.c.order_id == order)
        if is_end:
            before = status_change.c.before
            query = query.where(status_change.c.status.in_(_FINAL), or_(before.is_(None), before.not_in(_FINAL)))
        with self._read() as connection:
            return [_read_change(row) for row in connection.execute(query)]


_STATUSES: dict[str | None, ResultStatus | None] = {None: None, **{status.value: status for status in ResultStatus}}


_STANDING = Listing(
    select(orders.c.id, orders.c.status, orders.c.result, orders.c.due_at, orders.c.reference)
    .join(_named, orders.c.id == _named.c.order_id)
    .where(orders.c.state.in_(_FOLLOWED))
)


def _find_standing(connection: Connection, wanted: AbstractSet[OrderId]) -> list[list[Any]]:
    return _STANDING.fetch(connection, {"rows": encode_rows([(order,) for order in wanted])})


def _store(
    connection: Connection, updates: dict[OrderId, StatusUpdate], now: datetime
) -> tuple[int, dict[ResultStatus, int], list[StatusAnomaly]]:
    """Write what is said of orders and how their status changed; give the orders stored, the changes, what is odd."""
    at = to_micros(now)
    rows: list[tuple[object, ...]] = []
    history: list[tuple[object, ...]] = []
    changes: Counter[ResultStatus] = Counter()
    odd: list[StatusAnomaly] = []
    for id_, status, result, due_at, reference in _find_standing(connection, updates.keys()) if updates else ():
        said = updates[OrderId(id_)]
        known = _STATUSES[status]
        is_closed = known is not None and known.is_final and due_at is None
        code = mend_text(said.result)
        news = decide_status(Standing(known, result, is_closed), said.status, code)
        if news.anomaly is not None:
            detail = f"{said.status.value}: {said.result}" if said.result else said.status.value
            odd.append(StatusAnomaly(news.anomaly, Reference(reference or ""), OrderId(id_), detail[:500]))
        if is_closed and not news.is_change:
            continue
        is_end = said.status.is_final
        next_at = None if is_end else to_micros(said.due_at) if said.due_at is not None else due_at
        rows.append((id_, news.status.value, at, news.code, at if news.status.is_final else None, next_at))
        if news.is_change:
            kept = None if news.status.is_final or code == result else code
            history.append((id_, at, None if news.was is None else news.was.value, news.status.value, kept))
            changes[news.status] += news.status is not news.was
    if rows:
        connection.execute(_UPDATE, {"rows": encode_rows(rows)})
    if history:
        connection.execute(_INSERT_CHANGES, {"rows": encode_rows(history)})
    return len(rows), changes, odd


def _read_due(row: AnyRow) -> DueOrder:
    return DueOrder(
        id=OrderId(row.id),
        job=JobId(row.job_id),
        reference=Reference(row.reference),
        imei=None if row.imei is None else Imei(row.imei),
        due_at=row.due_at,
        accepted_at=row.accepted_at,
        misses=row.misses,
    )


def _read_change(row: AnyRow) -> StatusChange:
    status = ResultStatus(row.status)
    return StatusChange(
        id=row.id,
        job=JobId(row.job_id),
        order=OrderId(row.order_id),
        at=row.at,
        before=_STATUSES[row.before],
        status=status,
        result=row.result if status.is_final else row.code,
    )
