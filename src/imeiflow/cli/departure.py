"""Leaving a running job to a runner that survives the terminal, and saying how to find it again."""

from __future__ import annotations

from imeiflow.cli.output import print_json, tell
from imeiflow.cli.report import next_steps, tell_steps
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.detachment import DetachError, hand_over, start_detached
from imeiflow.operations.session import Session


def detach_job(session: Session, job: JobId, lock: LaneLock, *, is_json: bool) -> int:
    """Start a runner for a job and say which process it is; give the exit status.

    Raises DetachError where none could be started: the job is paused then.
    """
    found = session.find_job(job)
    try:
        pid = start_detached(session, session.configuration.choose_account(found.account))
    except DetachError as error:
        session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, str(error))
        lock.release()
        raise
    hand_over(session, job, lock)
    summary = session.ledger.summary(job)
    lines = tell_steps(next_steps(session.find_job(job), summary.tally))
    tell([f"Job {job} runs in process {pid}, and goes on when this terminal is closed.", *lines], is_aside=is_json)
    if is_json:
        print_json(summary.as_dict())
    return 0
