"""A new job, in two pages: what to order and the list; then the preview, the cost, and the word to order."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect, Stream

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.user import Role
from imeiflow.errors import InputError, UsageError
from imeiflow.intake.column import show_letter
from imeiflow.intake.error import ColumnError
from imeiflow.ledger.record import PricedService
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.catalogue import PriceList, recall_prices
from imeiflow.operations.day_limit import find_account_limit, find_user_limit
from imeiflow.operations.export import Layout, Wish
from imeiflow.operations.preparation import (
    BusyPreparationError,
    ChangedPreparationError,
    Preparation,
    Stage,
    clean_file_name,
)
from imeiflow.operations.submit import PriceChangedError, Proposal, Request
from imeiflow.operations.upload_folder import list_path
from imeiflow.web.access import needs
from imeiflow.web.amount import read_cap
from imeiflow.web.delivery import choose_text_format, send_export
from imeiflow.web.hub import preparation_topic
from imeiflow.web.navigation import Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page.new_job.upload import receive
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread, threaded

_CHOOSE: Final = "page/new_job/choose.html"
_PREVIEW: Final = "page/new_job/preview.html"
_MOST_SHOWN: Final = 60
_TRIAL: Final = 5
_LONG: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeForm:
    """How a list is to be read instead."""

    service: str
    account: str = ""
    column: str = ""
    again: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderForm:
    """The word to order."""

    version: str = ""  #: of what was shown
    typed: str = ""
    max_spend: str = ""
    trial: str = ""


@get("/jobs/new", guards=[needs(Role.OPERATOR)])
async def choose_page(
    request: WebRequest, account: FromQuery[str | None] = None, service: FromQuery[str] = ""
) -> Response[str]:
    """Show what can be ordered, a service that was chosen elsewhere first, and where the list goes."""
    office = office_of(request)
    accounts = sorted(office.session.configuration.accounts.values(), key=lambda one: one.name)
    chosen = _choose_account(accounts, account)
    prices = None if chosen is None else await _recall(request, chosen)
    limit = office.settings.max_upload_bytes // 1_048_576
    shown, matches = _search(prices, "", first=service)
    return await in_thread(
        draw,
        request,
        _CHOOSE,
        service=service,
        accounts=accounts,
        account=chosen,
        prices=prices,
        services=shown,
        matches=matches,
        limit=limit,
        search="",
    )


@get("/jobs/new/services", guards=[needs(Role.OPERATOR)])
async def find_services(
    request: WebRequest, account: FromQuery[str], search: FromQuery[str] = "", fresh: FromQuery[str] = ""
) -> Response[str]:
    """Show the services that match; asked for afresh where wanted."""
    office = office_of(request)
    chosen = office.session.configuration.choose_account(account)
    prices = await _recall(request, chosen)
    if fresh:
        prices = await _name_currency(request, chosen, await office.enquiries.prices(chosen))
    shown, matches = _search(prices, search)
    values: dict[str, Any] = {"account": chosen, "prices": prices, "services": shown, "matches": matches}
    return await in_thread(draw, request, _CHOOSE, "services", service="", **values)


@post("/jobs/new/upload", guards=[needs(Role.OPERATOR)], status_code=201, request_max_body_size=None)
async def upload(
    request: WebRequest, service: FromQuery[str], account: FromQuery[str], name: FromQuery[str] = "pasted list"
) -> dict[str, str]:
    """Take a list in, begin to read it, and say where its preview will be."""
    office, owner = office_of(request), request.user.user.name
    if not service.strip():
        raise UsageError(problem="no service was chosen", remedy="Choose what to order first.")
    folder = await in_thread(office.preparations.make_folder, owner)
    shown = clean_file_name(name)
    try:
        if await receive(request, list_path(folder), most=office.settings.max_upload_bytes) == 0:
            raise UsageError(problem=f"{shown} is empty", remedy="Choose a file with IMEIs in it, or paste them.")
        wanted = Request(
            source=list_path(folder),
            source_name=shown,
            service=ServiceId(service),
            account=account,
            name=shown,
            submitted_by=owner,
        )
        begun = await in_thread(office.preparations.begin, folder, owner, wanted, recalls=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {"location": f"/jobs/new/{begun.id}"}


@get("/jobs/new/{id_:str}", guards=[needs(Role.OPERATOR)])
@threaded
def preview_page(request: WebRequest, id_: FromPath[str]) -> Response[Any]:
    """Show what a list would order and cost; how far it is read while it is."""
    found = _find(request, id_)
    if found.stage is Stage.ORDERED:
        return _go_to(request, f"/jobs/{found.job}")
    return _draw_preview(request, found, "preview" if "hx-request" in request.headers else None)


@post("/jobs/new/{id_:str}/change", guards=[needs(Role.OPERATOR)], status_code=200)
@threaded
def change(
    request: WebRequest,
    id_: FromPath[str],
    data: Annotated[ChangeForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """Read a list again: another column, another service, or what was ordered before as well."""
    found = _find(request, id_)
    office_of(request).preparations.change(
        found,
        service=ServiceId(data.service),
        account=data.account or found.request.account,
        column=data.column or None,
        again=data.again == "yes",
    )
    return _draw_preview(request, found, "preview")


@post("/jobs/new/{id_:str}/order", guards=[needs(Role.OPERATOR)], status_code=200)
async def order(
    request: WebRequest,
    id_: FromPath[str],
    data: Annotated[OrderForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """Order a list, once; asked again it leads to the same job."""
    office = office_of(request)
    found = _find(request, id_)
    try:
        job, lock = await in_thread(
            office.preparations.confirm,
            found,
            typed=data.typed,
            max_spend=read_cap(data.max_spend),
            trial=_TRIAL if data.trial == "yes" else None,
            version=int(data.version) if data.version.isdecimal() and len(data.version) < _LONG else 0,
        )
    except (PriceChangedError, ChangedPreparationError) as error:
        block = "preview" if "hx-request" in request.headers else None
        form = replace(data, typed="")
        return await in_thread(_draw_preview, request, found, block, changed=str(error), form=form)
    if lock is not None:
        office.runner.adopt(job, lock)
    return _go_to(request, f"/jobs/{job}")


@get("/jobs/new/{id_:str}/bad-rows", guards=[needs(Role.OPERATOR)])
async def bad_rows(request: WebRequest, id_: FromPath[str], format: FromQuery[str] = "csv") -> Stream:  # noqa: A002
    """Give the rows that hold no IMEI back, with the error beside each, to be mended and dropped again."""
    found = _find(request, id_)
    if found.stage is not Stage.READY or found.draft is None:
        raise BusyPreparationError
    wish = Wish(jobs=(found.draft.job,), format=choose_text_format(format), layout=Layout.FAILED, is_draft=True)
    return await send_export(office_of(request), request.user.user.name, wish, "bad-rows")


@post("/jobs/new/{id_:str}/discard", guards=[needs(Role.OPERATOR)], status_code=200)
@threaded
def discard(request: WebRequest, id_: FromPath[str]) -> Response[Any]:
    """Forget a list."""
    office_of(request).preparations.discard(_find(request, id_))
    return _go_to(request, "/jobs/new")


def _find(request: WebRequest, id_: str) -> Preparation:
    return office_of(request).preparations.find(id_, request.user.user.name)


def _draw_preview(
    request: WebRequest, found: Preparation, block: str | None, *, changed: str = "", form: OrderForm | None = None
) -> Response[str]:
    with found.lock:
        stage, proposal, figure, version = found.stage, found.proposal, found.figure, found.version
    if stage is Stage.READY and proposal is None:
        stage = Stage.READING  # it has just been asked to read the list otherwise
    columns = [] if proposal is None else [_name(place, text) for place, text in enumerate(proposal.columns[:200])]
    return draw(
        request,
        _PREVIEW,
        block,
        one=found,
        stage=stage,
        can_look_again=not isinstance(found.error, InputError) or found.error.exit_code == 1,
        is_of_column=isinstance(found.error, ColumnError),
        figure=figure,
        version=version,
        changed=changed,
        form=form or OrderForm(),
        proposal=proposal,
        columns=columns,
        topic=preparation_topic(found.id),
        trial=_TRIAL,
        **({} if proposal is None else _find_limits(request, proposal)),
        size=list_path(found.folder).stat().st_size if list_path(found.folder).exists() else 0,
    )


def _find_limits(request: WebRequest, proposal: Proposal) -> dict[str, Any]:
    """Find what the limits of the day leave for a list, where its cost is known."""
    session, price = office_of(request).session, proposal.price
    if price is None or not proposal.preview.valid:
        return {}
    return {
        "account_limit": find_account_limit(session, proposal.account, price.currency),
        "user_limit": find_user_limit(session, request.user.user.name, price.currency),
    }


def _name(place: int, text: str) -> tuple[str, str]:
    """Give a column's letter, and what to call it."""
    letter = show_letter(place)
    return letter, letter if text in {"", letter} else f"{letter}: {text[:60]}"


