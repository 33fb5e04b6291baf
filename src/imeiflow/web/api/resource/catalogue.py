"""Accounts and what they can order. Places nothing; no key is shown."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.user import Scope
from imeiflow.errors import ConfigurationError
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.account_view import find_lane_user
from imeiflow.operations.catalogue import recall_prices
from imeiflow.operations.json_object import describe_account, describe_service
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.problem import ApiError, Flaw
from imeiflow.web.api.value import Account, Amount, In, Out, Text
from imeiflow.web.thread import in_thread

_SERVICE: Final = {
    "id": "12",
    "name": "iPhone carrier check",
    "category": "Checks",
    "price": Decimal("0.08"),
    "currency": "USD",
    "delivery": "Instant",
    "note": "",
}


class ServiceQuery(In):
    """Which services."""

    account: Account | None = None
    kind: Annotated[OrderKind, Meta(description="Services for IMEIs, for files, or of servers.")] = OrderKind.IMEI
    search: Annotated[Text, Meta(description="Only those whose name, category or id has all these words.")] | None = (
        None
    )
    fresh: Annotated[bool, Meta(description="Ask the provider; otherwise the list of last time, if there is one.")] = (
        False
    )


class Service(Out):
    """What can be ordered."""

    id: str
    name: str
    category: str
    price: Amount | None
    currency: str
    delivery: Annotated[str, Meta(description="How long it takes, in the provider's words.")]
    note: str


class ServiceList(Out):
    """An account's services."""

    account: str
    is_fresh: bool
    as_of: Annotated[str, Meta(description="When the list was fetched.")] | None
    problem: Annotated[str, Meta(description="Why it is not fresh, where it was to be.")]
    services: list[Service]


class HistoryQuery(In):
    """Of which account, and of which kind of services."""

    account: Account | None = None
    kind: Annotated[OrderKind, Meta(description="A service for IMEIs, for files, or of servers.")] = OrderKind.IMEI


class PricedService(Service):
    """A service as it stood from a time on."""

    since: str


class PriceHistory(Out):
    """How a service stood in the price lists that were fetched, the newest last."""

    prices: list[PricedService]


class AccountName(Out):
    """An account."""

    name: str
    provider: str


class AccountList(Out):
    """The accounts that are configured."""

    accounts: list[AccountName]


class ShownAccount(Out):
    """An account as `imeiflow account --json` prints it."""

    name: str
    provider: str
    base_url: str
    username: str
    insecure: bool
    ca_file: str | None
    max_concurrency: int
    rate_per_min: float | None
    repeat_probe_max_price: Amount
    currency: str
    key_from: Annotated[str, Meta(description="Where its key stands; never the key.")]
    credit: Annotated[Amount, Meta(description="Null where the provider does not tell it.")] | None
    credit_currency: str | None
    credit_problem: str | None
    credit_as_of: Annotated[datetime, Meta(description="When the provider was asked for it.")] | None
    in_use_by: Annotated[str, Meta(description="Which process works for it just now.")] | None
    learned: Annotated[list[dict[str, Any]], Meta(description="What was found out about its limits.")]


async def list_offered_services(call: Call) -> dict[str, Any]:
    """List the services of an account with ids, prices and delivery times.

    The provider is asked once for all who want its list afresh, twice a minute at most.
    """
    query: ServiceQuery = call.query
    account = choose_account(call, query.account, "query.account")
    prices = await in_thread(recall_prices, call.session.ledger, account, query.kind, problem="")
    if query.fresh or not prices.services:
        prices = await call.office.enquiries.prices(account, query.kind)
    words = (query.search or "").casefold().split()
    found = [
        one
        for one in prices.services
        if all(word in f"{one.id} {one.category} {one.name}".casefold() for word in words)
    ]
    return {
        "account": account.name,
        "is_fresh": prices.is_fresh,
        "as_of": prices.as_of,
        "problem": prices.problem,
        "services": [describe_service(one) for one in found],
    }


def show_price_history(call: Call) -> dict[str, Any]:
    """Show how a service's price changed, as far as price lists were fetched."""
    account = choose_account(call, call.query.account, "query.account")
    found = call.session.ledger.price_history(account.name, ServiceId(call.path["service"]), call.query.kind)
    if not found:
        raise ApiError(404, f"No price list ever had a service {call.path['service']}.", remedy="/services lists them.")
    return {"prices": [{"since": one.seen_at, **describe_service(one)} for one in found]}


def list_accounts(call: Call) -> dict[str, Any]:
    """List the accounts that orders can be placed with."""
    accounts = sorted(call.session.configuration.accounts.values(), key=lambda one: one.name)
    return {"accounts": [{"name": one.name, "provider": one.provider} for one in accounts]}


async def show_account(call: Call) -> dict[str, Any]:
    """Show an account: its credit where the provider tells it, its settings, its learned limits. Never its key.

    The provider is asked once for all who want to know, twice a minute at most; `credit_as_of` says when.
    """
    session = call.session
    try:
        account = session.configuration.choose_account(call.path["account"])
    except ConfigurationError as error:
        raise ApiError(404, error.message, remedy=error.remedy, exit_status=error.exit_code) from None
    credit = await call.office.enquiries.credit(account)
    owner = await in_thread(find_lane_user, session, account.name)
    return describe_account(account, credit, await in_thread(session.ledger.learned, account.name), owner)


def choose_account(call: Call, name: str | None, field: str) -> AccountSettings:
    """Give the account of a name, or the only one. Raises ApiError 404 or 409."""
    try:
        return call.session.configuration.choose_account(name)
    except ConfigurationError as error:
        problem, remedy, detail = str(error.data["problem"]), error.remedy, error.message
        if name is None:
            detail = f"{field}: {problem}"
            remedy = f"Say one of {', '.join(sorted(call.session.configuration.accounts))}."
        flaw = Flaw(field=field, problem=problem, value=name, remedy=remedy)
        status = 404 if name is not None else 409
        raise ApiError(
            status, detail, code="account", remedy=remedy, flaws=[flaw], exit_status=error.exit_code
        ) from None


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/services",
        tag="Services and accounts",
        scope=Scope.READ,
        handle=list_offered_services,
        query=ServiceQuery,
        answer=ServiceList,
        errors=(404, 409, 422),
        query_example={"search": "carrier"},
        example={
            "account": "gsm-fusion",
            "is_fresh": True,
            "as_of": "2026-11-28T14:00:00+00:00",
            "problem": "",
            "services": [_SERVICE],
        },
    ),
    Operation(
        method="GET",
        path="/services/{service}/prices",
        tag="Services and accounts",
        scope=Scope.READ,
        handle=show_price_history,
        query=HistoryQuery,
        answer=PriceHistory,
        errors=(404, 409, 422),
        path_example={"service": "12"},
        example={"prices": [{"since": "2026-11-01T08:00:00+00:00", **_SERVICE}]},
    ),
    Operation(
        method="GET",
        path="/accounts",
        tag="Services and accounts",
        scope=Scope.READ,
        handle=list_accounts,
        answer=AccountList,
        example={"accounts": [{"name": "gsm-fusion", "provider": "gsm-fusion"}]},
    ),
    Operation(
        method="GET",
        path="/accounts/{account}",
        tag="Services and accounts",
        scope=Scope.READ,
        handle=show_account,
        answer=ShownAccount,
        errors=(404,),
        path_example={"account": "gsm-fusion"},
    ),
)
