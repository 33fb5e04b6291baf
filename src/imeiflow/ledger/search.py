"""Searching the orders of all jobs, a page at a time, newest first; and those of one job, in the order of its file.

Each page takes the way that looks at the fewest rows, and each way is led by an index, whatever the ledger's size:

- by IMEI or reference, all that match are found and sorted: newest job first, its last row first;
- by time, the latest first (`search_time`);
- all else job by job, newest first: a state or status leads by the job's own index, and jobs without any are passed
  over in one statement;
- the rows of one job run along its orders' ids, which were given in the order of its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, or_, select

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import ErrorKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import to_micros
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.filter import Cursor, Filter
from imeiflow.ledger.record import FoundOrder
from imeiflow.ledger.row import EXTREMES
from imeiflow.ledger.schema import job, orders
from imeiflow.ledger.search_condition import (
    IMEIS,
    REFERENCES,
    Key,
    has_any,
    job_conditions,
    list_keys,
    list_parameters,
    order_conditions,
    orders_of_jobs,
    select_orders,
)
from imeiflow.ledger.search_time import find_by_time

_JOBS_AT_ONCE: Final = 100
_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the orders that match; `next` is where the rest begins, None where there is none."""

    orders: list[FoundOrder]
    next: Cursor | None


class Search(Access):
    """The part of the ledger that finds orders over all jobs."""

    def page_orders(self, wanted: Filter, *, after: Cursor | None = None, limit: int = 100) -> Page:
        """Give the next orders that match; `after` is the `next` of the page before, of the same filter."""
        reduced = wanted.reduce()
        if reduced is None:
            return Page([], None)
        with self._read() as connection:
            rows = list(islice(_find(connection, reduced, after, limit + 1), limit + 1))
        found = [_read_found(row) for row in rows[:limit]]
        if len(rows) <= limit or not found:
            return Page(found, None)
        return Page(found, end_with(wanted, found[-1]))

    def page_rows(
        self, job_id: JobId, wanted: Filter, *, after: OrderId | None = None, limit: int = 100
    ) -> tuple[list[FoundOrder], OrderId | None]:
        """Give the next orders of a job that match, in the order of its file, and the last of them where more follow.

        IMEIs, states and statuses of `wanted` count. `after` is the last one of the page before, of the same filter.
        """
        reduced = wanted.reduce()
        if reduced is None:
            return [], None
        with self._read() as connection:
            rows = _find_rows(connection, job_id, reduced, after or OrderId(0), limit + 1)
        found = [_read_found(row) for row in rows[:limit]]
        return found, found[-1].id if found and len(rows) > limit else None

    def find_order(self, order: OrderId) -> FoundOrder | None:
        """Give one order; None where there is none, or only in a draft."""
        query = select_orders().where(orders.c.id == order, job.c.state != JobState.DRAFT.value)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _read_found(row)

    def search_orders(
        self,
        *,
        imeis: Sequence[Imei] | None = None,
        references: Sequence[Reference] | None = None,
        states: AbstractSet[OrderState] | None = None,
        statuses: AbstractSet[ResultStatus] | None = None,
        service: ServiceId | None = None,
        account: AccountName | None = None,
        limit: int = 100,
    ) -> list[FoundOrder]:
        """Give the first page of what matches."""
        wanted = Filter(
            imeis=imeis, references=references, states=states, statuses=statuses, service=service, account=account
        )
        return self.page_orders(wanted, limit=limit).orders


def _find(connection: Connection, wanted: Filter, after: Cursor | None, limit: int) -> Iterator[AnyRow]:
    if wanted.imeis is not None or wanted.references is not None:
        return iter(connection.execute(select_named(wanted, after, limit), list_parameters(wanted)).all())
    if wanted.led_by() is not None:
        return iter(find_by_time(connection, wanted, after, limit))
    return _find_by_job(connection, wanted, after, limit)


def select_named(wanted: Filter, after: Cursor | None = None, limit: int | None = None) -> Select[Any]:
    """Give the query that is led by IMEIs, or by references: what matches is sorted by number, and only a page read."""
    query = select(orders.c.id).select_from(orders_of_jobs()).where(*job_conditions(wanted))
    query = query.where(*order_conditions(wanted))
    if wanted.imeis is not None:
        query = query.where(orders.c.imei.in_(select(IMEIS.c.imei)))
    if wanted.references is not None:
        # With IMEIs beside them, those lead.
        column = orders.c.reference if wanted.imeis is None else orders.c.reference.concat("")
        query = query.where(column.in_(select(REFERENCES.c.reference)))
    job_id = orders.c.job_id + 0
    if after is not None:
        query = query.where(or_(job_id < after.major, and_(job_id == after.major, orders.c.id + 0 < after.order)))
    newest_first = (job_id.desc(), (orders.c.id + 0).desc())
    page = query.order_by(*newest_first).limit(limit).subquery("page")
    return select_orders().where(orders.c.id.in_(select(page.c.id))).order_by(*newest_first)


