"""What one call for statuses asks, and what its answer means for the orders asked for and for the size of calls.

Pure. Ids that a reply does not name are asked for again alone, a few of them: if one is then known, the call was too
long for the server; if none is, the provider does not know them, and the call was answered in full.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from imeiflow.dispatch.chunk import Verdict, find_number
from imeiflow.domain.ident import Reference
from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import WholeError
from imeiflow.domain.status import Asked, StatusAccount, StatusAnomaly, StatusAnomalyKind, account_for_statuses
from imeiflow.ledger.status_record import DueOrder
from imeiflow.providers.contract import Listing, OrderStatus

#: The most ids of one reply that are asked for again alone.
MOST_ALONE = 10
_ABOUT_ID = re.compile(r"order.?id|(?:no|unknown|invalid).{0,10}order|not found|lists nothing", re.IGNORECASE)
_SLOW_DOWN = frozenset({ErrorKind.RATE, ErrorKind.OVERLOAD})


class BatchKind(StrEnum):
    """Why some ids are asked for together."""

    USUAL = "usual"
    MISSED = "missed"  #: none of them was named the last time: what is not named now teaches nothing
    ALONE = "alone"  #: not named in a call of several
    HALF = "half"  #: of a call that came to nothing but an error


@dataclass(frozen=True, slots=True)
class Batch:
    """The orders of one call. `is_trial`: it is not sure yet that so many can be asked for at once."""

    kind: BatchKind
    orders: tuple[DueOrder, ...]
    is_canary: bool = False
    is_trial: bool = False
    suspicion: Suspicion | None = None

    @property
    def references(self) -> list[Reference]:
        """List the ids to ask for, each once."""
        return list(dict.fromkeys(order.reference for order in self.orders))

    def as_trial(self) -> Batch:
        """Give the same batch, marked as a trial."""
        return replace(self, is_trial=True)


@dataclass(slots=True, eq=False)
class Suspicion:
    """A call of `size` that was not answered in full: was it too long? The answers to smaller ones tell.

    `rest` are orders that it did not name and that are not asked for again alone.
    """

    kind: BatchKind
    size: int
    named: int
    is_canary: bool
    left: int
    rest: tuple[DueOrder, ...] = ()
    _clean: int = field(default=0, init=False)
    _is_settled: bool = field(default=False, init=False)

    def hear(self, lesson: Lesson) -> Verdict | None:
        """Take the answer to a smaller call; give what it shows of the longer one, once that is known."""
        if self._is_settled or not lesson.is_answer:
            return None
        self.left -= 1
        self._clean += lesson.is_whole
        if self.kind is BatchKind.ALONE and self._clean:
            self._is_settled = True
            return Verdict.FAILS
        if self.left:
            return None
        self._is_settled = True
        if self.kind is BatchKind.ALONE:
            return Verdict.WORKS
        return Verdict.FAILS if self._clean > 1 else Verdict.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What an answer means. `account` is what is to be stored: its `missing` are orders that are put off.

    `again` goes back to the front of the queue, `next` is asked before it. `is_answer`: the provider said something of
    the orders; `is_whole`: of all of them. `is_failure`: nobody was heard.
    """

    account: StatusAccount = field(default_factory=StatusAccount)
    verdict: Verdict = Verdict.NOTHING
    named: int = 0
    hint: int | None = None
    again: tuple[DueOrder, ...] = ()
    next: tuple[Batch, ...] = ()
    suspicion: Suspicion | None = None
    halt: str = ""
    problem: str = ""
    is_failure: bool = False
    is_answer: bool = False
    is_whole: bool = False


def sort_out(batch: Batch, listing: Listing[OrderStatus]) -> Lesson:
    """Say what an answer means for the orders of a batch: each is told of, asked for again, or put off."""
    asked = [Asked(order.id, order.reference, order.imei or "") for order in batch.orders]
    account = account_for_statuses(asked, listing.items)
    if listing.exchange.ending is Ending.ANSWERED and len(account.missing) < len(asked):
        return _read_words(batch, account)
    error = listing.error
    kind = ErrorKind.UNKNOWN if error is None else error.kind
    problem = listing.exchange.problem if error is None else error.message
    if kind is ErrorKind.ACCOUNT:
        return Lesson(halt=problem, problem=problem)
    if kind in _SLOW_DOWN:
        return _once_more(batch, Lesson(problem=problem))
    if kind is ErrorKind.CHUNK and len(asked) > 1 and error is not None:
        return _once_more(
            batch, Lesson(verdict=Verdict.FAILS, hint=find_number(error), problem=problem, is_answer=True)
        )
    if listing.exchange.ending is not Ending.ANSWERED:
        verdict = Verdict.DOUBTFUL if _may_be_too_long(batch, listing) else Verdict.NOTHING
        return _once_more(batch, Lesson(verdict=verdict, problem=problem, is_failure=True))
    if len(asked) == 1 or batch.kind is BatchKind.MISSED:
        return _give_up(account, problem if kind is not ErrorKind.ORDER else "", is_known=_is_unclear(error))
    return _halve(batch, account)


