"""Services: what an account can order, found among hundreds by any word; price, delivery time, notes, price history."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from imeiflow.domain.ident import ServiceId
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
    request: WebRequest, account: FromQuery[str] = "", q: FromQuery[str] = "", start: FromQuery[int] = 0
) -> Response[str]:
    """Show the services that contain all words; only the list where it is asked for alone."""
    session = office_of(request).session
    chosen = _choose(session, account)
    services: list[PricedService] = []
    fetched_at = None
    if chosen is not None:
        services = [one for one in recall_prices(session.ledger, chosen, problem="").services if _matches(one, q)]
        fetched_at = session.ledger.prices_fetched_at(chosen.name)
    start = max(0, min(start, len(services)))
    block = "list" if "hx-request" in request.headers else None
    answer = draw(
        request,
        _TEMPLATE,
        block,
        account=chosen.name if chosen is not None else "",
        accounts=sorted(session.configuration.accounts),
        q=q[:100],
        services=services[start : start + _MOST],
        found=len(services),
        start=start,
        most=_MOST,
        fetched_at=fetched_at,
    )
    if block is not None:
        query = urlencode({name: text for name, text in (("account", account), ("q", q)) if text})
        answer.headers["hx-replace-url"] = "/services" + (f"?{query}" if query else "")
    return answer


@post("/services/fetch", guards=[needs(Role.OPERATOR)], status_code=303)
async def fetch(
    request: WebRequest, data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """Fetch the price list anew. Raises ProviderError with what the provider said instead."""
    office = office_of(request)
    chosen = office.session.configuration.choose_account(data.get("account") or None)
    prices = await office.enquiries.prices(chosen)
    if prices.problem:
        raise ProviderError(account=chosen.name, problem=f"the price list could not be read: {prices.problem}")
    return Redirect("/services?" + urlencode({"account": chosen.name}), status_code=303)


@get("/services/service")
@threaded
def service_page(request: WebRequest, account: FromQuery[str], service: FromQuery[str]) -> Response[str]:
    """Show one service: what it is, and what it cost over time."""
    session = office_of(request).session
    chosen = session.configuration.choose_account(account)
    history = session.ledger.price_history(chosen.name, ServiceId(service))
    if not history:
        raise NotFoundException
    return draw(request, "page/services/service.html", account=chosen.name, service=history[-1], history=history[::-1])


def _choose(session: Session, name: str) -> AccountSettings | None:
    """Give the account that was named, or else the first; None where there is none."""
    accounts = session.configuration.accounts
    if name:
        return session.configuration.choose_account(name)
    return accounts[min(accounts)] if accounts else None


def _matches(service: PricedService, words: str) -> bool:
    text = f"{service.id} {service.name} {service.category} {service.delivery}".casefold()
    return all(word in text for word in words.casefold().split())


PAGE = Page(
    handlers=[services_page, fetch, service_page],
    entry=Entry(label="Services", path="/services", icon="services", rank=45),
)
