"""What a person may do to a job just now, and what it will still cost; then doing it, by name.

Nothing here waits for a job: what is under way ends by itself, and the runner is told who answers for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import GuardError, UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.audit import record_action
from imeiflow.operations.job_view import JobLine
from imeiflow.operations.price import refuse_rise
from imeiflow.operations.session import Session
from imeiflow.operations.steering import RETRIED, cancel_job, goes_on, pause_job, plan_retry, resume_job, retry_job

#: Takes over a job that has to be worked on, with its lock, which is held.
Adopt = Callable[[JobId, LaneLock], None]


class RetryChangedError(UsageError):
    """What job {job} would send again is not what was shown any more: {shown} then, {now} now."""

    remedy = "Nothing was sent. Look at what it would send and cost now."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a person saw before they said to send again: orders, what each costs, and those that wait besides."""

    count: int
    price: Decimal | None
    waiting: int

    def __str__(self) -> str:
        price = "a price that is not known" if self.price is None else f"{self.price:f}"
        return f"{self.count:,} at {price} each with {self.waiting:,} that wait"


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be asked of a job."""

    can_pause: bool
    can_resume: bool
    can_finish: bool  #: paused, with nothing to go on with
    can_cancel: bool
    can_retry: bool


def list_choices(line: JobLine) -> Choices:
    """Say what can be asked of a job as it stands."""
    job, tally = line.job, line.tally
    is_running = job.state is JobState.RUNNING
    is_at_rest, has_rest = job.state in {JobState.PAUSED, JobState.FINISHED}, goes_on(job, tally)
    return Choices(
        can_pause=is_running and line.stopping is None,
        can_resume=is_at_rest and has_rest,
        can_finish=job.state is JobState.PAUSED and not has_rest,
        can_cancel=(is_running and line.stopping is not JobState.CANCELLED) or (is_at_rest and tally.waiting > 0),
        can_retry=is_at_rest and any(tally[state] for state in RETRIED),
    )


def ask_to_pause(session: Session, job: JobId, actor: str) -> None:
    """Send nothing more of a job for now; calls under way end. Raises JobStateError."""
    pause_job(session, job)
    record_action(session, actor, "pause", job=job)


def ask_to_cancel(session: Session, job: JobId, actor: str) -> None:
    """Send nothing more of a job for good; calls under way end. Raises JobStateError."""
    cancel_job(session, job)
    record_action(session, actor, "cancel", job=job)


def go_on(
    session: Session,
    job: JobId,
    actor: str,
    adopt: Adopt,
    *,
    accept_price: Decimal | None = None,
    max_spend: Decimal | None = None,
) -> bool:
    """Let a job go on; say whether there was anything to go on with. One that had nothing is finished by now.

    `accept_price` is what an order may cost that was cheaper when it was confirmed, `max_spend` another spending cap.
    Raises JobStateError, ConfigurationError, PriceRoseError, SpendLimitError.
    """
    resumed = resume_job(session, job, accept_price=accept_price, max_spend=max_spend, actor=actor, spender=actor)
    if resumed.is_to_follow:
        adopt(job, resumed.lock)  # first: it runs
        record_action(session, actor, "resume", job=job)
    return resumed.is_to_follow


def send_again(
    session: Session,
    job: JobId,
    states: AbstractSet[OrderState],
    actor: str,
    adopt: Adopt,
    *,
    shown: Shown,
    chosen: Sequence[OrderId] | None = None,
    accept_price: Decimal | None = None,
) -> int:
    """Queue a job's refused or failed orders again, let it go on, and count them; `chosen`: only of those.

    What else of it waits is sent as well. `shown` is what was agreed to, `accept_price` what one order may cost whose
    price has risen since it was confirmed. Raises RetryChangedError where it would be anything else by now,
    PriceRoseError where it costs more by the ledger's price list, JobStateError, UsageError; nothing is queued then.
    """
    plan = plan_retry(session, job, states, chosen=chosen)  # refuses a job that runs or was cancelled
    price, waiting = session.find_job(job).unit_price, session.ledger.tally(job).waiting
    now = Shown(count=plan.count, price=price, waiting=waiting)
    if now != shown:
        raise RetryChangedError(job=job, shown=shown, now=now)
    if not plan.count:
        return 0
    refuse_rise(session, job, more=plan.count, up_to=accept_price)
    how: dict[str, Any] = {"accept_price": accept_price, "actor": actor, "spender": actor}
    try:
        count, resumed = retry_job(session, job, states, most=plan.count, chosen=chosen, **how)
    except GuardError as error:  # another's doing, a moment ago
        plan = plan_retry(session, job, states, chosen=chosen)
        raise RetryChangedError(job=job, shown=shown, now=replace(now, count=plan.count)) from error
    if resumed.is_to_follow:
        adopt(job, resumed.lock)  # first: it runs
    record_action(session, actor, "retry", job=job, count=count, states=sorted(states))
    return count
