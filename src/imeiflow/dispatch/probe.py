"""The repeat probe: an accepted order is sent once more, alone, to learn whether the provider refuses repeats.

It is chosen and waited for so that its refusal teaches enough, and never made where it may cost more than is allowed.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING

from imeiflow.dispatch.alone import Alone, Asked
from imeiflow.dispatch.candidate import Candidate, choose, find_candidates
from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Work
from imeiflow.domain.doubt import covers_from, explain_no_room
from imeiflow.domain.ident import AttemptId
from imeiflow.domain.money import Money
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import Doubt, PlacedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

_MAX_PROBES = 6
_LOOK_S = 0.25
#: How long a repeat takes, from its start to the leaving of the doubt that it covers: at most that of the call before,
#: and half as much again.
_MARGIN = 1.5
_MOST_PATIENCE = timedelta(minutes=2)
_PATIENT_CALLS = 30
_MOST_TAKEN = timedelta(seconds=30)


class _Lesson(Enum):
    """What a repeat probe taught, or what may be done where it taught nothing."""

    REFUSED = auto()  #: repeats of such orders are refused
    NOTHING = auto()  #: that they are charged, or nothing of use: none is made any more
    UNHEARD = auto()  #: it did not reach the provider's books: the same may be made again
    LOST = auto()  #: it may have placed a younger order of its IMEI: another order's may be made
    UNUSABLE = auto()  #: its IMEI was ordered once more meanwhile: another order's may be made


class RepeatProbe:
    """Learns how repeats are treated, for the doubts of one job; `reason` says why nothing more can be learned.

    `span` is when the oldest and the youngest of the doubts began, None where there are none.
    """

    def __init__(self, engine: Engine, work: Work, treatment: Treatment, alone: Alone) -> None:
        self.reason: str | None = None
        self.span: tuple[datetime, datetime] | None = None
        self._engine = engine
        self._work = work
        self._treatment = treatment
        self._alone = alone
        self._refused: Candidate | None = None  #: the order whose repeat was refused last
        self._took: timedelta | None = None  #: so long the last probe took
        self._limit_of: str | None = None  #: whose limit of the day the job's spending cap comes from
        self._lost = 0  #: probes whose reply was lost, each of which may have been charged

    @property
    def _is_stopped(self) -> bool:
        return self._work.stop is not None or self._engine.is_stopping

    async def learn(self) -> bool:
        """Learn whether repeats are refused, by a probe or by that of another job; say whether something was learned.

        One probe at a time for an account and service: what the first one shows serves all who wait for their turn.
        """
        before = self._treatment.probes
        async with self._treatment.turn:
            return self._treatment.probes != before or await self._repeat_one()

    @property
    def may_renew(self) -> bool:
        """Say whether the order that was refused may be repeated once more, and no other job repeats one."""
        refused = self._refused
        return refused is not None and not self._treatment.turn.locked() and self._may_risk(refused.order)

    async def renew(self) -> bool:
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
            if self._work.job.max_spend is not None:
                self._limit_of = await asyncio.to_thread(ledger.find_cap_limit, self._work.job.id)
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
        future = self._alone.send(Asked(AttemptKind.PROBE, doubt, order.job, repeat))
        try:
            while not future.done() and not self._is_stopped:
                await asyncio.wait([future], timeout=_LOOK_S)
        finally:
            self._alone.forget(order.order)
        ended = future.result() if future.done() and not future.cancelled() else None
        if ended is None:
            return _Lesson.UNUSABLE
        self._took = self._engine.clock.now() - began_at
        lesson = self._judge(order, ended)
        self._refused = chosen if lesson is _Lesson.REFUSED else None
        return lesson

    async def _look(self, now: datetime) -> Candidate | None:
        """Look at what has become of accepted orders, and choose the one to repeat; None where there is none."""
        if self.span is None:
            return None
        found = await find_candidates(self._engine, self._work, self.span, lambda: self._is_stopped)
        self._treatment.is_completing |= any(one.is_completed for one in found)
        oldest = choose(found, self.span[0], now, timedelta(0))
        return oldest and choose(found, self.span[0], now, self._guess_time(oldest))

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
        if self.span is None:
            return None
        takes = self._guess_time(chosen)
        at = chosen.covers_from(self.span[0], takes)
        return at if at is not None and at <= until else chosen.covers_from(self.span[1], takes)

    def _look_at(self, chosen: Candidate, at: datetime | None, patience: timedelta) -> datetime | None:
        """Say when to look at the accepted orders again; None where waiting would not help."""
        is_slow = self._work.delivery.least_s > patience.total_seconds()
        if chosen.is_completed or is_slow or self.span is None:
            return at
        now, placed_by = self._engine.clock.now(), chosen.order.placed_by
        takes = self._guess_time(chosen)
        soon = covers_from(self.span[1], placed_by, takes=takes, of_completed=True)
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
            self.reason = explain_no_room(self._limit_of)
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
