"""What an account can order and with what money: price list and credit, asked for afresh. Places nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from imeiflow.dispatch.price import complete_price, read_services
from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.outcome import ErrorKind
from imeiflow.errors import ProviderError
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import PricedService
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.configuration import Configuration
from imeiflow.operations.session import find_account_provider
from imeiflow.providers.contract import Connection, Listing, Service, Timeouts

T = TypeVar("T")

#: Reading may be given up sooner than ordering: nothing is in doubt after it.
_LOOKED_AT = 20  #: jobs, for the currency
_READING = Timeouts(connect_s=10.0, pool_s=10.0, read_s=30.0, total_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """An account's services. `problem` says why it is not fresh; then it is the ledger's, as of `as_of`."""

    account: AccountName
    services: tuple[PricedService, ...]
    is_fresh: bool
    as_of: datetime | None = None
    problem: str = ""
    asked_at: datetime | None = None  #: when it was fetched, or tried to be

    def in_currency(self, currency: str) -> PriceList:
        """Give the same list, with a currency for the prices that name none; an empty one changes nothing."""
        named = (replace(one, price=complete_price(one.price, currency)) for one in self.services)
        return replace(self, services=tuple(named)) if currency else self

    def find(self, service: ServiceId) -> PricedService | None:
        """Give one service; None where the list does not contain it."""
        return next((one for one in self.services if one.id == service), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """The balance; None with the `problem` where the provider does not tell it."""

    account: AccountName
    balance: Money | None
    problem: str = ""
    is_account_error: bool = False  #: the provider turned the login itself away
    asked_at: datetime | None = None
    outstanding: Decimal | None = Decimal(0)  #: what jobs that run may yet take of it; None where that is not known

    @property
    def left(self) -> Money | None:
        """Give what jobs that run leave of the balance; None where one of the two is not known."""
        if self.balance is None or self.outstanding is None:
            return None
        return Money(self.balance.amount - self.outstanding, self.balance.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is known before an order: the fresh price list, or why there is none, and the credit."""

    services: tuple[PricedService, ...]
    problem: str
    credit: Credit


async def fetch_services(
    configuration: Configuration, account: AccountSettings, kind: OrderKind = OrderKind.IMEI
) -> tuple[PricedService, ...]:
    """Fetch the price list of one kind of services.

    Raises ProviderError with what the provider said instead, ConfigurationError.
    """
    listing = await ask_directly(configuration, account, lambda connection: connection.list_services(kind))
    return read_price_list(account, listing)


async def fetch_credit(configuration: Configuration, account: AccountSettings) -> Credit:
    """Fetch the balance, or the reason why it is not told. Raises ConfigurationError."""
    return read_credit(
        account, await ask_directly(configuration, account, lambda connection: connection.fetch_credit())
    )


async def fetch_offer(
    configuration: Configuration, account: AccountSettings, kind: OrderKind = OrderKind.IMEI
) -> Offer:
    """Fetch the price list of one kind and the balance at once. Raises ConfigurationError."""

    async def ask(connection: Connection) -> tuple[Listing[Service], Listing[Money]]:
        services, credit = await asyncio.gather(connection.list_services(kind), connection.fetch_credit())
        return services, credit

    services, credit = await ask_directly(configuration, account, ask)
    told = read_credit(account, credit)
    try:
        return Offer(services=read_price_list(account, services), problem="", credit=told)
    except ProviderError as error:
        return Offer(services=(), problem=str(error.data["problem"]), credit=told)


def list_services(
    ledger: Ledger, configuration: Configuration, account: AccountSettings, kind: OrderKind = OrderKind.IMEI
) -> PriceList:
    """Fetch the price list of one kind and keep it; without an answer give the ledger's own, with its date."""
    asked_at = ledger.clock()
    try:
        services = asyncio.run(fetch_services(configuration, account, kind))
    except ProviderError as error:
        return recall_prices(ledger, account, kind, problem=str(error.data["problem"]))
    ledger.record_prices(account.name, services, kind, asked_at=asked_at)
    return PriceList(account=account.name, services=services, is_fresh=True, as_of=ledger.clock())


