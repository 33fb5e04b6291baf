"""Settling doubt: the provider's own list first, then what is known of repeats, then a repeat probe.

Nothing in doubt is ever repeated blindly: an order goes out again, alone, only where `domain.doubt.cover` says that
a repeat would be refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.work import Chunk, Work
from imeiflow.domain.doubt import Coverage, RepeatEvidence, cover
from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import LedgerBusyError, LedgerError
from imeiflow.ledger.change import AttemptKind, StatusUpdate
from imeiflow.ledger.record import Doubt, PlacedOrder, QueuedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_PAGE = 1000
_MAX_ROUNDS = 4
_MAX_PROBES = 6
_MAX_TRIES = 20
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
    """Settles one job's unconfirmed orders as far as can be known; `reason` says why the rest is held."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self.reason: str | None = None
        self._engine = engine
        self._work = work
        self._account, self._service = work.job.account, work.job.service
        self._evidence: list[RepeatEvidence] = []
        self._open: dict[OrderId, asyncio.Future[Ended]] = {}
        self._refused: PlacedOrder | None = None  #: the order whose repeat was refused last; it is not completed
        self._lost = 0  #: probes whose reply was lost, each of which may have been charged

    async def run(self) -> None:
        """Settle what can be settled. Returns when the rest has to be held."""
        self._evidence = await asyncio.to_thread(self._engine.ledger.repeat_evidence, self._account, self._service)
        await self._find_in_recent_orders()
        rounds = 0  #: without a doubt settled
        while rounds < _MAX_ROUNDS:
            seen, settled = await self._send_covered()
            if self._is_stopped or not seen:
                return
            rounds = 0 if settled else rounds + 1
            if not settled and not await self._probe():
                return

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
        while not self._is_stopped:
            doubts = await asyncio.to_thread(self._engine.ledger.doubts, self._work.job.id, after=after, limit=_PAGE)
            if not doubts:
                break
            after = doubts[-1].order
            seen += len(doubts)
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
                if self._covers(doubt):
                    asked = _Asked(AttemptKind.AGAIN, doubt, self._work.job.id, was_ordered=doubt.imei in known)
                    pending[self._send(asked)] = doubt
                else:
                    outgrown.append(doubt)
            is_fruitless = has_renewed and not pending  # what is left is older than the refused order itself
            if renewal is None and (doubts or outgrown) and not is_fruitless:
                renewal = self._renew()
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
                self._learn(ended)
                settled += ended.states[doubt.order] is not OrderState.UNCONFIRMED
                tries[doubt.order] += 1
                if ended.placement.account.findings[doubt.imei].outcome in _UNHEARD and tries[doubt.order] < _MAX_TRIES:
                    doubts.append(doubt)
        for doubt in pending.values():
            self._open.pop(doubt.order, None)
        return settled

    def _renew(self) -> asyncio.Future[Ended] | None:
        """Repeat the order whose repeat was refused once more, if that may be risked."""
        if self._refused is None or not self._may_risk(self._refused):
            return None
        return self._send(_Asked(AttemptKind.PROBE, _as_doubt(self._refused), self._refused.job))

    def _take_renewal(self, future: asyncio.Future[Ended]) -> bool:
        """Say whether the order was refused again; nothing is renewed any more where it was not."""
        order, self._refused = self._refused, None
        if order is None or future.cancelled() or self._judge(order, future.result()) is not True:
            return False
        self._refused = order
        return True

    def _covers(self, doubt: Doubt) -> bool:
        clock = self._engine.clock
        covers = cover(doubt.began_at, clock.now(), self._evidence, unsure_before=clock.unsure_before)
        return covers is Coverage.COVERED

    def _learn(self, ended: Ended) -> None:
        """Keep what a repeat showed; a refusal that reaches no further than one that is known adds nothing."""
        for seen in ended.conclusion.seen:
            is_news = not seen.is_refusal or not any(
                known.is_refusal and (known.of_completed or known.reach >= seen.reach) for known in self._evidence
            )
            if is_news or any(not known.is_refusal for known in self._evidence):
                self._evidence.append(seen)

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
        """Repeat one accepted order, alone, to learn whether repeats are refused; say whether it taught that."""
        now = self._engine.clock.now()
        if any(not seen.is_refusal for seen in self._evidence):
            self.reason = "repeats are charged here: the unconfirmed orders are held for you to settle"
            return False
        known_age = max((seen.age for seen in self._evidence), default=None)
        chosen = await self._choose()
        if chosen is None:
            self.reason = "no accepted order is known that could be repeated to learn whether repeats are refused"
            return False
        order, is_completed = chosen
        if known_age is not None and not is_completed and now - order.began_at <= known_age:
            self.reason = "repeats are known to be refused only for younger orders than these"
            return False
        self._lost = await asyncio.to_thread(self._engine.ledger.lost_probes, order.job)
        for _ in range(_MAX_PROBES):
            if self._is_stopped or not self._may_risk(order):
                return False
            ended = await self._send_all([_Asked(AttemptKind.PROBE, _as_doubt(order), order.job, is_completed)])
            if not ended:
                self.reason = "the repeat probe could not be made: the unconfirmed orders are held"
                return False
            outcome = self._judge(order, ended[0])
            if outcome is not None:
                self._refused = order if outcome and not is_completed else None
                return outcome
        self.reason = "the repeat probe got no answer: the unconfirmed orders are held"
        return False

    def _may_risk(self, order: PlacedOrder) -> bool:
        price = order.price if order.price is not None else self._work.job.unit_price
        limit = self._engine.settings.repeat_probe_max_price
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
        self._learn(ended)
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
        """Choose the order to repeat: a completed one where statuses can be had, else the oldest that is open."""
        ledger = self._engine.ledger
        candidates = await asyncio.to_thread(
            ledger.oldest_accepted, self._account, self._service, job_id=self._work.job.id
        )
        if not candidates:
            candidates = await asyncio.to_thread(ledger.oldest_accepted, self._account, self._service)
        candidates.sort(key=lambda order: order.began_at)  # the older, the more its refusal covers
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

    # the provider's own list

    async def _find_in_recent_orders(self) -> None:
        """Look the doubts up in the provider's list of recent orders, where it has one."""
        if not self._engine.provider.lists_recent_orders:
            return
        listing = await self._engine.connection.fetch_statuses(())
        if listing.exchange.ending is not Ending.ANSWERED or not listing.items:
            return
        ledger = self._engine.ledger
        references = [item.reference for item in listing.items]
        known = await asyncio.to_thread(ledger.known_references, self._account, references)
        by_imei: dict[str, list[tuple[Reference, datetime | None]]] = defaultdict(list)
        for item in listing.items:
            is_service = not item.service_name or item.service_name == self._work.job.service_name
            if item.reference not in known and item.imei and is_service:
                by_imei[item.imei].append((item.reference, item.requested_at))
        after = OrderId(0)
        while by_imei:
            doubts = await asyncio.to_thread(ledger.doubts, self._work.job.id, after=after, limit=_PAGE)
            if not doubts:
                return
            after = doubts[-1].order
            for doubt in doubts:
                found = by_imei.get(doubt.imei, [])
                if len(found) == 1 and _is_since(found[0][1], doubt.began_at):
                    await self._mark_found(doubt, found[0][0])

    async def _mark_found(self, doubt: Doubt, reference: Reference) -> None:
        note = "found in the provider's list of recent orders"
        try:
            await asyncio.to_thread(self._engine.ledger.mark_placed, [doubt.order], reference, note=note)
        except LedgerError as error:
            log.warning("not_settled", order=doubt.order, error=str(error))
            return
        self._work.counts[OrderState.UNCONFIRMED] -= 1
        self._work.counts[OrderState.ACCEPTED] += 1
        self._work.spent += self._work.job.unit_price or Decimal(0)


def _is_since(requested_at: datetime | None, began_at: datetime) -> bool:
    """Say whether an order may stem from an attempt that began then; providers' clocks have any time zone."""
    return requested_at is not None and (began_at - requested_at).total_seconds() < 15 * 3600


def _as_doubt(order: PlacedOrder) -> Doubt:
    return Doubt(order.order, order.imei, AttemptId(0), order.began_at, order.began_at)
