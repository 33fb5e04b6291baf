"""What an account may spend in a day (`max_spend_per_day`), shared by all its jobs: one lane, one budget.

What may have been charged counts as charged: orders under way, unconfirmed ones, probes without answer. So the cap
holds whatever becomes of them, and however many calls leave at once. A day is one of the machine's time zone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from imeiflow.domain.day import start_of_day
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.money import Money
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Expense
from imeiflow.ledger.spending import SpendingFilter

if TYPE_CHECKING:
    from imeiflow.dispatch.work import Work


@dataclass(frozen=True, slots=True)
class Spent:
    """What the ledger says of a day; `mark` is what the budget had counted when it was asked."""

    day: date
    jobs: frozenset[JobId]  #: whose doubts the budget knows by itself
    charged: Decimal
    elsewhere: Decimal  #: what may have been charged for other jobs
    mark: Decimal


class Budget:
    """What may still be spent today; without a cap, anything."""

    def __init__(self, cap: Decimal | None, works: Collection[Work]) -> None:
        self.cap = cap
        self._works = works
        self._spent: Spent | None = None
        self._counted = Decimal(0)  #: all that this process saw charged
        self._lock = threading.Lock()  # a job's end is counted in the thread that writes it

    def add(self, amount: Decimal) -> None:
        """Count what was charged."""
        with self._lock:
            self._counted += amount

    def ask(self, ledger: Ledger, account: AccountName, jobs: Iterable[JobId]) -> Spent | None:
        """Ask the ledger about today, where that is needed: on another day, or for other jobs. Blocks."""
        today, ours = ledger.clock().astimezone().date(), frozenset(jobs)
        known = self._spent
        if self.cap is None or (known is not None and (known.day, known.jobs) == (today, ours)):
            return None
        mark = self._counted  # whatever is counted from here on may be counted twice, and is never missed
        wanted = SpendingFilter(account=account, since=start_of_day(today))
        others = [one for one in ledger.possible_charges(wanted) if one.job not in ours]
        return Spent(today, ours, ledger.charged_as_agreed(wanted), _add_up(others), mark)

    def take(self, spent: Spent | None) -> None:
        """Go on from what the ledger said."""
        self._spent = spent or self._spent

    def affordable(self, price: Decimal | None) -> int | None:
        """Give how many orders of a price may leave; None without a cap, none where the price is not known."""
        if self.cap is None or (price is not None and not price):
            return None
        if price is None or self._spent is None:
            return 0
        return max(0, int((self.cap - self.used()) / price))

    def used(self) -> Decimal:
        """Add up what was, or may have been, charged today."""
        if self._spent is None:
            return Decimal(0)
        ours = sum((work.at_risk for work in self._works), Decimal(0))
        return self._spent.charged + self._counted - self._spent.mark + self._spent.elsewhere + ours

    def explain(self, price: Decimal | None, currency: str, now: datetime) -> str:
        """Say why nothing more may leave, and when it may again."""
        cap = Money(self.cap or Decimal(0), currency)
        if price is None:
            return f"its price is not known, so max_spend_per_day ({cap}) cannot be kept"
        tomorrow = start_of_day(now.astimezone().date() + timedelta(days=1))
        used = Money(self.used(), currency)
        return (
            f"the account's spending cap of {cap} a day is reached: {used} was charged today or may have been; it "
            f"can be resumed from {tomorrow:%Y-%m-%d %H:%M} on, or with a higher max_spend_per_day"
        )


def _add_up(expenses: Iterable[Expense]) -> Decimal:
    return sum((one.price * one.times for one in expenses if one.price is not None), Decimal(0))
