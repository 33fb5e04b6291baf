"""Searching the orders of all jobs, a page at a time, newest first; and those of one job, in the order of its file.

Each page takes the way that looks at the fewest rows, and each way is led by an index, whatever the ledger's size:

- by IMEI or reference, all that match are found and sorted: newest job first, its last row first;
- by time, the latest first; where few orders meet the other conditions, those are looked at instead;
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

from sqlalchemy import (
    BigInteger,
    Connection,
    Join,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.sql.elements import ColumnElement

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import ErrorKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.dialect import AnyRow, encode_rows, json_rows, to_micros
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.record import FoundOrder
from imeiflow.ledger.row import EXTREMES
from imeiflow.ledger.schema import Id, job, orders

#: Up to so many orders that meet the other conditions, a time is looked for among them alone.
_FEW: Final = 20_000
#: Up to so many wanted jobs, the orders of others are passed over by their ids.
_FEW_JOBS: Final = 16
_JOBS_AT_ONCE: Final = 100
_NEVER: Final = 1 << 62

_imeis = json_rows("imeis", imei=Text())
_references = json_rows("refs", reference=Text())
_jobs = json_rows("jobs", job_id=Id)


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
        query = _select().where(orders.c.id == order, job.c.state != JobState.DRAFT.value)
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
        return iter(connection.execute(select_named(wanted, after, limit), _parameters(wanted)).all())
    if wanted.led_by() is not None:
        is_few = wanted.is_narrow and _count_few(connection, wanted) <= _FEW
        if not is_few and _is_before_all_jobs(connection, wanted):
            return iter(())
        spans = None if is_few else _find_spans(connection, wanted)
        query = select_by_time(wanted, after, is_few=is_few, spans=spans).limit(limit)
        return iter(connection.execute(query, _parameters(wanted)).all())
    return _find_by_job(connection, wanted, after, limit)


def select_named(wanted: Filter, after: Cursor | None = None, limit: int | None = None) -> Select[Any]:
    """Give the query that is led by IMEIs, or by references: what matches is sorted by number, and only a page read."""
    query = select(orders.c.id).select_from(_orders_of_jobs()).where(*_job_conditions(wanted))
    query = query.where(*_order_conditions(wanted))
    if wanted.imeis is not None:
        query = query.where(orders.c.imei.in_(select(_imeis.c.imei)))
    if wanted.references is not None:
        # With IMEIs beside them, those lead.
        column = orders.c.reference if wanted.imeis is None else orders.c.reference.concat("")
        query = query.where(column.in_(select(_references.c.reference)))
    job_id = orders.c.job_id + 0
    if after is not None:
        query = query.where(or_(job_id < after.major, and_(job_id == after.major, orders.c.id + 0 < after.order)))
    newest_first = (job_id.desc(), (orders.c.id + 0).desc())
    page = query.order_by(*newest_first).limit(limit).subquery("page")
    return _select().where(orders.c.id.in_(select(page.c.id))).order_by(*newest_first)


def select_by_time(
    wanted: Filter,
    after: Cursor | None = None,
    *,
    is_few: bool = False,
    spans: Sequence[tuple[int, int]] | None = None,
) -> Select[Any]:
    """Give the query for a stretch of time, led by it; `is_few`: led by what else is wanted.

    `spans`: the first and last order of each wanted job. The index of the time has the orders' ids, too, so that the
    orders of other jobs are passed over within it.
    """
    led_by = wanted.led_by()
    if led_by is None:
        raise ValueError("no time is wanted")
    name, span = led_by
    column = _micros(name) + 0 if is_few else _micros(name)
    query = _lead_by_job(_columns(), wanted) if is_few else _select().where(*_job_conditions(wanted))
    if after is not None:
        # In the place of the end, so that it leads, and a page far back begins where it does.
        span = Span(span.start)
        major = literal(after.major, BigInteger())
        query = query.where(column <= major, or_(column < major, orders.c.id + 0 < after.order))
    if spans is not None:
        query = query.where(or_(*((orders.c.id + 0).between(first, last) for first, last in spans), false()))
    query = query.where(*_order_conditions(wanted, name), *_within(column, span))
    return query.order_by(column.desc(), orders.c.id.desc())


def select_jobs(wanted: Filter, before: int) -> Select[Any]:
    """Give the query for the next jobs, newest first, that have an order in a wanted state or status at all."""
    query = (
        select(job.c.id)
        .where(job.c.id < before, *_job_conditions(wanted))
        .order_by(job.c.id.desc())
        .limit(_JOBS_AT_ONCE)
    )
    key = _key(wanted)
    if key is None:
        return query
    column, values = key
    any_ = [exists().where(orders.c.job_id == job.c.id, column == value).correlate(job) for value in values]
    return query.where(or_(*any_))


def select_of_job(wanted: Filter, value: str | None = None) -> Select[Any]:
    """Give the query for a job's orders, the last first; `value` is the state or status that leads.

    Without one it runs along the orders' ids, between the job's first and last.
    """
    query = _select().where(orders.c.id < bindparam("below"), *_order_conditions(wanted))
    key = _key(wanted)
    if key is None or value is None:
        last = orders.c.id >= bindparam("first")
        query = query.where(orders.c.job_id + 0 == bindparam("job_id"), last)
    else:
        query = query.where(orders.c.job_id == bindparam("job_id"), key[0] == value)
    return query.order_by(orders.c.id.desc())


def _find_by_job(connection: Connection, wanted: Filter, after: Cursor | None, limit: int) -> Iterator[AnyRow]:
    left = limit
    if after is not None:
        for row in _find_in_job(connection, wanted, after.major, after.order, left):
            left -= 1
            yield row
    before = _NEVER if after is None else after.major
    while left > 0:
        jobs = list(connection.execute(select_jobs(wanted, before), _parameters(wanted)).scalars())
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
    key = _key(wanted)
    parameters: dict[str, Any] = {"job_id": job_id, "below": below}
    if key is not None:
        found: list[AnyRow] = []
        for value in key[1]:
            found += connection.execute(select_of_job(wanted, value).limit(limit), parameters).all()
        return sorted(found, key=lambda row: -row.id)[:limit]
    first, last = connection.execute(EXTREMES, {"job_id": job_id}).one()
    if first is None:
        return []
    parameters |= {"first": first, "below": min(below, last + 1)}
    return list(connection.execute(select_of_job(wanted).limit(limit), parameters).all())


def select_rows(wanted: Filter, value: str | None = None) -> Select[Any]:
    """Give the query for a job's orders in the order of its file; `value` is the state or status that leads.

    Without one it is led by IMEIs where those are wanted, else it runs along the orders' ids.
    """
    query = _select().where(job.c.state != JobState.DRAFT.value, *_order_conditions(wanted))
    key = _key(wanted)
    if wanted.imeis is not None:
        named = orders.c.imei.in_(select(_imeis.c.imei))
        id_ = orders.c.id + 0
        query = query.where(named, orders.c.job_id + 0 == bindparam("job_id"), id_ > bindparam("after"))
        return query.order_by(id_)
    query = query.where(orders.c.id > bindparam("after"))
    if key is None or value is None:
        query = query.where(orders.c.job_id + 0 == bindparam("job_id"), orders.c.id <= bindparam("last"))
    else:
        query = query.where(orders.c.job_id == bindparam("job_id"), key[0] == value)
    return query.order_by(orders.c.id)


def _find_rows(connection: Connection, job_id: JobId, wanted: Filter, after: OrderId, limit: int) -> list[AnyRow]:
    parameters: dict[str, Any] = {"job_id": job_id, "after": after, **_parameters(wanted)}
    if wanted.imeis is not None:
        return list(connection.execute(select_rows(wanted).limit(limit), parameters).all())
    key = _key(wanted)
    if key is not None:
        found: list[AnyRow] = []
        for value in key[1]:
            found += connection.execute(select_rows(wanted, value).limit(limit), parameters).all()
        return sorted(found, key=lambda row: row.id)[:limit]
    first, last = connection.execute(EXTREMES, {"job_id": job_id}).one()
    if first is None:
        return []
    parameters |= {"after": max(after, first - 1), "last": last}
    return list(connection.execute(select_rows(wanted).limit(limit), parameters).all())


def _count_few(connection: Connection, wanted: Filter) -> int:
    """Count the orders that meet the conditions but for the time, no further than it matters."""
    found = _lead_by_job(select(literal(1)), wanted).limit(_FEW + 1).subquery()
    count: int = connection.execute(select(func.count()).select_from(found), _parameters(wanted)).scalar_one()
    return count


def _is_before_all_jobs(connection: Connection, wanted: Filter) -> bool:
    """Say whether the wanted time was over when the first wanted job came to be."""
    if (end := wanted.over_at) is None or not wanted.is_of_jobs:
        return False
    query = select(func.min(job.c.created_at)).where(*_job_conditions(wanted))
    first = connection.execute(query, _parameters(wanted)).scalar_one()
    return first is None or end < first


def _find_spans(connection: Connection, wanted: Filter) -> list[tuple[int, int]] | None:
    """Find the first and last order of each wanted job; None where all are wanted, or too many to pass over others."""
    if not wanted.is_of_jobs:
        return None
    query = select(job.c.id).where(*_job_conditions(wanted)).limit(_FEW_JOBS + 1)
    if len(jobs := list(connection.execute(query, _parameters(wanted)).scalars())) > _FEW_JOBS:
        return None
    found = (connection.execute(EXTREMES, {"job_id": one}).one() for one in jobs)
    return [(first, last) for first, last in found if first is not None]


def _key(wanted: Filter) -> tuple[ColumnElement[Any], list[str]] | None:
    """Give the column that leads within a job, with the wanted values: a status, unless of duplicates only."""
    is_rare = wanted.states is not None and OrderState.ACCEPTED not in wanted.states
    if wanted.statuses is not None and not is_rare:
        return orders.c.status, sorted(wanted.statuses)
    if wanted.states is not None:
        return orders.c.state, sorted(wanted.states)
    return None


_COLUMNS = [name for name in FoundOrder.__dataclass_fields__ if name not in {"job", "account", "service"}]


def _columns() -> Select[Any]:
    return select(*(orders.c[name] for name in _COLUMNS), orders.c.job_id, job.c.account, job.c.service)


def _select() -> Select[Any]:
    """Read orders, led by them: a sum keeps the planner from beginning with the jobs."""
    return _columns().select_from(_orders_of_jobs())


def _orders_of_jobs() -> Join:
    return orders.join(job, job.c.id == orders.c.job_id + 0)


def _lead_by_job(query: Select[Any], wanted: Filter) -> Select[Any]:
    """Let a query be led by the jobs that are wanted, and by the state or status within each."""
    query = query.select_from(job.join(orders, orders.c.job_id == job.c.id + 0)).where(*_job_conditions(wanted))
    key = _key(wanted)
    return query if key is None else query.where(key[0].in_(key[1]))


def _job_conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    yield job.c.state != JobState.DRAFT.value
    if wanted.service is not None:
        yield job.c.service == wanted.service
    if wanted.account is not None:
        yield job.c.account == wanted.account
    if wanted.jobs is not None:
        yield job.c.id.in_(select(_jobs.c.job_id))


def _order_conditions(wanted: Filter, led_by: str = "") -> Iterator[ColumnElement[bool]]:
    if wanted.states is not None:
        yield orders.c.state.in_(sorted(wanted.states))
    if wanted.statuses is not None:
        yield orders.c.status.in_(sorted(wanted.statuses))
    for name, span in (("completed_at", wanted.completed), ("accepted_at", wanted.accepted)):
        if span is not None and name != led_by:
            yield from _within(_micros(name) + 0, span)


def _within(column: ColumnElement[int], span: Span) -> Iterator[ColumnElement[bool]]:
    yield column.is_not(None)
    if span.start is not None:
        yield column >= literal(to_micros(span.start), BigInteger())
    if span.end is not None:
        yield column < literal(to_micros(span.end), BigInteger())


def _micros(name: str) -> ColumnElement[int]:
    return type_coerce(orders.c[name], BigInteger())


def _parameters(wanted: Filter) -> dict[str, object]:
    lists = {"imeis": wanted.imeis, "refs": wanted.references, "jobs": wanted.jobs}
    return {name: encode_rows([(one,) for one in many]) for name, many in lists.items() if many is not None}


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
