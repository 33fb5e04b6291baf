"""What is left of the limits of a day before a list is ordered: of its account's cap, and of its user's. Reads only.

Holds nobody to them: the engine keeps the account's cap, `spend_limit` the user's when the list is ordered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imeiflow.domain.day import start_of_day
from imeiflow.domain.ident import AccountName
from imeiflow.domain.money import Money
from imeiflow.ledger.spending import SpendingFilter
from imeiflow.operations.session import Session
from imeiflow.operations.spend_limit import find_committed, find_limited


@dataclass(frozen=True, slots=True)
class DayLimit:
    """The most that may be spent in a day, and what was `used` of it by now, or is committed."""

    most: Money
    used: Money

    @property
    def left(self) -> Money:
        """Give what may still be spent; nothing where more was."""
        return Money(max(Decimal(0), self.most.amount - self.used.amount), self.most.currency)

    def affords(self, price: Money) -> int:
        """Say how many orders of a price it leaves room for."""
        return int(self.left.amount // price.amount) if price.amount else 0


def find_account_limit(session: Session, name: AccountName, currency: str) -> DayLimit | None:
    """Give what the cap of an account leaves today; None where it has none. What may have been charged counts."""
    account, ledger = session.configuration.accounts.get(name), session.ledger
    if account is None or account.max_spend_per_day is None:
        return None
    wanted = SpendingFilter(account=name, since=_start_of_today(session))
    possible = sum((one.price * one.times for one in ledger.possible_charges(wanted) if one.price), Decimal(0))
    return _leave(account.max_spend_per_day, ledger.charged_as_agreed(wanted) + possible, currency)


def find_user_limit(session: Session, name: str, currency: str) -> DayLimit | None:
    """Give what a user may still spend today; None where they have no limit, or what they spent is not known.

    What their running jobs will still send is spent already.
    """
    user = find_limited(session, name)
    used = Decimal(0) if user is None else find_committed(session, user.name).get(currency, Decimal(0))
    if user is None or user.spend_limit is None or used is None:
        return None
    return _leave(user.spend_limit, used, currency)


def list_user_limits(session: Session, name: str) -> list[DayLimit]:
    """Give what a user with a limit has spent or committed today, a currency each, where it is known."""
    user = find_limited(session, name)
    if user is None or user.spend_limit is None:
        return []
    committed = find_committed(session, user.name)
    return [_leave(user.spend_limit, used, currency) for currency, used in sorted(committed.items()) if used]


def _leave(most: Decimal, used: Decimal, currency: str) -> DayLimit:
    return DayLimit(Money(most, currency), Money(used, currency))


def _start_of_today(session: Session) -> datetime:
    return start_of_day(session.clock.now().astimezone().date())