def select_jobs(wanted: Filter, before: int) -> Select[Any]:
    """Give the query for the next jobs, newest first, that have an order in a wanted state or status at all."""
    query = (
        select(job.c.id)
        .where(job.c.id < before, *job_conditions(wanted))
        .order_by(job.c.id.desc())
        .limit(_JOBS_AT_ONCE)
    )
    return query.where(has_any(list_keys(wanted)))


def select_of_job(wanted: Filter, key: Key | None = None) -> Select[Any]:
    """Give the query for a job's orders, the last first; `key` is the state, or status and state, that leads.

    Without one it runs along the orders' ids, between the job's first and last.
    """
    query = select_orders().where(orders.c.id < bindparam("below"), *order_conditions(wanted))
    if key is None:
        last = orders.c.id >= bindparam("first")
        query = query.where(orders.c.job_id + 0 == bindparam("job_id"), last)
    else:
        query = query.where(orders.c.job_id == bindparam("job_id"), *key.conditions())
    return query.order_by(orders.c.id.desc())


def _find_by_job(connection: Connection, wanted: Filter, after: Cursor | None, limit: int) -> Iterator[AnyRow]:
    left = limit
    if after is not None:
        for row in _find_in_job(connection, wanted, after.major, after.order, left):
            left -= 1
            yield row
    before = _NEVER if after is None else after.major
    while left > 0:
        jobs = list(connection.execute(select_jobs(wanted, before), list_parameters(wanted)).scalars())
        for one in jobs:
            for row in _find_in_job(connection, wanted, one, _NEVER, left):
                left -= 1
                yield row
            if left <= 0:
                return
        if len(jobs) < _JOBS_AT_ONCE:
            return
        before = jobs[-1]


def _find_in_job(connection: Connection, wanted: Filter, job_id: int, below: int, limit: int) -> list[AnyRow]:
    parameters: dict[str, Any] = {"job_id": job_id, "below": below}
    if keys := list_keys(wanted):
        found: list[AnyRow] = []
        for key in keys:
            found += connection.execute(select_of_job(wanted, key).limit(limit), parameters).all()
        return sorted(found, key=lambda row: -row.id)[:limit]
    first, last = connection.execute(EXTREMES, {"job_id": job_id}).one()
    if first is None:
        return []
    parameters |= {"first": first, "below": min(below, last + 1)}
    return list(connection.execute(select_of_job(wanted).limit(limit), parameters).all())


def select_rows(wanted: Filter, key: Key | None = None) -> Select[Any]:
    """Give the query for a job's orders in the order of its file; `key` is the state, or status and state, that leads.

    Without one it is led by IMEIs where those are wanted, else it runs along the orders' ids.
    """
    query = select_orders().where(job.c.state != JobState.DRAFT.value, *order_conditions(wanted))
    if wanted.imeis is not None:
        named = orders.c.imei.in_(select(IMEIS.c.imei))
        id_ = orders.c.id + 0
        query = query.where(named, orders.c.job_id + 0 == bindparam("job_id"), id_ > bindparam("after"))
        return query.order_by(id_)
    query = query.where(orders.c.id > bindparam("after"))
    if key is None:
        query = query.where(orders.c.job_id + 0 == bindparam("job_id"), orders.c.id <= bindparam("last"))
    else:
        query = query.where(orders.c.job_id == bindparam("job_id"), *key.conditions())
    return query.order_by(orders.c.id)


def _find_rows(connection: Connection, job_id: JobId, wanted: Filter, after: OrderId, limit: int) -> list[AnyRow]:
    parameters: dict[str, Any] = {"job_id": job_id, "after": after, **list_parameters(wanted)}
    if wanted.imeis is not None:
        return list(connection.execute(select_rows(wanted).limit(limit), parameters).all())
    if keys := list_keys(wanted):
        found: list[AnyRow] = []
        for key in keys:
            found += connection.execute(select_rows(wanted, key).limit(limit), parameters).all()
        return sorted(found, key=lambda row: row.id)[:limit]
    first, last = connection.execute(EXTREMES, {"job_id": job_id}).one()
    if first is None:
        return []
    parameters |= {"after": max(after, first - 1), "last": last}
    return list(connection.execute(select_rows(wanted).limit(limit), parameters).all())


def end_with(wanted: Filter, last: FoundOrder) -> Cursor:
    """Give the cursor of a page that ends with an order."""
    led_by = None if wanted.imeis is not None or wanted.references is not None else wanted.led_by()
    if led_by is None:
        return Cursor(last.job, last.id)
    at: int | None = to_micros(getattr(last, led_by[0]))
    if at is None:
        raise ValueError(f"order {last.id} has no {led_by[0]}")
    return Cursor(at, last.id)


def _read_found(row: AnyRow) -> FoundOrder:
    values = row._asdict()
    for name, type_ in (("state", OrderState), ("status", ResultStatus), ("error_kind", ErrorKind)):
        if values[name] is not None:
            values[name] = type_(values[name])
    return FoundOrder(job=JobId(values.pop("job_id")), **values)
