"""Watching the prices of what running jobs order: a job pauses before anything is sent at a price above the agreed one.

Whoever takes a job up looks at the price list first, where the ledger's is too old; while jobs run it is fetched again
now and then, beside what is placed, and once more before a job ends: only the list tells what its last orders cost.
A list that cannot be fetched stops nobody, and is said. May not place anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from imeiflow.dispatch.call import Call, CallEnd
from imeiflow.dispatch.conclude import read_answer
from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.domain.price import PriceMove, Quote, compare_price, may_go_on, name_price, price_to_record, say_move
from imeiflow.errors import LedgerBusyError, LedgerError
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Job, PricedService
from imeiflow.providers.contract import Service

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine
    from imeiflow.dispatch.work import Work

log = structlog.get_logger(__name__)

#: How long such a call takes says nothing of calls that place, or that ask for statuses.
CALL_SIZE: Final = -1_000_000
_PATIENCE_S: Final = 30.0
#: Never more often than this, whatever the age of the list.
_RETRY_S: Final = 60.0
#: While so many calls place, the list may be no older than this: one call in a hundred at most asks for it.
_MANY_CALLS: Final = 100
_OFTEN_S: Final = 30.0
#: So long a job that could end waits for the list's turn in the lane.
_TURN_S: Final = 60.0

#: Services of a price list by their id, each with its price.
Quotes = dict[ServiceId, Money | None]


@dataclass(slots=True)
class _Turn:
    """When one kind's price list is looked at again, when it was last asked for in vain, and what came of that."""

    look_at: float = -math.inf
    often_at: float = -math.inf  #: the same, where many calls place
    calls: int = 0  #: that were to place since it was asked for
    began_at: float = -math.inf  #: when it was asked for last
    tried_at: float = -math.inf
    is_due: bool = False
    problem: str = ""


