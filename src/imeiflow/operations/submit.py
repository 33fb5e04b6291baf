"""From a list to a running job: the list is read once, into a draft that is shown to nobody until it is confirmed.

Sends nothing. Memory does not grow with the list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.money import Money
from imeiflow.domain.order import Policy
from imeiflow.domain.price import Quote, may_begin, say_move
from imeiflow.errors import ImeiflowError, LedgerError, ProviderError, UsageError
from imeiflow.intake.preview import Preview
from imeiflow.intake.sheet import Row, Sheet, open_sheet
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Confirmed, JobDraft, Mark
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.admission import admit_one, start_unrivalled
from imeiflow.operations.catalogue import Credit, Offer, PriceList, ask_in_background, find_price, recall_prices
from imeiflow.operations.configuration import Configuration
from imeiflow.operations.earlier import Earlier, EarlierSearch
from imeiflow.operations.price import fetch_again, say_accept, say_total
from imeiflow.operations.session import Session, find_account_provider
from imeiflow.operations.sifter import Sifter
from imeiflow.operations.spend_limit import hold_to_limit, weigh_list

_BATCH = 10_000
_STALE_DRAFT = timedelta(days=2)
_ACCOUNT = (
    "Look at the account: base URL, user name and key here; credit and allowed addresses there. Nothing was sent."
)


class UnknownPriceError(ImeiflowError):
    """The price of service {service} is not known, so --max-spend cannot be kept."""

    remedy = "Leave --max-spend out, or try again when the provider shows its price list."


class UnknownServiceError(UsageError):
    """The price list of account {account} has no service {service}."""

    remedy = "`imeiflow services` lists them with their ids."


class PriceChangedError(ImeiflowError):
    """Nothing was ordered: {change}{cost}.

    `proposal` is the same list at today's price, to be shown and confirmed anew.
    """

    def __init__(self, *, proposal: Proposal, change: str, cost: str, remedy: str = "") -> None:
        self.proposal = proposal
        self.change, self.cost = change, cost
        super().__init__(change=change, cost=cost, remedy=remedy)


class PriceAboveError(ImeiflowError):
    """Nothing was ordered: one order under service {service} costs {price}, more than the {limit} that you accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user wants ordered. `rate` is in calls a minute; `source` a file or a stream of bytes.

    `again`: order also what the ledger knows as ordered before, except what is not settled.
    """

    source: Path | BinaryIO
    service: ServiceId
    account: str | None = None
    name: str = ""
    column: str | None = None
    max_spend: Decimal | None = None
    follow_results: bool = False  #: runners go on until its results are there
    chunk_size: int | None = None
    max_concurrency: int | None = None
    rate: float | None = None
    policy: Policy = Policy.SETTLE
    again: bool = False
    source_name: str | None = None  #: what messages call the list, where its path says nothing
    submitted_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be ordered, and what it would cost, before anything is sent."""

    source: str
    notes: tuple[str, ...]
    account: AccountName
    service: ServiceId
    service_name: str
    price: Money | None
    prices: PriceList
    credit: Credit
    preview: Preview
    earlier: Earlier
    max_spend: Decimal | None
    columns: tuple[str, ...] = ()
    imei_column: int = 0
    probe_up_to: Decimal | None = None  #: what repeat probes may cost besides; None where none is made

    @property
    def cost(self) -> Money | None:
        """Give count times price; None where the price is not known."""
        return None if self.price is None else self.price * self.preview.valid

    @property
    def most(self) -> Money | None:
        """Give the cost with that of one repeat probe, where one may be made; None where the price is not known."""
        cost, price = self.cost, self.price
        return cost if cost is None or price is None or self.probe_limit is None else cost + price

    @property
    def balance_after(self) -> Money | None:
        """Give what is left of the balance when this list, and all that runs, was charged; None: not known."""
        cost, left = self.cost, self.credit.left
        return None if cost is None or left is None or cost.currency != left.currency else left - cost

    @property
    def probe_limit(self) -> Money | None:
        """Give what repeat probes may cost besides the list; None where none is made at its price, or nothing sent."""
        price, limit = self.price, self.probe_up_to
        if not self.preview.valid or price is None or limit is None or not 0 < price.amount <= limit:
            return None
        return Money(limit, price.currency)


