"""What is seen at a glance: what is under way, what waits for a person, money, results, limits. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from imeiflow.dispatch.kind import CHUNK_KIND, LANE_KIND
from imeiflow.dispatch.lane import LaneView
from imeiflow.domain.ident import AccountName
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.ledger.record import Job, Learned
from imeiflow.operations.job_view import FindView, JobLine, count_job
from imeiflow.operations.session import Session
from imeiflow.operations.spending import Axis, Sum, add_up_spending, total_by_currency

DAYS: Final = 30
_MOST_WAITING: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that waits for a person: it is paused, or holds orders that may have been placed."""

    job: Job
    unconfirmed: int

    @property
    def is_paused(self) -> bool:
        """Say whether it does not go on by itself."""
        return self.job.state is JobState.PAUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLine:
    """What is known of one account's lane; `view` only while a job of it is worked on here."""

    account: AccountName
    learned: Sequence[Learned]
    view: LaneView | None

    @property
    def main(self) -> Sequence[Learned]:
        """Give what says most: pins, the lane unless it is seen at work, and what was learned last of its services."""
        lane = [one for one in self.learned if one.pinned or (one.kind == LANE_KIND and self.view is None)]
        sizes = [one for one in self.learned if one.kind == CHUNK_KIND and not one.pinned]
        return [*lane, *sorted(sizes, key=lambda one: one.learned_at)[-1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """What was spent in one currency, today and in the last days."""

    today: Sum
    lately: Sum


def list_under_way(session: Session, find_view: FindView) -> list[JobLine]:
    """List the jobs that run, newest first, with live counts."""
    return [count_job(session, job, find_view(job.id)) for job in session.ledger.list_jobs(JobState.RUNNING)]


def list_waiting(session: Session) -> tuple[list[Waiting], int]:
    """List the newest jobs that wait for a person, and count all that do."""
    unconfirmed = session.ledger.count_in_state(OrderState.UNCONFIRMED)
    jobs = {job.id: job for job in session.ledger.list_jobs(JobState.PAUSED)}
    ids = sorted({*jobs, *unconfirmed}, reverse=True)
    shown = [
        Waiting(job=jobs.get(id_) or session.find_job(id_), unconfirmed=unconfirmed.get(id_, 0))
        for id_ in ids[:_MOST_WAITING]
    ]
    return shown, len(ids)


def sum_up_money(session: Session) -> list[MoneyLine]:
    """Add up what was spent today and in the last days, each currency by itself."""
    today = session.clock.now().astimezone().date()
    by_day = add_up_spending(session, Axis.DAY, first=today - timedelta(days=DAYS - 1), last=today)
    totals = {one.currency: one for one in total_by_currency(by_day)}
    todays = {one.currency: one for one in by_day if one.key == today.isoformat()}
    empty = {currency: Sum(key="", name="", currency=currency) for currency in totals}
    return [MoneyLine(today={**empty, **todays}[currency], lately=total) for currency, total in totals.items()]


def count_results(session: Session) -> Mapping[ResultStatus, int]:
    """Count the orders of the last days' jobs by what the provider made of them."""
    return session.ledger.count_statuses(session.clock.now() - timedelta(days=DAYS))


def list_lanes(session: Session, under_way: Sequence[JobLine]) -> list[LaneLine]:
    """List the accounts with what was learned about their limits."""
    views = {line.job.account: line.view.lane for line in under_way if line.view is not None}
    return [
        LaneLine(
            account=AccountName(name),
            learned=session.ledger.learned(AccountName(name)),
            view=views.get(AccountName(name)),
        )
        for name in sorted(session.configuration.accounts)
    ]
