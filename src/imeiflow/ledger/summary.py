"""How far jobs are, and what they have spent: summed up from the ledger's rows, several jobs at once. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, func, select

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.price_rise import PriceRise
from imeiflow.domain.progress import Summary, Tally
from imeiflow.errors import UnknownJobError
from imeiflow.ledger.access import Access
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.price_rise import read_rises
from imeiflow.ledger.schema import attempt, attempt_order, charge, job, orders
from imeiflow.ledger.spending import add_up_doubts, add_up_refunds

_AT_ONCE: Final = 500


class Summaries(Access):
    """The part of the ledger that sums jobs up."""

    def tally(self, job_id: JobId) -> Tally:
        """Count a job's rows by state."""
        return self.tallies([job_id])[job_id]

    def tallies(self, jobs: Sequence[JobId]) -> dict[JobId, Tally]:
        """Count the rows of several jobs by state; a job without rows has an empty tally."""
        with self._read() as connection:
            return _tallies(connection, jobs)

    def spending(self, job_id: JobId) -> Money | None:
        """Add up exactly what a job's orders were charged; None where the price of any of them is not known."""
        return self._total(job_id, _spending)

    def probed(self, job_id: JobId) -> Money | None:
        """Add up what repeat probes of a job's orders were charged, which is part of its spending; None: not known."""
        return self._total(job_id, _probed)

    def summary(self, job_id: JobId) -> Summary:
        """Sum up one job from a single consistent view. Raises UnknownJobError."""
        found = self.summaries([job_id])
        if not found:
            raise UnknownJobError(job=job_id)
        return found[job_id]

    def summaries(self, jobs: Sequence[JobId]) -> dict[JobId, Summary]:
        """Sum up several jobs, those that are there, with a few statements for all of them."""
        found: dict[JobId, Summary] = {}
        for start in range(0, len(jobs), _AT_ONCE):
            with self._read() as connection:
                found.update(_sum_up(connection, jobs[start : start + _AT_ONCE]))
        return found

    def _total(
        self, job_id: JobId, add_up: Callable[[Connection, Sequence[JobId]], dict[JobId, Decimal | None]]
    ) -> Money | None:
        with self._read() as connection:
            currency = connection.execute(select(job.c.currency).where(job.c.id == job_id)).scalar()
            if currency is None:
                raise UnknownJobError(job=job_id)
            return _money(add_up(connection, [job_id])[job_id], currency)


def _tallies(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Tally]:
    counts: dict[JobId, dict[OrderState, int]] = {job_id: {} for job_id in jobs}
    query = (
        select(orders.c.job_id, orders.c.state, func.count())
        .where(orders.c.job_id.in_(jobs))
        .group_by(orders.c.job_id, orders.c.state)
    )
    for job_id, state, count in connection.execute(query):
        counts[job_id][OrderState(state)] = count
    return {job_id: Tally(by_state) for job_id, by_state in counts.items()}


def _sum_up(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Summary]:
    counting = select(attempt.c.job_id, func.count()).where(attempt.c.job_id.in_(jobs)).group_by(attempt.c.job_id)
    attempts: dict[int, int] = {row[0]: row[1] for row in connection.execute(counting)}
    tallies, spent = _tallies(connection, jobs), _spending(connection, jobs)
    refunds, doubts = add_up_refunds(connection, jobs), add_up_doubts(connection, jobs)
    probed, rises = _probed(connection, jobs), read_rises(connection, jobs)
    return {
        row.id: Summary(
            job=row.id,
            state=JobState(row.state),
            tally=tallies[row.id],
            attempts=attempts.get(row.id, 0),
            spent=_money(spent[row.id], row.currency),
            refunded=_money(refunds[row.id], row.currency),
            in_doubt=_money(_add_rise(doubts[row.id], rises.get(row.id)), row.currency),
            probed=_money(probed[row.id], row.currency),
            price_rise=rises.get(row.id),
            seconds=row.worked_s,
            reason=row.reason,
        )
        for row in connection.execute(select(job).where(job.c.id.in_(jobs)))
    }


def _spending(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    query = (
        select(charge.c.job_id, charge.c.price, func.sum(charge.c.times))
        .where(charge.c.job_id.in_(jobs))
        .group_by(charge.c.job_id, charge.c.price)
    )
    return _add_up(jobs, connection.execute(query))


def _probed(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, Decimal | None]:
    """Add up what repeat probes were charged, with the jobs of the orders that they repeated."""
    query = (
        select(attempt.c.job_id, attempt_order.c.price, attempt_order.c.charges)
        .join(attempt_order, attempt_order.c.attempt_id == attempt.c.id)
        .where(attempt.c.job_id.in_(jobs), attempt.c.kind == AttemptKind.PROBE.value, attempt_order.c.charges > 0)
    )
    return _add_up(jobs, connection.execute(query))


def _add_up(jobs: Sequence[JobId], charges: Iterable[Any]) -> dict[JobId, Decimal | None]:
    totals: dict[JobId, Decimal | None] = dict.fromkeys(jobs, Decimal(0))
    for job_id, price, times in charges:
        total = totals[job_id]
        totals[job_id] = total + Decimal(price) * times if total is not None and price else None
    return totals


def _add_rise(doubtful: Decimal | None, rise: PriceRise | None) -> Decimal | None:
    """Add what a price that rose unseen may have cost to what doubts may have; None where one is not known."""
    if rise is None or doubtful is None:
        return doubtful
    return None if rise.more is None else doubtful + rise.more.amount


def _money(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)
