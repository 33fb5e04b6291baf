"""What a runner asks for statuses for, and when that is done: once, until all is final, or for ever. Reads only.

The goals are asked in threads; they look into the ledger, so that it does not matter which process does the asking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.status import VAIN_ANSWERS
from imeiflow.ledger.ledger import Ledger

#: While nothing is due for longer, the lane is given up, so that others may have it at once.
KEEP_LANE = timedelta(seconds=15)


class Goal(Protocol):
    """What is to be reached by asking for statuses. `is_patient`: a provider that is not reached is waited for."""

    is_patient: bool

    @property
    def jobs(self) -> Collection[JobId]:
        """Name the jobs that come first; none: all are alike."""

    def is_met(self) -> bool:
        """Say whether it is reached. Blocks."""


class OnceGoal:
    """Everything of some jobs that was due at a time has been asked for."""

    is_patient = False

    def __init__(self, ledger: Ledger, jobs: Collection[JobId], since: datetime) -> None:
        self.jobs = jobs
        self._ledger = ledger
        self._since = since

    def is_met(self) -> bool:
        """Say whether nothing is left that was due then."""
        return not any(self._ledger.count_open(job, until=self._since) for job in self.jobs)


class FinalGoal:
    """Every order of some jobs has come to its end, those aside that come to none by waiting.

    These, too, were asked for once more, if they were due `since` a time.
    """

    is_patient = True

    def __init__(self, ledger: Ledger, jobs: Collection[JobId], since: datetime | None = None) -> None:
        self.jobs = jobs
        self._ledger = ledger
        self._since = since

    def is_met(self) -> bool:
        """Say whether nothing is left whose end may still be heard of."""
        if any(has_open(self._ledger, job) for job in self.jobs):
            return False
        since = self._since
        return since is None or not any(self._ledger.count_open(job, until=since) for job in self.jobs)


class WantedGoal:
    """Every order has come to its end of all jobs of an account whose results are to be waited for."""

    is_patient = True

    def __init__(self, ledger: Ledger, account: AccountName) -> None:
        self._ledger = ledger
        self._account = account

    @property
    def jobs(self) -> Collection[JobId]:
        """Name the jobs that are still waited for."""
        return [one.id for one in self._ledger.due_jobs(self._account) if one.follow_results]

    def is_met(self) -> bool:
        """Say whether nothing is left whose end may still be heard of."""
        return not any(has_open(self._ledger, job) for job in self.jobs)


class RestGoal:
    """Nothing of an account is due for a while, and no job of it runs: its lane may be left to others."""

    is_patient = True
    jobs: Collection[JobId] = ()

    def __init__(self, ledger: Ledger, account: AccountName, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._account = account
        self._now = now

    def is_met(self) -> bool:
        """Say whether nothing is to be done soon."""
        if is_due(self._ledger, self._account, self._now()):
            return False
        return not self._ledger.list_jobs(state=JobState.RUNNING, account=self._account, limit=1)


class EndlessGoal:
    """Whatever is due of an account, for as long as the process lives."""

    is_patient = True
    jobs: Collection[JobId] = ()

    def is_met(self) -> bool:
        """Say no."""
        return False


def is_due(ledger: Ledger, account: AccountName, now: datetime) -> bool:
    """Say whether orders of an account are to be asked for, now or within the time that a lane is kept."""
    return any(one.due_at <= now + KEEP_LANE for one in ledger.due_jobs(account))


def has_open(ledger: Ledger, job: JobId) -> bool:
    """Say whether a job has orders whose end may still be heard of."""
    count = ledger.count_open(job)
    return count > 0 and count > ledger.count_unknown(job, misses=VAIN_ANSWERS) + ledger.count_unusable(job)
