"""A model of a provider: what it holds and charges is the truth that a ledger is measured against.

It places orders, loses replies, reports less than it did and complains of things that it did not do. It knows
nothing of the code under test but the form in which a reply is handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec.structs import replace

from imeiflow.domain.imei import Imei
from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import NamedError, NamedOrder, ReplyContent, WholeError

from .sample import make_imei

STRANGER = make_imei(999_999)


class RepeatRule(StrEnum):
    """What the provider does with an IMEI that it already has an order of."""

    REFUSED = "refused"
    REFUSED_WHILE_OPEN = "refused_while_open"
    CHARGED = "charged"


class Fate(StrEnum):
    """What happens to one call, from the wire to the reply."""

    COMPLETE = "complete"
    NOT_SENT = "not_sent"
    LOST_ON_THE_WAY = "lost_on_the_way"  #: never arrives, and nobody can tell
    REFUSED_UNREAD = "refused_unread"
    RATE_TEXT = "rate_text"  #: "Rate limit exceeded" with HTTP 200
    ACCOUNT_TEXT = "account_text"
    CREDIT_TEXT = "credit_text"  #: places the first few of a chunk; then the credit is used up, and no order is named
    LAST_PLACED = "last_placed"  #: places the last only, and says so
    LAST_NAMED = "last_named"  #: places all, names the last
    CUT = "cut"  #: places the first few, and names them
    CUT_OFF = "cut_off"  #: places the first few, and the connection dies
    STOPPED = "stopped"  #: places the orders before the one that it complains of; names none
    COMPLAINED = "complained"  #: places the first few; one error for the whole call
    REPLY_LOST = "reply_lost"
    EMPTY = "empty"
    NO_REFERENCE = "no_reference"
    NO_IMEI = "no_imei"
    ODD_ERRORS = "odd_errors"  #: places all, and names each with an error that nobody has seen
    CALLED_DUPLICATE = "called_duplicate"  #: places all; names each as an order and as a duplicate
    CALLED_BAD = "called_bad"  #: places all; names each as an order and with an error
    STRANGERS = "strangers"  #: places all; names orders that nobody asked for


LOST = WholeError(ErrorKind.UNKNOWN, "connection reset")
NO_CREDIT = ReplyContent(error=WholeError(ErrorKind.ACCOUNT, "Credit has been finished!", is_of_credit=True))
#: What comes back, or is seen, when the provider has placed nothing at all.
NOTHING_PLACED = {
    Fate.NOT_SENT: (Ending.NOT_SENT, WholeError(ErrorKind.UNKNOWN, "connection refused")),
    Fate.LOST_ON_THE_WAY: (Ending.IN_DOUBT, LOST),
    Fate.REFUSED_UNREAD: (Ending.REFUSED_UNREAD, WholeError(ErrorKind.RATE, "429")),
    Fate.RATE_TEXT: (Ending.ANSWERED, WholeError(ErrorKind.RATE, "Rate limit exceeded")),
    Fate.ACCOUNT_TEXT: (Ending.ANSWERED, WholeError(ErrorKind.ACCOUNT, "Invalid User!")),
}
#: Errors of a whole call that say nothing of its orders, however many it carried.
VAGUE = {ErrorKind.CHUNK, ErrorKind.OVERLOAD, ErrorKind.UNKNOWN}
#: Errors that a provider gives before it places anything.
PROVES_NONE = {ErrorKind.ACCOUNT, ErrorKind.RATE}


@dataclass(frozen=True, slots=True)
class Held:
    """An order that the provider has, and has charged."""

    imei: Imei
    reference: str
    placed_at: datetime
    is_ours: bool


@dataclass(slots=True)
class Panel:
    """The provider. Every order is completed `open_for` after it was placed."""

    rule: RepeatRule
    open_for: timedelta
    bad: set[Imei] = field(default_factory=set)
    orders: list[Held] = field(default_factory=list)

    def add(self, imei: Imei, at: datetime, *, is_ours: bool = True) -> Held:
        """Place and charge one order."""
        held = Held(imei, f"r{len(self.orders) + 1}", at, is_ours)
        self.orders.append(held)
        return held

    def ours(self, imei: Imei) -> list[Held]:
        """List what this job was charged for `imei`."""
        return [held for held in self.orders if held.imei == imei and held.is_ours]

    def is_completed(self, held: Held, at: datetime) -> bool:
        """Say whether the order's result is there."""
        return at - held.placed_at > self.open_for

    def answer(
        self, imeis: Sequence[Imei], at: datetime, fate: Fate, *, first: int, kind: ErrorKind
    ) -> tuple[Ending, ReplyContent | WholeError]:
        """Let `fate` happen to a call.

        Where only some are placed, those are the `first`; where the whole is complained of, the error is of `kind`.
        """
        match fate:
            case Fate.REPLY_LOST | Fate.CUT_OFF:
                self._process(imeis if fate is Fate.REPLY_LOST else imeis[:first], at)
                return Ending.IN_DOUBT, LOST
            case Fate.CREDIT_TEXT:
                self._process(imeis[:first] if len(imeis) > 1 else (), at)
                return Ending.ANSWERED, NO_CREDIT
            case Fate.STOPPED:
                return Ending.ANSWERED, self._stop_at_first_error(imeis, at)
            case Fate.COMPLAINED:
                if kind in VAGUE or (len(imeis) > 1 and kind not in PROVES_NONE):
                    self._process(imeis[:first], at)
                return Ending.ANSWERED, ReplyContent(error=WholeError(kind, "no"))
            case _ if fate in NOTHING_PLACED:
                return NOTHING_PLACED[fate]
            case _:
                return Ending.ANSWERED, self._report(imeis, at, fate, first=first)

    def _report(self, imeis: Sequence[Imei], at: datetime, fate: Fate, *, first: int) -> ReplyContent:
        to_process = {Fate.LAST_PLACED: imeis[-1:], Fate.CUT: imeis[:first]}.get(fate, imeis)
        content = self._process(to_process, at)
        named = [order.imei for order in content.orders]
        reports = {
            Fate.LAST_NAMED: lambda: _keep(content, imeis[-1:]),
            Fate.EMPTY: ReplyContent,
            Fate.NO_REFERENCE: lambda: replace(content, orders=tuple(NamedOrder(imei, "") for imei in named)),
            Fate.NO_IMEI: lambda: replace(content, orders=tuple(replace(order, imei="") for order in content.orders)),
            Fate.ODD_ERRORS: lambda: ReplyContent(errors=_name_errors(imeis, ErrorKind.UNKNOWN)),
            Fate.CALLED_DUPLICATE: lambda: replace(content, duplicates=(*content.duplicates, *named)),
            Fate.CALLED_BAD: lambda: replace(content, errors=content.errors + _name_errors(named, ErrorKind.ORDER)),
            Fate.STRANGERS: lambda: ReplyContent((NamedOrder(STRANGER, "r0"),), (STRANGER,)),
        }
        return reports.get(fate, lambda: content)()

    def _process(self, imeis: Iterable[Imei], at: datetime) -> ReplyContent:
        """Do what was asked, and report all of it."""
        orders: list[NamedOrder] = []
        duplicates: list[str] = []
        errors: list[NamedError] = []
        for imei in imeis:
            if imei in self.bad:
                errors.append(NamedError(imei, ErrorKind.ORDER, "Invalid IMEI!"))
            elif self._refuses_repeat(imei, at):
                duplicates.append(imei)
            else:
                orders.append(NamedOrder(imei, self.add(imei, at).reference))
        return ReplyContent(tuple(orders), tuple(duplicates), tuple(errors))

    def _stop_at_first_error(self, imeis: Sequence[Imei], at: datetime) -> ReplyContent:
        placed = ReplyContent()
        for imei in imeis:
            result = self._process([imei], at)
            if not result.orders:
                text = "IMEI already exists!" if result.duplicates else "Invalid IMEI!"
                return ReplyContent(error=WholeError(ErrorKind.ORDER, text, duplicate=bool(result.duplicates)))
            placed = replace(placed, orders=placed.orders + result.orders)
        return placed

    def _refuses_repeat(self, imei: Imei, at: datetime) -> bool:
        held = [order for order in self.orders if order.imei == imei]
        match self.rule:
            case RepeatRule.REFUSED:
                return bool(held)
            case RepeatRule.REFUSED_WHILE_OPEN:
                return any(not self.is_completed(order, at) for order in held)
            case RepeatRule.CHARGED:
                return False


def _name_errors(imeis: Iterable[str], kind: ErrorKind) -> tuple[NamedError, ...]:
    return tuple(NamedError(imei, kind, "no") for imei in imeis)


def _keep(content: ReplyContent, imeis: Sequence[Imei]) -> ReplyContent:
    return ReplyContent(
        tuple(order for order in content.orders if order.imei in imeis),
        tuple(imei for imei in content.duplicates if imei in imeis),
        tuple(error for error in content.errors if error.imei in imeis),
    )