class Draft:
    """A list that was read in and waits for the user's word. A context manager: what is not started is discarded."""

    def __init__(self, session: Session, job: JobId, lock: LaneLock, seen: Mark) -> None:
        self.job = job
        self.lock = lock
        self._session = session
        self._seen = seen  #: how far the ledger was before the list was compared with it
        self._is_started = False

    def start(
        self,
        proposal: Proposal,
        *,
        trial: int | None = None,
        max_spend: Decimal | None = None,
        is_sure: bool = False,
        up_to: Decimal | None = None,
    ) -> Proposal:
        """Make it a running job with the proposed price, and give the proposal as it was started.

        `trial`: it pauses when so many orders were sent. `max_spend` is a cap that was set since the list was read.

        A price list older than `price_max_age_s` is fetched again first. Another price than the proposed one raises
        PriceChangedError, unless `is_sure` and it has not risen, or it is within `up_to`; blocks meanwhile.

        Raises PriceAboveError, UnknownServiceError; JobStateError where it is no draft any more;
        WaitingElsewhereError, OrderedMeanwhileError where another job has queued the same since the list was read;
        SpendLimitError where whoever ordered it may not spend so much in a day.
        """
        proposal = _hold_to_price(self._session, proposal, is_sure=is_sure, up_to=up_to)
        price, ledger = proposal.price, self._session.ledger
        if max_spend is not None and price is None:
            raise UnknownPriceError(service=proposal.service)
        confirmed: Confirmed = {
            "service_name": proposal.service_name,
            "unit_price": None if price is None else price.amount,
            "currency": "" if price is None else price.currency,
        }
        if max_spend is not None:
            confirmed["max_spend"] = max_spend
        found = ledger.find_job(self.job)
        spender, cap = (None, None) if found is None else (found.submitted_by, found.max_spend)
        cap = max_spend or cap
        cost = weigh_list(price, proposal.preview.valid, trial=trial, cap=cap)
        probe = None if proposal.probe_limit is None else price
        with hold_to_limit(self._session, spender, lambda: cost) as allowed, admit_one(self._session, proposal.account):
            limit_of = None
            if allowed is not None and (bound := allowed.bound(probe, cap)) is not None:
                confirmed["max_spend"], limit_of = bound, spender
            start_unrivalled(
                ledger,
                self.job,
                proposal.service,
                self._seen,
                lambda now: ledger.start_job(self.job, trial=trial, since=now, limit_of=limit_of, **confirmed),
            )
        self._is_started = True
        return proposal

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_started:
            with suppress(LedgerError, UsageError):
                self._session.ledger.discard_draft(self.job)
            self.lock.release()


def preview_list(configuration: Configuration, request: Request) -> Proposal:
    """Read a list and say what it would order; nothing is written.

    Raises InputError, ConfigurationError, UsageError, UnknownPriceError, WaitingElsewhereError.
    """
    account = check_request(configuration, request)
    ledger = Session.open(configuration).ledger if configuration.ledger.exists() else None
    with nullcontext() if ledger is None else closing(ledger):
        asked = ask_in_background(configuration, account, ledger)
        with open_sheet(request.source, column=request.column, name=request.source_name) as sheet:
            sifter = Sifter(EarlierSearch(ledger, account.name, request.service, None), again=request.again)
            for rows in _batches(sheet.rows()):
                sifter.sift(rows)
            return _propose(request, account, ledger, sheet, sifter=sifter, offer=asked.result())


def read_list(
    session: Session, request: Request, on_rows: Callable[[int], None] = lambda _: None
) -> tuple[Draft, Proposal]:
    """Read a list once, into a draft, and say what it would order; `on_rows` hears how many rows were read.

    Raises InputError, ConfigurationError, UsageError, UnknownPriceError, WaitingElsewhereError; the draft is gone then.
    """
    account = check_request(session.configuration, request)
    ledger = session.ledger
    asked_at = ledger.clock()
    asked = ask_in_background(session.configuration, account, ledger)
    ledger.discard_stale_drafts(session.clock.now() - _STALE_DRAFT)
    with open_sheet(request.source, column=request.column, name=request.source_name) as sheet:
        seen = ledger.mark()
        job = ledger.create_draft(_make_draft(request, account, sheet))
        lock = session.job_lock(job)
        lock.acquire()
        draft = Draft(session, job, lock, seen)
        try:
            sifter = Sifter(EarlierSearch(ledger, account.name, request.service, job), again=request.again)
            written: Future[None] | None = None
            for rows in _batches(sheet.rows()):
                orders = sifter.sift(rows)  # while those before them are written
                if written is not None:
                    written.result()
                written = ledger.start_adding(job, orders)
                on_rows(sifter.preview.total)
            if written is not None:
                written.result()
            proposal = _propose(request, account, ledger, sheet, sifter=sifter, offer=asked.result())
            if proposal.prices.is_fresh:
                ledger.record_prices(account.name, proposal.prices.services, asked_at=asked_at)
        except BaseException:
            draft.__exit__()
            raise
        return draft, proposal


