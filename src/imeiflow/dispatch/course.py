"""The course of a job when nothing of it is under way: settle what is in doubt, heed the spending cap, pause, finish.

Makes no calls; the settlement asks the engine for those that it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from imeiflow.dispatch.settle import Settlement
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Work
from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.errors import LedgerBusyError, LedgerError

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

#: Why a job pauses after the first orders of it, where the user wanted to see those first.
TRIED = "the first orders were sent, as you asked: look at them, then go on"
_BUSY_PAUSE_S = 0.5


class Course:
    """Moves the engine's jobs on, and keeps their settlements."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks: dict[JobId, asyncio.Task[None]] = {}
        self._treatments: dict[ServiceId, Treatment] = {}

    @property
    def settling(self) -> list[asyncio.Task[None]]:
        """List the settlements under way."""
        return [task for task in self._tasks.values() if not task.done()]

    def is_settling(self, job: JobId) -> bool:
        """Say whether a job's doubt is being settled."""
        task = self._tasks.get(job)
        return task is not None and not task.done()

    def let_go(self, running: Set[JobId]) -> None:
        """Stop working on jobs that do not run any more: another process has moved them on, and its word stands."""
        for work in self._engine.desk.works.values():
            if work.job.id not in running and work.stop is None:
                work.stop = (JobState.PAUSED, "it was stopped by another process")
                work.closing.is_barred = True
                work.drop_alone()

    async def move_on(self) -> None:
        """Pause, cancel, settle or finish the jobs that have nothing under way."""
        for work in list(self._engine.desk.works.values()):
            if not work.calls_under_way and not work.is_reading:
                await self._move(work)

    async def _move(self, work: Work) -> None:
        if work.is_stale:
            await self._recount(work)
        if (end := work.stop or work.closing.end) is not None:
            if not self.is_settling(work.job.id):
                await self._end_job(work, *end)
        elif self._engine.is_stopping or work.has_work or work.awaits_price:
            if not self.is_settling(work.job.id):
                self._forget_settlement(work)  # what comes into doubt from now on is settled anew
        elif work.is_capped:
            if work.is_over_cap or not any(other.calls_under_way for other in self._engine.desk.works.values()):
                await self._end_settled(work, JobState.PAUSED, self._explain_cap(work))
        elif not work.is_read_out:
            return
        elif work.counts[OrderState.QUEUED] > 0:
            if work.job.hold_after is None or await self._has_queued(work):
                work.forget_waiting()
            else:
                await self._end_settled(work, JobState.PAUSED, TRIED)
        else:
            await self._end_settled(work, JobState.FINISHED, None)

    async def _recount(self, work: Work) -> None:
        """Take over what the ledger says of a job; calls of other jobs that end meanwhile let none of it leave."""
        work.is_recounted = True
        try:
            await asyncio.to_thread(self._engine.desk.recount, work)
        finally:
            work.is_recounted = False

    def _explain_cap(self, work: Work) -> str:
        if not work.is_over_cap:
            return work.budget.explain(work.job.unit_price, work.job.currency, self._engine.clock.now())
        cap = Money(work.job.max_spend or Decimal(0), work.job.currency)
        agreed = work.job.price
        is_fallen = agreed is not None and work.price is not None and work.price < agreed.amount
        counted = f", each order counted at the {agreed} that you agreed to," if is_fallen else ""
        return f"the spending cap of {cap}{counted} is reached; `resume --max-spend AMOUNT` sets another"

    async def _end_settled(self, work: Work, to: JobState, reason: str | None) -> None:
        """Settle what is in doubt, as far as can be known; then end the job, unless orders may leave again."""
        if work.counts[OrderState.UNCONFIRMED] and work.job.policy is Policy.SETTLE:
            if work.job.id not in self._tasks and self._engine.clock.monotonic() >= work.settle_after:
                self._settle(work)
            task = self._tasks.get(work.job.id)
            if task is None or not task.done():
                return
            if isinstance(error := task.exception(), LedgerBusyError):
                self._settle_later(work, error)
                return
            task.result()
        settlement = self._engine.desk.settlements.get(work.job.id)
        if to is JobState.FINISHED or work.is_capped or reason == TRIED:
            await self._end_job(work, to, reason, None if settlement is None else settlement.reason)

    async def _has_queued(self, work: Work) -> bool:
        """Say whether the ledger has orders of a job that may be sent now."""
        return bool(await asyncio.to_thread(self._engine.ledger.queued_orders, work.job.id, limit=1))

    def _settle(self, work: Work) -> None:
        lasts = self._engine.settings.repeat_refusal_lasts
        treatment = self._treatments.setdefault(work.job.service, Treatment(self._engine.clock, lasts))
        settlement = self._engine.desk.settlements[work.job.id] = Settlement(self._engine, work, treatment)
        task = self._tasks[work.job.id] = asyncio.create_task(settlement.run())
        task.add_done_callback(lambda _: self._engine.wake())

    def _settle_later(self, work: Work, error: LedgerBusyError) -> None:
        self._engine.trouble = error
        work.settle_after = self._engine.clock.monotonic() + _BUSY_PAUSE_S
        self._forget_settlement(work)

    def _forget_settlement(self, work: Work) -> None:
        self._tasks.pop(work.job.id, None)
        self._engine.desk.settlements.pop(work.job.id, None)

    async def _end_job(self, work: Work, to: JobState, reason: str | None, held: str | None = None) -> None:
        """Write the end of the engine's work on a job, and let go of it; `held` says why its doubts are held.

        Before that the price list is asked for once more where it may have changed while the last orders were placed.
        """
        try:
            if self._engine.prices is not None and not await self._engine.prices.may_end(work):
                work.closing.end = (to, reason, held)
                return
            if not await asyncio.to_thread(self._engine.desk.end_job, work, to, reason, held):
                self._forget_settlement(work)
                work.forget_waiting()
                work.look_at_price()
                self._engine.wake()
                return
        except LedgerBusyError as error:
            self._engine.trouble = error
            return
        except LedgerError as error:
            log.warning("job_not_ended", job=work.job.id, error=str(error))
            self._engine.fail(error)
            return
        self._tasks.pop(work.job.id, None)
        if to is JobState.PAUSED and reason == TRIED:
            with suppress(LedgerError):  # then it pauses like this once more
                await asyncio.to_thread(self._engine.ledger.end_trial, work.job.id)
        self._engine.on_change()
