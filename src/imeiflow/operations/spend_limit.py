"""What a user of the web application or the API may spend in a day: held to when a list is ordered or a job goes on.

A job's money counts as that of whoever ordered it: what was charged today, what may have been, and what its running
jobs will still send, doubts of another day among it: settling one may place it now. Where replies can get lost, that
is one order more, by which it is learned whether repeats are charged: what fits the limit only without it gets a
spending cap that keeps it there, and so does a job that goes on with nothing but doubts. One list of a user is
weighed at a time, so that two cannot both use what is left. A day is one of the machine's time zone, and each
currency is counted by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from imeiflow.domain.day import start_of_day
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.errors import UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.record import Job
from imeiflow.ledger.spending import SpendingFilter
from imeiflow.ledger.user import User
from imeiflow.operations.session import Session

_PATIENCE_S: Final = 10.0


class SpendLimitError(UsageError):
    """User {user} may spend {limit} a day: {used} of it are spent or committed today, and this may cost {cost} more."""


class BusySpenderError(UsageError):
    """Another list of {user} is being ordered or let go on, and does not come to an end: nothing was sent."""

    remedy = "Try again in a moment."


class UnpricedLimitError(UsageError):
    """User {user} may spend {limit} a day, which cannot be held to where a price is not known."""

    remedy = "Nothing was sent. Whoever has no limit can order it, or raise this one."


class NotTheirsError(UsageError):
    """Job {job} is {owner}'s: its money does not count as that of {user}, who may spend {limit} a day."""

    remedy = "Nothing was sent. Ask whoever ordered it, or somebody without a limit, to let it go on."


@dataclass(frozen=True, slots=True)
class Allowance:
    """What something may cost, and what is left of a user's limit of the day, which is no less."""

    cost: Money
    left: Money

    def bound(self, probe: Money | None, room: Decimal | None) -> Decimal | None:
        """Say how much may be spent where a repeat probe besides would exceed what is left; None elsewhere.

        `room` is what a spending cap leaves; None where there is none.
        """
        if probe is None:
            return None
        most = (self.cost + probe).amount
        return self.left.amount if (most if room is None else min(most, room)) > self.left.amount else None


@contextmanager
def hold_to_limit(
    session: Session, name: str | None, weigh: Callable[[], Money | None], *, within_s: float = _PATIENCE_S
) -> Iterator[Allowance | None]:
    """Let what `weigh` says be spent by a user, if that is within the limit of the day; nobody else's turn meanwhile.

    Gives what is spent and what is left of the limit before it; None where there is none. What costs nothing is let
    through whatever is left: a repeat probe may come of it, which the caller has to keep within that.

    `name` is None, or that of nobody here, where no limit is kept: on the command line. What is done inside makes the
    amount count from then on. Whoever waits for their turn longer than `within_s` gets BusySpenderError. Raises
    SpendLimitError, UnpricedLimitError, too; blocks.
    """
    user = None if name is None else find_limited(session, name)
    if user is None or user.spend_limit is None:
        yield None
        return
    lock = LaneLock(session.locks / "spenders", f"{session.ledger.name}\n{user.name}")
    if not lock.acquire_within(within_s):
        raise BusySpenderError(user=user.name)
    try:
        yield _check(session, user, user.spend_limit, weigh())
    finally:
        lock.release()


def find_limited(session: Session, name: str) -> User | None:
    """Give the user of a name who has a limit; None where there is none."""
    found = session.ledger.find_user(name)
    return None if found is None or found[0].spend_limit is None else found[0]


def find_committed(session: Session, name: str) -> dict[str, Decimal | None]:
    """Add up by currency what a user has spent today, or committed; None where a price is not known."""
    return session.ledger.commitment(name, _start_of_today(session), session.configuration.probe_limits)


def check_owner(session: Session, job: Job, spender: str) -> None:
    """Raise NotTheirsError where a user with a limit would let another's job go on."""
    user = find_limited(session, spender)
    if user is not None and job.submitted_by != spender:
        limit = Money(user.spend_limit or Decimal(0), job.currency)
        raise NotTheirsError(job=job.id, owner=job.submitted_by or "the command line", user=spender, limit=limit)


