"""An opened ledger with the configuration beside it: what every use case starts from.

Locks stand beside the ledger's file and are named by it, so that processes on one machine share them when they share
the ledger, whatever path or mount leads there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import ConfigurationError, UnknownJobError
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Job
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.configuration import CONFIG_NAME, LEDGER_NAME, Configuration
from imeiflow.providers.contract import Provider
from imeiflow.providers.registry import find_provider

if TYPE_CHECKING:
    from imeiflow.jobs.runner import LaneAccount


class Session:
    """One process's use of a ledger. A context manager: closing it writes what waits."""

    def __init__(self, configuration: Configuration, ledger: Ledger, clock: SteadyClock) -> None:
        self.configuration = configuration
        self.ledger = ledger
        self.clock = clock

    @classmethod
    def open(cls, configuration: Configuration) -> Self:
        """Open the ledger, creating it and its directories (0700) where needed. Raises LedgerError."""
        make_home_private(configuration.home)
        clocks = [SteadyClock()]
        ledger = Ledger.open(configuration.ledger, clock=lambda: clocks[-1].now())  # noqa: PLW0108 - the last one, when it is asked
        try:
            newest = _newest_time(ledger)
            if newest is not None and newest > clocks[-1].now():
                clocks.append(SteadyClock(not_before=newest))
            _subscribe(configuration, ledger)
        except BaseException:
            ledger.close()
            raise
        return cls(configuration, ledger, clocks[-1])

    @property
    def locks(self) -> Path:
        """Give the directory under which locks are kept."""
        return Path(self.ledger.path).parent

    def lane_lock(self, account: str) -> LaneLock:
        """Give the lock that whoever works for an account holds (the runner's own)."""
        return LaneLock(self.locks / "lanes", f"{self.ledger.name}\n{account}")

    def job_lock(self, job: JobId) -> LaneLock:
        """Give the lock that whoever follows a job holds, so that a job nobody follows can be told."""
        return LaneLock(self.locks / "jobs", f"{self.ledger.name}\n{job}")

    def server_lock(self) -> LaneLock:
        """Give the lock that the web server of this ledger holds: uploads and keys are one server's affair."""
        return LaneLock(self.locks / "servers", self.ledger.name)

    def lane_account(self, account: AccountSettings) -> LaneAccount:
        """Make an account ready to be worked for. Raises ConfigurationError."""
        from imeiflow.jobs.runner import LaneAccount  # noqa: PLC0415 - whoever only reads needs no engine

        return LaneAccount(
            login=self.configuration.login(account),
            provider=find_account_provider(account),
            settings=self.configuration.dispatch(account),
            timeouts=self.configuration.timeouts,
        )

    def find_job(self, job: JobId) -> Job:
        """Give a job that is no draft. Raises UnknownJobError."""
        found = self.ledger.find_job(job)
        if found is None or found.state is JobState.DRAFT:
            raise UnknownJobError(job=job)
        return found

    def find_draft(self, job: JobId) -> Job:
        """Give a job, or a draft. Raises UnknownJobError."""
        found = self.ledger.find_job(job)
        if found is None:
            raise UnknownJobError(job=job)
        return found

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_account_provider(account: AccountSettings) -> Provider:
    """Find the provider of an account. Raises ConfigurationError, naming the account's setting."""
    try:
        return find_provider(account.provider)
    except ConfigurationError as error:
        problem = str(error.data["problem"])
        setting = f"accounts.{account.name}.provider"
        raise ConfigurationError(setting=setting, problem=problem, remedy=error.remedy) from error


def make_home_private(home: Path) -> None:
    """Create the directory for its owner alone, or close it to others where it is empty or ours already."""
    try:
        if not home.exists():
            home.mkdir(mode=0o700, parents=True)
        if os.name == "posix":
            names = set(os.listdir(home))  # noqa: PTH208 - only the names are wanted
            # Others have a `log` and a `config.toml` too: among their things only a ledger tells that it is ours.
            is_ours = LEDGER_NAME in names or names <= {CONFIG_NAME, "log", "lanes", "jobs", "submissions", "webhooks"}
            if is_ours and home.stat().st_mode & 0o077:
                with suppress(PermissionError):
                    home.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            setting="IMEIFLOW_HOME",
            problem=f"{home}: {error.strerror}",
            remedy="Name a directory that belongs to you.",
        ) from error


def _subscribe(configuration: Configuration, ledger: Ledger) -> None:
    """Let the ledger note what the configured webhooks want to be told of.

    A home without webhooks that only borrows the ledger takes none away from the home that it belongs to.
    """
    is_own = Path(ledger.path).parent == configuration.home
    if configuration.webhooks or is_own:
        ledger.subscribe({webhook.name: webhook.events for webhook in configuration.webhooks})


def _newest_time(ledger: Ledger) -> datetime | None:
    jobs = ledger.list_jobs(limit=5)
    times = [at for job in jobs for at in (job.created_at, job.started_at, job.ended_at) if at is not None]
    called_at = ledger.last_call_at()  # of a job whose process was killed nothing else tells how late it was
    return max([*times, *([called_at] if called_at else [])], default=None)
