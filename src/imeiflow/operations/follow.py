"""Following a job to its end: its lane is worked here, or watched while another process works it.

Prints nothing: `progress` says what a person may see, `interrupt` does what Ctrl-C means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import Summary, Tally
from imeiflow.errors import FencedError, ImeiflowError, JobStateError, LedgerError, name_cause
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.runner import Runner
from imeiflow.jobs.telling import tell_meanwhile
from imeiflow.ledger.record import Job
from imeiflow.operations.detachment import start_detached
from imeiflow.operations.orphan import give_up_calls
from imeiflow.operations.session import Session
from imeiflow.operations.telling import make_teller

log = structlog.get_logger(__name__)

INTERRUPTED = "interrupted"
_TICK_S = 0.25
_SAVE_WORKED_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A moment of a followed job. `view` is None while another process (`owner`) works it.

    `spent` is None where a price is not known; `probed` of it is for repeat probes.
    """

    job: Job
    tally: Tally
    spent: Money | None
    probed: Money | None
    view: JobView | None
    owner: str | None
    elapsed_s: float
    interruptions: int
    is_watching: bool  #: only looking on: an interruption leaves the job to whoever works it
    is_remote: bool = False  #: of a server: nobody here takes over


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How following ended. `is_left_running`: this process went, the job goes on elsewhere (`owner`)."""

    summary: Summary
    was_interrupted: bool
    is_left_running: bool
    owner: str | None


class Follower:
    """Follows one running job. `lock` is the job's own: whoever holds it answers for the job."""

    def __init__(
        self, session: Session, job: JobId, *, lock: LaneLock, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._job = session.find_job(job)
        self._lock = lock
        account = session.configuration.choose_account(self._job.account)
        self._runner = Runner(
            ledger=session.ledger,
            account=session.lane_account(account),
            clock=session.clock,
            home=session.locks,
            on_change=on_change,
        )
        self._account = account
        self._teller = make_teller(session)
        self._tally, self._spent, self._probed = self._count()
        self._began_at = time.monotonic()
        self._saved_at = self._began_at
        self._interruptions = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def progress(self) -> Progress:
        """Say how far the job is, as this process knows."""
        view = self._runner.view(self._job.id)
        if view is not None:
            self._tally, self._spent, self._probed = view.tally, view.spent, view.probed
        return Progress(
            job=self._job,
            tally=self._tally,
            spent=self._spent,
            probed=self._probed,
            view=view,
            owner=self._runner.busy_owner,
            elapsed_s=time.monotonic() - self._began_at,
            interruptions=self._interruptions,
            is_watching=not self._lock.is_held,
        )

    def _count(self) -> tuple[Tally, Money | None, Money | None]:
        """Count what the ledger says of the job, and what of it was charged. Blocks."""
        ledger, job = self._session.ledger, self._job.id
        return ledger.tally(job), ledger.spending(job), ledger.probed(job)

    async def run(self) -> Followed:
        """Follow the job until it has ended, or until interruptions end this. Raises what stops the lane."""
        self._lock.acquire()
        ticker = asyncio.create_task(self._tick())
        try:
            async with tell_meanwhile(self._teller):
                await self._runner.run(self._job.id)
        except Exception as error:
            await asyncio.to_thread(self._pause_after, error)
            raise
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)
            with suppress(LedgerError):
                await asyncio.to_thread(self._save_worked)
        return await asyncio.to_thread(self._end)

    def interrupt(self) -> int:
        """Do what Ctrl-C means, and count it: first end well, then at once. Call it in the event loop."""
        self._interruptions += 1
        if self._interruptions > 1:
            self._spawn(self._runner.abandon())
        elif not self._lock.is_held:
            self._runner.stop(pause=INTERRUPTED)  # it only looks on: nothing is paused by this
        elif self._runner.engine is None:
            self._spawn(asyncio.to_thread(self._ask_to_pause))
        else:
            self._spawn(self._stop())
        return self._interruptions

    async def _stop(self) -> None:
        """Pause all that only this process works for; jobs that another process follows go on there."""
        if await asyncio.to_thread(self._others_follow):
            await asyncio.to_thread(self._ask_to_pause)
        else:
            self._runner.stop(pause=INTERRUPTED)

    def _others_follow(self) -> bool:
        others = self._other_jobs()
        return any(not self._session.job_lock(job.id).is_free() for job in others)

    def _other_jobs(self) -> list[Job]:
        running = self._session.ledger.list_jobs(state=JobState.RUNNING, account=self._job.account)
        return [job for job in running if job.id != self._job.id]

    def _ask_to_pause(self) -> None:
        with suppress(JobStateError):
            self._session.ledger.request(self._job.id, JobState.PAUSED)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(coroutine))

    async def _tick(self) -> None:
        """Answer for the job as soon as nobody else does, count the time, and look while another process works."""
        wait_s = _TICK_S
        while True:
            await asyncio.sleep(wait_s)
            self._lock.acquire()
            try:
                if self._runner.view(self._job.id) is None:
                    began_at = time.monotonic()
                    self._tally, self._spent, self._probed = await asyncio.to_thread(self._count)
                    # Counting a million rows takes a while: looking on must not slow down who works.
                    wait_s = max(_TICK_S, 10 * (time.monotonic() - began_at))
                if time.monotonic() - self._saved_at >= _SAVE_WORKED_S:
                    await asyncio.to_thread(self._save_worked)
            except LedgerError as error:
                log.warning("not_looked", job=self._job.id, error=str(error))

    def _save_worked(self) -> None:
        now = time.monotonic()
        if self._lock.is_held:
            self._session.ledger.add_worked(self._job.id, now - self._saved_at)
        self._saved_at = now

    def _pause_after(self, error: Exception) -> None:
        """Leave no job behind that seems to run, where the ledger still lets us say so."""
        if isinstance(error, FencedError) or not self._lock.is_held:
            return
        reason = name_cause(error)
        with suppress(LedgerError, JobStateError):
            give_up_calls(self._session, self._job.account)
            self._session.ledger.change_job(self._job.id, {JobState.RUNNING}, JobState.PAUSED, reason)

    def _end(self) -> Followed:
        ledger = self._session.ledger
        summary = ledger.summary(self._job.id)
        is_left = summary.state is JobState.RUNNING
        owner = self._runner.busy_owner
        if not is_left:
            self._lock.release()
        keep = timedelta(days=self._session.configuration.evidence_days)
        with suppress(LedgerError):
            ledger.forget_evidence(self._session.clock.now() - keep)
        self._hand_over()
        return Followed(
            summary=summary,
            was_interrupted=self._interruptions > 0 and summary.state is not JobState.FINISHED,
            is_left_running=is_left,
            owner=owner,
        )

    def _hand_over(self) -> None:
        """Let the account's other jobs go on when it was only this process that worked for them."""
        others = self._other_jobs()
        if not others or not self._session.lane_lock(self._job.account).is_free():
            return
        if any(self._session.job_lock(job.id).is_free() for job in others):
            try:
                start_detached(self._session, self._account)
            except ImeiflowError as error:
                log.warning("not_handed_over", account=self._job.account, error=str(error))
