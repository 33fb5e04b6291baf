"""The engine of one lane: it claims, records, calls, accounts and concludes, for all running jobs of one account.

Decisions are made elsewhere (`domain`, `lane`, `chunk`, `breaker`); this carries them out, once. Every call is
recorded before it leaves and concluded before anyone is told.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

import structlog

from imeiflow.dispatch.clock import Clock
from imeiflow.dispatch.conclude import Repeat
from imeiflow.dispatch.course import Course
from imeiflow.dispatch.desk import Desk
from imeiflow.dispatch.errand import Errands, Inquiry
from imeiflow.dispatch.kind import IDS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.meter import Meter
from imeiflow.dispatch.placing import Placing
from imeiflow.dispatch.poll import Poller
from imeiflow.dispatch.price import PriceWatch
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.view import JobView, view_job
from imeiflow.dispatch.work import PAGE, Chunk, Work
from imeiflow.domain.ident import AccountName, JobId, ServiceId, Token
from imeiflow.domain.order import JobState
from imeiflow.errors import LedgerError
from imeiflow.ledger.ledger import Ledger
from imeiflow.providers.contract import Connection, Provider

T = TypeVar("T")

log = structlog.get_logger(__name__)

_SAVE_EVERY_S = 5.0


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
        self.desk = Desk(ledger, provider, account, settings, now=clock.monotonic())
        self.trouble: LedgerError | None = None
        self.fatal: Exception | None = None
        self.is_stopping = False
        self.was_abandoned = False
        self.account = account
        self.token = token
        self.on_change = on_change
        self.poller = Poller(self, prefer=prefer) if polls else None
        self.prices = None if settings.price_max_age_s is None else PriceWatch(self, settings.price_max_age_s)
        self.errands = Errands(self)
        self.inquiry = Inquiry(self)
        self._askers = [one for one in (self.errands, self.prices, self.inquiry) if one is not None]
        self._course = Course(self)
        self._placing = Placing(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Future[Any]] = set()
        self._wake = asyncio.Event()
        self.hold_until = -math.inf
        self._refreshed_at = -math.inf
        self._saved_at = clock.monotonic()
        self._pause_reason: str | None = None

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
        finally:
            self.errands.close()
        try:
            await self._drain()
        except asyncio.CancelledError:
            await self.abandon()
            raise
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
        self._give_up_reading()
        for work in self.desk.works.values():
            work.drop_alone()
        self._wake.set()

    def wake(self) -> None:
        """Let the loop look again at what there is to do."""
        self._wake.set()

    def stop(self, *, pause: str | None = None) -> None:
        """Claim nothing more; calls under way that place go on to their end, and then `run` returns.

        Calls that only read are given up: their answers can be had at any time. `pause` is the reason with which the
        running jobs are paused; without it they stay running.
        """
        self.is_stopping = True
        self._give_up_reading()
        self._pause_reason = pause
        for work in self.desk.works.values():
            work.drop_alone()
            if pause is not None:
                work.stop = work.stop or (None if work.closing.end else (JobState.PAUSED, pause))
        self._wake.set()

    async def abandon(self) -> None:
        """Leave at once: calls under way are given up; whoever takes the lane next finds them in doubt."""
        self.is_stopping = self.was_abandoned = True
        try:
            await asyncio.sleep(0)  # a task that is cancelled before it began would not withdraw its call's intent
        finally:
            tasks = [*self._tasks, *self._course.settling]
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def read(self, call: Awaitable[T]) -> T:
        """Await a call that only reads, for its task: a stop gives it up, and ends the task as cancelled."""
        reading = asyncio.ensure_future(call)
        self._reading.add(reading)
        try:
            if self.is_stopping:
                reading.cancel()
            return await reading
        finally:
            self._reading.discard(reading)
            reading.cancel()

    def _give_up_reading(self) -> None:
        for reading in self._reading:
            reading.cancel()

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
        self._placing.repeats[chunk.orders[0].id] = repeat
        work.add_alone(chunk)
        self._wake.set()

    def look_again(self) -> None:
        """Ask the ledger at once what runs: it knows better."""
        self._refreshed_at = -math.inf

    # the loop

    def _fill(self) -> float:
        """Let as many calls begin as may; say when the next one may."""
        lane = self.desk.lane
        while not self.is_stopping:
            now = self.clock.monotonic()
            if now < self.hold_until:
                return self.hold_until
            if (begin := self._next_question()) is not None:
                ready_at = lane.ready_at(now)
                if ready_at > now:
                    return ready_at
                self._start(begin(now))
                continue
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
            elif work is not None and (chunk := work.take_chunk()) is not None and self._placing.admits(work, chunk):
                call = lane.claim(now, len(chunk.orders))
                self._placing.begin(work, chunk)
                self._note_placing(work)
                self._start(self._placing.attempt(work, chunk, call))
        return math.inf

    def refill(self) -> None:
        """Let as many calls begin as may, in the middle of another's end, which an error here must not leave undone."""
        try:
            self._fill()
        except Exception as error:  # noqa: BLE001 - it ends the engine
            self.fail(error)

    def _next_question(self) -> Callable[[float], Coroutine[None, None, None]] | None:
        """Give what asks the provider before anything is placed, as a call that begins in the lane; None where none."""
        for asker in self._askers:
            if asker.has_turn:
                return asker.begin
        return None

    def _note_placing(self, work: Work) -> None:
        if self.poller is not None:
            self.poller.note_placing()
        if self.prices is not None:
            self.prices.note_placing(work.job.kind)

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

    def pause_all(self, reason: str, service: ServiceId | None = None) -> None:
        """Do so with all jobs of a service, or all of the account; the provider is not asked for anything more."""
        for work in self.desk.works.values():
            if service is None or work.job.service == service:
                self.pause(work, reason)
                work.closing.is_barred = True

    def pause(self, work: Work, reason: str | None) -> None:
        """Send nothing more of a job, for a reason; calls under way go on to their end."""
        if reason is not None and work.stop is None:
            work.stop = (JobState.PAUSED, reason)
            work.drop_alone()
            log.warning("pausing", job=work.job.id, reason=reason)

    # jobs

    async def _refresh(self) -> None:
        """Look for jobs that started, and for what other processes ask of those under way; save what was learned."""
        now = self.clock.monotonic()
        if now - self._refreshed_at >= self.settings.poll_s:
            self._refreshed_at = now
            running = await asyncio.to_thread(self.desk.look)
            self.desk.take(running)
            self.desk.tell_lane(asking=self._count_asking())
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

    def _count_asking(self) -> float:
        """Say about how many calls will ask for the results that are due."""
        if self.poller is None:
            return 0.0
        view = self.poller.view()
        return view.waiting / max(1, view.ids_per_call)

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