def hold_probe(session: Session, job: JobId, spender: str | None, up_to: Decimal | None) -> None:
    """Hold whoever lets repeat probes of a job that runs cost up to an amount to what they may spend.

    Of a job at rest they are weighed when it goes on. Raises NotTheirsError, SpendLimitError, UnpricedLimitError.
    """
    if spender is None or up_to is None:
        return
    found = session.find_job(job)
    if found.state is JobState.RUNNING:
        check_owner(session, found, spender)
        with hold_to_limit(session, spender, lambda: Money(up_to, found.currency)):
            pass  # what it may cost is charged, or not, by the engine


def weigh_list(price: Money | None, number: int, *, trial: int | None, cap: Decimal | None) -> Money | None:
    """Say what a list costs at most when it is let go: no more than its trial, nor its cap; None: not known."""
    count = number if trial is None else min(trial, number)
    if price is None:
        return None if count else Money(Decimal(0))
    cost = price * count
    return cost if cap is None else Money(min(cost.amount, cap), cost.currency)


def weigh_rest(
    session: Session,
    job: JobId,
    *,
    more: int = 0,
    price: Decimal | None = None,
    cap: Decimal | None = None,
) -> Money | None:
    """Say what a job that does not run may still cost, with `more` orders; None where its price is not known.

    Besides what waits that is each doubt of another day, which may be placed when it is settled (one of today counts
    as charged already). `price` and `cap` are what it is about to be given. A repeat probe is not in it.
    """
    found, tally = session.find_job(job), session.ledger.tally(job)
    if price is not None:
        found = replace(found, unit_price=price)
    sent = tally.waiting + more
    if found.policy is Policy.SETTLE and tally[OrderState.UNCONFIRMED]:
        sent += session.ledger.count_old_doubts(job, _start_of_today(session))
    if found.price is None:
        return None if sent else Money(Decimal(0), found.currency)
    cost = found.price * sent
    if cap is None:
        cap = found.max_spend
    if cap is None:
        return cost
    spent = session.ledger.spending(job)
    left = cap - (Decimal(0) if spent is None else spent.amount)
    return Money(max(Decimal(0), min(cost.amount, left)), found.currency)


def find_counted(session: Session, job: JobId) -> Decimal:
    """Add up what a job was charged, and what of it may have been today: that is no part of what it may still cost."""
    spent = session.ledger.spending(job)
    possible = session.ledger.possible_charges(SpendingFilter(jobs=[job], since=_start_of_today(session)))
    return sum((one.price * one.times for one in possible if one.price), Decimal(0) if spent is None else spent.amount)


def find_probe(session: Session, job: Job, *, price: Decimal | None, up_to: Decimal | None) -> Money | None:
    """Give the price of the order that may be repeated to learn whether doubts can be settled; None where none may.

    `price` is what the job is about to be given, `up_to` what a probe may cost where that is not the account's setting.
    """
    account = session.configuration.accounts.get(job.account)
    limit = account.repeat_probe_max_price if up_to is None and account is not None else up_to or Decimal(0)
    one = job.price if price is None else Money(price, job.currency)
    return None if job.policy is not Policy.SETTLE or one is None or not 0 < one.amount <= limit else one


def _start_of_today(session: Session) -> datetime:
    return start_of_day(session.clock.now().astimezone().date())


def _check(session: Session, user: User, limit: Decimal, cost: Money | None) -> Allowance | None:
    now = session.clock.now()
    if cost is None:
        raise UnpricedLimitError(user=user.name, limit=Money(limit))
    used = find_committed(session, user.name).get(cost.currency, Decimal(0))
    if not cost.amount:
        return Allowance(cost, Money(Decimal(0) if used is None else max(Decimal(0), limit - used), cost.currency))
    if used is None:
        raise UnpricedLimitError(user=user.name, limit=Money(limit, cost.currency))
    if used + cost.amount <= limit:
        return Allowance(cost, Money(limit - used, cost.currency))
    tomorrow = start_of_day(now.astimezone().date() + timedelta(days=1))
    left = Money(max(Decimal(0), limit - used), cost.currency)
    capped = " A spending cap that leaves it no more than that lets it begin." if left.amount else ""
    raise SpendLimitError(
        user=user.name,
        limit=Money(limit, cost.currency),
        used=Money(used, cost.currency),
        cost=cost,
        remedy=f"Nothing was sent. {left} are left until {tomorrow:%Y-%m-%d %H:%M %Z}, unless the limit is raised."
        + capped,
    )
