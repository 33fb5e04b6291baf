"""Finding out what pace and concurrency an account's server bears: by calls that read, or by orders.

It owns the account's lane while it runs. Orders are a job like any other: each attempt is durable before it leaves,
doubt is settled or held, the spending cap is kept. What was found is only recommended; `pin_limits` makes the lane
obey it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imeiflow.dispatch.call import Call, CallEnd, Refusal
from imeiflow.dispatch.conclude import read_answer
from imeiflow.dispatch.engine import Engine
from imeiflow.dispatch.kind import LIMITS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.ladder import Ladder, Recommendation
from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.step import Fate, Measured, Sample, StepGate
from imeiflow.domain.ident import JobId, Token
from imeiflow.domain.order import JobState
from imeiflow.domain.outcome import ErrorKind
from imeiflow.errors import LaneBusyError, UsageError
from imeiflow.jobs.lock import describe_process
from imeiflow.jobs.runner import LaneAccount
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.session import Session
from imeiflow.providers.contract import Connection

ENDED = "find-limits has ended"
INTERRUPTED = "interrupted"
_MOST_AT_ONCE = 1000

Sleep = Callable[[float], Awaitable[None]]
Told = Callable[[Measured], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to. `job` is the one that ordered; None where nothing was."""

    steps: tuple[Measured, ...]
    recommendation: Recommendation | None
    end_reason: str
    is_banned: bool
    was_interrupted: bool
    job: JobId | None = None


class LimitSearch:
    """One search, for one event loop. `on_step` is called after each step."""

    def __init__(
        self, session: Session, account: AccountSettings, ladder: Ladder, *, on_step: Told, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._session = session
        self._account = account
        self._ladder = ladder
        self._on_step = on_step
        self._sleep = sleep
        self._gate: StepGate | None = None
        self._resting: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._is_interrupted = False

    def interrupt(self) -> None:
        """Let no more calls begin; those that order go on to their end, those that read are given up.

        Call it in the event loop.
        """
        self._is_interrupted = True
        self._ladder.stop(INTERRUPTED)
        if self._gate is not None:
            self._gate.stop(INTERRUPTED)
        for task in (self._resting, *self._reading):
            if task is not None:
                task.cancel()

    async def by_reading(self) -> Found:
        """Search by asking for the balance, which costs nothing. Raises LaneBusyError, ConfigurationError."""
        with own_lane(self._session, self._account):
            lane = self._session.lane_account(self._account)
            connection = _connect(lane)
            try:
                async for gate in self._climb():
                    await self._read(connection, gate)
            finally:
                await connection.close()
        return self._sum_up()

    async def by_ordering(self, job: JobId) -> Found:
        """Search by the orders of a running job, one a call; what is left of it is paused at the end.

        Raises LaneBusyError, ConfigurationError, and what stops a lane.
        """
        with own_lane(self._session, self._account) as token:
            lane = self._session.lane_account(self._account)
            connection = _connect(lane)
            try:
                async for gate in self._climb():
                    await self._order(lane, connection, token, gate, job)
            finally:
                await connection.close()
                await asyncio.to_thread(self._pause, job)
        return self._sum_up(job)

    def _pause(self, job: JobId) -> None:
        found = self._session.ledger.find_job(job)
        if found is not None and found.state is JobState.RUNNING:
            self._session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, ENDED)

    async def _climb(self) -> AsyncIterator[StepGate]:
        """Give the gate of each step after its rest, and take in what came of it."""
        while (step := self._ladder.next_step()) is not None:
            if step.rest_s:
                self._resting = asyncio.ensure_future(self._rest(step.rest_s))
                await asyncio.wait([self._resting])
            if self._is_interrupted:
                return
            self._gate = StepGate(step, self._now())
            yield self._gate
            if self._gate.samples:
                self._on_step(self._ladder.note(self._gate))
            else:
                self._ladder.stop(self._gate.stop_reason or "there was nothing more to send")

    async def _rest(self, seconds: float) -> None:
        await self._sleep(seconds)

    def _now(self) -> float:
        return self._session.clock.monotonic()

    def _sum_up(self, job: JobId | None = None) -> Found:
        ladder = self._ladder
        return Found(
            steps=tuple(ladder.measured),
            recommendation=ladder.recommend(),
            end_reason=ladder.end_reason or "",
            is_banned=ladder.is_banned,
            was_interrupted=self._is_interrupted,
            job=job,
        )

    # reading

    async def _read(self, connection: Connection, gate: StepGate) -> None:
        """Make the calls of one step."""
        while not gate.is_over:
            now = self._now()
            ready_at = gate.ready_at(now)
            if ready_at <= now:
                self._reading.add(asyncio.create_task(self._ask(connection, gate, gate.begin(now), now)))
                continue
            waiting = set(self._reading)
            if ready_at < math.inf:
                waiting.add(asyncio.ensure_future(self._rest(ready_at - now)))
            if not waiting:
                continue
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting - self._reading:
                task.cancel()
            ended = {task for task in self._reading if task.done()}
            for _ in filter(asyncio.Task.cancelled, ended):
                gate.take_back()
            self._reading -= ended

    async def _ask(self, connection: Connection, gate: StepGate, crowd: int, began_at: float) -> None:
        listing = await connection.fetch_credit()
        end, refusal = read_answer(listing.exchange, listing.error)
        error = listing.error
        if error is not None and error.kind is ErrorKind.ACCOUNT:
            gate.stop(error.message)
            self._ladder.stop(f"the provider turned the account away: {error.message}")
        gate.end(Sample(began_at, self._now(), crowd, _FATES[end], refusal))

    # ordering

    async def _order(self, lane: LaneAccount, connection: Connection, token: Token, gate: StepGate, job: JobId) -> None:
        """Let an engine place orders through the gate of one step."""
        engine = Engine(
            ledger=self._session.ledger,
            provider=lane.provider,
            connection=connection,
            account=self._account.name,
            token=token,
            clock=self._session.clock,
            settings=lane.settings,
        )
        engine.desk.lane = _MeasuringLane(gate, engine.desk.lane)
        await engine.run(is_done=lambda: gate.is_over)
        found = await asyncio.to_thread(self._session.find_job, job)
        if found.state is not JobState.RUNNING:
            self._ladder.stop(f"the job is {found.state}: {found.reason}" if found.reason else "all is ordered")


