"""Following a job in the terminal: signals, progress on standard error, the report, and the exit status."""

from __future__ import annotations

from imeiflow.domain.ident import JobId
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.follow import Followed
from imeiflow.operations.session import Session


def watch_job(session: Session, job: JobId, *, lock: LaneLock | None = None) -> Followed:
    """Work on a running job, or watch who does, with its progress on standard error; report nothing."""
    raise NotImplementedError


def follow_job(session: Session, job: JobId, *, lock: LaneLock | None = None, is_json: bool = False) -> int:
    """Work on a running job, or watch who does, until it ends or is interrupted; report, and give the exit status.

    `lock` is the job's own where it is held already.
    """
    raise NotImplementedError
