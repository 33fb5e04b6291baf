"""A runner that survives its terminal: a process of its own for one account's lane. Keys reach it by its settings."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from imeiflow.dispatch.errand import Errands
from imeiflow.dispatch.poll import PollView
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import ImeiflowError, LedgerError
from imeiflow.jobs.goal import Goal, WantedGoal
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.runner import Runner
from imeiflow.jobs.telling import tell_meanwhile
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.configuration import open_log_directory
from imeiflow.operations.session import Session
from imeiflow.operations.telling import make_teller

STOPPED = "its runner was told to stop"
_READY_WITHIN_S = 60.0
_NO_LIMITS: Final[Mapping[JobId, Decimal]] = MappingProxyType({})
_TICK_S = 0.25
_LOOK_S = 0.02


class DetachError(ImeiflowError):
    """The detached runner of account {account} did not start: {problem}"""

    remedy = "The job waits: `imeiflow resume JOB` follows it here."


def start_detached(session: Session, account: AccountSettings) -> int:
    """Start a process that works until no job of the account runs any more; give its id once it is ready.

    Raises DetachError with what it said when it is not.
    """
    try:
        return _start(session, account)
    except OSError as error:
        raise DetachError(account=account.name, problem=error.strerror or str(error)) from error


def hand_over(session: Session, job: JobId, lock: LaneLock) -> None:
    """Give a job to the runner that was started for its account, and return when that answers for it.

    In between nobody does for a moment: who followed the job then would take it, and pause it on leaving.
    """
    lock.release()
    deadline = time.monotonic() + _READY_WITHIN_S
    while lock.is_free() and time.monotonic() < deadline:
        if session.find_job(job).state is not JobState.RUNNING:
            return
        time.sleep(_LOOK_S)


def _start(session: Session, account: AccountSettings) -> int:
    home = session.configuration.home
    log_path = open_log_directory(home) / f"lane-{hashlib.sha256(account.name.encode()).hexdigest()[:8]}.log"
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "imeiflow.cli", "run-lane", "--account", account.name, "--ready-fd", str(writer)]
    environment = {**os.environ, "IMEIFLOW_HOME": str(home)}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=environment,
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
        os.close(writer)
    said = _read_line(reader)
    os.close(reader)
    if said.get("ready") is True:
        pid = child.pid
        child.returncode = 0  # it is meant to outlive this process: nobody here waits for it
        return pid
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=10)
    problem = str(said.get("error") or f"it said nothing; see {log_path}")
    raise DetachError(account=account.name, problem=problem)


class LaneKeeper:
    """Works for one account until no job of it runs and `goal` is met: without one, no result is missing that a job
    waits for. Holds the jobs' locks while they run, so that none seems orphaned.

    `probe_limits` is the user's word about repeat probes of single jobs. `tells`: it tells webhooks meanwhile.
    `on_change` is called in the event loop.
    """

    def __init__(
        self,
        session: Session,
        account: AccountSettings,
        *,
        goal: Goal | None = None,
        stop_reason: str = STOPPED,
        probe_limits: Mapping[JobId, Decimal] = _NO_LIMITS,
        tells: bool = True,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._account = account
        self._goal = goal or WantedGoal(session.ledger, account.name)
        self._stop_reason = stop_reason
        self._locks: dict[JobId, LaneLock] = {}
        self._stops = 0
        self._counted_at = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self._teller = make_teller(session) if tells else None
        lane = session.lane_account(account)
        self._runner = Runner(
            ledger=session.ledger,
            account=replace(lane, settings=replace(lane.settings, probe_limits=probe_limits)),
            clock=session.clock,
            home=session.locks,
            on_change=on_change,
        )

    @property
    def jobs(self) -> list[JobId]:
        """List the jobs that it works on just now."""
        return [] if self._runner.engine is None else list(self._runner.engine.desk.works)

    @property
    def busy_owner(self) -> str | None:
        """Say which other process works for the account; None where this one does."""
        return self._runner.busy_owner

    @property
    def followed(self) -> list[JobId]:
        """List the jobs whose orders it asks for just now."""
        engine = self._runner.engine
        return [] if engine is None or engine.poller is None else list(engine.poller.jobs)

    @property
    def errands(self) -> Errands | None:
        """Give whom to ask in the lane; None while it is not worked on here."""
        return None if self._runner.engine is None else self._runner.engine.errands

    @property
    def halted(self) -> str:
        """Say why asking for statuses was given up; empty where it was not."""
        return self._runner.halted

    def poll_view(self) -> PollView | None:
        """Give what a person sees of the asking for statuses here; None where nothing was asked yet."""
        return self._runner.poll_view()

    @property
    def is_unreached(self) -> bool:
        """Say whether the provider has not answered for so long that asking is in vain just now."""
        return self._runner.is_unreached

    def view(self, job: JobId) -> JobView | None:
        """Give what a person sees of a job that is worked on here."""
        return self._runner.view(job)

    def hold(self, job: JobId, lock: LaneLock) -> None:
        """Take over the lock of a job of the account, which is held; else the one that is held here stays."""
        if lock.is_held:
            self._locks[job] = lock

    async def run(self, on_ready: asyncio.Event) -> None:
        """Work; `on_ready` is set when the lane is ours, or known to be held by another process."""
        ticker = asyncio.create_task(self._tick(on_ready))
        try:
            async with tell_meanwhile(self._teller):
                await self._runner.run(None)
                await self._runner.follow(self._goal)
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)
            on_ready.set()
            for lock in self._locks.values():
                lock.release()

    def stop(self) -> None:
        """End well at the first call, at once at the second. Call it in the event loop."""
        self._stops += 1
        if self._stops == 1:
            self._runner.stop(pause=self._stop_reason)
        else:
            self._tasks.add(asyncio.ensure_future(self._runner.abandon()))

    async def _tick(self, on_ready: asyncio.Event) -> None:
        while True:
            with suppress(LedgerError):
                await asyncio.to_thread(self._hold_jobs)
            if self._runner.engine is not None or self._runner.busy_owner is not None:
                on_ready.set()
            await asyncio.sleep(_TICK_S if on_ready.is_set() else 0.02)

    def _hold_jobs(self) -> None:
        ledger, known = self._session.ledger, set(self._locks)
        running = {job.id for job in ledger.list_jobs(state=JobState.RUNNING, account=self._account.name)}
        for job in running - set(self._locks):
            lock = self._session.job_lock(job)
            if lock.acquire():
                self._locks[job] = lock
        for job in known - running:  # not what was given to hold since the list was read
            self._locks.pop(job).release()
        now = time.monotonic()
        worked_s, self._counted_at = now - self._counted_at, now
        # Whoever answers for a job counts the time, also where another process has the lane and works on it.
        if self._runner.engine is not None or self._runner.busy_owner is not None:
            for job in list(self._locks):
                ledger.add_worked(job, worked_s)


def _read_line(descriptor: int) -> dict[str, object]:
    """Read the one JSON line that the child writes; empty when it ends, or says nothing in time."""
    poll = select.select([descriptor], [], [], _READY_WITHIN_S)[0]
    text = os.read(descriptor, 65_536) if poll else b""
    try:
        said = json.loads(text or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
