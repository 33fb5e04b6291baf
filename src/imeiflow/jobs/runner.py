"""Runs one account's lane in this process, or waits while another process owns it.

A lane has one owner; whoever waits follows its job through the ledger and takes over when the owner has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from imeiflow.dispatch.clock import Clock
from imeiflow.dispatch.engine import Engine
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.jobs.lock import LaneLock, describe_process
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Recovered
from imeiflow.providers.contract import Login, Provider, Timeouts

log = structlog.get_logger(__name__)

_TAKE_OVER_S = 0.3
_MAX_CONNECTIONS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAccount:
    """An account ready to be worked for: its login, its provider, its ceilings."""

    login: Login
    provider: Provider
    settings: DispatchSettings
    timeouts: Timeouts


class Runner:
    """Works for one account until a job has ended, or until none runs any more.

    `on_change` is called in the event loop when something a person sees has changed.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        account: LaneAccount,
        clock: Clock,
        home: Path,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine: Engine | None = None
        self.busy_owner: str | None = None  #: who owns the lane while we wait for it
        self.recovered = Recovered(0, 0)
        self._ledger = ledger
        self._account = account
        self._clock = clock
        self._on_change = on_change
        self._lock = LaneLock(home / "lanes", f"{ledger.path}\n{account.login.account}")
        self._pause_reason: str | None = None
        self._is_stopping = False
        self._stopped = asyncio.Event()

    async def run(self, job: JobId | None = None) -> None:
        """Work, or wait for the owner, until `job` has ended (None: until no job of the account runs).

        Raises what the engine raises. After `stop` it returns as soon as the calls under way have ended.
        """
        while not self._is_stopping and self._is_running(job):
            if await asyncio.to_thread(self._lock.acquire):
                self.busy_owner = None
                try:
                    await self._work(job)
                finally:
                    self._lock.release()
            else:
                self._name_owner()
                await self._wait(_TAKE_OVER_S)

    def stop(self, *, pause: str) -> None:
        """Claim nothing more; calls under way go on to their end. Jobs are paused with the reason `pause`."""
        self._is_stopping = True
        self._pause_reason = pause
        self._stopped.set()
        if self.engine is not None:
            self.engine.stop(pause=pause)

    async def abandon(self) -> None:
        """Leave at once: the calls under way are given up and their orders become unconfirmed."""
        self._is_stopping = True
        self._stopped.set()
        if self.engine is not None:
            await self.engine.abandon()

    def view(self, job: JobId) -> JobView | None:
        """Give what a person sees of a job that is worked on here; None while another process has the lane."""
        return self.engine.view(job) if self.engine is not None else None

    async def _work(self, job: JobId | None) -> None:
        name = self._account.login.account
        token, self.recovered = await asyncio.to_thread(self._ledger.take_lane, name, describe_process())
        if self.recovered.orders:
            log.warning("recovered", account=name, orders=self.recovered.orders, attempts=self.recovered.attempts)
        connection = self._account.provider.connect(
            self._account.login, max_concurrency=_MAX_CONNECTIONS, timeouts=self._account.timeouts
        )
        engine = Engine(
            ledger=self._ledger,
            provider=self._account.provider,
            connection=connection,
            account=name,
            token=token,
            clock=self._clock,
            settings=self._account.settings,
            on_change=self._on_change,
        )
        self.engine = engine
        try:
            if self._is_stopping:  # since it began to take the lane: nothing is sent
                await asyncio.to_thread(self._pause_running, name, job)
                return
            await engine.run(is_done=lambda: job is not None and job not in engine.desk.works)
        finally:
            await connection.close()
            self.engine = None
            if engine.was_abandoned:
                token, _ = await asyncio.to_thread(self._ledger.take_lane, name, "leaving")
                await asyncio.to_thread(self._pause_running, name)
            await asyncio.to_thread(self._ledger.release_lane, name, token)

    def _pause_running(self, name: str, only: JobId | None = None) -> None:
        for job in self._ledger.list_jobs(state=JobState.RUNNING, account=self._account.login.account):
            if only is None or job.id == only:
                reason = self._pause_reason or f"interrupted while {name} was worked for"
                self._ledger.change_job(job.id, {JobState.RUNNING}, JobState.PAUSED, reason)

    def _is_running(self, job: JobId | None) -> bool:
        if job is None:
            return bool(self._ledger.list_jobs(state=JobState.RUNNING, account=self._account.login.account, limit=1))
        found = self._ledger.find_job(job)
        return found is not None and found.state is JobState.RUNNING

    def _name_owner(self) -> None:
        owner = self._ledger.lane_owner(self._account.login.account)
        name = owner.owner if owner is not None and owner.owner else "another process"
        if name != self.busy_owner:
            self.busy_owner = name
            self._on_change()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
