"""Searching by a time, the latest first.

A time alone is led by its index over all jobs. With anything else beside it each wanted job is looked at by itself,
those with the latest wanted order first, until no other can have a later one than the page's last. An index says of
each job how late the wanted time goes in it, so that a job without any is not read, and within a job what is led by is
the least of the orders in the wanted time, those in the other wanted time, and those in a wanted state or status.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Connection, Select, bindparam, exists, func, literal, or_, select
from sqlalchemy.sql.elements import ColumnElement

from imeiflow.ledger.dialect import AnyRow, encode_rows, json_rows
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.schema import Id, job, orders
from imeiflow.ledger.search_condition import (
    has_any,
    job_conditions,
    list_keys,
    list_parameters,
    micros,
    order_conditions,
    read_columns,
    select_orders,
    within,
)


class Few(NamedTuple):
    """What counts as few: jobs to look at each; orders of one that meet the other conditions, among which alone a time
    is looked for; and the same over all jobs, where there are too many of them to look at each."""

    jobs: int = 5_000
    in_job: int = 5_000
    in_all: int = 20_000


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
        is_few = wanted.is_narrow and _count(connection, _lead_by_key(wanted), parameters, few.in_all)
        return list(connection.execute(select_by_time(wanted, after, is_few=is_few).limit(limit), parameters).all())
    found = _merge_jobs(connection, wanted, after, limit, few.in_job)
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
    """Give the query for the wanted jobs, each with its latest wanted time, None where it has none."""
    name, span = _lead(wanted)
    column = micros(name)
    if after is not None:
        span = Span(span.start)
    of_job = select(column).where(orders.c.job_id == job.c.id, *within(column, span))
    if after is not None:
        of_job = of_job.where(column <= literal(after.major, BigInteger()))
    latest = of_job.order_by(column.desc()).limit(1).correlate(job).scalar_subquery()
    query = select(job.c.id, latest.label("latest")).where(*job_conditions(wanted), has_any(list_keys(wanted)))
    other = _other(wanted, name)
    if other is not None:
        query = query.where(exists().where(orders.c.job_id == job.c.id, *other).correlate(job))
    return query


def select_in_job(wanted: Filter, after: Cursor | None = None, *, led_by: str = "time") -> Select[Any]:
    """Give the query for a job's wanted orders, time and id alone, the latest first, none before `floor`.

    `led_by`: "time"; "other", the other wanted time; or "key", the wanted states and statuses.
    """
    name, span = _lead(wanted)
    column = micros(name) if led_by == "time" else micros(name) + 0
    span, conditions = _begin_after(span, after, column)
    query = select(column, orders.c.id).where(*_of_job(wanted, name, led_by))
    query = query.where(*conditions, *within(column, span), column >= bindparam("floor", type_=BigInteger()))
    return query.order_by(column.desc(), orders.c.id.desc())


def _merge_jobs(
    connection: Connection, wanted: Filter, after: Cursor | None, limit: int, few: int
) -> list[tuple[int, int]]:
    told = connection.execute(select_latest(wanted, after), list_parameters(wanted)).all()
    jobs = sorted(((latest, job_id) for job_id, latest in told if latest is not None), reverse=True)
    queries: dict[str, Select[Any]] = {}
    found: list[tuple[int, int]] = []
    for latest, job_id in jobs:
        floor = found[-1][0] if len(found) == limit else _BEFORE_ALL
        if latest < floor:
            break
        led_by = _choose_lead(connection, wanted, job_id, few)
        if led_by not in queries:
            queries[led_by] = select_in_job(wanted, after, led_by=led_by).limit(limit)
        rows = connection.execute(queries[led_by], {"job_id": job_id, "floor": floor}).all()
        found = sorted([*found, *((at, order) for at, order in rows)], reverse=True)[:limit]
    return found


def _choose_lead(connection: Connection, wanted: Filter, job_id: int, few: int) -> str:
    """Choose what leads in a job: the first of time, states and statuses, and other time that is true of few orders."""
    name, span = _lead(wanted)
    leads = {"key": bool(list_keys(wanted)), "other": _other(wanted, name) is not None}
    if not any(leads.values()):
        return "time"
    in_time = select(literal(1)).where(orders.c.job_id == bindparam("job_id"), *within(micros(name), span))
    if _count(connection, in_time, {"job_id": job_id}, few):
        return "time"
    for lead, is_wanted in leads.items():
        query = select(literal(1)).where(*_narrow(wanted, name, lead))
        if is_wanted and _count(connection, query, {"job_id": job_id}, few):
            return lead
    return "time"


def _narrow(wanted: Filter, name: str, led_by: str) -> list[ColumnElement[bool]]:
    of_job = orders.c.job_id == bindparam("job_id")
    if led_by == "key":
        keys = list_keys(wanted)
        statuses = {key.status for key in keys if key.status is not None}
        by_status = [orders.c.status.in_(sorted(statuses))] if statuses else []
        return [of_job, *by_status, orders.c.state.in_(sorted({key.state for key in keys}))]
    return [of_job, *(_other(wanted, name) or ())]


def _of_job(wanted: Filter, name: str, led_by: str) -> list[ColumnElement[bool]]:
    """Give what a job's orders have to meet besides the time `name`; what does not lead leads to no index either."""
    conditions = [orders.c.job_id == bindparam("job_id")] if led_by == "time" else _narrow(wanted, name, led_by)
    other = _other(wanted, name, offset=0)
    if led_by != "key":
        states, statuses = wanted.states, wanted.statuses
        conditions += [] if states is None else [orders.c.state.concat("").in_(sorted(states))]
        conditions += [] if statuses is None else [orders.c.status.concat("").in_(sorted(statuses))]
    return conditions if led_by == "other" or other is None else [*conditions, *other]


def _lead(wanted: Filter) -> tuple[str, Span]:
    led_by = wanted.led_by()
    if led_by is None:
        raise ValueError("no time is wanted")
    return led_by


def _other(wanted: Filter, name: str, offset: int | None = None) -> list[ColumnElement[bool]] | None:
    """Give what the time besides `name` has to meet; None where none is wanted. With an offset no index is led to."""
    accepted, completed = wanted.clip()
    other, span = ("accepted_at", accepted) if name == "completed_at" else ("completed_at", completed)
    column = micros(other) if offset is None else micros(other) + offset
    return None if span is None else list(within(column, span))


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
    return query.where(*_narrow(wanted, _lead(wanted)[0], "key")[1:]) if list_keys(wanted) else query


def _has_few_jobs(connection: Connection, wanted: Filter, few: int) -> bool:
    query = select(literal(1)).select_from(job).where(*job_conditions(wanted))
    return _count(connection, query, list_parameters(wanted), few)


def _count(connection: Connection, query: Select[Any], parameters: dict[str, Any], most: int) -> bool:
    """Say whether a query finds few, counting no further than it matters."""
    found = query.with_only_columns(literal(1), maintain_column_froms=True).limit(most + 1).subquery()
    count: int = connection.execute(select(func.count()).select_from(found), parameters).scalar_one()
    return count <= most


_BY_ID: Final = select_orders().where(orders.c.id.in_(select(_ids.c.order_id)))
