"""What was spent, given back, and may have been spent: by job and quarter of an hour, for whoever adds it up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, select

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import from_micros
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.charge import QUARTER_US, sum_up
from imeiflow.ledger.dialect import Listing
from imeiflow.ledger.log import PRICE_ACCEPTED
from imeiflow.ledger.price_rise import list_excess
from imeiflow.ledger.record import Expense
from imeiflow.ledger.schema import attempt, attempt_order, charge, event, job, orders

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


#: What a repeat probe may cost, by account.
ProbeLimits: TypeAlias = Mapping[AccountName, Decimal]
#: A currency, a price, None where it is not known, and how many times it counts.
_Line: TypeAlias = tuple[str, Decimal | None, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Rows of (job, instant, price, times), and the column of their time."""

    rows: Select[Any]
    at: ColumnElement[datetime]


_CHARGES = (_Source(_charges, charge.c.at),)
_REFUNDS = (_Source(_refunds, orders.c.completed_at),)
_DOUBTS = (_Source(_doubts, attempt.c.started_at), _Source(_probes, attempt.c.started_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendingFilter:
    """Which money is asked about; None is any. `until` itself is not part of it."""

    jobs: Sequence[JobId] | None = None
    account: AccountName | None = None
    submitted_by: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_dict(self) -> dict[str, object]:
        """Give what is asked about by name, without what may be any."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if value is not None}


class Spending(Access):
    """The part of the ledger that tells where the money went."""

    def charges(self, wanted: SpendingFilter) -> list[Expense]:
        """List what was charged, by the quarter of an hour in which the calls left."""
        return self._list_expenses(_CHARGES, wanted)

    def charged_as_agreed(self, wanted: SpendingFilter) -> Decimal:
        """Add up what was charged, each time at no less than what was agreed to by then: for caps.

        A price list that has fallen may be out of date, and then more is charged than it says. What has no price at all
        counts nothing.
        """
        with self._read() as connection:
            expenses = _read_expenses(connection, _CHARGES, wanted)
            agreed = _read_agreed(connection, {one.job for one in expenses})
        return sum((_as_agreed(one, agreed[one.job]) * one.times for one in expenses), Decimal(0))

    def refunds(self, wanted: SpendingFilter) -> list[Expense]:
        """List what rejected orders had cost, by when it was seen that they are rejected."""
        return self._list_expenses(_REFUNDS, wanted)

    def possible_charges(self, wanted: SpendingFilter) -> list[Expense]:
        """List what may have been charged besides.

        That is unconfirmed orders, those under way, probes without answer, and what a price that rose unseen may add.
        """
        with self._read() as connection:
            return _read_possible(connection, wanted)

    def commitment(self, submitter: str, since: datetime, probe_limits: ProbeLimits) -> dict[str, Decimal | None]:
        """Add up by currency what a submitter's jobs were charged since a time, may have been, and will be.

        What will be is what their running jobs have not sent yet, or may settle by sending it again, and one repeat
        probe each where `probe_limits` allow it, up to their caps: a doubt of the time since `since` may have been
        charged already. None where a price is not known.
        All from one view: what moves from one of these to the other is missing in none.
        """
        wanted = SpendingFilter(submitted_by=submitter, since=since)
        with self._read() as connection:
            charged = _read_expenses(connection, _CHARGES, wanted)
            possible = _read_possible(connection, wanted)
            jobs = {one.job for one in (*charged, *possible)}
            named = select(job.c.id, job.c.currency).where(job.c.id.in_(jobs))
            currencies: dict[int, str] = {row[0]: row[1] for row in connection.execute(named)}
            mine = job.c.submitted_by == submitter
            committed = list(_read_committed(connection, mine, probe_limits, counted_since=since))
        return _add_by_currency(
            [*((currencies[one.job], one.price, one.times) for one in (*charged, *possible)), *committed]
        )

    def outstanding(self, account: AccountName, probe_limits: ProbeLimits) -> dict[str, Decimal | None]:
        """Add up by currency what the running jobs of an account may yet be charged, up to their caps.

        That is what waits, what is under way or in doubt and may be charged a moment from now, and one repeat probe
        each where `probe_limits` allow it. None where a price is not known.
        """
        with self._read() as connection:
            return _add_by_currency(list(_read_committed(connection, job.c.account == account, probe_limits)))

    def count_old_doubts(self, job_id: JobId, before: datetime) -> int:
        """Count the unconfirmed orders of a job whose last call began before a time."""
        query = select(func.count()).select_from(orders).where(orders.c.job_id == job_id, *_doubted_before(before))
        with self._read() as connection:
            return int(connection.execute(_with_calls(query)).scalar_one())

    def _list_expenses(self, sources: Sequence[_Source], wanted: SpendingFilter) -> list[Expense]:
        with self._read() as connection:
            return _read_expenses(connection, sources, wanted)


def _add_by_currency(lines: Sequence[_Line]) -> dict[str, Decimal | None]:
    totals: dict[str, Decimal | None] = {}
    for currency, price, times in lines:
        total = totals.get(currency, Decimal(0))
        totals[currency] = None if total is None or price is None else total + price * times
    return totals


def _with_calls(query: Select[Any]) -> Select[Any]:
    return query.join(attempt, attempt.c.id == orders.c.attempt_id)


def _doubted_before(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Say of orders with their last calls that they are in doubt since before a time."""
    return orders.c.state == OrderState.UNCONFIRMED.value, attempt.c.started_at < before


def _read_committed(
    connection: Connection,
    whose: ColumnElement[bool],
    probe_limits: ProbeLimits,
    *,
    counted_since: datetime | None = None,
) -> Iterator[_Line]:
    """Give what each running job may yet be charged, as currency, amount and 1.

    What has left since `counted_since`, and may have been charged, is counted elsewhere.
    """
    found = select(func.count()).select_from(orders).where(orders.c.job_id == job.c.id)
    settled = job.c.policy == Policy.SETTLE.value
    waiting = found.where(
        orders.c.state == OrderState.QUEUED.value,
        (job.c.hold_after.is_(None)) | (orders.c.id <= job.c.hold_after),
    )
    under_way = found.where(orders.c.state == OrderState.SENDING.value)
    doubts = found.where(settled, orders.c.state == OrderState.UNCONFIRMED.value)
    old = doubts if counted_since is None else _with_calls(found).where(settled, *_doubted_before(counted_since))
    counts = [one.scalar_subquery() for one in (waiting, under_way, doubts, old)]
    query = select(
        job.c.id, job.c.account, job.c.policy, job.c.currency, job.c.unit_price, job.c.max_spend, *counts
    ).where(whose, job.c.state == JobState.RUNNING.value)
    for id_, account, policy, currency, price, cap, queued, sending, doubted, counted in list(
        connection.execute(query)
    ):
        count = queued + counted + (sending if counted_since is None else 0)
        if price is None:
            yield currency, None if count else Decimal(0), 1
            continue
        is_open = policy == Policy.SETTLE.value and queued + sending + doubted > 0
        amount = price * (count + (is_open and price <= probe_limits.get(account, Decimal(0))))
        if cap is not None:
            spent = [Decimal(one.price or 0) * one.times for one in _all_charges(connection, id_)]
            amount = min(amount, max(Decimal(0), cap - sum(spent, Decimal(0))))
        yield currency, amount, 1


#: Prices that were agreed to for a job one after the other: from when each held, the latest last.
_Agreed: TypeAlias = list[tuple[datetime | None, Decimal]]


def _read_agreed(connection: Connection, jobs: Collection[JobId]) -> dict[JobId, _Agreed]:
    agreed: dict[JobId, _Agreed] = {one: [] for one in jobs}
    told = select(event.c.job_id, event.c.at, event.c.data).where(
        event.c.kind == PRICE_ACCEPTED, event.c.job_id.in_(jobs)
    )
    for its_job, at, data in connection.execute(told.order_by(event.c.id)):
        prices = agreed[its_job]
        if not prices and data["from"] is not None:
            prices.append((None, Decimal(data["from"])))
        prices.append((at, Decimal(data["to"])))
    for its_job, price in connection.execute(select(job.c.id, job.c.unit_price).where(job.c.id.in_(jobs))):
        if not agreed[its_job] and price is not None:
            agreed[its_job] = [(None, price)]
    return agreed


def _as_agreed(expense: Expense, agreed: _Agreed) -> Decimal:
    """Give the price of a charge for a cap: its own, or the dearest that was agreed to by the end of its quarter."""
    quarter = timedelta(microseconds=QUARTER_US)
    begun = [price for at, price in agreed if at is None or at <= expense.at][-1:]
    within = [price for at, price in agreed if at is not None and expense.at < at < expense.at + quarter]
    return max([*begun, *within, expense.price or Decimal(0)])


def _all_charges(connection: Connection, job_id: JobId) -> list[Expense]:
    return _read_expenses(connection, _CHARGES, SpendingFilter(jobs=[job_id]))


def add_up_refunds(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    """Add up what the rejected orders of each job had cost; None where a price is not known."""
    return _add_up(jobs, _read_expenses(connection, _REFUNDS, SpendingFilter(jobs=jobs)))


def add_up_doubts(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    """Add up what doubts, orders under way and probes without answer may have cost each job; None: not known."""
    return _add_up(jobs, _read_expenses(connection, _DOUBTS, SpendingFilter(jobs=jobs)))


def _add_up(jobs: Sequence[JobId], expenses: Sequence[Expense]) -> dict[JobId, Decimal | None]:
    totals: dict[JobId, Decimal | None] = dict.fromkeys(jobs, Decimal(0))
    for expense in expenses:
        total, price = totals[expense.job], expense.price
        totals[expense.job] = None if total is None or price is None else total + price * expense.times
    return totals


def _read_expenses(connection: Connection, sources: Sequence[_Source], wanted: SpendingFilter) -> list[Expense]:
    values = wanted.as_dict()
    asked = frozenset(values)
    rows = [row for source in sources for row in _list_sums(source, asked).fetch(connection, values)]
    return [
        Expense(JobId(its_job), _at(micros), Decimal(price) if price else None, times)
        for its_job, micros, price, times in rows
    ]


def _read_possible(connection: Connection, wanted: SpendingFilter) -> list[Expense]:
    """Read what may have been charged besides: doubts, and what is more than was recorded of calls at a risen price."""
    whose = [
        *([] if wanted.jobs is None else [job.c.id.in_(wanted.jobs)]),
        *([] if wanted.account is None else [job.c.account == wanted.account]),
        *([] if wanted.submitted_by is None else [job.c.submitted_by == wanted.submitted_by]),
    ]
    excess = list_excess(connection, *whose, since=wanted.since, until=wanted.until)
    return [*_read_expenses(connection, _DOUBTS, wanted), *excess]


@cache
def _list_sums(source: _Source, asked: frozenset[str]) -> Listing:
    """Give the listing of a source's sums, narrowed by those fields of a filter that are asked about."""
    narrowing = {
        "jobs": job.c.id.in_(bindparam("jobs", expanding=True)),
        "submitted_by": job.c.submitted_by == bindparam("submitted_by"),
        "account": job.c.account == bindparam("account"),
        "since": source.at >= bindparam("since"),
        "until": source.at < bindparam("until"),
    }
    is_asked = (narrowing[name] for name in sorted(asked))
    return Listing(sum_up(source.rows.where(job.c.state != JobState.DRAFT.value, *is_asked)))


def _at(micros: int) -> Any:
    return from_micros(micros)
