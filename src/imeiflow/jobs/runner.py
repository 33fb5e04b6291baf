"""Runs one account's lane in this process, or waits while another process owns it.

A lane has one owner; whoever waits follows its job through the ledger and takes over when the owner has gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from imeiflow.dispatch.clock import Clock
from imeiflow.dispatch.engine import Engine
from imeiflow.dispatch.poll import Poller, PollView
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import LedgerError
from imeiflow.jobs.goal import KEEP_LANE, Goal
from imeiflow.jobs.lock import LaneLock, describe_process
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Recovered
from imeiflow.providers.contract import Login, Provider, Timeouts

log = structlog.get_logger(__name__)

_TAKE_OVER_S = 0.3
_LOOK_S = 0.25
#: Where a goal has an end, calls in a row that nobody answered end it earlier.
_MAX_FAILURES = 6
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
        self.halted = ""  #: why asking for statuses was given up
        self._ledger = ledger
        self._account = account
        self._clock = clock
        self._on_change = on_change
        self._lock = LaneLock(home / "lanes", f"{ledger.name}\n{account.login.account}")
        self._pause_reason: str | None = None
        self._polled: PollView | None = None  #: all of it, as it was last seen
        self._polled_before: PollView | None = None  #: what earlier engines asked for
        self._is_stopping = self._is_abandoned = False
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

    async def follow(self, goal: Goal) -> None:
        """Ask for statuses, or look on while the lane's owner does, until `goal` is met; work for jobs that run, too.

        Raises what the engine raises. `halted` says where it was given up: by an error of the account.
        """
        while not self._is_stopping and not self.halted:
            began_at = time.monotonic()
            if await asyncio.to_thread(goal.is_met):
                return
            wait_s = max(_TAKE_OVER_S, 10 * (time.monotonic() - began_at))  # counting a million orders takes a while
            if not await asyncio.to_thread(self._has_work):
                await self._wait(wait_s)
            elif await asyncio.to_thread(self._lock.acquire):
                self.busy_owner = None
                try:
                    await self._work(None, goal)
                finally:
                    self._lock.release()
            else:
                self._name_owner()
                await self._wait(wait_s)

    def poll_view(self) -> PollView | None:
        """Give what a person sees of the asking for statuses here; it counts from the beginning of this runner."""
        if self.engine is not None and self.engine.poller is not None:
            self._polled = self.engine.poller.view().since(self._polled_before)
        return self._polled

    @property
    def is_unreached(self) -> bool:
        """Say whether nobody has answered for so many calls that asking for statuses is in vain just now."""
        poller = None if self.engine is None else self.engine.poller
        return poller is not None and poller.failures >= _MAX_FAILURES

    def stop(self, *, pause: str | None) -> None:
        """Claim nothing more; calls under way go on to their end. Jobs are paused with the reason `pause`, if any."""
        self._is_stopping = True
        self._pause_reason = pause
        self._stopped.set()
        if self.engine is not None:
            self.engine.stop(pause=pause)

    async def abandon(self) -> None:
        """Leave at once: the calls under way are given up and their orders become unconfirmed."""
        self._is_stopping = self._is_abandoned = True
        self._stopped.set()
        if self.engine is not None:
            await self.engine.abandon()

    def view(self, job: JobId) -> JobView | None:
        """Give what a person sees of a job that is worked on here; None while another process has the lane."""
        return self.engine.view(job) if self.engine is not None else None

    async def _work(self, job: JobId | None, goal: Goal | None = None) -> None:
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
            polls=True,
            prefer=() if goal is None else await asyncio.to_thread(lambda: goal.jobs),
            on_change=self._on_change,
        )
        self.engine = engine
        try:
            if self._is_stopping:  # since it began to take the lane: nothing is sent
                await asyncio.to_thread(self._pause_running, name, job)
                return
            if goal is None:
                await engine.run(is_done=lambda: job is not None and job not in engine.desk.works)
            else:
                await self._pursue(goal, engine)
        finally:
            await connection.close()
            self._polled_before = self.poll_view()
            self.engine = None
            if engine.was_abandoned:
                token, _ = await asyncio.to_thread(self._ledger.take_lane, name, "leaving")
                await asyncio.to_thread(self._pause_running, name)
            await asyncio.to_thread(self._ledger.release_lane, name, token)

    async def _pursue(self, goal: Goal, engine: Engine) -> None:
        """Run the engine until the goal is met, the polling was given up, or nothing is due for a while."""
        is_met = asyncio.Event()
        looking = asyncio.create_task(self._look(goal, engine, is_met))
        try:
            await engine.run(is_done=is_met.is_set, stays=lambda: not self.halted and self._has_polls(engine))
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self, goal: Goal, engine: Engine, is_met: asyncio.Event) -> None:
        wait_s = _LOOK_S
        while True:
            await asyncio.sleep(wait_s)
            began_at = time.monotonic()
            if engine.poller is not None:
                self.halted = self._find_halt(engine.poller, goal)
            try:
                is_over = bool(self.halted) or await asyncio.to_thread(goal.is_met)
                if is_over:
                    is_met.set()
                    engine.wake()
                    return
            except LedgerError as error:
                log.warning("goal_not_looked_at", error=str(error))
            wait_s = max(_LOOK_S, 10 * (time.monotonic() - began_at))

    def _find_halt(self, poller: Poller, goal: Goal) -> str:
        if poller.halted or poller.failures < _MAX_FAILURES or goal.is_patient:
            return poller.halted
        return f"the provider cannot be reached: {poller.trouble}"

    def _has_polls(self, engine: Engine) -> bool:
        poller = engine.poller
        return poller is not None and (not poller.is_at_rest or self._is_due(poller.next_due_at))

    def _has_work(self) -> bool:
        due = (one.due_at for one in self._ledger.due_jobs(self._account.login.account))
        return self._is_due(min(due, default=None)) or self._is_running(None)

    def _is_due(self, at: datetime | None) -> bool:
        return at is not None and at <= self._clock.now() + KEEP_LANE

    def _pause_running(self, name: str, only: JobId | None = None) -> None:
        if self._pause_reason is None and not self._is_abandoned:
            return  # it was only looking after results: whoever follows the jobs takes over
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