def _read_words(batch: Batch, account: StatusAccount) -> Lesson:
    """Go on from a reply that names some of the orders, if not all."""
    missing = {one.order for one in account.missing}
    orders = tuple(order for order in batch.orders if order.id in missing)
    named = len(batch.orders) - len(orders)
    if not orders:
        verdict = Verdict.WORKS if batch.kind is BatchKind.USUAL else Verdict.NOTHING
        return Lesson(account=account, verdict=verdict, named=named, is_answer=True, is_whole=True)
    if batch.kind is BatchKind.MISSED:
        return Lesson(account=_add_unknown(account), named=named, is_answer=True)
    settled = replace(account, missing=())
    if batch.kind is BatchKind.USUAL:
        alone, rest = orders[:MOST_ALONE], orders[MOST_ALONE:]
        suspicion = Suspicion(BatchKind.ALONE, len(batch.orders), named, batch.is_canary, len(alone), rest)
        batches = _ask_alone(alone, suspicion)
        return Lesson(account=settled, named=named, next=batches, suspicion=suspicion, is_answer=True)
    return Lesson(account=settled, named=named, next=_ask_alone(orders, None), is_answer=True)


def _once_more(batch: Batch, lesson: Lesson) -> Lesson:
    """Let the same orders be asked for again: nothing is known of them yet."""
    if batch.kind in {BatchKind.ALONE, BatchKind.HALF} and lesson.verdict is not Verdict.FAILS:
        return replace(lesson, next=(batch,))
    return replace(lesson, again=batch.orders)


def _may_be_too_long(batch: Batch, listing: Listing[OrderStatus]) -> bool:
    return batch.is_trial and len(batch.orders) > 1 and listing.exchange.ending is Ending.IN_DOUBT


def _is_unclear(error: WholeError | None) -> bool:
    """Say whether an error may be about anything: it does not prove that the provider knows no such order."""
    return error is not None and error.kind is not ErrorKind.ORDER and _ABOUT_ID.search(error.message) is None


def _give_up(account: StatusAccount, problem: str, *, is_known: bool) -> Lesson:
    """Put orders off that were asked for in vain; unless it is another error, the provider does not know them."""
    return Lesson(account=account if is_known else _add_unknown(account), problem=problem, is_answer=True)


def _halve(batch: Batch, account: StatusAccount) -> Lesson:
    """Ask for each half by itself: one id may have spoiled the call, or it was too long."""
    middle = len(batch.orders) // 2
    is_canary = batch.is_canary
    suspicion = Suspicion(BatchKind.HALF, len(batch.orders), middle, is_canary, 2)
    halves = tuple(
        Batch(BatchKind.HALF, part, suspicion=suspicion) for part in (batch.orders[:middle], batch.orders[middle:])
    )
    unasked = replace(account, missing=())
    return Lesson(account=unasked, next=halves, suspicion=suspicion, is_answer=True)


def _ask_alone(orders: Sequence[DueOrder], suspicion: Suspicion | None) -> tuple[Batch, ...]:
    return tuple(Batch(BatchKind.ALONE, (order,), suspicion=suspicion) for order in orders)


def _add_unknown(account: StatusAccount) -> StatusAccount:
    unknown = [StatusAnomaly(StatusAnomalyKind.UNKNOWN, one.reference, one.order) for one in account.missing]
    return replace(account, anomalies=(*account.anomalies, *unknown))


def put_off_all(orders: Sequence[DueOrder]) -> StatusAccount:
    """Give the account of orders that a reply which named others did not name."""
    missing = tuple(Asked(order.id, order.reference, order.imei or "") for order in orders)
    return _add_unknown(StatusAccount(missing=missing))
