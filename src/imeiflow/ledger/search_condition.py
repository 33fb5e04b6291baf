"""What every search says alike: which columns it reads, and what orders and jobs have to meet. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Join, Select, Text, exists, literal, or_, select, true, type_coerce
from sqlalchemy.sql.elements import ColumnElement

from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.ledger.cell import encode_rows, to_micros
from imeiflow.ledger.dialect import json_rows
from imeiflow.ledger.filter import FINAL, WITH_STATUS, Filter, Span
from imeiflow.ledger.record import FoundOrder
from imeiflow.ledger.schema import Id, job, orders

IMEIS: Final = json_rows("imeis", imei=Text())
REFERENCES: Final = json_rows("refs", reference=Text())
_jobs = json_rows("jobs", job_id=Id)


class Key(NamedTuple):
    """A state, and with it a status, that lead to orders of a job."""

    state: str
    status: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Give what an order has to meet."""
        status = [] if self.status is None else [orders.c.status == self.status]
        return [*status, orders.c.state == self.state]


class TimeKey(NamedTuple):
    """A status, or none, and a state: what leads to the times of a job's orders, in their order."""

    status: str | None
    state: str

    def conditions(self, name: str) -> list[ColumnElement[bool]]:
        """Give what an order has to meet; what was accepted at a time `accepted_at` is in no other state."""
        status = orders.c.status.is_(None) if self.status is None else orders.c.status == self.status
        return [status] if name == "accepted_at" else [status, orders.c.state == self.state]


_COLUMNS = [name for name in FoundOrder.__dataclass_fields__ if name not in {"job", "account", "service"}]


def read_columns() -> Select[Any]:
    """Read what a found order is made of."""
    return select(*(orders.c[name] for name in _COLUMNS), orders.c.job_id, job.c.account, job.c.service)


def select_orders() -> Select[Any]:
    """Read orders, led by them: a sum keeps the planner from beginning with the jobs."""
    return read_columns().select_from(orders_of_jobs())


def orders_of_jobs() -> Join:
    """Join orders with their jobs."""
    return orders.join(job, job.c.id == orders.c.job_id + 0)


def job_conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    """Give what a job has to meet. It may need the parameters of `list_parameters`."""
    yield job.c.state != JobState.DRAFT.value
    if wanted.service is not None:
        yield job.c.service == wanted.service
    if wanted.account is not None:
        yield job.c.account == wanted.account
    if wanted.jobs is not None:
        yield job.c.id.in_(select(_jobs.c.job_id))


def order_conditions(wanted: Filter, led_by: str = "") -> Iterator[ColumnElement[bool]]:
    """Give what an order has to meet besides its name and the time that leads."""
    if wanted.states is not None:
        yield orders.c.state.in_(sorted(wanted.states))
    if wanted.statuses is not None:
        yield orders.c.status.in_(sorted(wanted.statuses))
    for name, span in (("completed_at", wanted.completed), ("accepted_at", wanted.accepted)):
        if span is not None and name != led_by:
            yield from within(micros(name) + 0, span)


def list_keys(wanted: Filter) -> list[Key]:
    """Give the keys that lead within a job: wanted statuses of each state that has one, else wanted states; or none.

    Each is a stretch of an index of its own, in which the orders' ids run. What came to its end has a final status.
    """
    statuses, states = wanted.statuses, wanted.states
    if statuses is None and states is not None and wanted.completed is not None:
        statuses = FINAL
    if statuses is not None:
        states = WITH_STATUS if states is None else states & WITH_STATUS
        return [Key(state.value, status.value) for status in sorted(statuses) for state in sorted(states)]
    return [] if states is None else [Key(state.value) for state in sorted(states)]


def list_time_keys(wanted: Filter) -> list[TimeKey]:
    """Give the keys of which each order in a wanted time has one, and that a reduced filter allows.

    What came to its end has a final status; what has a time of acceptance is accepted, and may have no status yet.
    """
    statuses: list[str | None] = [] if wanted.statuses is None else [*sorted(wanted.statuses)]
    if wanted.statuses is None:
        statuses = [*sorted(FINAL)] if wanted.completed is not None else [None, *sorted(ResultStatus)]
    states = {OrderState.ACCEPTED} if wanted.accepted is not None else WITH_STATUS
    if wanted.states is not None:
        states = states & wanted.states
    return [TimeKey(status, state) for status in statuses for state in sorted(states)]


def has_any(keys: Sequence[Key]) -> ColumnElement[bool]:
    """Say of a job whether it has an order of one of some keys; where there is none, any job does."""
    found = (exists().where(orders.c.job_id == job.c.id, *key.conditions()).correlate(job) for key in keys)
    return or_(*found) if keys else true()


def within(column: ColumnElement[int], span: Span) -> Iterator[ColumnElement[bool]]:
    """Give what a time, in microseconds, has to meet."""
    yield column.is_not(None)
    if span.start is not None:
        yield column >= literal(to_micros(span.start), BigInteger())
    if span.end is not None:
        yield column < literal(to_micros(span.end), BigInteger())


def micros(name: str) -> ColumnElement[int]:
    """Read a time as it is kept: in microseconds."""
    return type_coerce(orders.c[name], BigInteger())


def list_parameters(wanted: Filter) -> dict[str, object]:
    """Give the lists that conditions name."""
    lists = {"imeis": wanted.imeis, "refs": wanted.references, "jobs": wanted.jobs}
    return {name: encode_rows([(one,) for one in many]) for name, many in lists.items() if many is not None}