def check_request(configuration: Configuration, request: Request) -> AccountSettings:
    """Check what can be checked before the list is read, and give the account.

    Raises ConfigurationError, UsageError.
    """
    account = configuration.choose_account(request.account)
    provider = find_account_provider(account)
    if request.chunk_size is not None and not 1 <= request.chunk_size <= provider.max_chunk:
        raise UsageError(problem=f"--chunk-size: {provider.name} takes 1 to {provider.max_chunk} IMEIs a call")
    check_service(request.service)
    configuration.login(account)  # a key that is missing is better said before a million rows are read
    return account


def check_service(service: str) -> None:
    """Raise UsageError for a service that is no id at all."""
    if not service.strip():
        raise UsageError(problem="--service: it is empty", remedy="`imeiflow services` lists them.")


def _make_draft(request: Request, account: AccountSettings, sheet: Sheet) -> JobDraft:
    return JobDraft(
        account=account.name,
        provider=account.provider,
        service=request.service,
        name=_mend_name(request.name or Path(sheet.name).name),
        source=_mend_name(sheet.name),
        policy=request.policy,
        max_spend=request.max_spend,
        follow_results=request.follow_results,
        chunk_size=request.chunk_size,
        max_concurrency=request.max_concurrency,
        rate=request.rate,
        columns=sheet.columns,
        imei_column=sheet.columns[sheet.imei_column],
        has_header=sheet.has_header,
        submitted_by=request.submitted_by,
    )


def _mend_name(name: str) -> str:
    """Let a name be kept that is no Unicode, as those of files may be."""
    return os.fsencode(name).decode("utf-8", "replace")


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _propose(
    request: Request,
    account: AccountSettings,
    ledger: Ledger | None,
    sheet: Sheet,
    *,
    sifter: Sifter,
    offer: Offer,
) -> Proposal:
    if offer.credit.is_account_error and not offer.services:
        raise ProviderError(account=account.name, problem=f"it answers: {offer.credit.problem}", remedy=_ACCOUNT)
    if offer.services:
        prices = PriceList(account=account.name, services=offer.services, is_fresh=True)
    elif ledger is not None:
        prices = recall_prices(ledger, account, problem=offer.problem)
    else:
        prices = PriceList(account=account.name, services=(), is_fresh=False, problem=offer.problem)
    prices = replace(prices, asked_at=offer.credit.asked_at)
    service = prices.find(request.service)
    if service is None and prices.is_fresh:
        raise UnknownServiceError(account=account.name, service=request.service)
    price = find_price(ledger, account, offer.credit.balance, service)
    if request.max_spend is not None and price is None:
        raise UnknownPriceError(service=request.service)
    return Proposal(
        source=sheet.name,
        notes=sheet.notes,
        account=account.name,
        service=request.service,
        service_name=service.name if service is not None else "",
        price=price,
        prices=prices,
        credit=offer.credit,
        preview=sifter.preview,
        earlier=sifter.earlier,
        max_spend=request.max_spend,
        columns=sheet.columns,
        imei_column=sheet.imei_column,
        probe_up_to=account.repeat_probe_max_price if request.policy is Policy.SETTLE else None,
    )


def _hold_to_price(session: Session, proposal: Proposal, *, is_sure: bool, up_to: Decimal | None) -> Proposal:
    """Give a proposal at today's price, where that may be ordered without a word more."""
    renewed = _renew(session, proposal)
    check_limit(renewed, up_to)
    quote = Quote(is_listed=True, price=renewed.price)
    is_unchanged = renewed.price == proposal.price  # also where nobody knows it
    if not is_unchanged and not may_begin(proposal.price, quote, is_sure=is_sure, up_to=up_to):
        change, cost = say_move(proposal.service, proposal.price, quote), say_total(proposal.cost, renewed.cost)
        raise PriceChangedError(proposal=renewed, change=change, cost=cost, remedy=say_accept(renewed.price))
    return renewed


def check_limit(proposal: Proposal, up_to: Decimal | None) -> None:
    """Raise PriceAboveError where one order costs more than `up_to`."""
    price = proposal.price
    if up_to is not None and price is not None and price.amount > up_to:
        limit = Money(up_to, price.currency)
        raise PriceAboveError(service=proposal.service, price=price, limit=limit)


def _renew(session: Session, proposal: Proposal) -> Proposal:
    """Fetch the price list again where it is too old by now; without an answer the proposal stays as it is."""
    if not proposal.preview.valid:
        return proposal
    prices = fetch_again(session, proposal.prices)
    if prices is proposal.prices or not prices.is_fresh:
        return replace(proposal, prices=prices)
    service = prices.find(proposal.service)
    if service is None:
        raise UnknownServiceError(account=proposal.account, service=proposal.service)
    # A list that tells no price any more takes back nothing of what was shown.
    account = session.configuration.accounts[proposal.account]
    price = find_price(session.ledger, account, proposal.credit.balance, service) or proposal.price
    return replace(proposal, prices=prices, price=price, service_name=service.name)
