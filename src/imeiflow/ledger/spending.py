"""What was spent, given back, and may have been spent: by job and quarter of an hour, for whoever adds it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.charge import sum_up
from imeiflow.ledger.dialect import fetch_rows, from_micros
from imeiflow.ledger.record import Expense
from imeiflow.ledger.schema import attempt, attempt_order, charge, job, orders

_price = func.coalesce(orders.c.price, job.c.unit_price)
_charges = select(charge.c.job_id, charge.c.at, charge.c.price, charge.c.times).join(job, job.c.id == charge.c.job_id)
_refunds = (
    select(orders.c.job_id, orders.c.completed_at, orders.c.price, orders.c.charges)
    .select_from(job)
    .join(orders, orders.c.job_id == job.c.id)
    .where(orders.c.status == ResultStatus.REJECTED.value, orders.c.charges > 0)
)
_doubts = (
    select(orders.c.job_id, attempt.c.started_at, _price, literal(1))
    .select_from(job)
    .join(orders, orders.c.job_id == job.c.id)
    .join(attempt, attempt.c.id == orders.c.attempt_id)
    .where(orders.c.state.in_([OrderState.UNCONFIRMED.value, OrderState.SENDING.value]))
)
#: Repeat probes whose answer was lost, or is still awaited: each may have cost its order a second time.
_probes = (
    select(attempt.c.job_id, attempt.c.started_at, _price, literal(1))
    .select_from(attempt)
    .join(job, job.c.id == attempt.c.job_id)
    .join(attempt_order, attempt_order.c.attempt_id == attempt.c.id)
    .join(orders, orders.c.id == attempt_order.c.order_id)
    .where(attempt.c.kind == AttemptKind.PROBE.value, attempt_order.c.outcome == Outcome.UNCONFIRMED.value)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendingFilter:
    """Which money is asked about; None is any. `until` itself is not part of it."""

    jobs: Sequence[JobId] | None = None
    account: AccountName | None = None
    since: datetime | None = None
    until: datetime | None = None


class Spending(Access):
    """The part of the ledger that tells where the money went."""

    def charges(self, wanted: SpendingFilter) -> list[Expense]:
        """List what was charged, by the quarter of an hour in which the calls left."""
        return self._list_expenses([_charges], charge.c.at, wanted)

    def refunds(self, wanted: SpendingFilter) -> list[Expense]:
        """List what rejected orders had cost, by when it was seen that they are rejected."""
        return self._list_expenses([_refunds], orders.c.completed_at, wanted)

    def possible_charges(self, wanted: SpendingFilter) -> list[Expense]:
        """List what may have been charged besides: unconfirmed orders, those under way, and probes without answer."""
        return self._list_expenses([_doubts, _probes], attempt.c.started_at, wanted)

    def _list_expenses(
        self, queries: Sequence[Select[Any]], at: ColumnElement[datetime], wanted: SpendingFilter
    ) -> list[Expense]:
        with self._read() as connection:
            return _read_expenses(connection, queries, at, wanted)


def add_up_refunds(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    """Add up what the rejected orders of each job had cost; None where a price is not known."""
    return _add_up(jobs, _read_expenses(connection, [_refunds], orders.c.completed_at, SpendingFilter(jobs=jobs)))


def add_up_doubts(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    """Add up what doubts, orders under way and probes without answer may have cost each job; None: not known."""
    wanted = SpendingFilter(jobs=jobs)
    return _add_up(jobs, _read_expenses(connection, [_doubts, _probes], attempt.c.started_at, wanted))


def _add_up(jobs: Sequence[JobId], expenses: Sequence[Expense]) -> dict[JobId, Decimal | None]:
    totals: dict[JobId, Decimal | None] = dict.fromkeys(jobs, Decimal(0))
    for expense in expenses:
        total, price = totals[expense.job], expense.price
        totals[expense.job] = None if total is None or price is None else total + price * expense.times
    return totals


def _read_expenses(
    connection: Connection, queries: Sequence[Select[Any]], at: ColumnElement[datetime], wanted: SpendingFilter
) -> list[Expense]:
    conditions = [job.c.state != JobState.DRAFT.value]
    if wanted.jobs is not None:
        conditions.append(job.c.id.in_(wanted.jobs))
    if wanted.account is not None:
        conditions.append(job.c.account == wanted.account)
    if wanted.since is not None:
        conditions.append(at >= wanted.since)
    if wanted.until is not None:
        conditions.append(at < wanted.until)
    rows = [row for query in queries for row in fetch_rows(connection, sum_up(query.where(*conditions)))]
    return [
        Expense(JobId(its_job), _at(micros), Decimal(price) if price else None, times)
        for its_job, micros, price, times in rows
    ]


def _at(micros: int) -> Any:
    return from_micros(micros)
