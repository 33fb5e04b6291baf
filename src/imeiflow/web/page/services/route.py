"""Services: what an account can order, found among hundreds by any word; price, delivery time, notes, price history."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from imeiflow.dispatch.price import complete_price
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.user import Role
from imeiflow.errors import ProviderError
from imeiflow.ledger.record import PricedService
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.catalogue import recall_prices
from imeiflow.operations.session import Session
from imeiflow.web.access import needs
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/services/page.html"
_MOST: Final = 100


@get("/services")
@threaded
def services_page(
    request: WebRequest,
    account: FromQuery[str] = "",
    kind: FromQuery[OrderKind] = OrderKind.IMEI,
    q: FromQuery[str] = "",
    start: FromQuery[int] = 0,
) -> Response[str]:
    """Show the services of one kind that contain all words; only the list where it is asked for alone."""
    office = office_of(request)
    session = office.session
    chosen = _choose(session, account)
    services: list[PricedService] = []
    fetched_at, currency = None, ""
    if chosen is not None:
        currency = office.enquiries.currency(chosen)
        prices = recall_prices(session.ledger, chosen, kind, problem="").in_currency(currency)
        services, fetched_at = [one for one in prices.services if _matches(one, q)], prices.as_of
    start = max(0, min(start, len(services)))
    block = "list" if "hx-request" in request.headers else None
    answer = draw(
        request,
        _TEMPLATE,
        block,
        account=chosen.name if chosen is not None else "",
        accounts=sorted(session.configuration.accounts),
        kind=kind,
        kinds=list(OrderKind),
        currency=currency,
        q=q[:100],
        services=services[start : start + _MOST],
        found=len(services),
        start=start,
        most=_MOST,
        fetched_at=fetched_at,
    )
    if block is not None:
        query = urlencode({name: text for name, text in (("account", account), ("kind", _say(kind)), ("q", q)) if text})
        answer.headers["hx-replace-url"] = "/services" + (f"?{query}" if query else "")
    return answer


@post("/services/fetch", guards=[needs(Role.OPERATOR)], status_code=303)
async def fetch(
    request: WebRequest, data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """Fetch the price list anew. Raises ProviderError with what the provider said instead."""
    office = office_of(request)
    chosen = office.session.configuration.choose_account(data.get("account") or None)
    kind = next((one for one in OrderKind if one.value == data.get("kind")), OrderKind.IMEI)
    # The balance says in which money the prices are, where the list itself does not.
    prices, _ = await asyncio.gather(office.enquiries.prices(chosen, kind), office.enquiries.credit(chosen))
    if prices.problem:
        raise ProviderError(account=chosen.name, problem=f"the price list could not be read: {prices.problem}")
    query = {"account": chosen.name, **({"kind": kind.value} if _say(kind) else {})}
    return Redirect("/services?" + urlencode(query), status_code=303)


@get("/services/service")
@threaded
def service_page(
    request: WebRequest,
    account: FromQuery[str],
    service: FromQuery[str],
    kind: FromQuery[OrderKind] = OrderKind.IMEI,
) -> Response[str]:
    """Show one service: what it is, and what it cost over time."""
    office = office_of(request)
    chosen = office.session.configuration.choose_account(account)
    found = office.session.ledger.price_history(chosen.name, ServiceId(service), kind)
    if not found:
        raise NotFoundException
    currency = office.enquiries.currency(chosen)
    history = [replace(one, price=complete_price(one.price, currency)) for one in reversed(found)]
    values: dict[str, Any] = {"account": chosen.name, "kind": kind, "service": history[0], "history": history}
    return draw(request, "page/services/service.html", **values)


def _choose(session: Session, name: str) -> AccountSettings | None:
    """Give the account that was named, or else the first; None where there is none."""
    accounts = session.configuration.accounts
    if name:
        return session.configuration.choose_account(name)
    return accounts[min(accounts)] if accounts else None


def _say(kind: OrderKind) -> str:
    """Give a kind as it stands in an address; the usual one is left out."""
    return "" if kind is OrderKind.IMEI else kind.value


def _matches(service: PricedService, words: str) -> bool:
    text = f"{service.id} {service.name} {service.category} {service.delivery}".casefold()
    return all(word in text for word in words.casefold().split())


PAGE = Page(
    handlers=[services_page, fetch, service_page],
    entry=Entry(label="Services", path="/services", icon="services", rank=45),
)