_FATES = {CallEnd.SUCCESS: Fate.SERVED, CallEnd.DROPPED: Fate.REFUSED, CallEnd.IGNORE: Fate.FAILED}


class _MeasuringLane(Lane):
    """Lets the calls of one step pass as its gate says, and learns nothing: what the lane knew stays as it was."""

    def __init__(self, gate: StepGate, before: Lane) -> None:
        super().__init__(ceiling=gate.step.concurrency)
        self._gate = gate
        self._before = before

    def ready_at(self, now: float) -> float:
        """Say when the gate lets the next call begin."""
        return self._gate.ready_at(now)

    def claim(self, now: float, size: int = 1) -> Call:
        """Count a call that is to leave as soon as its intent is recorded."""
        call = super().claim(now, size)
        self._gate.begin(now)
        return call

    def withhold(self, call: Call) -> None:
        """Take back a claimed call that does not leave."""
        super().withhold(call)
        self._gate.take_back()

    def end(self, now: float, call: Call, end: CallEnd, refusal: Refusal | None = None) -> None:
        """Count a call that ended."""
        super().end(now, call, end, refusal)
        self._gate.end(Sample(call.began_at, now, call.crowd, _FATES[end], refusal))

    def as_learned(self) -> dict[str, object]:
        """Give what was learned before."""
        return self._before.as_learned()


@contextmanager
def own_lane(session: Session, account: AccountSettings) -> Iterator[Token]:
    """Own an account's lane, where nobody does and no job of it runs. Raises LaneBusyError, with who has it."""
    lock = session.lane_lock(account.name)
    if not lock.acquire():
        owner = session.ledger.lane_owner(account.name)
        raise LaneBusyError(account=account.name, owner=(owner and owner.owner) or "another process")
    try:
        token, _ = session.ledger.take_lane(account.name, describe_process())
        try:
            yield token
        finally:
            session.ledger.release_lane(account.name, token)
    finally:
        lock.release()


def refuse_running(session: Session, account: AccountSettings) -> None:
    """Raise UsageError where a job of the account runs: its calls would be measured as well."""
    for job in session.ledger.list_jobs(state=JobState.RUNNING, account=account.name, limit=1):
        raise UsageError(
            problem=f"job {job.id} of account {account.name} is running",
            remedy=f"Wait for it, or pause it with `imeiflow pause {job.id}`.",
        )


def pin_limits(session: Session, account: AccountSettings, recommendation: Recommendation) -> None:
    """Let the account's lane never go above what was recommended, until `unpin_limits`."""
    value = {"concurrency": recommendation.concurrency, "per_min": recommendation.per_min}
    session.ledger.pin(account.name, WHOLE_ACCOUNT, LIMITS_KIND, value, f"find-limits: {recommendation.reason}")


def unpin_limits(session: Session, account: AccountSettings) -> bool:
    """Let the lane find its limits by itself again; False where nothing was pinned."""
    return bool(session.ledger.forget(account.name, WHOLE_ACCOUNT, LIMITS_KIND))


def _connect(lane: LaneAccount) -> Connection:
    return lane.provider.connect(lane.login, max_concurrency=_MOST_AT_ONCE, timeouts=lane.timeouts)
