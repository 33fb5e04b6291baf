"""Asking for the statuses of accepted orders: which are due, how many a call, what becomes of those not named.

The engine lets its calls through the lane's gate, behind those that place orders. Nothing is claimed: an order stays
due in the ledger until its answer is stored, so that a process that dies forgets nothing, and asking twice costs
nothing. May not place anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Final

import structlog

from imeiflow.dispatch.ask import Batch, BatchKind, Lesson, Suspicion, put_off_all, sort_out
from imeiflow.dispatch.call import Call, CallEnd
from imeiflow.dispatch.chunk import ChunkSize, Verdict
from imeiflow.dispatch.conclude import read_answer
from imeiflow.dispatch.kind import IDS_KIND
from imeiflow.dispatch.learned import tell_reason
from imeiflow.dispatch.meter import Meter
from imeiflow.domain.ident import JobId, OrderId, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.schedule import UNKNOWN, Delivery, draw_jitter, next_wait, plan, plan_first, read_delivery
from imeiflow.domain.status import Said, StatusAccount, StatusAnomalyKind
from imeiflow.errors import LedgerBusyError, LedgerError
from imeiflow.ledger.change import PutOff, StatusUpdate
from imeiflow.ledger.status_record import DueOrder
from imeiflow.providers.contract import Listing, OrderStatus

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_PAGE: Final = 2000
_LOOK_S: Final = 1.0
#: While orders wait to be placed, results that are overdue by so long get one call in so many; while the last of them
#: are under way, or doubt is settled, one at a time.
_STARVED_S: Final = 60.0
_SHARE: Final = 20
_LONGEST_HOLD_S: Final = 300.0
_BUSY_S: Final = 0.5
_ONE_BY_ONE: Final = "orders of files and server services are asked for one by one"


@dataclass(frozen=True, slots=True, kw_only=True)
class PollView:
    """What a person sees of the polling of one account."""

    asked: int  #: orders that were asked for and answered since it began
    calls: int
    orders_per_s: float
    calls_per_s: float
    waiting: int  #: due, and not asked for yet
    under_way: int
    next_due_at: datetime | None  #: when the next ones are due; None where nothing is followed
    ids_per_call: int
    ids_reason: str
    changes: dict[ResultStatus, int]
    anomalies: dict[StatusAnomalyKind, int]
    failures: int  #: calls in a row that got no answer
    trouble: str  #: what keeps it from asking just now
    halted: str  #: why it asks nothing more: an error of the account

    def since(self, before: PollView | None) -> PollView:
        """Count also what was asked for before, while the lane was had for the last time."""
        if before is None:
            return self
        return replace(
            self,
            asked=self.asked + before.asked,
            calls=self.calls + before.calls,
            changes=dict(Counter(self.changes) + Counter(before.changes)),
            anomalies=dict(Counter(self.anomalies) + Counter(before.anomalies)),
        )


class Poller:
    """Asks for what is due of one account. `prefer` are the jobs whose orders come first."""

    def __init__(self, engine: Engine, *, prefer: Collection[JobId] = (), random: Random | None = None) -> None:
        self.halted = ""
        self.trouble = ""
        self.failures = 0
        self.changes: Counter[ResultStatus] = Counter()
        self.anomalies: Counter[StatusAnomalyKind] = Counter()
        self.next_due_at: datetime | None = None
        self._engine = engine
        self._prefer = frozenset(prefer)
        self._random = random or Random()
        digest = hashlib.sha256(f"{engine.ledger.path}\n{engine.account}".encode()).digest()
        self._phase = digest[0] / 256
        self._meter = Meter(engine.clock.monotonic)
        self._ids = ChunkSize(full=engine.provider.max_chunk, learned=engine.desk.recall(IDS_KIND) or _FULL)
        self._is_sure = engine.desk.recall(IDS_KIND) is not None  #: a call of the usual size was answered
        self._is_trying = False  #: a call of a size that is not sure is under way
        self._queue: deque[DueOrder] = deque()
        self._batches: deque[Batch] = deque()  #: what goes before the queue: single ids, halves of a call that failed
        self._suspicions: set[Suspicion] = set()
        self._known: set[OrderId] = set()
        self._deliveries: dict[tuple[ServiceId, OrderKind], Delivery] = {}
        self._services: dict[JobId, ServiceId] = {}
        self._kinds: dict[JobId, OrderKind] = {}
        self._looked_at = -math.inf
        self._look_again_s = _LOOK_S
        self._hold_until = -math.inf
        self._placed = 0  #: placing calls since the last one of ours
        self._under_way = 0

    @property
    def is_at_rest(self) -> bool:
        """Say whether nothing is due or under way, as of the last look."""
        return not (self._queue or self._batches or self._under_way)

    @property
    def jobs(self) -> Collection[JobId]:
        """Name the jobs whose orders were followed since it began."""
        return self._services.keys()

    def view(self) -> PollView:
        """Give what a person sees."""
        calls_per_s, orders_per_s = self._meter.rates()
        is_one_by_one = bool(self._kinds) and OrderKind.IMEI not in self._kinds.values()
        reason = tell_reason(self._ids.reason) if self._is_sure else "not known yet"
        return PollView(
            asked=self._meter.orders,
            calls=self._meter.calls,
            orders_per_s=orders_per_s,
            calls_per_s=calls_per_s,
            waiting=len(self._known) - self._under_way,
            under_way=self._under_way,
            next_due_at=self.next_due_at,
            ids_per_call=1 if is_one_by_one else self._ids.usual,
            ids_reason=_ONE_BY_ONE if is_one_by_one else reason,
            changes=dict(self.changes),
            anomalies=dict(self.anomalies),
            failures=self.failures,
            trouble=self.trouble,
            halted=self.halted,
        )

    def as_learned(self) -> tuple[object, str] | None:
        """Give what is worth remembering, as JSON values, with the reason; None while that is still being found out."""
        learned = self._ids.as_learned() if self._is_sure and self._ids.is_known else None
        return None if learned is None else (learned, tell_reason(self._ids.reason))

    def delivery(self, service: ServiceId, kind: OrderKind) -> Delivery:
        """Give how long a service takes. Blocks the first time that it is asked for."""
        if (service, kind) not in self._deliveries:
            text = self._engine.ledger.delivery(self._engine.account, service, kind)
            self._deliveries[service, kind] = read_delivery(text) or UNKNOWN
        return self._deliveries[service, kind]

    # what is due

    @property
    def _is_wanted(self) -> bool:
        """Say whether more of what is due should be looked for."""
        return not self.halted and len(self._queue) < _PAGE // 4

    async def look(self) -> None:
        """Look into the ledger for orders that are due, when it is time to."""
        now = self._engine.clock.monotonic()
        if not self._is_wanted or now - self._looked_at < self._look_again_s:
            return
        self._looked_at = now
        try:
            found = await asyncio.to_thread(self._find_due)
        except LedgerBusyError as error:
            self.trouble = error.told
            return
        took_s = self._engine.clock.monotonic() - now
        self._look_again_s = max(_LOOK_S, 10 * took_s)
        for order in found:
            if order.id not in self._known:
                self._known.add(order.id)
                self._queue.append(order)

    def _find_due(self) -> list[DueOrder]:
        ledger, now = self._engine.ledger, self._engine.clock.now()
        jobs = ledger.due_jobs(self._engine.account)
        self.next_due_at = min((one.due_at for one in jobs), default=None)
        jobs.sort(key=lambda one: one.id not in self._prefer)
        found: list[DueOrder] = []
        for one in jobs:
            self._services[one.id], self._kinds[one.id] = one.service, one.kind
            self.delivery(one.service, one.kind)
            if one.due_at <= now and len(found) < _PAGE:
                # Those in hand are still due in the ledger: behind them are the others.
                found += ledger.due_orders(one.id, now, limit=_PAGE - len(found) + len(self._known))
        return found

    # whose turn it is

    def has_turn(self, now: float, *, is_placing: bool) -> bool:
        """Say whether a call may leave now, behind those that place orders: they come first, but not for ever.

        `is_placing`: one of these could leave now. Where all have left, results still wait for their ends: there may be
        more to place then, or a job ends, and whoever waits for that would wait for our calls as well.
        """
        if self.halted or now < self._hold_until or not self._has_batch():
            return False
        if not is_placing and not self._engine.desk.is_under_way:
            return True
        oldest = self._queue[0].due_at if self._queue else self._engine.clock.now()
        if (self._engine.clock.now() - oldest).total_seconds() <= _STARVED_S:
            return False
        return self._placed >= _SHARE if is_placing else not self._under_way

    def note_placing(self) -> None:
        """Count a placing call that leaves."""
        self._placed += 1

    def wake_at(self, now: float) -> float:
        """Say when there may be something to ask again; infinity while there is nothing to wait for."""
        if self.halted:
            return math.inf
        if self._hold_until > now and (self._queue or self._batches):
            return self._hold_until
        return max(now, self._looked_at + self._look_again_s) if self._is_wanted else math.inf

    def _has_batch(self) -> bool:
        return bool(self._batches) or (bool(self._queue) and not self._is_trying and not self._suspicions)

    def take(self) -> Batch:
        """Take what the next call asks for; only after `has_turn` has said yes."""
        self._placed = 0
        if self._batches:
            batch = self._batches.popleft()
        elif self._kind(self._queue[0]) is not OrderKind.IMEI:
            batch = Batch(BatchKind.ALONE, (self._queue.popleft(),))  # of these a call names one
        else:
            size, is_canary = self._ids.next()
            is_missed = self._queue[0].misses > 0
            orders: list[DueOrder] = []
            while self._queue and len(orders) < size and self._fits(self._queue[0], is_missed=is_missed):
                orders.append(self._queue.popleft())
            kind = BatchKind.MISSED if is_missed else BatchKind.USUAL
            batch = Batch(kind, tuple(orders), is_canary=is_canary and len(orders) == size)
            if batch.is_canary:
                self._ids.sent(size)
            self._is_trying = batch.is_canary or not self._is_sure
            batch = batch if not self._is_trying else batch.as_trial()
        self._under_way += len(batch.orders)
        return batch

    def _kind(self, order: DueOrder) -> OrderKind:
        return self._kinds.get(order.job, OrderKind.IMEI)

    def _fits(self, order: DueOrder, *, is_missed: bool) -> bool:
        """Say whether an order may be asked for with others: those missed before among themselves."""
        return (order.misses > 0) == is_missed and self._kind(order) is OrderKind.IMEI

    # one call

    async def ask(self, batch: Batch, call: Call) -> None:
        """Make one call and store what it says."""
        engine = self._engine
        answered = False
        try:
            listing = await engine.read(self._fetch(batch))
            answered = True
        finally:
            self._under_way -= len(batch.orders)
            self._is_trying = self._is_trying and not batch.is_trial
            if not answered:
                self._let_go(batch.orders)
                engine.desk.lane.end(engine.clock.monotonic(), call, CallEnd.IGNORE)
        end, refusal = read_answer(listing.exchange, listing.error, is_crowded=False)
        engine.desk.lane.end(engine.clock.monotonic(), call, end, refusal)
        lesson = sort_out(batch, listing)
        unknown = self._heed(batch, lesson)
        await self._keep(batch.orders, lesson.account)
        if unknown:
            await self._keep(unknown, put_off_all(unknown))
        engine.on_change()
        engine.wake()

    async def _fetch(self, batch: Batch) -> Listing[OrderStatus]:
        kind, connection = self._kind(batch.orders[0]), self._engine.connection
        if kind is OrderKind.IMEI:
            return await connection.fetch_statuses(batch.references)
        return await connection.fetch_item_status(kind, batch.references[0])

    def _heed(self, batch: Batch, lesson: Lesson) -> Sequence[DueOrder]:
        """Learn from an answer how many ids a call may carry, and what to ask next.

        Give the orders of an earlier call that turn out to be unknown to the provider.
        """
        if lesson.halt:
            self.halted = lesson.halt
            log.warning("polling_halted", account=self._engine.account, reason=lesson.halt)
        if lesson.is_failure:
            self.failures += 1
            self.trouble = lesson.problem
            self._hold_until = self._engine.clock.monotonic() + min(_LONGEST_HOLD_S, 0.5 * 2.0**self.failures)
        elif lesson.is_answer:
            self.failures, self.trouble = 0, ""
        if batch.is_canary and lesson.verdict is Verdict.NOTHING and lesson.suspicion is None:
            self._ids.withdraw()
        elif lesson.verdict is not Verdict.NOTHING:
            self._learn(len(batch.orders), lesson.verdict, lesson.named, lesson.hint, is_canary=batch.is_canary)
        unknown = () if batch.suspicion is None else self._weigh(batch.suspicion, lesson)
        if lesson.suspicion is not None:
            self._suspicions.add(lesson.suspicion)
        self._batches.extend(lesson.next)
        self._queue.extendleft(reversed(lesson.again))
        return unknown

    def _learn(self, size: int, verdict: Verdict, named: int, hint: int | None, *, is_canary: bool) -> None:
        if verdict is Verdict.DOUBTFUL:
            self._ids.doubt(size)
            return
        self._ids.learn(size, verdict, named=named, hint=hint, is_canary=is_canary)
        self._is_sure = True

    def _weigh(self, suspicion: Suspicion, lesson: Lesson) -> tuple[DueOrder, ...]:
        """Say, once ids were asked again, whether the call that did not name them was too long for the server.

        Give those that it did not name either, where it was not.
        """
        verdict = suspicion.hear(lesson)
        if verdict is None:
            return ()
        self._suspicions.discard(suspicion)
        if verdict is Verdict.NOTHING:
            if suspicion.is_canary:
                self._ids.withdraw()
            return ()
        self._learn(suspicion.size, verdict, suspicion.named, None, is_canary=suspicion.is_canary)
        if verdict is Verdict.WORKS:
            return suspicion.rest
        mine = [one for one in self._batches if one.suspicion is suspicion]
        self._batches = deque(one for one in self._batches if one.suspicion is not suspicion)
        self._queue.extendleft(order for one in mine for order in one.orders)
        self._queue.extendleft(suspicion.rest)
        return ()

    async def _keep(self, orders: Sequence[DueOrder], account: StatusAccount) -> None:
        """Store what is said, and when to ask again; what cannot be stored now stays due."""
        engine = self._engine
        by_id = {order.id: order for order in orders}
        updates = [self._as_update(by_id[said.order], said) for said in account.said]
        odd = {one.order for one in account.anomalies if one.order is not None} - {said.order for said in account.said}
        missing = {one.order for one in account.missing}
        put_off = [self._put_off(by_id[id_], is_missing=id_ in missing) for id_ in (odd | missing) if id_ in by_id]
        answered = [*(said.order for said in account.said), *(one.order for one in put_off)]
        try:
            kept = await asyncio.to_thread(
                engine.ledger.update_statuses,
                engine.account,
                updates,
                put_off=put_off,
                anomalies=account.anomalies,
            )
        except LedgerBusyError as error:
            self.trouble = error.told
            self._hold_until = engine.clock.monotonic() + _BUSY_S
            return
        except LedgerError as error:
            engine.fail(error)
            return
        finally:
            self._known.difference_update(answered)
        self.changes.update(kept.changes)
        self.anomalies.update(kept.anomalies)
        self._meter.add(len(answered))

    def _as_update(self, order: DueOrder, said: Said) -> StatusUpdate:
        due_at = None if said.status.is_final else self._plan(order, 0)
        return StatusUpdate(order=said.order, status=said.status, result=said.code, due_at=due_at)

    def _put_off(self, order: DueOrder, *, is_missing: bool) -> PutOff:
        return PutOff(order.id, self._plan(order, order.misses + 1 if is_missing else 0), is_missing=is_missing)

    def _plan(self, order: DueOrder, misses: int) -> datetime:
        now = self._engine.clock.now()
        delivery = self._deliveries.get((self._services[order.job], self._kind(order)), UNKNOWN)
        age_s = max(0.0, (now - order.accepted_at).total_seconds())
        return plan(now, next_wait(delivery, age_s, misses), jitter=draw_jitter(self._phase, now), phase=self._phase)

    def plan_first(self, placed_at: datetime, delivery: Delivery) -> datetime:
        """Say when orders that were placed just now are asked for first."""
        return plan_first(placed_at, delivery, self._phase)

    def _let_go(self, orders: Sequence[DueOrder]) -> None:
        self._known.difference_update(order.id for order in orders)


_FULL: Final = {"size": 1_000_000, "failed": None, "why": "no call was cut so far"}
