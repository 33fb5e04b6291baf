"""Fetching statuses and results: one look at all that is open, or following until all is final.

Prints nothing: `progress` says what a person may see, `interrupt` does what Ctrl-C means. What it does in one account,
a tracker does; while another process owns the lane, that one asks, and this one looks on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from imeiflow.dispatch.poll import PollView
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.errors import LedgerError
from imeiflow.jobs.goal import FinalGoal, OnceGoal
from imeiflow.jobs.telling import tell_meanwhile
from imeiflow.jobs.tracker import Tracker
from imeiflow.ledger.status_record import StuckOrder
from imeiflow.operations.json_text import as_values
from imeiflow.operations.session import Session
from imeiflow.operations.status_tally import MOST_STUCK, StatusTally, count_all_anomalies, count_statuses, list_stuck
from imeiflow.operations.telling import make_teller

log = structlog.get_logger(__name__)

#: What was asked for less long ago is not asked for again only because somebody calls for it.
_FRESH: Final = timedelta(seconds=30)
_TICK_S: Final = 0.25
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is going on in one account: `view` is None where this process has not asked yet, `owner` who does."""

    account: AccountName
    view: PollView | None
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncProgress:
    """A moment of fetching statuses."""

    jobs: tuple[JobId, ...]
    tally: StatusTally
    askings: tuple[Asking, ...]
    next_due_at: datetime | None
    now: datetime
    anomalies: int
    elapsed_s: float
    interruptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How fetching statuses ended. `came` counts the orders that came to a status meanwhile, `reasons` why it ended
    early, by account; `anomalies` is all that is known of these jobs, `fresh` what was not known before; `stuck` are
    the first of those that come to no end by waiting."""

    jobs: tuple[JobId, ...]
    tally: StatusTally
    came: Mapping[ResultStatus, int]
    anomalies: Mapping[StatusAnomalyKind, int]
    fresh: Mapping[StatusAnomalyKind, int]
    asked: int
    calls: int
    next_due_at: datetime | None
    now: datetime
    seconds: float
    was_interrupted: bool
    reasons: Mapping[AccountName, str]
    stuck: tuple[StuckOrder, ...] = ()

    @property
    def exit_code(self) -> int:
        """Give the exit status: 0 all final, 4 not yet or not to be known, 130 interrupted."""
        if self.was_interrupted and self.tally.open:
            return INTERRUPTED
        return 4 if self.tally.open or self.reasons else 0

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object that `sync --json` ends with."""
        return {
            "jobs": list(self.jobs),
            "is_final": not self.tally.open,
            "accepted": self.tally.total,
            **{status.value: self.tally[status] for status in ResultStatus},
            "unheard": self.tally[None],
            "open": self.tally.open,
            "unknown": self.tally.unknown,
            "unusable": self.tally.unusable,
            "stuck": [as_values(one, "id") for one in self.stuck],
            "without_reference": self.tally.lost,
            "came": {status.value: count for status, count in self.came.items()},
            "anomalies": {kind.value: count for kind, count in self.anomalies.items()},
            "asked": self.asked,
            "calls": self.calls,
            "next_due_at": self.next_due_at,
            "seconds": round(self.seconds, 3),
            "reason": "; ".join(f"{account}: {reason}" for account, reason in self.reasons.items()) or None,
        }


