"""Whether orders may go on at the price that the provider's list shows now.

Pure. No placement call can carry a maximum price, so a price list that is fresh enough is the only protection there is.
Amounts of different currencies are never compared: whoever agreed to one has not agreed to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from imeiflow.domain.money import Money


class PriceMove(StrEnum):
    """How the price that is listed now stands to the one that was agreed to."""

    SAME = "same"
    FELL = "fell"
    ROSE = "rose"
    FOREIGN = "foreign"  #: it is in another currency
    GONE = "gone"  #: the list does not have the service any more
    UNTOLD = "untold"  #: the list has the service, and no price that can be read
    NEW = "new"  #: it was not known when it was agreed to


@dataclass(frozen=True, slots=True)
class Quote:
    """What a price list says of one service."""

    is_listed: bool
    price: Money | None = None


#: Nothing more is sent at these without the user's word.
_NEEDS_WORD: Final = frozenset({PriceMove.ROSE, PriceMove.FOREIGN, PriceMove.GONE})
#: To these an amount that is allowed says nothing.
_NO_AMOUNT: Final = frozenset({PriceMove.FOREIGN, PriceMove.GONE, PriceMove.UNTOLD})


def compare_price(agreed: Money | None, quote: Quote) -> PriceMove:
    """Say how a price has moved since it was agreed to; None is one that nobody knew."""
    if not quote.is_listed:
        return PriceMove.GONE
    if quote.price is None:
        return PriceMove.UNTOLD
    if agreed is None:
        return PriceMove.NEW
    if agreed.currency and quote.price.currency and agreed.currency != quote.price.currency:
        return PriceMove.FOREIGN
    if quote.price.amount == agreed.amount:
        return PriceMove.SAME
    return PriceMove.ROSE if agreed < quote.price else PriceMove.FELL


def may_go_on(agreed: Money | None, quote: Quote) -> bool:
    """Say whether a job that was confirmed may send more without being confirmed anew."""
    return compare_price(agreed, quote) not in _NEEDS_WORD


def may_begin(agreed: Money | None, quote: Quote, *, is_sure: bool = False, up_to: Decimal | None = None) -> bool:
    """Say whether what was shown before may be ordered now.

    `is_sure`: whoever confirmed it is not there to be asked, and has agreed to no more than was shown. `up_to` is what
    one order may cost.
    """
    move = compare_price(agreed, quote)
    if up_to is not None and quote.price is not None and move not in _NO_AMOUNT:
        return quote.price.amount <= up_to
    return move is PriceMove.SAME or (is_sure and move not in _NEEDS_WORD)


def price_to_record(agreed: Money | None, quote: Quote) -> Money | None:
    """Give the price at which an order is recorded: what the list said last, and never more than was agreed to."""
    if agreed is None or quote.price is None or compare_price(agreed, quote) is not PriceMove.FELL:
        return agreed
    return name_price(agreed, quote.price)


def name_price(agreed: Money | None, price: Money) -> Money:
    """Give a listed price the currency of the agreed one where the list names none."""
    return price if agreed is None or price.currency else Money(price.amount, agreed.currency)


def say_move(service: str, agreed: Money | None, quote: Quote) -> str:
    """Say in words how a price has moved."""
    now = quote.price and name_price(agreed, quote.price)
    match compare_price(agreed, quote):
        case PriceMove.ROSE:
            return f"the price of service {service} rose from {agreed} to {now}"
        case PriceMove.FELL:
            return f"the price of service {service} fell from {agreed} to {now}"
        case PriceMove.FOREIGN:
            return f"the price of service {service} is {now} now, and was confirmed as {agreed}"
        case PriceMove.GONE:
            return f"the price list does not have service {service} any more"
        case PriceMove.UNTOLD:
            return f"the price list does not tell the price of service {service} any more"
        case PriceMove.NEW:
            return f"the price of service {service} was not known, and is {now}"
        case PriceMove.SAME:
            return f"the price of service {service} is {now}, as before"