class PriceWatch:
    """Keeps an engine's jobs to the prices that were agreed to. `problem` says why a list could not be fetched."""

    def __init__(self, engine: Engine, max_age_s: float) -> None:
        self._engine = engine
        self._max_age_s = max_age_s
        self._turns = {kind: _Turn() for kind in OrderKind}
        self._is_asking = False

    @property
    def problem(self) -> str:
        """Say why a list could not be fetched; empty where all could that had to be."""
        return next((turn.problem for turn in self._turns.values() if turn.problem), "")

    async def look(self) -> None:
        """See whether the ledger's price lists are still good for the jobs on the desk, when it is time to."""
        for kind, turn in self._turns.items():
            await self._look(kind, turn)

    async def _look(self, kind: OrderKind, turn: _Turn) -> None:
        now, works = self._engine.clock.monotonic(), self._watched(kind)
        awaited = any(work.awaits_price for work in works)
        is_often = turn.calls >= _MANY_CALLS and now >= turn.often_at
        if self._is_asking or turn.is_due or not works or not (awaited or is_often or now >= turn.look_at):
            return
        max_age_s = min(self._max_age_s, _OFTEN_S) if is_often else self._max_age_s
        fetched_at, quotes = await asyncio.to_thread(_recall, self._engine.ledger, self._engine.account, kind)
        age_s = math.inf if fetched_at is None else (self._engine.clock.now() - fetched_at).total_seconds()
        if fetched_at is not None and age_s <= max_age_s:
            turn.look_at = now + max(self._max_age_s - age_s, 1.0)
            turn.often_at = now + max(_OFTEN_S - age_s, 1.0)
            await self._judge(kind, fetched_at, quotes)
        elif now - turn.tried_at < _RETRY_S:
            await self._judge(kind, fetched_at, quotes)
            turn.look_at = turn.often_at = turn.tried_at + _RETRY_S
        else:
            turn.is_due = True

    def note_placing(self, kind: OrderKind) -> None:
        """Count a call that is to place orders of a kind: what they cost is only known by the next list."""
        self._turns[kind].calls += 1

    async def may_end(self, work: Work) -> bool:
        """Say whether a job may end; where orders of it were placed since the list was asked for, that is done first.

        Once, in the lane, and no longer than a call may take. What may have been charged besides is logged.
        """
        turn, now, closing = self._turns[work.job.kind], self._engine.clock.monotonic(), work.closing
        if not is_watched(work.job) or work.heard_at is None:
            return True
        if self._engine.is_stopping or closing.is_barred:
            closing.since = None
        elif closing.since is None and await self._is_outdated(work.heard_at, work.job.kind):
            closing.since = now
        if closing.since is not None:
            has_begun = turn.began_at >= closing.since
            if self._is_asking or (not has_begun and now < closing.since + _TURN_S):
                turn.is_due = not has_begun
                return False
        await self._note_rise(work)
        return True

    async def _is_outdated(self, heard_at: datetime, kind: OrderKind) -> bool:
        """Say whether the list was last asked for before a time; one that cannot be had is not asked for again."""
        turn = self._turns[kind]
        if turn.problem and self._engine.clock.monotonic() - turn.tried_at < _RETRY_S:
            return False
        fetched_at = await asyncio.to_thread(self._engine.ledger.prices_fetched_at, self._engine.account, kind)
        return fetched_at is not None and fetched_at < heard_at

    async def _note_rise(self, work: Work) -> None:
        rise = await asyncio.to_thread(self._engine.ledger.note_price_rise, work.job.id)
        if rise is not None and rise.more is not None:
            work.unseen = rise.more.amount

    @property
    def has_turn(self) -> bool:
        """Say whether a list has to be fetched now."""
        return not self._is_asking and self._next() is not None

    def begin(self, now: float) -> Coroutine[None, None, None]:
        """Claim a list that is due, and begin a call in the lane that fetches it; only where one has its turn."""
        kind = self._next() or OrderKind.IMEI
        turn = self._turns[kind]
        self._is_asking, turn.is_due, turn.began_at = True, False, now
        return self._fetch(self._engine.desk.lane.begin(now, CALL_SIZE), kind, turn)

    async def _fetch(self, call: Call, kind: OrderKind, turn: _Turn) -> None:
        """Fetch a list once, keep it, and judge by it."""
        engine = self._engine
        try:
            await self._ask(call, kind, turn)
        except LedgerBusyError as error:
            self._fail(turn, error.told)
        except LedgerError as error:
            engine.fail(error)
        finally:
            self._is_asking = False
            engine.on_change()
            engine.wake()

    async def _ask(self, call: Call, kind: OrderKind, turn: _Turn) -> None:
        engine, asked_at = self._engine, self._engine.clock.now()
        turn.calls = 0
        try:
            async with asyncio.timeout(_PATIENCE_S):
                listing = await engine.read(engine.connection.list_services(kind))
        except TimeoutError:
            engine.desk.lane.end(engine.clock.monotonic(), call, CallEnd.IGNORE)
            self._fail(turn, "it took too long")
            return
        except asyncio.CancelledError:
            engine.desk.lane.end(engine.clock.monotonic(), call, CallEnd.IGNORE)
            raise
        end, refusal = read_answer(listing.exchange, listing.error, is_crowded=False)
        engine.desk.lane.end(engine.clock.monotonic(), call, end, refusal)
        if not listing.items:
            problem = listing.error.message if listing.error else listing.exchange.problem or "it sent no services"
            self._fail(turn, problem)
            return
        services = read_services(listing.items, engine.settings.currency)
        await asyncio.to_thread(engine.ledger.record_prices, engine.account, services, kind, asked_at=asked_at)
        now, turn.problem = engine.clock.monotonic(), ""
        turn.look_at, turn.often_at = now + max(self._max_age_s, _RETRY_S), now + _OFTEN_S
        await self._judge(kind, engine.clock.now(), {one.id: one.price for one in services})

    def _fail(self, turn: _Turn, problem: str) -> None:
        turn.problem = problem
        turn.tried_at = turn.look_at = self._engine.clock.monotonic()
        turn.often_at = turn.tried_at + _RETRY_S
        log.warning("prices_not_fetched", account=self._engine.account, problem=problem)

    def _next(self) -> OrderKind | None:
        return next((kind for kind, turn in self._turns.items() if turn.is_due and self._is_needed(kind)), None)

    def _watched(self, kind: OrderKind) -> list[Work]:
        works = self._engine.desk.works.values()
        return [work for work in works if work.is_open and work.job.kind is kind and is_watched(work.job)]

    def _is_needed(self, kind: OrderKind) -> bool:
        works = self._engine.desk.works.values()
        closing = any(work.closing.since is not None and work.job.kind is kind for work in works)
        return closing or bool(self._watched(kind))

    async def _judge(self, kind: OrderKind, fetched_at: datetime | None, quotes: Quotes) -> None:
        for work in self._watched(kind):
            quote = _find(work.job, fetched_at, quotes)
            if quote is not None:
                await self._hold(work, quote)
            work.awaits_price = False

    async def _hold(self, work: Work, quote: Quote) -> None:
        """Pause a job at a price that nobody agreed to; else note what its next orders cost."""
        agreed = work.job.price
        if not may_go_on(agreed, quote):
            self._engine.pause(work, _say_reason(work, quote))
            work.closing.is_barred = True  # its price is known
            return
        price = price_to_record(agreed, quote)
        amount = None if price is None else price.amount
        if amount != work.price:
            data = {"from": str(work.price), "to": str(amount)}
            work.price = amount
            await asyncio.to_thread(self._engine.ledger.log_event, "price_changed", job=work.job.id, data=data)


