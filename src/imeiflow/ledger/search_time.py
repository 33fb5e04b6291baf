"""Searching by a time, the latest first.

A time alone is led by its index over all jobs. With anything else beside it each wanted job is looked at by itself, and
within it each wanted status: an index has the times of a job's status in their order, so that what has the status at
another time is not read. Its latest time says how late a status of a job goes; those with the latest are read first,
until no other can have a later order than the page's last.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, Select, bindparam, exists, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from imeiflow.ledger.cell import encode_rows
from imeiflow.ledger.dialect import AnyRow, json_rows
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.schema import Id, job, orders
from imeiflow.ledger.search_condition import (
    TimeKey,
    job_conditions,
    list_keys,
    list_parameters,
    list_time_keys,
    micros,
    order_conditions,
    read_columns,
    select_orders,
    within,
)


class Few(NamedTuple):
    """What counts as few: jobs to look at each; and, where there are more, orders that meet the other conditions, among
    which alone a time is looked for."""

    jobs: int = 7_000
    orders: int = 20_000


_FEW: Final = Few()
_BEFORE_ALL: Final = -(1 << 62)

_ids = json_rows("ids", order_id=Id)


def find_by_time(
    connection: Connection, wanted: Filter, after: Cursor | None, limit: int, few: Few = _FEW
) -> list[AnyRow]:
    """Find the next orders that meet a reduced filter with a time, up to `limit`, the latest first."""
    parameters = list_parameters(wanted)
    is_alone = wanted.accepted is None or wanted.completed is None
    if (is_alone and not wanted.is_narrow) or not _has_few_jobs(connection, wanted, few.jobs):
        is_few = wanted.is_narrow and _count(connection, _lead_by_key(wanted), parameters, few.orders)
        return list(connection.execute(select_by_time(wanted, after, is_few=is_few).limit(limit), parameters).all())
    found = _merge_jobs(connection, wanted, after, limit)
    rows = connection.execute(_BY_ID, {"ids": encode_rows([(order,) for _, order in found])}).all()
    by_id = {row.id: row for row in rows}
    return [by_id[order] for _, order in found]


def select_by_time(wanted: Filter, after: Cursor | None = None, *, is_few: bool = False) -> Select[Any]:
    """Give the query for a stretch of time over all jobs, led by it; `is_few`: led by what else is wanted."""
    name, span = _lead(wanted)
    column = micros(name) + 0 if is_few else micros(name)
    query = _lead_by_key(wanted) if is_few else select_orders().where(*job_conditions(wanted))
    span, conditions = _begin_after(span, after, column)
    query = query.where(*conditions, *order_conditions(wanted, name), *within(column, span))
    return query.order_by(column.desc(), orders.c.id.desc())


def select_latest(wanted: Filter, after: Cursor | None = None) -> Select[Any]:
    """Give the query for the wanted jobs, each with its latest wanted time of each of `list_time_keys`, or None."""
    name, span = _lead(wanted)
    column, keys = micros(name), list_time_keys(wanted)
    if after is not None:
        span = Span(span.start)
    latest = []
    for key in keys:
        of_key = select(column).where(orders.c.job_id == job.c.id, *key.conditions(name), *within(column, span))
        of_key = of_key.where(*_other(wanted, name, offset=0))
        if after is not None:
            of_key = of_key.where(column <= literal(after.major, BigInteger()))
        latest.append(of_key.order_by(column.desc()).limit(1).correlate(job).scalar_subquery())
    query = select(job.c.id, *latest).where(*job_conditions(wanted))
    other = _other(wanted, name)
    if not other:
        return query
    has_other = (
        exists().where(orders.c.job_id == job.c.id, *key.conditions(_other_name(name)), *other).correlate(job)
        for key in keys
    )
    return query.where(or_(*has_other))


def select_in_job(wanted: Filter, key: TimeKey, after: Cursor | None = None) -> Select[Any]:
    """Give the query for a job's wanted orders of a key, time and id alone, the latest first, none before `floor`."""
    name, span = _lead(wanted)
    column = micros(name)
    span, conditions = _begin_after(span, after, column)
    query = select(column, orders.c.id).where(orders.c.job_id == bindparam("job_id"), *key.conditions(name))
    query = query.where(*conditions, *within(column, span), *_other(wanted, name, offset=0))
    query = query.where(column >= bindparam("floor", type_=BigInteger()))
    return query.order_by(column.desc(), orders.c.id.desc())


def _merge_jobs(connection: Connection, wanted: Filter, after: Cursor | None, limit: int) -> list[tuple[int, int]]:
    keys = list_time_keys(wanted)
    told = connection.execute(select_latest(wanted, after), list_parameters(wanted)).all()
    streams = [(latest, row[0], number) for row in told for number, latest in enumerate(row[1:]) if latest is not None]
    queries: dict[int, Select[Any]] = {}
    found: list[tuple[int, int]] = []
    for latest, job_id, number in sorted(streams, reverse=True):
        floor = found[-1][0] if len(found) == limit else _BEFORE_ALL
        if latest < floor:
            break
        if number not in queries:
            queries[number] = select_in_job(wanted, keys[number], after).limit(limit)
        rows = connection.execute(queries[number], {"job_id": job_id, "floor": floor}).all()
        found = sorted([*found, *((at, order) for at, order in rows)], reverse=True)[:limit]
    return found


def _other_name(name: str) -> str:
    return "accepted_at" if name == "completed_at" else "completed_at"


def _lead(wanted: Filter) -> tuple[str, Span]:
    led_by = wanted.led_by()
    if led_by is None:
        raise ValueError("no time is wanted")
    return led_by


def _other(wanted: Filter, name: str, offset: int | None = None) -> list[ColumnElement[bool]]:
    """Give what the time besides `name` has to meet; nothing where none is wanted. With an offset it does not lead."""
    accepted, completed = wanted.clip()
    span = accepted if name == "completed_at" else completed
    column = micros(_other_name(name)) if offset is None else micros(_other_name(name)) + offset
    return [] if span is None else list(within(column, span))


def _begin_after(
    span: Span, after: Cursor | None, column: ColumnElement[int]
) -> tuple[Span, list[ColumnElement[bool]]]:
    """Let a page begin where the one before ended: in the place of the end, so that it leads."""
    if after is None:
        return span, []
    major = literal(after.major, BigInteger())
    return Span(span.start), [column <= major, or_(column < major, orders.c.id + 0 < after.order)]


def _lead_by_key(wanted: Filter) -> Select[Any]:
    """Let a query be led by the jobs that are wanted, and by the state or status within each."""
    query = read_columns().select_from(job.join(orders, orders.c.job_id == job.c.id + 0)).where(*job_conditions(wanted))
    keys = list_keys(wanted)
    statuses = {key.status for key in keys if key.status is not None}
    if statuses:
        query = query.where(orders.c.status.in_(sorted(statuses)))
    return query.where(orders.c.state.in_(sorted({key.state for key in keys}))) if keys else query


def _has_few_jobs(connection: Connection, wanted: Filter, few: int) -> bool:
    query = select(literal(1)).select_from(job).where(*job_conditions(wanted))
    return _count(connection, query, list_parameters(wanted), few)


def _count(connection: Connection, query: Select[Any], parameters: dict[str, Any], most: int) -> bool:
    """Say whether a query finds few, counting no further than it matters."""
    found = query.with_only_columns(literal(1), maintain_column_froms=True).limit(most + 1).subquery()
    count: int = connection.execute(select(func.count()).select_from(found), parameters).scalar_one()
    return count <= most


_BY_ID: Final = select_orders().where(orders.c.id.in_(select(_ids.c.order_id)))
