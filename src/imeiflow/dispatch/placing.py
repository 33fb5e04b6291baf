"""The calls that place orders: from the durable intent to the durable conclusion, each made once.

What a call means is decided elsewhere (`domain`, `conclude`); this carries it out, and tells lane, size and breaker.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Coroutine, Iterable
from typing import TYPE_CHECKING

import structlog

from imeiflow.dispatch.call import Call, CallEnd
from imeiflow.dispatch.chunk import has_all
from imeiflow.dispatch.conclude import Ended, Repeat, conclude, doubt_refusal, is_slow_refusal, read_call, withhold
from imeiflow.dispatch.reach import Reach
from imeiflow.dispatch.work import Chunk, Work
from imeiflow.domain.decision import is_of_service, reason_to_pause
from imeiflow.domain.ident import AttemptId, OrderId
from imeiflow.domain.item import Item, OrderKind
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import FencedError, GuardError, LedgerBusyError, LedgerError
from imeiflow.ledger.change import AttemptKind, Intent
from imeiflow.providers.contract import Placement

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_TROUBLE_PAUSE_S = 0.5
#: An intent that took longer to write may be that of a process that stood still meanwhile.
_FROZEN_S = 2.0
#: A call of so many orders takes a while to read and to record.
_LARGE = 10
_PLACING = frozenset({AttemptKind.PLACE, AttemptKind.CANARY})
_REFUSED_MEANWHILE = "the provider refused another call meanwhile"
_WHY_NOT = {
    AttemptKind.AGAIN: "a repeat is not known to be refused any more",
    AttemptKind.PROBE: "a repeat was charged, or the IMEI is ordered once more meanwhile",
}


class Placing:
    """Makes an engine's placing calls. `repeats` tells, for orders that are sent once more, what is repeated."""

    def __init__(self, engine: Engine) -> None:
        self.repeats: dict[OrderId, Repeat] = {}
        self._payers: dict[OrderId, Work] = {}  #: of probes under way that repeat an order of another job on the desk
        self._engine = engine
        self._reach = Reach()
        self._fastest_s = math.inf

    def admits(self, work: Work, chunk: Chunk) -> bool:
        """Say whether a call whose turn has come may be made; tell its settlement of one that may not any more.

        Nothing is held back for a probe: what may be spent may have been spent while it waited.
        """
        payers = {work, self._find_payer(work, chunk)} if chunk.kind is AttemptKind.PROBE else ()
        if all(payer.affordable() != 0 for payer in payers) and self._may_leave(work, chunk):
            return True
        self._withdraw(work, chunk)
        return False

    def begin(self, work: Work, chunk: Chunk) -> None:
        """Count a call that leaves."""
        work.begin(chunk)
        if (payer := self._find_payer(work, chunk)) is not work:
            self._payers[chunk.orders[0].id] = payer
            payer.probes_for_others += 1

    def _end(self, work: Work, chunk: Chunk, states: Iterable[OrderState]) -> None:
        work.end(chunk, states)
        if (payer := self._payers.pop(chunk.orders[0].id, None)) is not None:
            payer.probes_for_others -= 1

    def _find_payer(self, work: Work, chunk: Chunk) -> Work:
        """Give the job that a charge is counted with: that of the order, where a probe repeats another job's."""
        return self._engine.desk.works.get(chunk.job, work)

    def attempt(self, work: Work, chunk: Chunk, call: Call) -> Coroutine[None, None, None]:
        """Give one call to be made, from the durable intent to the durable conclusion; its task has to be begun.

        The intent is handed to the ledger here: it is written while what else waits for the event loop is done.
        """
        intending = self._intend(chunk) if work.job.kind is OrderKind.IMEI else None
        return self._attempt(work, chunk, call, intending)

    async def _attempt(self, work: Work, chunk: Chunk, call: Call, intending: Awaitable[AttemptId] | None) -> None:
        try:
            item = await self._read_item(chunk) if intending is None else None
            attempt = await (intending or self._intend(chunk))
        except LedgerError as error:
            self._take_back(work, chunk, call, error)
            return
        if self._engine.clock.monotonic() - call.claimed_at > _FROZEN_S:
            await self._require_lane()
        if (
            work.stop is not None
            or self._engine.is_stopping
            or not self._may_leave(work, chunk)
            or (chunk.kind is AttemptKind.PROBE and not await self._is_newest(chunk, attempt))
        ):
            await self._withhold(work, chunk, call, attempt)
            return
        lane = self._engine.desk.lane
        others_wait = lane.is_asking
        if not lane.leave(self._engine.clock.monotonic(), call):
            await self._hold_back(work, chunk, call, attempt)
            return
        if others_wait:
            self._engine.wake()
        price = work.price
        left_at = self._engine.clock.now() if chunk.kind is AttemptKind.PROBE else None
        if item is None:
            placement = await self._engine.connection.place([order.imei for order in chunk.orders], work.job.service)
        else:
            placement = await self._engine.connection.place_item(item, work.job.service)
        if is_slow_refusal(placement, self._fastest_s):
            placement = doubt_refusal(placement)
        is_newest = chunk.kind is not AttemptKind.PROBE or await self._is_newest(chunk, attempt)
        ended_at, poller = self._engine.clock.now(), self._engine.poller
        is_reachable = self._reach.was_reached_since(call.began_at)
        self._learn(work, chunk, call, placement)
        if len(chunk.orders) >= _LARGE:
            self._engine.refill()  # what this call's end makes room for is recorded while the ends of others are read
        self._engine.wake()
        ended = conclude(
            chunk,
            placement,
            attempt=attempt,
            ended_at=ended_at,
            due_at=None if poller is None else poller.plan_first(ended_at, work.delivery),
            price=price,
            policy=self._engine.settings.retry,
            repeats=self.repeats,
            is_newest=is_newest,
            began_at=left_at,
            asked_by=work.job.id,
            is_reachable=is_reachable,
        )
        await self._engine.ledger.conclude(ended.conclusion)
        self._close(work, ended)

    async def _read_item(self, chunk: Chunk) -> Item:
        """Read what a file or server order is about, before anything is recorded of its call."""
        [order] = chunk.orders
        item = await asyncio.to_thread(self._engine.ledger.find_item, order.id)
        if item is None:
            raise GuardError(path=self._engine.ledger.path, problem=f"order {order.id} has lost what it is about")
        return item

    def _intend(self, chunk: Chunk) -> Awaitable[AttemptId]:
        return self._engine.ledger.intend(
            Intent(
                job=chunk.job,
                account=self._engine.account,
                token=self._engine.token,
                kind=chunk.kind,
                orders=tuple([order.id for order in chunk.orders]),
                started_at=self._engine.clock.now(),
                expected=chunk.expected,
            )
        )

    async def _require_lane(self) -> None:
        """Stop where the lane was lost while this process stood still, or where that cannot be known."""
        try:
            owner = await asyncio.to_thread(self._engine.ledger.lane_owner, self._engine.account)
        except LedgerError as error:
            self._engine.fail(error)
            return
        if owner is None or owner.token != self._engine.token:
            self._engine.fail(FencedError(account=self._engine.account, path=self._engine.ledger.path))

    async def _is_newest(self, chunk: Chunk, attempt: AttemptId) -> bool:
        """Say whether what a probe repeats is the newest order of its IMEI, so that its refusal is of that order's age.

        Asked before and after its call: every other call stands in the ledger before it leaves.
        """
        try:
            return await asyncio.to_thread(self._engine.ledger.is_newest, chunk.orders[0].id, besides=attempt)
        except LedgerError:
            return False  # not known

    async def _withhold(self, work: Work, chunk: Chunk, call: Call, attempt: AttemptId) -> None:
        """Make no call: something said stop while its intent was written, or the doubt outgrew what covers it."""
        why = "stopping" if self._engine.is_stopping else _WHY_NOT.get(chunk.kind)
        await self._conclude_unsent(work, chunk, call, attempt, why=(work.stop and work.stop[1]) or why)
        if chunk.kind in _PLACING:
            work.put_back(chunk.orders)
        else:
            self._withdraw(work, chunk)
        self._engine.wake()

    async def _hold_back(self, work: Work, chunk: Chunk, call: Call, attempt: AttemptId) -> None:
        """Make no call now: the provider refused another while the intent was written. Its turn comes again."""
        await self._conclude_unsent(work, chunk, call, attempt, why=_REFUSED_MEANWHILE)
        self._put_back(work, chunk)
        self._engine.wake()

    async def _conclude_unsent(self, work: Work, chunk: Chunk, call: Call, attempt: AttemptId, why: str | None) -> None:
        self._engine.desk.lane.withhold(call)
        self._withdraw_canary(work, chunk)
        conclusion = withhold(chunk, attempt=attempt, ended_at=self._engine.clock.now(), problem=f"withheld: {why}")
        await self._engine.ledger.conclude(conclusion)
        self._end(work, chunk, [chunk.expected for _ in chunk.orders])

    def _may_leave(self, work: Work, chunk: Chunk) -> bool:
        """Say whether a call may be made now; of one that settles doubt its settlement knows."""
        if chunk.kind in _PLACING:
            return True
        settlement = self._engine.desk.settlements.get(work.job.id)
        return settlement is not None and settlement.alone.may_leave(chunk)

    def _withdraw(self, work: Work, chunk: Chunk) -> None:
        """Tell a settlement that a call which it asked for was not made, for it may not be made now."""
        self.repeats.pop(chunk.orders[0].id, None)
        settlement = self._engine.desk.settlements.get(work.job.id)
        if settlement is not None:
            settlement.alone.withdrawn(chunk)

    def _take_back(self, work: Work, chunk: Chunk, call: Call, error: LedgerError) -> None:
        """Undo a claim whose intent could not be recorded: nothing was sent."""
        now = self._engine.clock.monotonic()
        self._engine.desk.lane.withhold(call)
        self._withdraw_canary(work, chunk)
        self._end(work, chunk, [chunk.expected for _ in chunk.orders])
        match error:
            case LedgerBusyError():
                self._engine.trouble = error
                self._engine.hold_until = now + _TROUBLE_PAUSE_S
                self._put_back(work, chunk)
            case GuardError():
                self._engine.look_again()
                work.forget_waiting()
                self._engine.hold_until = now + 0.05
                self._give_up(work, chunk)
            case _:
                self._put_back(work, chunk)
                self._engine.fail(error)
        log.warning("intent_not_recorded", job=work.job.id, error=str(error))
        self._engine.wake()

    def _put_back(self, work: Work, chunk: Chunk) -> None:
        if chunk.kind in _PLACING:
            work.put_back(chunk.orders)
        elif work.stop is None and not self._engine.is_stopping:
            work.add_alone(chunk)

    def _give_up(self, work: Work, chunk: Chunk) -> None:
        """Tell a settlement that an order is no longer what it was: somebody else has settled it meanwhile."""
        self.repeats.pop(chunk.orders[0].id, None)
        settlement = self._engine.desk.settlements.get(work.job.id)
        if settlement is not None:
            settlement.alone.missed(chunk)

    def _withdraw_canary(self, work: Work, chunk: Chunk) -> None:
        if chunk.kind is AttemptKind.CANARY:
            work.chunk_size.withdraw()

    def _learn(self, work: Work, chunk: Chunk, call: Call, placement: Placement) -> None:
        """Tell the lane, the chunk size and the breaker what the call showed."""
        now = self._engine.clock.monotonic()
        exchange, account = placement.exchange, placement.account
        lane = self._engine.desk.lane
        if exchange.connect_s is not None:
            lane.limit.note_connect(exchange.connect_s)
        if exchange.ending is Ending.ANSWERED:
            self._fastest_s = min(self._fastest_s, exchange.elapsed_s)
        # A server with no slot left resets at once; a reply that is lost was long under way, as answers show.
        is_crowded = call.crowd >= max(2, lane.limit.admits) and exchange.elapsed_s < self._fastest_s / 2 < math.inf
        end, refusal = read_call(placement, is_crowded=is_crowded)
        lane.end(now, call, end, refusal)
        self._note_reachable(now, placement)
        is_canary, is_placing = chunk.kind is AttemptKind.CANARY, chunk.kind in _PLACING
        size = len(chunk.orders)
        work.chunk_size.hear(size, exchange.ending, account, is_canary=is_canary, is_placing=is_placing)
        pause = reason_to_pause(account)
        if pause is not None:
            self._engine.pause_all(pause, work.job.service if is_of_service(account) else None)
        elif chunk.kind is AttemptKind.PLACE and not (end is CallEnd.DROPPED and exchange.ending is Ending.IN_DOUBT):
            # A reset for want of room is doubt too, but its cause is known, and the lane has made room. So it is where
            # the provider has all of a call's orders from before, and the next calls carry one.
            self._engine.pause(work, None if has_all(size, account) else work.breaker.add(account))

    def _note_reachable(self, now: float, placement: Placement) -> None:
        """Hold the lane for a doubling time while the provider cannot be reached, and pause after some of it."""
        if placement.exchange.ending is not Ending.NOT_SENT:
            self._reach.reached(now)
        elif now >= self._engine.hold_until:
            self._engine.hold_until = self._reach.missed(now)
            if self._reach.is_given_up:
                self._engine.pause_all(f"the provider cannot be reached: {placement.exchange.problem}")

    def _close(self, work: Work, ended: Ended) -> None:
        """Count what the durable conclusion says."""
        self._engine.trouble = None
        work.attempts += 1
        self._end(work, ended.chunk, ended.states.values())
        payer = self._find_payer(work, ended.chunk)
        work.heard_at = payer.heard_at = ended.conclusion.ended_at
        for change in ended.conclusion.changes:
            if ended.chunk.kind is AttemptKind.PROBE and change.outcome is Outcome.UNCONFIRMED:
                for one in {work, payer}:  # as the ledger counts it
                    one.lost_probes += 1
            if change.charges and change.price is not None:
                payer.spend(change.price, is_probe=ended.chunk.kind is AttemptKind.PROBE)
            self.repeats.pop(change.order, None)
        again = ended.again
        if again:
            work.put_back(again)
        self._engine.meter.add(len(ended.states) - len(again))
        settlement = self._engine.desk.settlements.get(work.job.id)
        if settlement is not None:
            settlement.alone.heard(ended)
        self._engine.on_change()
        self._engine.wake()
