"""The proof: a job in the ledger against the order book of a simulated provider, order by order, to the cent.

Pure but for reading both. What the ledger calls unknown is no fault; what it claims and the book denies is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import OrderRow
from imeiflow.simulator.book import Entry

_MOST_EXAMPLES: Final = 5


class Discrepancy(StrEnum):
    """In what ledger and book can disagree about one order."""

    NOT_PLACED = "not_placed"  #: the ledger says placed, the book does not have it
    UNTRACKED = "untracked"  #: the book has it, the ledger says it was not placed, or does not know it
    PAID_TWICE = "paid_twice"  #: the book charged it more often than the ledger says
    REFERENCE = "reference"
    PRICE = "price"

    @property
    def sentence(self) -> str:
        """Say to a person what it means."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Discrepancy.NOT_PLACED: "The ledger says that it was placed, and the provider does not have it.",
    Discrepancy.UNTRACKED: "The provider has it, and the ledger does not say so.",
    Discrepancy.PAID_TWICE: "The provider charged it more often than the ledger says.",
    Discrepancy.REFERENCE: "The reference is not the provider's.",
    Discrepancy.PRICE: "The price is not what the provider charged.",
}

#: States in which the ledger claims that the provider has the order.
_PLACED: Final = frozenset({OrderState.ACCEPTED, OrderState.DUPLICATE})
#: States in which it claims nothing.
_OPEN: Final = frozenset({OrderState.UNCONFIRMED, OrderState.SENDING})


@dataclass(slots=True)
class Group:
    """The orders of one discrepancy: how many, and the first few IMEIs."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Proof:
    """What the comparison came to. `currency` is that of all amounts."""

    currency: str
    book_placed: int = 0  #: orders that the provider placed for this job
    book_charged: Decimal = Decimal(0)
    ledger_placed: int = 0  #: orders that the ledger says the provider placed for this job
    ledger_charged: Decimal = Decimal(0)
    references: int = 0  #: references that agree
    unnamed: int = 0  #: placed for this job as both say; the reply with the reference was lost
    earlier: int = 0  #: duplicates that the provider had before this job
    counted_too: Decimal = Decimal(0)  #: counted as charged, though the provider had it before: see `counted_orders`
    counted_orders: int = 0
    unknown: int = 0  #: orders that the ledger says it does not know about
    unknown_placed: int = 0
    unknown_charged: Decimal = Decimal(0)
    repeated: int = 0  #: charged twice, and the ledger says so: what a repeat probe cost
    discrepancies: dict[Discrepancy, Group] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Say whether ledger and book agree, order by order and to the cent."""
        return not self.discrepancies and self.is_money_equal

    @property
    def is_money_equal(self) -> bool:
        """Say whether the sums agree, once what the ledger calls unknown is added."""
        return self.ledger_charged - self.counted_too + self.unknown_charged == self.book_charged

    def count(self, discrepancy: Discrepancy) -> int:
        """Count the orders of one discrepancy."""
        group = self.discrepancies.get(discrepancy)
        return group.count if group is not None else 0

    def note(self, discrepancy: Discrepancy, imei: str) -> None:
        """Add an order to a discrepancy."""
        group = self.discrepancies.setdefault(discrepancy, Group())
        group.count += 1
        if len(group.examples) < _MOST_EXAMPLES:
            group.examples.append(imei)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values; amounts stay Decimal."""
        return {
            "holds": self.holds,
            "provider": {"placed": self.book_placed, "charged": self.book_charged},
            "ledger": {"placed": self.ledger_placed, "charged": self.ledger_charged},
            "references_agree": self.references,
            "reference_lost": self.unnamed,
            "ordered_before": self.earlier,
            "unknown": self.unknown,
            "unknown_placed": self.unknown_placed,
            "repeated_by_probe": self.repeated,
            "counted_though_ordered_before": self.counted_orders,
            "currency": self.currency,
            "discrepancies": {
                kind.value: {"count": group.count, "examples": group.examples}
                for kind, group in self.discrepancies.items()
            },
        }


class _Placed(NamedTuple):
    """What is compared of an order in the book."""

    reference: str
    price: Decimal


def compare(
    ledger: Ledger, job: JobId, book: Iterable[Entry], *, earlier: Collection[str] = frozenset(), currency: str = ""
) -> Proof:
    """Compare a job with the book of its provider; `earlier` are references of orders that are not the job's."""
    proof = Proof(currency=currency)
    mine: dict[str, list[_Placed]] = defaultdict(list)
    prices: dict[Decimal, Decimal] = {}  # one object a price: a large book stands in memory here
    before: set[str] = set()
    for entry in book:
        if entry.reference in earlier:
            before.add(entry.imei)
            continue
        mine[entry.imei].append(_Placed(entry.reference, prices.setdefault(entry.price, entry.price)))
        proof.book_placed += 1
        proof.book_charged += entry.price
    for row in ledger.order_rows(job):
        if row.imei is None or row.state is OrderState.REPEATED:
            continue
        _compare_order(proof, row, mine.pop(row.imei, []), was_before=row.imei in before)
    for imei in mine:
        proof.note(Discrepancy.UNTRACKED, imei)
    return proof


def show_amount(proof: Proof, amount: Decimal) -> str:
    """Give an amount of the proof as a person reads it."""
    return str(Money(amount, proof.currency))


def _compare_order(proof: Proof, row: OrderRow, entries: list[_Placed], *, was_before: bool) -> None:
    imei = row.imei or ""
    charged = (row.price or Decimal(0)) * row.charges
    proof.ledger_charged += charged
    if row.state in _OPEN:
        proof.unknown += 1
        proof.unknown_placed += bool(entries)
        proof.unknown_charged += sum((entry.price for entry in entries), Decimal(0)) - charged
        if len(entries) > max(1, row.charges):
            proof.note(Discrepancy.PAID_TWICE, imei)
    elif row.state not in _PLACED:
        if entries:
            proof.note(Discrepancy.UNTRACKED, imei)
    elif not entries and was_before and row.state is OrderState.DUPLICATE:
        # A duplicate after a lost reply is counted as this job's: the reply does not say which order it means.
        proof.earlier += 1
        proof.counted_orders += row.charges
        proof.counted_too += charged
    elif not row.charges and entries:
        proof.note(Discrepancy.UNTRACKED, imei)
    elif len(entries) < max(1, row.charges):
        proof.note(Discrepancy.NOT_PLACED, imei)
    else:
        _compare_placed(proof, row, entries, charged)


def _compare_placed(proof: Proof, row: OrderRow, entries: list[_Placed], charged: Decimal) -> None:
    imei = row.imei or ""
    proof.ledger_placed += row.charges
    if len(entries) > row.charges:
        proof.note(Discrepancy.PAID_TWICE, imei)
        return
    proof.repeated += row.charges > 1
    if sum((entry.price for entry in entries), Decimal(0)) != charged:
        proof.note(Discrepancy.PRICE, imei)
    if row.reference is None:
        proof.unnamed += 1
    elif row.reference in {entry.reference for entry in entries}:
        proof.references += 1
    else:
        proof.note(Discrepancy.REFERENCE, imei)