def is_watched(job: Job) -> bool:
    """Say whether a job's price is held: where nobody knew it, any is agreed to."""
    return job.unit_price is not None


def recall_quote(ledger: Ledger, job: Job) -> Quote | None:
    """Give what the ledger's price list says of a job's service; None where it is from before the job began."""
    return _find(job, *_recall(ledger, job.account, job.kind))


def read_services(items: Iterable[Service], currency: str) -> tuple[PricedService, ...]:
    """Read the services of a price list, each id once; `currency` is that of prices that name none."""
    return tuple(
        PricedService(
            id=one.id,
            name=one.name,
            category=one.category,
            price=complete_price(one.price, currency),
            delivery=one.delivery,
            note=one.note,
        )
        for one in {one.id: one for one in items}.values()
    )


def complete_price(amount: Money | None, currency: str) -> Money | None:
    """Give an amount the account's currency where the provider named none."""
    return amount if amount is None or amount.currency else Money(amount.amount, currency)


def _recall(ledger: Ledger, account: AccountName, kind: OrderKind) -> tuple[datetime | None, Quotes]:
    return ledger.prices_fetched_at(account, kind), {one.id: one.price for one in ledger.price_list(account, kind)}


def _find(job: Job, fetched_at: datetime | None, quotes: Quotes) -> Quote | None:
    if fetched_at is None or (job.started_at is not None and fetched_at < job.started_at):
        return None
    return Quote(is_listed=job.service in quotes, price=quotes.get(job.service))


def _say_reason(work: Work, quote: Quote) -> str:
    """Say why a job pauses: the old price, the new one, what the rest would cost, and what to do.

    What is under way is no part of the rest: it is charged, whatever is agreed to.
    """
    agreed, waiting = work.job.price, work.tally[OrderState.QUEUED]
    said = say_move(work.job.service, agreed, quote)
    if compare_price(agreed, quote) is not PriceMove.ROSE or agreed is None or quote.price is None or not waiting:
        return said
    now, wait = name_price(agreed, quote.price), "waits" if waiting == 1 else "wait"
    return (
        f"{said}: the {waiting:,} that {wait} would cost {now * waiting} instead of {agreed * waiting}; "
        f"`resume --accept-price {now.amount:f}` goes on"
    )