class Syncer:
    """Fetches the statuses of one job, or of all that are open. Raises UnknownJobError, ConfigurationError."""

    def __init__(
        self, session: Session, job: JobId | None, *, watches: bool, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._watches = watches
        self._on_change = on_change
        self._scope = find_scope(session, job)
        self._accounts = {name: session.configuration.choose_account(name) for name in self._scope}
        self.jobs = tuple(sorted(job for jobs in self._scope.values() for job in jobs))
        self._teller = make_teller(session)
        self._trackers: dict[AccountName, Tracker] = {}
        self._began_at = time.monotonic()
        self._tally = self._before = count_statuses(session, self.jobs)
        self._known = count_all_anomalies(session, self.jobs)
        self._anomalies = dict(self._known)
        self._interruptions = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_open(self) -> bool:
        """Say whether there is anything to ask for."""
        return self._tally.open > 0

    def progress(self) -> SyncProgress:
        """Say how far it is, as this process knows."""
        askings = tuple(
            Asking(account=name, view=tracker.view(), owner=tracker.owner) for name, tracker in self._trackers.items()
        )
        due = [one.view.next_due_at for one in askings if one.view is not None and one.view.next_due_at is not None]
        return SyncProgress(
            jobs=self.jobs,
            tally=self._tally,
            askings=askings,
            next_due_at=min(due, default=None),
            now=self._session.clock.now(),
            anomalies=sum(self._anomalies.values()),
            elapsed_s=time.monotonic() - self._began_at,
            interruptions=self._interruptions,
        )

    async def run(self) -> Synced:
        """Ask for all that is open, and go on until all is final where it is watched. Raises what stops a lane."""
        await asyncio.to_thread(self._hurry)
        since = self._session.clock.now()
        ticker = asyncio.create_task(self._tick())
        try:
            async with tell_meanwhile(self._teller), asyncio.TaskGroup() as group:
                for name, jobs in self._scope.items():
                    self._trackers[name] = self._make_tracker(name, jobs, since)
                    group.create_task(self._trackers[name].run())
        except* Exception as errors:  # noqa: BLE001 - the first one is raised, as one lane would
            raise errors.exceptions[0] from None
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, *self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._look)
        stuck = await asyncio.to_thread(list_stuck, self._session, self.jobs, limit=MOST_STUCK)
        return self._conclude(stuck)

    def interrupt(self) -> int:
        """Do what Ctrl-C means, and count it: let calls under way end; then leave at once. Call it in the loop."""
        self._interruptions += 1
        for tracker in self._trackers.values():
            if self._interruptions == 1:
                tracker.stop()
            else:
                self._tasks.add(asyncio.create_task(tracker.abandon()))
        return self._interruptions

    def _make_tracker(self, name: AccountName, jobs: list[JobId], since: datetime) -> Tracker:
        session = self._session
        goal = FinalGoal(session.ledger, jobs, since) if self._watches else OnceGoal(session.ledger, jobs, since)
        return Tracker(
            ledger=session.ledger,
            account=session.lane_account(self._accounts[name]),
            clock=session.clock,
            home=session.locks,
            goal=goal,
            on_change=self._on_change,
        )

    def _hurry(self) -> None:
        hurry(self._session, self.jobs)

    async def _tick(self) -> None:
        wait_s = _TICK_S
        while True:
            await asyncio.sleep(wait_s)
            began_at = time.monotonic()
            try:
                await asyncio.to_thread(self._look)
            except LedgerError as error:
                log.warning("not_looked", error=str(error))
            wait_s = max(_TICK_S, 10 * (time.monotonic() - began_at))
            self._on_change()

    def _look(self) -> None:
        self._tally = count_statuses(self._session, self.jobs)
        self._anomalies = dict(count_all_anomalies(self._session, self.jobs))

    def _conclude(self, stuck: tuple[StuckOrder, ...]) -> Synced:
        views = [view for tracker in self._trackers.values() if (view := tracker.view()) is not None]
        came = {status: self._tally[status] - self._before[status] for status in ResultStatus if status.is_final}
        due = [one.due_at for name in self._scope for one in self._session.ledger.due_jobs(name) if one.id in self.jobs]
        fresh = Counter(self._anomalies)
        fresh.subtract(self._known)
        for view in views:
            fresh[StatusAnomalyKind.UNASKED] += view.anomalies.get(StatusAnomalyKind.UNASKED, 0)
        return Synced(
            jobs=self.jobs,
            tally=self._tally,
            came={status: count for status, count in came.items() if count > 0},
            anomalies=self._anomalies,
            fresh={kind: count for kind, count in fresh.items() if count > 0},
            asked=sum(view.asked for view in views),
            calls=sum(view.calls for view in views),
            next_due_at=min(due, default=None),
            now=self._session.clock.now(),
            seconds=time.monotonic() - self._began_at,
            was_interrupted=self._interruptions > 0,
            reasons={name: tracker.halted for name, tracker in self._trackers.items() if tracker.halted},
            stuck=stuck,
        )


def hurry(session: Session, jobs: Collection[JobId]) -> None:
    """Make due now what some jobs still wait for, but what was asked for a moment ago."""
    asked_before = session.clock.now() - _FRESH
    for job in jobs:
        session.ledger.hurry(job, asked_before=asked_before)


def find_scope(session: Session, job: JobId | None) -> dict[AccountName, list[JobId]]:
    """Find the jobs to ask for, by account: the one that was named, or all that have anything open."""
    if job is not None:
        return {session.find_job(job).account: [job]}
    accounts = dict.fromkeys(one.account for one in session.ledger.list_jobs())
    found = {name: [one.id for one in session.ledger.due_jobs(name)] for name in accounts}
    return {name: jobs for name, jobs in found.items() if jobs}
