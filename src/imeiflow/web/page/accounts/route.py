"""Accounts: credit, settings without the key, what was learned about limits and why, pins, and a search for limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery
from markupsafe import Markup

from imeiflow.dispatch.desk import Limits, read_limits
from imeiflow.dispatch.kind import LIMITS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.ladder import Recommendation
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.ledger.record import Learned
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.account_view import name_learned, say_learned
from imeiflow.operations.audit import record_action
from imeiflow.operations.json_object import SHOWN_SETTINGS, name_key_place, read_shown_setting
from imeiflow.operations.limit_desk import Watched
from imeiflow.operations.limit_figure import HEADINGS, draw_limits, list_cells, name_limits
from imeiflow.operations.limit_search import pin_limits, refuse_running, unpin_limits
from imeiflow.plot.svg import write_svg
from imeiflow.web.access import needs
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread, threaded

_TEMPLATE: Final = "page/accounts/page.html"
_MOST_AT_ONCE: Final = 1000
_MOST_PER_MIN: Final = 60_000

FormData: TypeAlias = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """One account as the page shows it."""

    account: AccountSettings
    settings: list[tuple[str, object]]
    learned: list[Learned]
    pinned: Limits | None
    search: Watched | None
    plot: Markup | None

    @property
    def is_found_pinned(self) -> bool:
        """Say whether what its search recommended is what is pinned."""
        found = None if self.search is None else self.search.recommendation
        return found is not None and self.pinned == Limits(concurrency=found.concurrency, per_min=found.per_min)


@get("/accounts")
@threaded
def accounts_page(request: WebRequest) -> Response[str]:
    """Show all accounts; only the accounts where they are asked for again."""
    return _draw_accounts(request, "accounts" if "hx-request" in request.headers else None)


@get("/accounts/credit")
async def credit(request: WebRequest, account: FromQuery[str]) -> Response[str]:
    """Show the credit, of which the provider is asked once for all, or why it is not told."""
    office = office_of(request)
    told = await office.enquiries.credit(office.session.configuration.choose_account(account))
    return await in_thread(draw, request, _TEMPLATE, "credit", credit=told)


@post("/accounts/pin", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def pin(request: WebRequest, data: FormData) -> Response[str]:
    """Never let the lane go above what was typed."""
    chosen = _choose(request, data)
    at_once = _read_number(data, "concurrency", "calls at once", _MOST_AT_ONCE)
    per_min = _read_number(data, "per_min", "calls a minute", _MOST_PER_MIN)
    if at_once is None and per_min is None:
        raise UsageError(problem="no limit was given", remedy="Write calls at once, calls a minute, or both.")
    name = request.user.user.name
    limits = Recommendation(
        concurrency=at_once or chosen.max_concurrency, per_s=None if per_min is None else per_min / 60, reason=""
    )
    session = office_of(request).session
    value = {"concurrency": limits.concurrency, "per_min": per_min}
    session.ledger.pin(chosen.name, WHOLE_ACCOUNT, LIMITS_KIND, value, f"set by {name}")
    record_action(session, name, "pin limits", account=chosen.name, limits=name_limits(limits))
    return _draw_accounts(request)


@post("/accounts/pin-found", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def pin_found(request: WebRequest, data: FormData) -> Response[str]:
    """Never let the lane go above what the search recommended."""
    chosen = _choose(request, data)
    office = office_of(request)
    search = office.limits.find(chosen.name)
    if search is None or search.recommendation is None:
        raise UsageError(problem="nothing is recommended", remedy="Search for the limits first.")
    pin_limits(office.session, chosen, search.recommendation)
    limits = name_limits(search.recommendation)
    record_action(office.session, request.user.user.name, "pin limits", account=chosen.name, limits=limits)
    return _draw_accounts(request)


@post("/accounts/unpin", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def unpin(request: WebRequest, data: FormData) -> Response[str]:
    """Let the lane find its limits by itself again."""
    chosen = _choose(request, data)
    unpin_limits(office_of(request).session, chosen)
    record_action(office_of(request).session, request.user.user.name, "unpin limits", account=chosen.name)
    return _draw_accounts(request)


@post("/accounts/forget", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def forget(request: WebRequest, data: FormData) -> Response[str]:
    """Forget one thing that was learned; the next job learns it anew."""
    chosen = _choose(request, data)
    session = office_of(request).session
    service, kind = ServiceId(data.get("service", "")), data.get("kind", "")
    if not session.ledger.forget(chosen.name, service, kind):
        raise UsageError(problem="nothing of the kind is known", remedy="Load the page again.")
    record_action(session, request.user.user.name, "forget limits", account=chosen.name, service=service, kind=kind)
    return _draw_accounts(request)


@post("/accounts/find-limits", guards=[needs(Role.ADMIN)], status_code=200)
async def find_limits(request: WebRequest, data: FormData) -> Response[str]:
    """Begin a search for the limits, in the background."""
    office, chosen = office_of(request), _choose(request, data)
    await in_thread(refuse_running, office.session, chosen)
    office.limits.begin(chosen, actor=request.user.user.name)
    await in_thread(record_action, office.session, request.user.user.name, "find limits", account=chosen.name)
    return await in_thread(_draw_accounts, request)


@post("/accounts/find-limits/end", guards=[needs(Role.ADMIN)], status_code=200)
async def end_search(request: WebRequest, data: FormData) -> Response[str]:
    """End a search; what was found until then stays."""
    office_of(request).limits.end(_choose(request, data).name)
    return await in_thread(_draw_accounts, request)


def _draw_accounts(request: WebRequest, block: str | None = "accounts") -> Response[str]:
    accounts = office_of(request).session.configuration.accounts
    lines = [_read_line(request, accounts[name]) for name in sorted(accounts)]
    return draw(request, _TEMPLATE, block, lines=lines, **_WORDS)


_WORDS: Final[dict[str, Any]] = {
    "name_key": name_key_place,
    "name_learned": name_learned,
    "say_learned": say_learned,
    "name_limits": name_limits,
    "cells_of": list_cells,
    "headings": HEADINGS,
}


def _choose(request: WebRequest, data: dict[str, str]) -> AccountSettings:
    return office_of(request).session.configuration.choose_account(data.get("account", ""))


def _read_line(request: WebRequest, account: AccountSettings) -> AccountLine:
    office = office_of(request)
    search = office.limits.find(account.name)
    learned = office.session.ledger.learned(account.name)
    settings = [(name, read_shown_setting(account, name)) for name in SHOWN_SETTINGS]
    return AccountLine(
        account=account,
        settings=[(name, value) for name, value in settings if value not in {None, "", False}],
        learned=learned,
        pinned=next((read_limits(one.value) for one in learned if one.kind == LIMITS_KIND), None),
        search=search,
        plot=None if search is None or not search.steps else _draw_plot(search),
    )


def _draw_plot(search: Watched) -> Markup:
    figure = draw_limits(search.account, search.steps, search.recommendation)
    return Markup(write_svg(figure, is_styled=False))  # noqa: S704 - it escapes its texts itself


def _read_number(data: dict[str, str], name: str, what: str, most: int) -> int | None:
    text = data.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= most):
        raise UsageError(problem=f"{text[:20]!r} {what} cannot be", remedy=f"Write a number from 1 to {most:,}.")
    return int(text)


PAGE = Page(
    handlers=[accounts_page, credit, pin, pin_found, unpin, forget, find_limits, end_search],
    entry=Entry(label="Accounts and limits", path="/accounts", icon="account", rank=50),
)
