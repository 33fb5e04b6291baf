"""Settling doubt: the provider's own list first, then what is known of repeats, then a repeat probe.

Nothing in doubt is ever repeated blindly: an order goes out again, alone, only where `domain.doubt.cover` says that
a repeat would be refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.listed import settle_by_list
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Chunk, Work
from imeiflow.domain.doubt import SLACK
from imeiflow.domain.ident import AttemptId, JobId, OrderId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.errors import LedgerBusyError
from imeiflow.ledger.change import AttemptKind, StatusUpdate
from imeiflow.ledger.record import Doubt, PlacedOrder, QueuedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_PAGE = 1000
_MAX_ROUNDS = 4
_MAX_PROBES = 6
_MAX_TRIES = 20
_CANDIDATES = 50
#: What says nothing of the order, and is only a matter of trying again.
_UNHEARD = frozenset({Outcome.THROTTLED, Outcome.UNSENT})


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order of `job` that is to be sent once more, alone."""

    kind: AttemptKind
    doubt: Doubt
    job: JobId
    is_completed: bool = False
    was_ordered: bool = False


class Settlement:
    """Settles one job's unconfirmed orders as far as can be known; `reason` says why the rest is held.

    `treatment` is what is known of the service's repeats, shared with the jobs that settle beside this one.
    """

    def __init__(self, engine: Engine, work: Work, treatment: Treatment) -> None:
        self.reason: str | None = None
        self._engine = engine
        self._work = work
        self._account, self._service = work.job.account, work.job.service
        self._treatment = treatment
        self._ambiguous: AbstractSet[OrderId] = frozenset()  #: may be any of several orders in the provider's list
        self._span: tuple[datetime, datetime] | None = None  #: when the oldest and the youngest of the doubts began
        self._open: dict[OrderId, asyncio.Future[Ended]] = {}
        self._refused: PlacedOrder | None = None  #: the order whose repeat was refused last
        self._is_completed = False  #: so that order is
        self._has_turn = False
        self._lost = 0  #: probes whose reply was lost, each of which may have been charged

    async def run(self) -> None:
        """Settle what can be settled. Returns when the rest has to be held."""
        async with self._treatment.turn:
            evidence = await asyncio.to_thread(self._engine.ledger.repeat_evidence, self._account, self._service)
            self._treatment.take(evidence)
            self._ambiguous = await settle_by_list(self._engine, self._work)
        await self._settle_by_repeats()
        if self._ambiguous and not self._is_stopped:
            several = f"{len(self._ambiguous)} may be any of several orders in the provider's list"
            self.reason = f"{self.reason}; {several}" if self.reason else several

    async def _settle_by_repeats(self) -> None:
        rounds = 0  #: without a doubt settled
        while rounds < _MAX_ROUNDS:
            seen, settled = await self._send_covered()
            if self._is_stopped or not seen:
                return
            rounds = 0 if settled else rounds + 1
            if not settled and not await self._probe():
                return
        self.reason = self.reason or "no order as old as the unconfirmed ones is known to be refused when repeated"

    def heard(self, ended: Ended) -> None:
        """Take the end of a call that this settlement asked for."""
        future = self._open.pop(ended.chunk.orders[0].id, None)
        if future is not None and not future.done():
            future.set_result(ended)

    def missed(self, chunk: Chunk) -> None:
        """Learn that a call that was asked for will not be made: its order is no longer in doubt."""
        future = self._open.pop(chunk.orders[0].id, None)
        if future is not None:
            future.cancel()

    @property
    def _is_stopped(self) -> bool:
        return self._work.stop is not None or self._engine.is_stopping

    async def _send_covered(self) -> tuple[int, int]:
        """Send every covered doubt again, alone; count the doubts, and those of them that were settled by it."""
        seen, settled, after = 0, 0, OrderId(0)
        self._span = None
        while not self._is_stopped:
            doubts = await asyncio.to_thread(self._engine.ledger.doubts, self._work.job.id, after=after, limit=_PAGE)
            if not doubts:
                break
            after = doubts[-1].order
            doubts = [doubt for doubt in doubts if doubt.order not in self._ambiguous]
            if not doubts:
                continue
            seen += len(doubts)
            began = [doubt.began_at for doubt in doubts]
            self._span = min(began + list(self._span or ())), max(began + list(self._span or ()))
            known = await asyncio.to_thread(self._find_older_orders, doubts)
            settled += await self._send_page(deque(sorted(doubts, key=lambda doubt: doubt.began_at)), known)
        return seen, settled

    async def _send_page(self, doubts: deque[Doubt], known: AbstractSet[str]) -> int:
        """Send the covered ones of `doubts`, the oldest first; each refusal reaches the age of the next.

        What covers a doubt is looked at just before it leaves, for its age grows while others are under way. Where
        many wait, the order that was refused is repeated beside them, so that the evidence ages with them.
        """
        settled, tries = 0, Counter[OrderId]()
        outgrown: list[Doubt] = []
        pending: dict[asyncio.Future[Ended], Doubt] = {}
        renewal: asyncio.Future[Ended] | None = None
        has_renewed = False
        while not self._is_stopped:
            while doubts and len(pending) < self._engine.desk.lane.view().concurrency:
                doubt = doubts.popleft()
                if self._treatment.covers(doubt.began_at):
                    asked = _Asked(AttemptKind.AGAIN, doubt, self._work.job.id, was_ordered=doubt.imei in known)
                    pending[self._send(asked)] = doubt
                else:
                    outgrown.append(doubt)
            is_fruitless = has_renewed and not pending  # what is left is older than the refused order itself
            if renewal is None and (doubts or outgrown) and not is_fruitless:
                renewal = await self._renew()
            waiting = [*pending, *([renewal] if renewal else [])]
            if not waiting:
                break
            done, _ = await asyncio.wait(waiting, timeout=0.25, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                if future is renewal:
                    renewal = None
                    if self._take_renewal(future):
                        has_renewed = True
                        doubts.extendleft(reversed(outgrown))
                        outgrown.clear()
                    continue
                doubt = pending.pop(future)
                if future.cancelled():
                    settled += 1  # by somebody else
                    continue
                ended = future.result()
                self._treatment.learn(ended.conclusion.seen)
                settled += ended.states[doubt.order] is not OrderState.UNCONFIRMED
                tries[doubt.order] += 1
                if ended.placement.account.findings[doubt.imei].outcome in _UNHEARD and tries[doubt.order] < _MAX_TRIES:
                    doubts.append(doubt)
        self._give_turn_back()
        for doubt in pending.values():
            self._open.pop(doubt.order, None)
        return settled

    async def _renew(self) -> asyncio.Future[Ended] | None:
        """Repeat the order whose repeat was refused once more, if that may be risked and no other job does."""
        turn = self._treatment.turn
        if self._refused is None or turn.locked() or not self._may_risk(self._refused):
            return None
        self._has_turn = await turn.acquire()
        order = self._refused
        return self._send(_Asked(AttemptKind.PROBE, _as_doubt(order), order.job, self._is_completed))

    def _give_turn_back(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._treatment.turn.release()

    def _take_renewal(self, future: asyncio.Future[Ended]) -> bool:
        """Say whether the order was refused again; nothing is renewed any more where it was not."""
        self._give_turn_back()
        order, self._refused = self._refused, None
        if order is None or future.cancelled() or self._judge(order, future.result()) is not True:
            return False
        self._refused = order
        return True

    def _find_older_orders(self, doubts: Sequence[Doubt]) -> AbstractSet[str]:
        """Find the IMEIs that older jobs are known to have placed under this service: they explain a duplicate."""
        past = self._engine.ledger.find_ordered_before(
            self._account, self._service, [doubt.imei for doubt in doubts], exclude_job=self._work.job.id
        )
        return {imei for imei, order in past.items() if order.state is OrderState.ACCEPTED}

    async def _send_all(self, asked: list[_Asked]) -> list[Ended]:
        futures = [self._send(one) for one in asked]
        pending = set(futures)
        while pending and not self._is_stopped:
            _, pending = await asyncio.wait(pending, timeout=0.25)
        for one in asked:
            self._open.pop(one.doubt.order, None)
        return [future.result() for future in futures if future.done() and not future.cancelled()]

    def _send(self, asked: _Asked) -> asyncio.Future[Ended]:
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        doubt = asked.doubt
        self._open[doubt.order] = future
        chunk = Chunk(asked.kind, (QueuedOrder(doubt.order, doubt.imei, 0, 0),), asked.job)
        self._engine.send_alone(self._work, chunk, Repeat(doubt.last_began_at, asked.is_completed, asked.was_ordered))
        return future

    # the repeat probe

    async def _probe(self) -> bool:
        """Learn whether repeats are refused, by a probe or by that of another job; say whether something was learned.

        One probe at a time for an account and service: what the first one shows serves all who wait for their turn.
        """
        before = self._treatment.probes
        async with self._treatment.turn:
            return self._treatment.probes != before or await self._repeat_one()

    async def _repeat_one(self) -> bool:
        """Repeat one accepted order, alone; say whether that taught that repeats are refused."""
        now = self._engine.clock.now()
        if self._treatment.is_charged:
            self.reason = "repeats are charged here: the unconfirmed orders are held for you to settle"
            return False
        known_age = self._treatment.known_age
        chosen = await self._choose()
        if chosen is None:
            self.reason = "no accepted order is known that could be repeated to learn whether repeats are refused"
            return False
        order, is_completed = chosen
        is_younger = self._span is not None and order.began_at > self._span[1] + SLACK
        if is_younger or (known_age is not None and now - order.began_at <= known_age):
            self.reason = "repeats are known to be refused only for younger orders than these"
            if is_younger and known_age is None:
                self.reason = "every accepted order that could be repeated is younger than the unconfirmed ones"
            return False
        ledger, lost = self._engine.ledger, self._work.lost_probes
        self._lost = max(lost, await asyncio.to_thread(ledger.lost_probes, order.job))
        for _ in range(_MAX_PROBES):
            if self._is_stopped or not self._may_risk(order):
                return False
            ended = await self._send_all([_Asked(AttemptKind.PROBE, _as_doubt(order), order.job, is_completed)])
            if not ended:
                self.reason = "the repeat probe could not be made: the unconfirmed orders are held"
                return False
            outcome = self._judge(order, ended[0])
            if outcome is not None:
                self._refused, self._is_completed = (order if outcome else None), is_completed
                return outcome
        self.reason = "the repeat probe got no answer: the unconfirmed orders are held"
        return False

    def _may_risk(self, order: PlacedOrder) -> bool:
        price = order.price if order.price is not None else self._work.job.unit_price
        limit = self._engine.settings.probe_limit(self._work.job.id)
        currency = self._work.job.currency
        if price is None:
            self.reason = "the price is not known, so no order was repeated to learn whether repeats are refused"
            return False
        if (self._lost + 1) * price > limit:
            self.reason = (
                f"a repeat probe may cost {Money(price, currency)}{self._say_lost(price)}, more than "
                f"repeat_probe_max_price ({Money(limit, currency)}) allows"
            )
            return False
        affordable = self._work.affordable()
        if affordable is not None and affordable < 1:
            self.reason = "the spending cap leaves no room for a repeat probe"
            return False
        return True

    def _judge(self, order: PlacedOrder, ended: Ended) -> bool | None:
        """Say what a probe showed: True refused, False charged or of no use, None: ask again."""
        finding = ended.placement.account.findings[order.imei]
        self._treatment.learn(ended.conclusion.seen)
        self._treatment.probes += finding.outcome in {Outcome.DUPLICATE, Outcome.ACCEPTED}
        match finding.outcome:
            case Outcome.DUPLICATE:
                return True
            case Outcome.ACCEPTED:
                price = order.price if order.price is not None else self._work.job.unit_price
                cost = "its price" if price is None else f"{Money(price, self._work.job.currency)}"
                self.reason = (
                    f"repeats are charged here (one repeated order cost {cost}{self._say_lost(price)}): "
                    "the unconfirmed orders are held for you to settle"
                )
                return False
            case Outcome.UNCONFIRMED:
                self._lost += 1
                return None
            case Outcome.THROTTLED | Outcome.UNSENT:
                return None
            case Outcome.REFUSED:
                self.reason = f"the repeat probe was refused for another reason: {finding.message}"
                return False

    def _say_lost(self, price: Decimal | None) -> str:
        if not self._lost or price is None:
            return ""
        may = Money(price * self._lost, self._work.job.currency)
        return f", and up to {may} more for {self._lost} whose reply was lost"

    async def _choose(self) -> tuple[PlacedOrder, bool] | None:
        """Choose the order to repeat: a completed one where statuses can be had, else the oldest that is open.

        Those of this job, the oldest first; where none of them is as old as the oldest doubt, rather an older job's.
        """
        ledger, oldest = self._engine.ledger, self._span and self._span[0] + SLACK
        candidates = await asyncio.to_thread(
            ledger.oldest_accepted, self._account, self._service, job_id=self._work.job.id
        )
        candidates.sort(key=lambda order: order.began_at)  # the older, the more its refusal covers
        if oldest is not None and (not candidates or candidates[0].began_at > oldest):
            older = await asyncio.to_thread(ledger.accepted_before, self._account, self._service, oldest)
            candidates = [*older, *candidates][:_CANDIDATES]
        if not candidates:
            candidates = await asyncio.to_thread(ledger.oldest_accepted, self._account, self._service)
        statuses = await self._fetch_statuses(candidates)
        open_ = []
        for order in candidates:
            status = statuses.get(order.order, order.status)
            if status is ResultStatus.COMPLETED:
                return order, True
            if status is not ResultStatus.REJECTED:
                open_.append(order)
        return (open_[0], False) if open_ else None

    async def _fetch_statuses(self, candidates: list[PlacedOrder]) -> dict[OrderId, ResultStatus]:
        named = {order.reference: order for order in candidates if order.reference}
        if not named:
            return {}
        listing = await self._engine.connection.fetch_statuses(list(named))
        found: dict[OrderId, ResultStatus] = {}
        updates: list[StatusUpdate] = []
        for item in listing.items:
            order = named.get(item.reference)
            if order is None or item.status is None or (item.imei and item.imei != order.imei):
                continue
            found[order.order] = item.status
            updates.append(StatusUpdate(order=order.order, status=item.status, result=item.code or None))
        with suppress(LedgerBusyError):  # they are fetched again when somebody asks for them
            await asyncio.to_thread(self._engine.ledger.update_statuses, self._account, updates)
        return found


def _as_doubt(order: PlacedOrder) -> Doubt:
    return Doubt(order.order, order.imei, AttemptId(0), order.began_at, order.began_at)
