"""Running jobs whose process is gone: found, their open calls turned into doubt, and the jobs paused with the reason.

Nothing is sent here. A job is an orphan only when its lane is free and nobody follows it.
"""

from __future__ import annotations

from collections import defaultdict

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import JobStateError
from imeiflow.jobs.lock import LaneLock, describe_process
from imeiflow.ledger.record import Job
from imeiflow.operations.session import Session

REASON = "its process ended without saying so (killed, or the power went)"


def recover_orphans(session: Session) -> list[JobId]:
    """Pause every running job that nobody works on or follows, and give their ids.

    Orders of theirs that were under way become unconfirmed. A job that had been asked to be cancelled is cancelled.
    """
    by_account: dict[AccountName, list[Job]] = defaultdict(list)
    for job in session.ledger.list_jobs(state=JobState.RUNNING):
        by_account[job.account].append(job)
    found: list[JobId] = []
    for account, jobs in by_account.items():
        lane = session.lane_lock(account)
        if lane.acquire():
            try:
                found += _recover_lane(session, account, jobs)
            finally:
                lane.release()
    return found


def give_up_calls(session: Session, account: AccountName) -> None:
    """Turn what was under way when a lane of ours broke into doubt; a new owner has done so where there is one."""
    lane = session.lane_lock(account)
    if lane.acquire():
        try:
            token, _ = session.ledger.take_lane(account, describe_process())
            session.ledger.release_lane(account, token)
        finally:
            lane.release()


def _recover_lane(session: Session, account: AccountName, jobs: list[Job]) -> list[JobId]:
    held: list[tuple[Job, LaneLock]] = []
    try:
        for job in jobs:
            lock = session.job_lock(job.id)
            if lock.acquire():
                held.append((job, lock))
        if not held:
            return []
        token, _ = session.ledger.take_lane(account, describe_process())
        session.ledger.release_lane(account, token)
        return [job.id for job, _ in held if _move_on(session, job.id)]
    finally:
        for _, lock in held:
            lock.release()


def _move_on(session: Session, job: JobId) -> bool:
    found = session.ledger.find_job(job)
    if found is None or found.state is not JobState.RUNNING:
        return False
    try:
        if found.wanted is JobState.CANCELLED:
            session.ledger.cancel_queued(job)
            session.ledger.change_job(job, {JobState.RUNNING}, JobState.CANCELLED, "cancelled by the user")
        else:
            session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, REASON)
    except JobStateError:
        return False  # another process was faster
    return True
