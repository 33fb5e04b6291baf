"""Settling doubt: the provider's own list first, then what is known of repeats, then a repeat probe.

Nothing in doubt is ever repeated blindly: an order goes out again, alone, only where `domain.doubt.cover` says that
a repeat would be refused, in the moment in which it leaves.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from imeiflow.dispatch.candidate import Candidate, choose, fetch_statuses, find_candidates
from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.listed import settle_by_list
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Chunk, Work
from imeiflow.domain.doubt import covers_from
from imeiflow.domain.ident import AttemptId, JobId, OrderId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import Doubt, PlacedOrder, QueuedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_PAGE = 1000
_MAX_ROUNDS = 4
_MAX_PROBES = 6
_MAX_TRIES = 20
_LOOK_S = 0.25
#: How long a repeat takes, from its start to the leaving of the doubt that it covers: at most that of the call before,
#: and half as much again.
_MARGIN = 1.5
_MOST_PATIENCE = timedelta(minutes=2)
_PATIENT_CALLS = 30
_MOST_TAKEN = timedelta(seconds=30)
_AT_ONCE = 50  #: older orders whose statuses are asked for in one call
_OPEN = frozenset({ResultStatus.PENDING, ResultStatus.IN_PROCESS})
#: What says nothing of the order, and is only a matter of trying again.
_UNHEARD = frozenset({Outcome.THROTTLED, Outcome.UNSENT})


class _Lesson(Enum):
    """What a repeat probe taught, or what may be done where it taught nothing."""

    REFUSED = auto()  #: repeats of such orders are refused
    NOTHING = auto()  #: that they are charged, or nothing of use: none is made any more
    UNHEARD = auto()  #: it did not reach the provider's books: the same may be made again
    LOST = auto()  #: it may have placed a younger order of its IMEI: another order's may be made
    UNUSABLE = auto()  #: its IMEI was ordered once more meanwhile: another order's may be made


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order of `job` that is to be sent once more, alone; `repeat` is what its answer teaches of."""

    kind: AttemptKind
    doubt: Doubt
    job: JobId
    repeat: Repeat


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
        self._open: dict[OrderId, tuple[_Asked, asyncio.Future[Ended | None]]] = {}
        self._refused: Candidate | None = None  #: the order whose repeat was refused last
        self._took: timedelta | None = None  #: so long the last probe took
        self._lost = 0  #: probes whose reply was lost, each of which may have been charged

    async def run(self) -> None:
        """Settle what can be settled. Returns when the rest has to be held."""
        async with self._treatment.turn:
            evidence = await asyncio.to_thread(self._engine.ledger.repeat_evidence, self._account, self._service)
            self._treatment.take(evidence)
            self._ambiguous = await settle_by_list(self._engine, self._work, lambda: self._is_stopped)
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
        self._answer(ended.chunk, ended)

    def missed(self, chunk: Chunk) -> None:
        """Learn that a call that was asked for will not be made: its order is no longer in doubt."""
        _, future = self._open.pop(chunk.orders[0].id, (None, None))
        if future is not None:
            future.cancel()

    def may_leave(self, chunk: Chunk) -> bool:
        """Say whether a call that was asked for may be made now: it may have waited for its turn for long."""
        asked, _ = self._open.get(chunk.orders[0].id, (None, None))
        if asked is None:
            return False
        if asked.kind is AttemptKind.PROBE:
            return not self._treatment.is_charged
        return self._treatment.covers(asked.doubt.began_at)

    def withdrawn(self, chunk: Chunk) -> None:
        """Learn that a call was not made because it may not be made any more."""
        self._answer(chunk, None)

    def _answer(self, chunk: Chunk, ended: Ended | None) -> None:
        _, future = self._open.pop(chunk.orders[0].id, (None, None))
        if future is not None and not future.done():
            future.set_result(ended)

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
            known = await self._find_older_orders(doubts)
            settled += await self._send_page(deque(sorted(doubts, key=lambda doubt: doubt.began_at)), known)
        return seen, settled

    async def _send_page(self, doubts: deque[Doubt], known: AbstractSet[str]) -> int:
        """Send the covered ones of `doubts`, the oldest first.

        What covers a doubt is looked at here and once more just before it leaves, for its age grows while others are
        under way. Where many wait, the order that was refused is repeated beside them, so that the evidence ages too.
        """
        settled, tries = 0, Counter[OrderId]()
        outgrown: list[Doubt] = []
        pending: dict[asyncio.Future[Ended | None], Doubt] = {}
        renewal: asyncio.Task[bool] | None = None
        has_renewed = False
        try:
            while not self._is_stopped:
                outgrown += self._send_some(doubts, known, pending)
                is_fruitless = has_renewed and not pending  # what is left is older than the refused order itself
                if renewal is None and (doubts or outgrown) and not is_fruitless and self._may_renew:
                    renewal = asyncio.create_task(self._renew())
                waiting: list[asyncio.Future[Any]] = [*pending, *([renewal] if renewal else [])]
                if not waiting:
                    break
                done, _ = await asyncio.wait(waiting, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                if renewal in done and renewal is not None:
                    has_renewed = renewal.result() or has_renewed
                    renewal = None
                    doubts.extendleft(reversed(outgrown))
                    outgrown.clear()
                for future in done & pending.keys():
                    doubt = pending.pop(future)
                    tries[doubt.order] += 1
                    is_settled, is_unheard = _read_end(doubt, future)
                    settled += is_settled
                    if is_unheard and tries[doubt.order] < _MAX_TRIES:
                        doubts.append(doubt)
        finally:
            if renewal is not None:
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)
            for doubt in pending.values():
                self._open.pop(doubt.order, None)
        return settled

    def _send_some(
        self, doubts: deque[Doubt], known: AbstractSet[str], pending: dict[asyncio.Future[Ended | None], Doubt]
    ) -> list[Doubt]:
        """Send as many as may be under way, into `pending`; give those that nothing covers now."""
        outgrown: list[Doubt] = []
        while doubts and len(pending) < self._engine.desk.lane.view().concurrency:
            doubt = doubts.popleft()
            if self._treatment.covers(doubt.began_at):
                pending[self._send_again(doubt, known)] = doubt
            else:
                outgrown.append(doubt)
        return outgrown

    def _send_again(self, doubt: Doubt, known: AbstractSet[str]) -> asyncio.Future[Ended | None]:
        repeat = Repeat(was_ordered=doubt.imei in known)
        return self._send(_Asked(AttemptKind.AGAIN, doubt, self._work.job.id, repeat))

    @property
    def _may_renew(self) -> bool:
        """Say whether the order that was refused may be repeated once more, and no other job repeats one."""
        refused = self._refused
        return refused is not None and not self._treatment.turn.locked() and self._may_risk(refused.order)

    async def _renew(self) -> bool:
        """Repeat the order that was refused once more; say whether that was refused again.

        One that was still open is looked at before: it, or those placed beside the doubts, may be completed by now.
        """
        async with self._treatment.turn:
            chosen, self._refused = self._refused, None
            if chosen is not None and not chosen.is_completed:
                chosen = await self._look(self._engine.clock.now())
            if chosen is None or self._is_stopped or not self._may_risk(chosen.order):
                return False
            return await self._repeat(chosen) is _Lesson.REFUSED

    async def _find_older_orders(self, doubts: Sequence[Doubt]) -> AbstractSet[str]:
        """Find the IMEIs whose older orders explain a duplicate: placed, and still what a repeat is refused for.

        Where an open order's repeat is refused, that of a completed one may be taken: the duplicate is the doubt itself
        then. So an older order counts while the provider says that it is open.
        """
        find = partial(self._engine.ledger.find_ordered_before, exclude_job=self._work.job.id)
        past = await asyncio.to_thread(find, self._account, self._service, [doubt.imei for doubt in doubts])
        explained: set[str] = set()
        unsure = [
            PlacedOrder(one.order, imei, one.reference, one.at, one.at, one.status, None, one.job)
            for imei, one in past.items()
            if one.state is OrderState.ACCEPTED
        ]
        for start in range(0, len(unsure), _AT_ONCE):
            page = unsure[start : start + _AT_ONCE]
            statuses = await fetch_statuses(self._engine, page, lambda: self._is_stopped)
            explained |= {one.imei for one in page if statuses.get(one.order) in _OPEN}
        return explained

    def _send(self, asked: _Asked) -> asyncio.Future[Ended | None]:
        future: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        doubt = asked.doubt
        self._open[doubt.order] = asked, future
        chunk = Chunk(asked.kind, (QueuedOrder(doubt.order, doubt.imei, 0, 0),), asked.job)
        self._engine.send_alone(self._work, chunk, asked.repeat)
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
        if self._treatment.is_charged:
            self.reason = "repeats are charged here: the unconfirmed orders are held for you to settle"
            return False
        chosen: Candidate | None = None
        lesson = _Lesson.NOTHING
        for _ in range(_MAX_PROBES):
            chosen = chosen or await self._await_candidate()
            if chosen is None:
                return False
            ledger, lost = self._engine.ledger, self._work.lost_probes
            self._lost = max(self._lost, lost, await asyncio.to_thread(ledger.lost_probes, chosen.order.job))
            if self._is_stopped or not self._may_risk(chosen.order):
                return False
            lesson = await self._repeat(chosen)
            if lesson in {_Lesson.REFUSED, _Lesson.NOTHING}:
                return lesson is _Lesson.REFUSED
            chosen = chosen if lesson is _Lesson.UNHEARD else None
        came = "could not be made" if lesson is _Lesson.UNUSABLE else "got no answer"
        self.reason = f"the repeat probe {came}: the unconfirmed orders are held"
        return False

    async def _repeat(self, chosen: Candidate) -> _Lesson:
        """Send an accepted order once more, and say what that taught."""
        order, began_at = chosen.order, self._engine.clock.now()
        doubt = Doubt(order.order, order.imei, AttemptId(0), order.began_at, order.began_at)
        repeat = Repeat(order.placed_by, chosen.is_completed)
        future = self._send(_Asked(AttemptKind.PROBE, doubt, order.job, repeat))
        try:
            while not future.done() and not self._is_stopped:
                await asyncio.wait([future], timeout=_LOOK_S)
        finally:
            self._open.pop(order.order, None)
        ended = future.result() if future.done() and not future.cancelled() else None
        if ended is None:
            return _Lesson.UNUSABLE
        self._took = self._engine.clock.now() - began_at
        lesson = self._judge(order, ended)
        self._refused = chosen if lesson is _Lesson.REFUSED else None
        return lesson

    async def _look(self, now: datetime) -> Candidate | None:
        """Look at what has become of accepted orders, and choose the one to repeat; None where there is none."""
        if self._span is None:
            return None
        found = await find_candidates(self._engine, self._work, self._span, lambda: self._is_stopped)
        self._treatment.is_completing |= any(one.is_completed for one in found)
        oldest = choose(found, self._span[0], now, timedelta(0))
        return oldest and choose(found, self._span[0], now, self._guess_time(oldest))

    async def _await_candidate(self) -> Candidate | None:
        """Wait until repeating an accepted order would teach enough, if that is soon; else say why it would not.

        An order that is still open may be completed meanwhile, and then its refusal reaches further.
        """
        clock = self._engine.clock
        began_at = clock.now()
        while not self._is_stopped:
            chosen = await self._look(clock.now())
            if chosen is None:
                self.reason = "no accepted order is known that could be repeated to learn whether repeats are refused"
                return None
            patience = self._patience(chosen)
            until = began_at + patience
            at = self._useful_from(chosen, until)
            if at is not None and at <= clock.now():
                return chosen
            look_at = self._look_at(chosen, at, patience)
            if look_at is None or look_at > until:
                self.reason = self._explain_youth(at)
                return None
            while clock.now() < look_at and not self._is_stopped:  # noqa: ASYNC110 - the clock is injected
                await asyncio.sleep(min(_LOOK_S / 5, (look_at - clock.now()).total_seconds()))
        return None

    def _patience(self, chosen: Candidate) -> timedelta:
        """Say how long to wait for an order that is too young: the longer, the longer the provider takes for a call."""
        least = timedelta(seconds=self._engine.settings.settle_patience_s)
        return max(least, min(_MOST_PATIENCE, _PATIENT_CALLS * self._guess_time(chosen)))

    def _guess_time(self, chosen: Candidate) -> timedelta:
        """Guess how long a repeat will take: as the last one, or as the call that placed the order."""
        took = self._took if self._took is not None else chosen.order.placed_by - chosen.order.began_at
        return min(_MOST_TAKEN, took * _MARGIN)

    def _useful_from(self, chosen: Candidate, until: datetime) -> datetime | None:
        """Say from when on a refusal would cover the oldest doubt, or, where that takes too long, the youngest."""
        if self._span is None:
            return None
        takes = self._guess_time(chosen)
        at = chosen.covers_from(self._span[0], takes)
        return at if at is not None and at <= until else chosen.covers_from(self._span[1], takes)

    def _look_at(self, chosen: Candidate, at: datetime | None, patience: timedelta) -> datetime | None:
        """Say when to look at the accepted orders again; None where waiting would not help."""
        is_slow = self._work.delivery.least_s > patience.total_seconds()
        if chosen.is_completed or is_slow or self._span is None:
            return at
        now, placed_by = self._engine.clock.now(), chosen.order.placed_by
        takes = self._guess_time(chosen)
        soon = covers_from(self._span[1], placed_by, takes=takes, of_completed=True)
        if soon is None or soon <= now:
            soon = now + max(timedelta(seconds=_LOOK_S), (now - placed_by) / 2)
        return soon if at is None else min(at, soon)

    def _explain_youth(self, at: datetime | None) -> str:
        """Say why no order is repeated now, and from when on one could be."""
        said = "every accepted order that could be repeated is younger than the unconfirmed ones"
        if self._treatment.known_age is not None:
            said = "repeats are known to be refused only for younger orders than these"
        return said if at is None else f"{said}; `resume` after {at:%Y-%m-%d %H:%M} UTC can settle more of them"

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

    def _judge(self, order: PlacedOrder, ended: Ended) -> _Lesson:
        finding, seen = ended.placement.account.findings[order.imei], ended.conclusion.seen
        self._treatment.learn(seen)
        self._treatment.probes += bool(seen)
        match finding.outcome:
            case Outcome.DUPLICATE:
                return _Lesson.REFUSED if seen else _Lesson.UNUSABLE
            case Outcome.ACCEPTED:
                price = order.price if order.price is not None else self._work.job.unit_price
                cost = "its price" if price is None else f"{Money(price, self._work.job.currency)}"
                self.reason = (
                    f"repeats are charged here (one repeated order cost {cost}{self._say_lost(price)}): "
                    "the unconfirmed orders are held for you to settle"
                )
                return _Lesson.NOTHING
            case Outcome.UNCONFIRMED:
                self._lost += 1
                return _Lesson.LOST
            case Outcome.THROTTLED | Outcome.UNSENT:
                return _Lesson.UNHEARD
            case Outcome.REFUSED:
                self.reason = f"the repeat probe was refused for another reason: {finding.message}"
                return _Lesson.NOTHING

    def _say_lost(self, price: Decimal | None) -> str:
        if not self._lost or price is None:
            return ""
        may = Money(price * self._lost, self._work.job.currency)
        return f", and up to {may} more for {self._lost} whose reply was lost"


def _read_end(doubt: Doubt, future: asyncio.Future[Ended | None]) -> tuple[bool, bool]:
    """Say whether a doubt that was to be sent again is settled, and whether nothing was heard of it."""
    if future.cancelled():
        return True, False  # by somebody else
    ended = future.result()
    if ended is None:
        return False, True
    is_settled = ended.states[doubt.order] is not OrderState.UNCONFIRMED
    return is_settled, ended.placement.account.findings[doubt.imei].outcome in _UNHEARD
