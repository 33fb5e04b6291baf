"""What may have been charged beyond what is recorded, because a price rose while nobody looked at the list. Pure.

A reply to an order carries no price. What a list shows holds since some moment after the list before it was asked for,
so that calls which were not answered by then may have been charged at it already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imeiflow.domain.money import Money


@dataclass(frozen=True, slots=True)
class Stand:
    """A price as lists showed it: asked for `known_at` it was still another, `seen_at` it was this one.

    `until` is when a list was seen that had another again; None while there is none.
    """

    price: Money
    known_at: datetime
    seen_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Charged:
    """Orders that one call placed, or may have, each recorded at a price. `ended_at` is None without an answer yet."""

    began_at: datetime
    ended_at: datetime | None
    price: Money
    orders: int
    times: int  #: how often one of them was charged


@dataclass(frozen=True, slots=True)
class Excess:
    """What a call may have been charged at instead. `each` is how much more that is; None: in another currency."""

    charged: Charged
    stand: Stand
    each: Decimal | None


@dataclass(frozen=True, slots=True)
class PriceRise:
    """A rise that was seen only after orders were placed. `more` is what they may have cost besides at most.

    The price rose between `since` and `until`. `more` is None where that is not known: in another currency.
    """

    before: Money
    after: Money
    since: datetime
    until: datetime
    orders: int
    more: Money | None

    def at_most(self, spent: Money | None) -> Money | None:
        """Give what may have been charged, of what is recorded as spent; None where that is not known."""
        return None if spent is None or self.more is None else spent + self.more

    def passes(self, cap: Money | None, spent: Money | None, doubtful: Money | None) -> bool:
        """Say whether a cap may have been passed by it, with what doubts may have cost besides."""
        most = self.at_most(spent)
        if most is None or cap is None:
            return False
        return cap < (most if doubtful is None else most + doubtful)

    def say(self, since: str, until: str) -> str:
        """Say what is known of it; the two are its times as people read them."""
        moved = "changed" if self.more is None else "rose"
        orders = "1 order was" if self.orders == 1 else f"{self.orders:,} orders were"
        return (
            f"the price {moved} from {self.before} to {self.after} between {since} and {until}, while {orders} placed"
        )

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object of a job's summary; amounts stay Decimal."""
        return {
            "before": self.before.amount,
            "after": self.after.amount,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "orders": self.orders,
            "more": None if self.more is None else self.more.amount,
        }


def find_excess(charged: Charged, stands: Iterable[Stand]) -> Excess | None:
    """Find the dearest price at which a call may have been charged; None where none is above the recorded one."""
    found: Excess | None = None
    for stand in stands:
        if not _may_hold(stand, charged):
            continue
        if _is_foreign(stand.price, charged.price):
            return Excess(charged, stand, None)
        each = stand.price.amount - charged.price.amount
        if each > 0 and (found is None or found.each is None or each > found.each):
            found = Excess(charged, stand, each)
    return found


def sum_up_rise(found: Sequence[Excess]) -> PriceRise | None:
    """Say of all calls of a job what their prices may have been; None where nothing is in doubt."""
    if not found:
        return None
    more: Decimal | None = Decimal(0)
    for one in found:
        more = None if more is None or one.each is None else more + one.each * one.charged.times * one.charged.orders
    before = min((one.charged.price for one in found), key=lambda price: price.amount)
    after = max((one.stand for one in found), key=lambda stand: stand.price.amount).price
    return PriceRise(
        before=before,
        after=Money(after.amount, after.currency or before.currency),
        since=min(one.stand.known_at for one in found),
        until=max(one.stand.seen_at for one in found),
        orders=sum(one.charged.orders for one in found),
        more=None if more is None else Money(more, before.currency),
    )


def _may_hold(stand: Stand, charged: Charged) -> bool:
    """Say whether a price may have been in force while a call was under way."""
    is_over = stand.until is not None and stand.until <= charged.began_at
    return not is_over and (charged.ended_at is None or stand.known_at < charged.ended_at)


def _is_foreign(one: Money, other: Money) -> bool:
    return bool(one.currency and other.currency and one.currency != other.currency)