def recall_prices(
    ledger: Ledger, account: AccountSettings, kind: OrderKind = OrderKind.IMEI, *, problem: str
) -> PriceList:
    """Give the price list of one kind as the ledger has it; `problem` says why there is no fresher one."""
    return PriceList(
        account=account.name,
        services=tuple(ledger.price_list(account.name, kind)),
        is_fresh=False,
        as_of=ledger.prices_fetched_at(account.name, kind) or ledger.priced_at(account.name, kind),
        problem=problem,
    )


def recall_currency(ledger: Ledger, account: AccountSettings) -> str:
    """Give the currency of an account's money: as it is set, or as its newest jobs had it; empty where not known."""
    if account.currency:
        return account.currency
    newest = ledger.list_jobs(account=account.name, limit=_LOOKED_AT)
    return next((job.currency for job in newest if job.currency), "")


def find_currency(ledger: Ledger | None, account: AccountSettings, balance: Money | None) -> str:
    """Give the currency of an account's prices: that of its balance, where it was told, or else as it is known."""
    if balance is not None and balance.currency:
        return balance.currency
    return account.currency if ledger is None else recall_currency(ledger, account)


def find_price(
    ledger: Ledger | None, account: AccountSettings, balance: Money | None, service: PricedService | None
) -> Money | None:
    """Give a service's price, in the account's currency where the price list names none; None where it has no price."""
    price = None if service is None else service.price
    return complete_price(price, find_currency(ledger, account, balance))


def ask_in_background(configuration: Configuration, account: AccountSettings, ledger: Ledger | None) -> Future[Offer]:
    """Ask for prices and credit while something else is done; the thread holds nobody up when this process ends.

    What jobs that run may yet be charged is looked up before: what is charged meanwhile counts twice rather than never.
    """
    asked_at = datetime.now(UTC) if ledger is None else ledger.clock()
    running = {} if ledger is None else ledger.outstanding(account.name, configuration.probe_limits)
    future: Future[Offer] = Future()

    def ask() -> None:
        try:
            offer = asyncio.run(fetch_offer(configuration, account))
            credit = replace(offer.credit, asked_at=asked_at, outstanding=_pick_outstanding(running, offer.credit))
            future.set_result(replace(offer, credit=credit))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            future.set_exception(error)

    threading.Thread(target=ask, name="offer", daemon=True).start()
    return future


def _pick_outstanding(running: Mapping[str, Decimal | None], credit: Credit) -> Decimal | None:
    """Add up what will be taken of a balance: what is in its currency, or in one that nobody named."""
    currency = "" if credit.balance is None else credit.balance.currency
    amounts = [amount for named, amount in running.items() if not named or not currency or named == currency]
    return None if None in amounts else sum((one for one in amounts if one is not None), Decimal(0))


async def ask_directly(
    configuration: Configuration, account: AccountSettings, question: Callable[[Connection], Awaitable[T]]
) -> T:
    """Ask a provider over a connection for this one question. Raises ConfigurationError, and what `question` raises."""
    provider = find_account_provider(account)
    connection = provider.connect(configuration.login(account), max_concurrency=2, timeouts=_READING)
    try:
        return await question(connection)
    finally:
        await connection.close()


def read_price_list(account: AccountSettings, listing: Listing[Service]) -> tuple[PricedService, ...]:
    """Read a price list. Raises ProviderError with what the provider said instead."""
    if not listing.items:
        message = listing.error.message if listing.error else "it sent no services"
        raise ProviderError(account=account.name, problem=message)
    return read_services(listing.items, account.currency)


def read_credit(account: AccountSettings, listing: Listing[Money]) -> Credit:
    """Read the balance, or the reason why it is not told."""
    if listing.items:
        return Credit(account=account.name, balance=complete_price(listing.items[0], account.currency))
    error = listing.error
    return Credit(
        account=account.name,
        balance=None,
        problem=error.message if error else "it said nothing",
        is_account_error=error is not None and error.kind is ErrorKind.ACCOUNT,
    )
