"""What a person may do to a job just now, and what it will still cost; then doing it, by name.

Nothing here waits for a job: what is under way ends by itself, and the runner is told who answers for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.audit import record_action
from imeiflow.operations.job_view import JobLine
from imeiflow.operations.session import Session
from imeiflow.operations.spend_limit import check_rest
from imeiflow.operations.steering import RETRIED, cancel_job, pause_job, plan_retry, resume_job, retry_orders

#: Takes over a job that has to be worked on, with its lock, which is held.
Adopt = Callable[[JobId, LaneLock], None]


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be asked of a job."""

    can_pause: bool
    can_resume: bool
    can_cancel: bool
    can_retry: bool


def list_choices(line: JobLine) -> Choices:
    """Say what can be asked of a job as it stands."""
    job, tally = line.job, line.tally
    is_running = job.state is JobState.RUNNING
    settles = job.policy is Policy.SETTLE and tally[OrderState.UNCONFIRMED] > 0
    return Choices(
        can_pause=is_running and line.stopping is None,
        can_resume=job.state is JobState.PAUSED or (job.state is JobState.FINISHED and (tally.waiting > 0 or settles)),
        can_cancel=(is_running and line.stopping is not JobState.CANCELLED)
        or (job.state in {JobState.PAUSED, JobState.FINISHED} and tally.waiting > 0),
        can_retry=job.state in {JobState.PAUSED, JobState.FINISHED} and any(tally[state] for state in RETRIED),
    )


def ask_to_pause(session: Session, job: JobId, actor: str) -> None:
    """Send nothing more of a job for now; calls under way end. Raises JobStateError."""
    pause_job(session, job)
    record_action(session, actor, "pause", job=job)


def ask_to_cancel(session: Session, job: JobId, actor: str) -> None:
    """Send nothing more of a job for good; calls under way end. Raises JobStateError."""
    cancel_job(session, job)
    record_action(session, actor, "cancel", job=job)


def go_on(session: Session, job: JobId, actor: str, adopt: Adopt) -> bool:
    """Let a job go on; say whether there was anything to go on with. Raises JobStateError, ConfigurationError."""
    resumed = resume_job(session, job, spender=actor)
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
    chosen: Sequence[OrderId] | None = None,
) -> int:
    """Queue a job's refused or failed orders again, let it go on, and count them; `chosen`: only of those.

    What else of it waits is sent as well. Raises JobStateError, UsageError.
    """
    plan = plan_retry(session, job, states, chosen=chosen)  # refuses a job that runs or was cancelled
    check_rest(session, job, actor, more=plan.count)
    count = retry_orders(session, job, states, chosen=chosen, actor=actor)
    record_action(session, actor, "retry", job=job, count=count, states=sorted(states))
    if count:
        resumed = resume_job(session, job, spender=actor)
        if resumed.is_to_follow:
            adopt(job, resumed.lock)
    return count
