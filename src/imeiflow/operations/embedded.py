"""The runner inside a server: one task an account, for as long as the server runs.

Picks up whatever runs in the ledger, whoever started it, and follows all accepted orders of its accounts to their
results, in the same lanes. Jobs that an orderly stop has paused go on at the next start;
those of a server that died are paused with the reason, and wait for a person.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Set
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import structlog

from imeiflow.dispatch.errand import Errands
from imeiflow.dispatch.poll import PollView
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import FencedError, ImeiflowError, JobStateError, LedgerError, name_cause
from imeiflow.jobs.goal import RestGoal, is_due
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.telling import tell_meanwhile
from imeiflow.operations.detachment import LaneKeeper
from imeiflow.operations.orphan import give_up_calls, recover_orphans
from imeiflow.operations.sampling import Sampler
from imeiflow.operations.session import Session
from imeiflow.operations.steering import resume_job
from imeiflow.operations.telling import make_teller

log = structlog.get_logger(__name__)

SERVER_STOPPED: Final = "the server was stopped; it goes on when the server starts again"
_TICK_S: Final = 1.0
_ALIVE_S: Final = 60.0  #: a ledger that is busy may hold up a turn for a while
_RESTED_S: Final = 10.0  #: after a lane broke
_HEARD_S: Final = 6.0  #: most receivers answer sooner; what comes later stands in the list
_TURNED_AWAY_S: Final = 300.0  #: after the account was turned away when statuses were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Polls:
    """How the asking for statuses of one account goes. `view` is None where nothing is asked just now.

    `asked` and `calls` count since the server started. `owner` is another process that has the lane; `halted` says why
    nothing more is asked; `is_unreached`: nobody has answered for a while.
    """

    view: PollView | None
    owner: str | None
    asked: int
    calls: int
    halted: str
    is_unreached: bool


class EmbeddedRunner:
    """Works for every account of a session. `on_change` hears, in the event loop, which jobs have changed."""

    def __init__(self, session: Session, on_change: Callable[[Set[JobId]], None] = lambda _: None) -> None:
        self._session = session
        self._on_change = on_change
        self._keepers: dict[AccountName, LaneKeeper] = {}
        self._tasks: dict[AccountName, asyncio.Task[None]] = {}
        self._adopted: dict[JobId, LaneLock] = {}
        self._told: dict[AccountName, frozenset[JobId]] = {}
        self._not_before: dict[AccountName, float] = {}
        self._asks_from: dict[AccountName, float] = {}
        self._halted: dict[AccountName, str] = {}
        self._polls: Counter[AccountName] = Counter()  #: orders that keepers before asked for, and calls
        self._poll_calls: Counter[AccountName] = Counter()
        self._probe_limits: dict[JobId, Decimal] = {}
        self._granted: set[JobId] = set()  #: probe limits of jobs that are about to run
        self._woken = asyncio.Event()
        self._is_stopping = False
        self.has_begun = False  #: what an earlier server left has been looked at: jobs are taken up from now on
        self._turned_at = time.monotonic()
        self._sampler = Sampler(session.ledger)
        self._teller = make_teller(session)

    async def run(self) -> None:
        """Work, and tell webhooks, until `stop`; returns when all calls under way have ended."""
        async with tell_meanwhile(self._teller):
            await self._run()

    async def _run(self) -> None:
        await asyncio.to_thread(self._take_up_again)
        self.has_begun = True
        while not self._is_stopping:
            self._turned_at = time.monotonic()
            try:
                await self._look()
                await self._sample()
            except LedgerError as error:
                log.warning("not_looked", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK_S)
            self._woken.clear()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.to_thread(self._put_down)

    @property
    def is_stopping(self) -> bool:
        """Say whether nothing more is begun here."""
        return self._is_stopping

    def stop(self) -> None:
        """Claim nothing more; calls under way that place go on to their end, and the jobs at the next start."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._woken.set()
        for keeper in self._keepers.values():
            keeper.stop()

    def abandon(self) -> None:
        """Leave at once: what is under way becomes unconfirmed."""
        self.stop()
        for keeper in self._keepers.values():
            keeper.stop()

    def adopt(self, job: JobId, lock: LaneLock) -> None:
        """Answer for a job that has just started to run; `lock` is its own, and held. Call it in the event loop.

        Where it is not held, somebody answers for the job already, here or elsewhere.
        """
        if job in self._granted:
            self._granted.discard(job)
        else:
            self._probe_limits.pop(job, None)
        if lock.is_held:
            self._adopted[job] = lock
        self._woken.set()

    def allow_probe(self, job: JobId, amount: Decimal | None) -> None:
        """Let repeat probes of a job that is about to run cost so much, until it ends; None takes that back."""
        if amount is None:
            self._granted.discard(job)
            self._probe_limits.pop(job, None)
        else:
            self._granted.add(job)
            self._probe_limits[job] = amount

    def allowed_probe(self, job: JobId) -> Decimal | None:
        """Give what repeat probes of a job were allowed to cost; None where nobody gave a word of its own."""
        return self._probe_limits.get(job)

    def ask_now(self, accounts: Collection[AccountName]) -> None:
        """Ask for the statuses that are due of accounts at once, also where one was turned away a moment ago."""
        for name in accounts:
            self._asks_from.pop(name, None)
            self._halted.pop(name, None)
        self._woken.set()

    def look_at_polls(self, account: AccountName) -> Polls:
        """Say how the asking for statuses of an account goes here."""
        keeper = self._keepers.get(account)
        view = None if keeper is None else keeper.poll_view()
        return Polls(
            view=view,
            owner=None if keeper is None else keeper.busy_owner,
            asked=self._polls[account] + (0 if view is None else view.asked),
            calls=self._poll_calls[account] + (0 if view is None else view.calls),
            halted=self._halted.get(account, "") if keeper is None else keeper.halted,
            is_unreached=keeper is not None and keeper.is_unreached,
        )

    async def send_now(self, delivery: int) -> None:
        """Have a delivery sent at once, and wait a few seconds for what comes of it."""
        if self._teller is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARD_S):
                    await self._teller.send_now(delivery)

    def send_all_now(self) -> None:
        """Send all deliveries that are due, also to webhooks that failed a moment ago. Call it in the event loop."""
        if self._teller is not None:
            self._teller.hold_nothing()

    def view(self, job: JobId) -> JobView | None:
        """Give what a person sees of a job that is worked on here; None for one that is not. Any thread may ask."""
        for keeper in tuple(self._keepers.values()):
            found = keeper.view(job)
            if found is not None:
                return found
        return None

    def busy_owner(self, account: AccountName) -> str | None:
        """Say which other process works for an account; None where none is known of."""
        keeper = self._keepers.get(account)
        return None if keeper is None else keeper.busy_owner

    def errands(self, account: AccountName) -> Errands | None:
        """Give whom to ask in an account's lane; None while it is not worked on here."""
        keeper = self._keepers.get(account)
        return None if keeper is None else keeper.errands

    def lanes(self) -> dict[AccountName, list[JobView]]:
        """Give what a person sees of the jobs that are worked on here, by account."""
        return {
            name: [view for job in keeper.jobs if (view := keeper.view(job)) is not None]
            for name, keeper in self._keepers.items()
        }

    @property
    def is_alive(self) -> bool:
        """Say whether it looks after the jobs: its loop turns, and has turned a moment ago."""
        return not self._is_stopping and time.monotonic() - self._turned_at < _ALIVE_S

    @property
    def calls_under_way(self) -> int:
        """Count the calls whose answer is awaited here."""
        return sum(view.calls_under_way for views in self.lanes().values() for view in views)

    def _take_up_again(self) -> None:
        """Pause what a server that died has left, and resume what an orderly stop has paused."""
        recover_orphans(self._session)
        for job in self._session.ledger.list_jobs(state=JobState.PAUSED):
            if job.reason == SERVER_STOPPED:
                try:
                    resumed = resume_job(self._session, job.id)
                except ImeiflowError as error:
                    log.warning("not_resumed", job=job.id, error=str(error))
                    continue
                if resumed.is_to_follow:
                    self._adopted[job.id] = resumed.lock

    def _put_down(self) -> None:
        """Pause the jobs that nobody here has begun to work on: they go on at the next start like the others."""
        for job, lock in self._adopted.items():
            with suppress(LedgerError, JobStateError):
                self._session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, SERVER_STOPPED)
            lock.release()

    async def _look(self) -> None:
        known = set(self._adopted)  # first: what is adopted while the ledger is read runs, though it is not in the list
        running = await asyncio.to_thread(self._session.ledger.list_jobs, JobState.RUNNING)
        due = await asyncio.to_thread(self._find_due)
        for name in {*(job.account for job in running), *due}:
            task = self._tasks.get(name)
            rests = asyncio.get_running_loop().time() < self._not_before.get(name, 0.0)
            if not self._is_stopping and (task is None or task.done()) and not rests:
                self._tasks[name] = asyncio.create_task(self._keep(name))
        for job in running:
            keeper = self._keepers.get(job.account)
            if keeper is not None and job.id in self._adopted:
                keeper.hold(job.id, self._adopted.pop(job.id))
        running_ids = {job.id for job in running}
        for gone in (known & set(self._adopted)) - running_ids:
            self._adopted.pop(gone).release()
        for gone in set(self._probe_limits) - running_ids - self._granted - set(self._adopted):
            del self._probe_limits[gone]

    def _find_due(self) -> list[AccountName]:
        """Name the accounts of which orders are to be asked for; not those that were turned away a moment ago."""
        now = time.monotonic()
        names = map(AccountName, self._session.configuration.accounts)
        asked = [name for name in names if now >= self._asks_from.get(name, 0.0)]
        return [name for name in asked if is_due(self._session.ledger, name, self._session.clock.now())]

    async def _keep(self, name: AccountName) -> None:
        """Work for one account while a job of it runs or a result is due; a lane that broke pauses its jobs."""
        session = self._session
        try:
            keeper = LaneKeeper(
                session,
                session.configuration.choose_account(name),
                goal=RestGoal(session.ledger, name, session.clock.now),
                stop_reason=SERVER_STOPPED,
                probe_limits=self._probe_limits,
                tells=False,  # the server's own does, which people can ask
                on_change=lambda: self._tell(name),
            )
            self._keepers[name] = keeper
            self._woken.set()  # there is somebody now to hold what was adopted, and to count how long it takes
            await keeper.run(asyncio.Event())
            if keeper.halted:
                self._asks_from[name] = time.monotonic() + _TURNED_AWAY_S
                self._halted[name] = keeper.halted
                log.warning("statuses_not_asked", account=name, reason=keeper.halted)
        except Exception as error:
            log.error("lane_broke", account=name, error=str(error), exc_info=not isinstance(error, ImeiflowError))
            self._not_before[name] = asyncio.get_running_loop().time() + _RESTED_S
            await asyncio.to_thread(self._pause_after, name, error)
        finally:
            gone = self._keepers.pop(name, None)
            polled = None if gone is None else gone.poll_view()
            if polled is not None:
                self._polls[name] += polled.asked
                self._poll_calls[name] += polled.calls
            self._tell(name)
            self._woken.set()

    def _tell(self, name: AccountName) -> None:
        """Say which jobs have changed: those that are worked on or followed, and those that were a moment ago."""
        keeper = self._keepers.get(name)
        jobs = frozenset() if keeper is None else frozenset((*keeper.jobs, *keeper.followed))
        self._on_change(jobs | self._told.get(name, frozenset()))
        self._told[name] = jobs

    def _pause_after(self, name: AccountName, error: Exception) -> None:
        if isinstance(error, FencedError):
            return
        reason = name_cause(error)
        with suppress(LedgerError):
            give_up_calls(self._session, name)
            for job in self._session.ledger.list_jobs(JobState.RUNNING, name):
                with suppress(JobStateError):
                    self._session.ledger.change_job(job.id, {JobState.RUNNING}, JobState.PAUSED, reason)

    async def _sample(self) -> None:
        due = []
        for keeper in self._keepers.values():
            for job in keeper.jobs:
                view = keeper.view(job)
                if view is not None:
                    due += self._sampler.look(job, view, self._session.clock.now())
        if due:
            await asyncio.to_thread(self._sampler.write, due)
