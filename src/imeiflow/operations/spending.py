"""Where the money went: by day, service, job or account; each currency by itself. Reads only.

A day is one of the user's local time zone, or of another that is named. A charge belongs to the day on which its call
left, a refund to the day on which the order was seen to be rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from imeiflow.domain.day import check_days, start_of_day
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.money import Money
from imeiflow.ledger.record import Expense, Job
from imeiflow.ledger.spending import SpendingFilter
from imeiflow.operations.session import Session


class Axis(StrEnum):
    """By what spending is told apart."""

    DAY = "day"
    SERVICE = "service"
    JOB = "job"
    ACCOUNT = "account"


@dataclass(slots=True, kw_only=True)
class Sum:
    """What was spent on one day, service, job or account, in one currency.

    `spent` is all that was charged, `refunded` the part of rejected orders, `in_doubt` what may have been charged
    besides. `unpriced` counts charges whose price is not known: they are in no amount.
    """

    key: str
    name: str
    currency: str
    orders: int = 0
    spent: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    in_doubt: Decimal = Decimal(0)
    unpriced: int = 0

    def money(self, amount: Decimal) -> Money:
        """Give one of the amounts with its currency."""
        return Money(amount, self.currency)


def add_up_spending(
    session: Session,
    by: Axis,
    *,
    account: AccountName | None = None,
    first: date | None = None,
    last: date | None = None,
    zone: tzinfo | None = None,
) -> list[Sum]:
    """Add up from the first to the last day, both included; days in their order, all else the dearest first.

    Raises UsageError where the last day lies before the first.
    """
    check_days(first, last)
    wanted = SpendingFilter(
        account=account,
        since=None if first is None else start_of_day(first, zone),
        until=None if last is None else start_of_day(last + timedelta(days=1), zone),
    )
    ledger = session.ledger
    jobs = {job.id: job for job in ledger.list_jobs(account=account)}
    sums = _Sums(by, jobs, zone)
    for sum_, expense in sums.find(ledger.charges(wanted)):
        sum_.orders += expense.times
        sum_.spent += _amount(expense)
        sum_.unpriced += expense.times if expense.price is None else 0
    for sum_, expense in sums.find(ledger.refunds(wanted)):
        sum_.refunded += _amount(expense)
    for sum_, expense in sums.find(ledger.possible_charges(wanted)):
        sum_.in_doubt += _amount(expense)
        sum_.unpriced += expense.times if expense.price is None else 0
    found = list(sums.by_key.values())
    return sorted(found, key=lambda one: one.key if by is Axis.DAY else (-one.spent, one.key))


def total_by_currency(sums: Iterable[Sum]) -> list[Sum]:
    """Add up what may be added up."""
    totals: dict[str, Sum] = {}
    for one in sums:
        total = totals.setdefault(one.currency, Sum(key="", name="total", currency=one.currency))
        total.orders += one.orders
        total.spent += one.spent
        total.refunded += one.refunded
        total.in_doubt += one.in_doubt
        total.unpriced += one.unpriced
    return list(totals.values())


class _Sums:
    """The sums by their key and currency."""

    def __init__(self, by: Axis, jobs: dict[JobId, Job], zone: tzinfo | None) -> None:
        self.by_key: dict[tuple[str, str], Sum] = {}
        self._by = by
        self._jobs = jobs
        self._zone = zone

    def find(self, expenses: Iterable[Expense]) -> Iterable[tuple[Sum, Expense]]:
        """Give each expense with the sum that it belongs to."""
        for expense in expenses:
            job = self._jobs.get(expense.job)
            if job is None:  # it started since the jobs were listed
                continue
            key, name = self._name(job, expense.at)
            sum_ = self.by_key.get((key, job.currency))
            if sum_ is None:
                sum_ = self.by_key[key, job.currency] = Sum(key=key, name=name, currency=job.currency)
            yield sum_, expense

    def _name(self, job: Job, at: datetime) -> tuple[str, str]:
        match self._by:
            case Axis.DAY:
                day = at.astimezone(self._zone).date().isoformat()
                return day, day
            case Axis.SERVICE:
                return f"{job.account}/{job.service}", f"{job.service} {job.service_name}".strip()
            case Axis.JOB:
                return f"{job.id}", f"{job.id} {job.name}".strip()
            case Axis.ACCOUNT:
                return job.account, job.account


def _amount(expense: Expense) -> Decimal:
    return Decimal(0) if expense.price is None else expense.price * expense.times
