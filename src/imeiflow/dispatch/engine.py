"""The engine of one lane: it claims, records, calls, accounts and concludes, for all running jobs of one account.

Decisions are made elsewhere (`domain`, `lane`, `chunk`, `breaker`); this carries them out, once. Every call is
recorded before it leaves and concluded before anyone is told.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine

import structlog

from imeiflow.dispatch.chunk import has_all
from imeiflow.dispatch.clock import Clock
from imeiflow.dispatch.conclude import Ended, Repeat, conclude, doubt_refusal, is_slow_refusal, read_call, withhold
from imeiflow.dispatch.course import Course
from imeiflow.dispatch.desk import Desk
from imeiflow.dispatch.kind import IDS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.lane import Call, CallEnd
from imeiflow.dispatch.meter import Meter
from imeiflow.dispatch.poll import Poller
from imeiflow.dispatch.price import CALL_SIZE, PriceWatch
from imeiflow.dispatch.reach import Reach
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.view import JobView, view_job
from imeiflow.dispatch.work import PAGE, Chunk, Work
from imeiflow.domain.decision import is_of_service, reason_to_pause
from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, ServiceId, Token
from imeiflow.domain.item import Item, OrderKind
from imeiflow.domain.order import JobState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import FencedError, GuardError, LedgerBusyError, LedgerError
from imeiflow.ledger.change import AttemptKind, Intent
from imeiflow.ledger.ledger import Ledger
from imeiflow.providers.contract import Connection, Placement, Provider

log = structlog.get_logger(__name__)

_SAVE_EVERY_S = 5.0
_TROUBLE_PAUSE_S = 0.5
#: An intent that took longer to write may be that of a process that stood still meanwhile.
_FROZEN_S = 2.0
_PLACING = frozenset({AttemptKind.PLACE, AttemptKind.CANARY})


class Engine:
    """Works on all running jobs of one account until none is left, or until it is told to stop.

    `on_change` is called, in the event loop, whenever something a person sees has changed.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        provider: Provider,
        connection: Connection,
        account: AccountName,
        token: Token,
        clock: Clock,
        settings: DispatchSettings,
        polls: bool = False,
        prefer: Collection[JobId] = (),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.connection = connection
        self.clock = clock
        self.settings = settings
        self.meter = Meter(clock.monotonic)
        self.desk = Desk(ledger, provider, account, settings)
        self.trouble: LedgerError | None = None
        self.fatal: Exception | None = None
        self.is_stopping = False
        self.was_abandoned = False
        self.account = account
        self._token = token
        self.on_change = on_change
        self.poller = Poller(self, prefer=prefer) if polls else None
        self.prices = None if settings.price_max_age_s is None else PriceWatch(self, settings.price_max_age_s)
        self._course = Course(self)
        self._repeats: dict[OrderId, Repeat] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._hold_until = -math.inf
        self._refreshed_at = -math.inf
        self._saved_at = clock.monotonic()
        self._reach = Reach()
        self._pause_reason: str | None = None
        self._fastest_s = math.inf

    async def run(
        self, *, is_done: Callable[[], bool] = lambda: False, stays: Callable[[], bool] = lambda: False
    ) -> None:
        """Work until no job of the account runs any more, `is_done` says so, or `stop` was called.

        While `stays` says so, it goes on without jobs: to ask for statuses.

        Raises FencedError when the lane was lost, LedgerFullError when nothing more can be recorded, and whatever
        went wrong that nobody foresaw; in each case only after the calls under way have ended. A cancellation gives
        them up, as `abandon` does.
        """
        self._loop = asyncio.get_running_loop()  # kept: to ask for it again costs a system call
        try:
            await self._work(is_done, stays)
        except asyncio.CancelledError:
            await self.abandon()
            raise
        except Exception as error:  # noqa: BLE001 - raised below, when nothing is under way any more
            self.fail(error)
        await self._drain()
        await self._save()
        if self.fatal is not None:
            raise self.fatal

    async def _work(self, is_done: Callable[[], bool], stays: Callable[[], bool]) -> None:
        while True:
            await self._refresh()
            if self.poller is not None and not self.is_stopping:
                await self.poller.look()
            if self.prices is not None and not self.is_stopping:
                await self.prices.look()
            await self._course.move_on()  # first: whoever waits for a job's end does not wait for what comes after it
            if self._is_over(is_done, stays):
                return
            await self._sleep(self._fill())

    async def _drain(self) -> None:
        """Wait for all that is under way; then end the jobs whose end was asked for."""
        while under_way := [*self._tasks, *self._course.settling]:
            await asyncio.wait(under_way)
        if self.fatal is None:
            await self._course.move_on()

    def fail(self, error: Exception) -> None:
        """Claim nothing more because of `error`; the first one is what `run` raises."""
        self.fatal = self.fatal or error
        self.is_stopping = True
        for work in self.desk.works.values():
            work.drop_alone()
        self._wake.set()

    def wake(self) -> None:
        """Let the loop look again at what there is to do."""
        self._wake.set()

    def stop(self, *, pause: str | None = None) -> None:
        """Claim nothing more; calls under way go on to their end, and then `run` returns.

        `pause` is the reason with which the running jobs are paused; without it they stay running.
        """
        self.is_stopping = True
        self._pause_reason = pause
        for work in self.desk.works.values():
            work.drop_alone()
            if pause is not None:
                work.stop = work.stop or (JobState.PAUSED, pause)
        self._wake.set()

    async def abandon(self) -> None:
        """Leave at once: calls under way are given up; whoever takes the lane next finds them in doubt."""
        self.is_stopping = self.was_abandoned = True
        tasks = [*self._tasks, *self._course.settling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def view(self, job: JobId) -> JobView | None:
        """Give what a person sees of a job that is worked on here; None for any other."""
        work = self.desk.works.get(job)
        if work is None:
            return None
        return view_job(
            work,
            lane=self.desk.lane.view(),
            meter=self.meter,
            trouble=self.trouble or self.ledger.trouble,
            is_settling=self._course.is_settling(job),
            price_problem="" if self.prices is None else self.prices.problem,
            now=self.clock.monotonic(),
        )

    def send_alone(self, work: Work, chunk: Chunk, repeat: Repeat) -> None:
        """Queue a covered doubt, or a probe, to be sent alone."""
        self._repeats[chunk.orders[0].id] = repeat
        work.add_alone(chunk)
        self._wake.set()

    # the loop

    def _fill(self) -> float:
        """Let as many calls leave as may; say when the next one may."""
        lane = self.desk.lane
        while not self.is_stopping:
            now = self.clock.monotonic()
            if now < self._hold_until:
                return self._hold_until
            if self.prices is not None and self.prices.has_turn:
                ready_at = lane.ready_at(now)
                if ready_at > now:
                    return ready_at
                self._start(self.prices.ask(lane.begin(now, CALL_SIZE)))
            work = self.desk.next_work()
            polls = self.poller is not None and self.poller.has_turn(now, is_placing=work is not None)
            if work is None and not polls:
                return math.inf if self.poller is None else self.poller.wake_at(now)
            lane.hold_ramp(is_canary_phase=self.desk.is_canary_phase)
            ready_at = lane.ready_at(now)
            if ready_at > now:
                return ready_at
            if polls and self.poller is not None:
                batch = self.poller.take()
                # Less than nothing: how long these calls take is kept apart from those that place orders.
                self._start(self.poller.ask(batch, lane.begin(now, -len(batch.orders))))
            elif work is not None and (chunk := work.take_chunk()) is not None:
                call = lane.begin(now, len(chunk.orders))
                work.begin(chunk)
                self._note_placing()
                self._start(self._attempt(work, chunk, call))
        return math.inf

    def _note_placing(self) -> None:
        if self.poller is not None:
            self.poller.note_placing()

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Let go of a task. An error that nobody foresaw leaves its orders `sending`: in doubt for the next owner."""
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            log.error("call_failed", problem=type(error).__name__, exc_info=error)
            self.fail(error)

    async def _sleep(self, wake_at: float) -> None:
        now = self.clock.monotonic()
        wait_s = min(self.settings.poll_s, wake_at - now)
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        timer = self._loop.call_later(wait_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._wake.clear()

    def _is_over(self, is_done: Callable[[], bool], stays: Callable[[], bool]) -> bool:
        if is_done() or not (self.desk.works or stays()):
            self.is_stopping = True
        return self.is_stopping and not self._tasks and not self._course.settling

    # one call

    async def _attempt(self, work: Work, chunk: Chunk, call: Call) -> None:
        """Make one call, from the durable intent to the durable conclusion."""
        began_at = self.clock.monotonic()
        try:
            item = None if work.job.kind is OrderKind.IMEI else await self._read_item(chunk)
            attempt = await self._intend(chunk)
        except LedgerError as error:
            self._take_back(work, chunk, call, error)
            return
        if self.clock.monotonic() - began_at > _FROZEN_S:
            await self._require_lane()
        if work.stop is not None or self.is_stopping:
            await self._withhold(work, chunk, call, attempt)
            return
        price = work.price
        if item is None:
            placement = await self.connection.place([order.imei for order in chunk.orders], work.job.service)
        else:
            placement = await self.connection.place_item(item, work.job.service)
        if is_slow_refusal(placement, self._fastest_s):
            placement = doubt_refusal(placement)
        ended = conclude(
            chunk,
            placement,
            attempt=attempt,
            ended_at=self.clock.now(),
            price=price,
            policy=self.settings.retry,
            repeats=self._repeats,
            asked_by=work.job.id,
            is_reachable=self._reach.was_reached_since(call.began_at),
        )
        self._learn(work, chunk, call, placement)
        self._wake.set()
        await self.ledger.conclude(ended.conclusion)
        self._close(work, ended)

    async def _read_item(self, chunk: Chunk) -> Item:
        """Read what a file or server order is about, before anything is recorded of its call."""
        [order] = chunk.orders
        item = await asyncio.to_thread(self.ledger.find_item, order.id)
        if item is None:
            raise GuardError(path=self.ledger.path, problem=f"order {order.id} has lost what it is about")
        return item

    async def _intend(self, chunk: Chunk) -> AttemptId:
        return await self.ledger.intend(
            Intent(
                job=chunk.job,
                account=self.account,
                token=self._token,
                kind=chunk.kind,
                orders=tuple(order.id for order in chunk.orders),
                started_at=self.clock.now(),
                expected=chunk.expected,
            )
        )

    async def _require_lane(self) -> None:
        """Stop where the lane was lost while this process stood still, or where that cannot be known."""
        try:
            owner = await asyncio.to_thread(self.ledger.lane_owner, self.account)
        except LedgerError as error:
            self.fail(error)
            return
        if owner is None or owner.token != self._token:
            self.fail(FencedError(account=self.account, path=self.ledger.path))

    async def _withhold(self, work: Work, chunk: Chunk, call: Call, attempt: AttemptId) -> None:
        """Make no call: something said stop while its intent was being written."""
        self.desk.lane.end(self.clock.monotonic(), call, CallEnd.IGNORE)
        self._withdraw_canary(work, chunk)
        problem = f"withheld: {(work.stop and work.stop[1]) or 'stopping'}"
        await self.ledger.conclude(withhold(chunk, attempt=attempt, ended_at=self.clock.now(), problem=problem))
        work.end(chunk, [chunk.expected for _ in chunk.orders])
        self._put_back(work, chunk)
        self._give_up(work, chunk)
        self._wake.set()

    def _take_back(self, work: Work, chunk: Chunk, call: Call, error: LedgerError) -> None:
        """Undo a claim whose intent could not be recorded: nothing was sent."""
        now = self.clock.monotonic()
        self.desk.lane.end(now, call, CallEnd.IGNORE)
        self._withdraw_canary(work, chunk)
        work.end(chunk, [chunk.expected for _ in chunk.orders])
        match error:
            case LedgerBusyError():
                self.trouble = error
                self._hold_until = now + _TROUBLE_PAUSE_S
                self._put_back(work, chunk)
            case GuardError():
                self._refreshed_at = -math.inf
                work.forget_waiting()
                self._hold_until = now + 0.05
                self._give_up(work, chunk)
            case _:
                self._put_back(work, chunk)
                self.fail(error)
        log.warning("intent_not_recorded", job=work.job.id, error=str(error))
        self._wake.set()

    def _put_back(self, work: Work, chunk: Chunk) -> None:
        if chunk.kind in _PLACING:
            work.put_back(chunk.orders)
        elif work.stop is None and not self.is_stopping:
            work.add_alone(chunk)

    def _give_up(self, work: Work, chunk: Chunk) -> None:
        """Tell a settlement that an order is no longer what it was: somebody else has settled it meanwhile."""
        self._repeats.pop(chunk.orders[0].id, None)
        settlement = self.desk.settlements.get(work.job.id)
        if settlement is not None:
            settlement.missed(chunk)

    def _withdraw_canary(self, work: Work, chunk: Chunk) -> None:
        if chunk.kind is AttemptKind.CANARY:
            work.chunk_size.withdraw()

    def _learn(self, work: Work, chunk: Chunk, call: Call, placement: Placement) -> None:
        """Tell the lane, the chunk size and the breaker what the call showed."""
        now = self.clock.monotonic()
        exchange, account = placement.exchange, placement.account
        lane = self.desk.lane
        if exchange.connect_s is not None:
            lane.limit.note_connect(exchange.connect_s)
        if exchange.ending is Ending.ANSWERED:
            self._fastest_s = min(self._fastest_s, exchange.elapsed_s)
        # A server with no slot left resets at once; a reply that is lost was long under way.
        is_crowded = call.crowd >= max(2, lane.limit.admits) and exchange.elapsed_s < self._fastest_s / 2
        end, refusal = read_call(placement, is_crowded=is_crowded)
        lane.end(now, call, end, refusal)
        self._note_reachable(now, placement)
        is_canary, is_placing = chunk.kind is AttemptKind.CANARY, chunk.kind in _PLACING
        size = len(chunk.orders)
        work.chunk_size.hear(size, exchange.ending, account, is_canary=is_canary, is_placing=is_placing)
        pause = reason_to_pause(account)
        if pause is not None:
            self._pause_all(pause, work.job.service if is_of_service(account) else None)
        elif chunk.kind is AttemptKind.PLACE and not (end is CallEnd.DROPPED and exchange.ending is Ending.IN_DOUBT):
            # A reset for want of room is doubt too, but its cause is known, and the lane has made room. So it is where
            # the provider has all of a call's orders from before, and the next calls carry one.
            self.pause(work, None if has_all(size, account) else work.breaker.add(account))

    def _note_reachable(self, now: float, placement: Placement) -> None:
        """Hold the lane for a doubling time while the provider cannot be reached, and pause after some of it."""
        if placement.exchange.ending is not Ending.NOT_SENT:
            self._reach.reached(now)
        elif now >= self._hold_until:
            self._hold_until = self._reach.missed(now)
            if self._reach.is_given_up:
                self._pause_all(f"the provider cannot be reached: {placement.exchange.problem}")

    def _pause_all(self, reason: str, service: ServiceId | None = None) -> None:
        for work in self.desk.works.values():
            if service is None or work.job.service == service:
                self.pause(work, reason)

    def pause(self, work: Work, reason: str | None) -> None:
        """Send nothing more of a job, for a reason; calls under way go on to their end."""
        if reason is not None and work.stop is None:
            work.stop = (JobState.PAUSED, reason)
            work.drop_alone()
            log.warning("pausing", job=work.job.id, reason=reason)

    def _close(self, work: Work, ended: Ended) -> None:
        """Count what the durable conclusion says."""
        self.trouble = None
        work.attempts += 1
        work.end(ended.chunk, ended.states.values())
        for change in ended.conclusion.changes:
            if ended.chunk.kind is AttemptKind.PROBE and change.outcome is Outcome.UNCONFIRMED:
                work.lost_probes += 1
            if change.charges and change.price is not None:
                work.spend(change.price)
            self._repeats.pop(change.order, None)
        again = ended.again
        if again:
            work.put_back(again)
        self.meter.add(len(ended.states) - len(again))
        settlement = self.desk.settlements.get(work.job.id)
        if settlement is not None:
            settlement.heard(ended)
        self.on_change()
        self._wake.set()

    # jobs

    async def _refresh(self) -> None:
        """Look for jobs that started, and for what other processes ask of those under way; save what was learned."""
        now = self.clock.monotonic()
        if now - self._refreshed_at >= self.settings.poll_s:
            self._refreshed_at = now
            running = await asyncio.to_thread(self.desk.look)
            self.desk.take(running)
            self._course.let_go({one.job.id for one in running})
            if self._pause_reason is not None:
                self.stop(pause=self._pause_reason)  # of jobs that were not on the desk yet when it was said
            if now - self._saved_at >= _SAVE_EVERY_S and not self.is_stopping:
                self._saved_at = now
                self._start(self._save())
        for work in self.desk.works.values():
            if work.needs_page:
                work.is_reading = True
                self._start(self._read_page(work))

    async def _read_page(self, work: Work) -> None:
        try:
            page = await asyncio.to_thread(self.ledger.queued_orders, work.job.id, after=work.cursor, limit=PAGE)
            work.add_page(page)
        finally:
            work.is_reading = False
            self._wake.set()

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self.desk.save)
            if self.poller is not None and (learned := self.poller.as_learned()) is not None:
                await asyncio.to_thread(self.desk.keep, WHOLE_ACCOUNT, IDS_KIND, *learned)
        except LedgerError as error:
            log.warning("limits_not_saved", error=str(error))