def _go_to(request: WebRequest, path: str) -> Response[Any]:
    """Lead a browser on, whoever asked: the page, or a part of it."""
    if "hx-request" in request.headers:
        return Response("", headers={"hx-redirect": path})
    return Redirect(path, status_code=303)


def _choose_account(accounts: list[AccountSettings], name: str | None) -> AccountSettings | None:
    return next((one for one in accounts if one.name == name), accounts[0] if accounts else None)


async def _recall(request: WebRequest, account: AccountSettings) -> PriceList:
    """Give the price list as it is known; asked for only where nothing is."""
    office = office_of(request)
    known = await in_thread(recall_prices, office.session.ledger, account, problem="")
    if not known.services:  # nobody has asked yet: the balance says in which money the prices are
        known, _ = await asyncio.gather(office.enquiries.prices(account), office.enquiries.credit(account))
    return await _name_currency(request, account, known)


async def _name_currency(request: WebRequest, account: AccountSettings, prices: PriceList) -> PriceList:
    return prices.in_currency(await in_thread(office_of(request).enquiries.currency, account))


def _search(prices: PriceList | None, search: str, first: str = "") -> tuple[list[PricedService], int]:
    """Find the services that hold every word of a search, the `first` before the others, and count all that do."""
    words = search.casefold().split()
    services = prices.services if prices is not None else ()
    found = [
        one
        for one in services
        if all(word in f"{one.id} {one.name} {one.category} {one.note}".casefold() for word in words)
    ]
    found.sort(key=lambda one: one.id != first)
    return found[:_MOST_SHOWN], len(found)


PAGE = Page(handlers=[choose_page, find_services, upload, preview_page, change, order, bad_rows, discard])
