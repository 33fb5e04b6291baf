"""One job in the engine's hands: what waits, what is under way, what it has come to. Memory does not grow with it.

May not call the provider; the engine does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from imeiflow.dispatch.breaker import Breaker, BreakerPolicy
from imeiflow.dispatch.budget import Budget
from imeiflow.dispatch.chunk import ChunkSize
from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Tally
from imeiflow.domain.schedule import UNKNOWN
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import Job, QueuedOrder

PAGE = 4000
_EXPECTED: Final = {
    AttemptKind.PLACE: OrderState.QUEUED,
    AttemptKind.CANARY: OrderState.QUEUED,
    AttemptKind.AGAIN: OrderState.UNCONFIRMED,
    AttemptKind.PROBE: OrderState.ACCEPTED,
}


class Chunk(Struct, frozen=True):
    """The orders of one call that is about to leave."""

    kind: AttemptKind
    orders: tuple[QueuedOrder, ...]
    job: JobId  #: whose orders they are; a probe may repeat one of an older job

    @property
    def expected(self) -> OrderState:
        """Give the state in which its orders must be."""
        return _EXPECTED[self.kind]


@dataclass(frozen=True, slots=True)
class JobSpent:
    """What a job was charged, as the price list told it, and as caps count it: at no less than what was agreed to."""

    told: Decimal = Decimal(0)
    capped: Decimal = Decimal(0)
    probed: Decimal = Decimal(0)  #: what of it is for repeat probes
    unseen: Decimal = Decimal(0)  #: what a price that rose unseen may have cost besides


@dataclass(slots=True)
class Closing:
    """A job that ends when the price list was asked for once more; `end` is how: to which state, why, what is held.

    `is_barred`: nothing more is to be asked for its sake.
    """

    since: float | None = None  #: in the engine's time; None while it does not end
    end: tuple[JobState, str | None, str | None] | None = None
    is_barred: bool = False

    def forget(self) -> None:
        """Let it go on instead."""
        self.since = self.end = None


class Work:
    """A job that the engine works on."""

    def __init__(self, job: Job, tally: Tally, spent: JobSpent, chunk_size: ChunkSize, policy: BreakerPolicy) -> None:
        self.job = job
        self.chunk_size = chunk_size
        self.largest_chunk: int | None = None  #: a maximum, where the user set one; sizes below it are still found out
        self.delivery = UNKNOWN  #: how long the service takes
        self.breaker = Breaker(policy)
        self.counts: Counter[OrderState] = Counter(tally.counts)
        self.spent, self.capped, self.probed = spent.told, spent.capped, spent.probed
        self.price = job.unit_price  #: of the next orders: what the list said last, and never more than was agreed to
        self.awaits_price = False  #: nothing leaves before the price list was looked at
        self.unseen = spent.unseen
        self.heard_at: datetime | None = None  #: when the last call ended that may have placed
        self.closing = Closing()
        self.budget = Budget(None, ())  #: of the account, for the day
        self.lost_probes = 0  #: repeat probes whose reply was lost: each may have been charged
        self.probes_for_others = 0  #: repeat probes of its orders that are under way for other jobs
        self.attempts = 0
        self.calls_under_way = 0
        self.orders_under_way = 0
        self.served = 0.0  #: orders given a place, divided by the job's weight: the least served comes next
        self.stop: tuple[JobState, str | None] | None = None
        self.cursor = OrderId(0)
        self.is_read_out = False
        self.is_reading = False
        self.settle_after = 0.0  #: not before, in the engine's time: the ledger was busy
        self.is_stale = False  #: the ledger knows better how many orders are in which state
        self.is_recounted = False  #: the ledger is being asked: nothing may leave that it would miss, or count twice
        self._waiting: deque[QueuedOrder] = deque()
        self._alone: deque[Chunk] = deque()

    @property
    def tally(self) -> Tally:
        """Give the counts by state as far as the engine knows them."""
        return Tally(dict(self.counts))

    @property
    def weight(self) -> float:
        """Give the job's share of the lane."""
        return float(2.0 ** max(-8, min(8, self.job.priority)))

    @property
    def needs_page(self) -> bool:
        """Say whether more queued orders should be read: a page ahead, as reading may take as long as sending."""
        return not self.is_read_out and not self.is_reading and len(self._waiting) < PAGE and self.stop is None

    @property
    def has_work(self) -> bool:
        """Say whether a call could leave for it now. What settles a doubt costs no more than is held back for it."""
        if self.is_recounted:
            return False
        is_ready = self.is_open and not self.awaits_price
        return bool(self._alone) or (is_ready and bool(self._waiting) and self.affordable() != 0)

    @property
    def is_open(self) -> bool:
        """Say whether more of it may be sent: nothing has stopped it, and it is not about to end."""
        return self.stop is None and self.closing.since is None

    @property
    def is_capped(self) -> bool:
        """Say whether orders wait that the spending cap does not allow."""
        return bool(self._waiting) and self.affordable() == 0

    def add_page(self, page: Iterable[QueuedOrder]) -> None:
        """Append orders read from the ledger."""
        before = len(self._waiting)
        self._waiting.extend(page)
        count = len(self._waiting) - before
        if count:
            self.cursor = self._waiting[-1].id
        self.is_read_out = count < PAGE

    def forget_waiting(self) -> None:
        """Let the orders be read and counted again: some of those in memory are no longer what they were."""
        self._waiting.clear()
        self.is_stale = True
        self.cursor, self.is_read_out = OrderId(0), False

    def look_at_price(self) -> None:
        """Let nothing leave before the price list was looked at: the job was about to end, and goes on."""
        if self.closing.end is not None:
            self.closing.forget()
            self.awaits_price = self.job.unit_price is not None

    def recount(self, tally: Tally, spent: JobSpent, lost_probes: int) -> None:
        """Replace the counts by the ledger's; only when nothing is under way."""
        self.counts = Counter(tally.counts)
        self.spent, self.capped, self.probed = spent.told, spent.capped, spent.probed
        self.unseen = spent.unseen
        self.lost_probes = lost_probes
        self.is_stale = False

    def put_back(self, orders: Iterable[QueuedOrder]) -> None:
        """Put orders that are queued again in front."""
        self._waiting.extendleft(reversed(tuple(orders)))

    def add_alone(self, chunk: Chunk) -> None:
        """Add a call that goes before all others: a covered doubt or a probe."""
        self._alone.append(chunk)

    def drop_alone(self) -> None:
        """Forget the calls of settling that have not left."""
        self._alone.clear()

    @property
    def at_risk(self) -> Decimal:
        """Give what may have been charged beyond `spent`.

        That is what is under way or unconfirmed, probes without answer, and what a price that rose unseen may add.
        """
        probes = self.probes_for_others + self.lost_probes
        risky = self.orders_under_way + self.counts[OrderState.UNCONFIRMED] + probes
        return risky * (self.job.unit_price or Decimal(0)) + self.unseen

    def affordable(self) -> int | None:
        """Give how many more orders the job's spending cap and the account's for the day allow; None without a cap."""
        if self.job.max_spend is None and self.budget.cap is None:
            return None
        limits = (self._within_cap(), self.budget.affordable(self._dearest))
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def is_over_cap(self) -> bool:
        """Say whether it is the job's own cap that allows nothing more."""
        return self._within_cap() == 0

    def spend(self, amount: Decimal, *, is_probe: bool = False) -> None:
        """Count what was charged."""
        capped = max(amount, self.job.unit_price or amount)
        self.spent += amount
        self.probed += amount if is_probe else 0
        self.capped += capped
        self.budget.add(capped)

    @property
    def _dearest(self) -> Decimal | None:
        """Give what the next orders may cost: a list that says less than what was agreed to may be out of date."""
        return None if self.price is None else max(self.price, self.job.unit_price or self.price)

    def _within_cap(self) -> int | None:
        cap, price = self.job.max_spend, self._dearest
        if cap is None or price is None or not price:
            return None
        return max(0, int((cap - self.capped - self.at_risk) / price))

    def take_chunk(self) -> Chunk | None:
        """Take the next call's orders; None when the spending cap allows none now."""
        if self._alone:
            return self._alone.popleft()
        size, is_canary = self.chunk_size.next(self.largest_chunk, self.counts[OrderState.QUEUED])
        if is_canary and size > len(self._waiting):
            size, is_canary = min(self.chunk_size.usual, self.largest_chunk or PAGE), False
        affordable = self.affordable()
        if affordable is not None and affordable < size:
            size, is_canary = affordable, False
        size = min(size, len(self._waiting))
        if size == 0:
            return None
        orders = tuple([self._waiting.popleft() for _ in range(size)])
        if is_canary:
            self.chunk_size.sent(size)
        self.served += size / self.weight
        return Chunk(AttemptKind.CANARY if is_canary else AttemptKind.PLACE, orders, self.job.id)

    def begin(self, chunk: Chunk) -> None:
        """Count a call that leaves."""
        self.calls_under_way += 1
        self.orders_under_way += len(chunk.orders)
        if chunk.kind is not AttemptKind.PROBE:
            self._move(chunk.expected, OrderState.SENDING, len(chunk.orders))

    def end(self, chunk: Chunk, states: Iterable[OrderState]) -> None:
        """Count a call that has ended, its orders now in `states`."""
        self.calls_under_way -= 1
        self.orders_under_way -= len(chunk.orders)
        if chunk.kind is AttemptKind.PROBE:
            return
        for state in states:
            self._move(OrderState.SENDING, state, 1)

    def _move(self, before: OrderState, after: OrderState, count: int) -> None:
        self.counts[before] -= count
        self.counts[after] += count
