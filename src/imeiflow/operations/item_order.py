"""File orders and server orders: what they are about is read, priced, looked up among earlier ones, and made a job.

Sends no order; whoever follows the job does. Such orders travel one a call, and a doubt about one is held for the
user: nothing is known that would refuse a repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.item import FileItem, Item, OrderKind, ServerItem
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, Policy
from imeiflow.domain.price import Quote, may_begin, say_move
from imeiflow.errors import ImeiflowError, LedgerError, ProviderError, UsageError
from imeiflow.intake.table import read_table
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, PastOrder, PricedService
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.admission import WaitingItemError, admit_one, start_unrivalled
from imeiflow.operations.catalogue import Credit, Offer, PriceList, fetch_offer, find_price, recall_prices
from imeiflow.operations.price import fetch_again, say_accept, say_total
from imeiflow.operations.session import Session, find_account_provider
from imeiflow.operations.submit import PriceAboveError, UnknownPriceError, UnknownServiceError

#: A file travels in one form, and stays in the ledger.
LARGEST_FILE: Final = 16 << 20
_MOST_ITEMS: Final = 10_000
_UNSETTLED: Final = frozenset({OrderState.QUEUED, OrderState.SENDING, OrderState.UNCONFIRMED})


class UnreadableFileError(UsageError):
    """{path} cannot be ordered: {problem}."""


class ItemPriceChangedError(ImeiflowError):
    """Nothing was ordered: {change}{cost}.

    `proposal` is the same at today's price, to be shown and confirmed anew.
    """

    def __init__(self, *, proposal: ItemProposal, change: str, cost: str, remedy: str = "") -> None:
        self.proposal = proposal
        self.change, self.cost = change, cost
        super().__init__(change=change, cost=cost, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRequest:
    """What a user wants ordered: one or more items of one kind. `lines`: theirs in the table that they come from.

    Without `lines` they are counted from 1, as they were given.
    """

    items: tuple[Item, ...]
    lines: tuple[int, ...] = ()
    service: ServiceId
    account: str | None = None
    name: str = ""
    max_spend: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemProposal:
    """What would be ordered and what it would cost. `earlier`: what was ordered before, by position in `items`.

    Without a `name` the job is called by the first that is ordered.
    """

    account: AccountName
    kind: OrderKind
    items: tuple[Item, ...]
    lines: tuple[int, ...]
    service: ServiceId
    service_name: str
    name: str
    price: Money | None
    prices: PriceList
    credit: Credit
    earlier: Mapping[int, PastOrder]
    max_spend: Decimal | None

    def cost(self, count: int) -> Money | None:
        """Give what so many of them cost; None where the price is not known."""
        return None if self.price is None else self.price * count


def read_files(paths: Sequence[Path]) -> tuple[FileItem, ...]:
    """Read the files that are to be ordered. Raises UnreadableFileError, before anything else is done."""
    found: dict[str, Path] = {}
    items = []
    for path in paths:
        item = FileItem(path.name, _read_file(path))
        if item.digest in found:
            problem = f"its content is that of {found[item.digest]}"
            raise UnreadableFileError(path=path, problem=problem, remedy="Name each file once.")
        found[item.digest] = path
        items.append(item)
    return tuple(items)


def read_server_items(source: Path | BinaryIO) -> dict[int, ServerItem]:
    """Read server orders from a table, by line: a column a field, a row an order. Raises InputError, UsageError."""
    items: dict[str, int] = {}
    found = {}
    for line, fields in read_table(source):
        item = ServerItem(fields)
        if item.digest in items:
            problem = f"line {line} holds the same as line {items[item.digest]}: {item.subject}"
            raise UsageError(
                problem=problem, remedy="Where it is wanted twice, order it twice: one list after another."
            )
        items[item.digest] = line
        found[line] = item
        if len(found) > _MOST_ITEMS:
            raise UsageError(problem=f"more than {_MOST_ITEMS:,} orders in one list", remedy="Divide the list.")
    return found


def propose_items(session: Session, request: ItemRequest) -> ItemProposal:
    """Say what would be ordered, at which price, and what of it was ordered before. The price list is kept.

    Raises UsageError, ConfigurationError, ProviderError where the login is turned away, UnknownServiceError,
    UnknownPriceError.
    """
    account = session.configuration.choose_account(request.account)
    kind = _check_items(account, request)
    asked_at = session.clock.now()
    offer = asyncio.run(fetch_offer(session.configuration, account, kind))
    if offer.credit.is_account_error and not offer.services:
        raise ProviderError(account=account.name, problem=f"it answers: {offer.credit.problem}")
    prices = replace(_keep_prices(session, account, kind, offer, asked_at), asked_at=asked_at)
    service = _find_service(prices, request.service, kind)
    if request.max_spend is not None and (service is None or service.price is None):
        raise UnknownPriceError(service=request.service)
    digests = [item.digest for item in request.items]
    past = _find_past(session.ledger, account.name, request.service, digests)
    return ItemProposal(
        account=account.name,
        kind=kind,
        items=request.items,
        lines=request.lines or tuple(range(1, len(request.items) + 1)),
        service=request.service,
        service_name=service.name if service is not None else "",
        name=request.name,
        price=find_price(session.ledger, account, offer.credit.balance, service),
        prices=prices,
        credit=offer.credit,
        earlier={place: past[digest] for place, digest in enumerate(digests) if digest in past},
        max_spend=request.max_spend,
    )


def order_items(
    session: Session,
    proposal: ItemProposal,
    *,
    reorder: bool = False,
    is_sure: bool = False,
    up_to: Decimal | None = None,
) -> tuple[JobId, LaneLock, ItemProposal]:
    """Make a running job of what was proposed; give it with its lock, and the proposal as it was ordered.

    Whoever has the lock must follow the job. What was accepted before is left out unless `reorder`. A price list older
    than `price_max_age_s` is fetched again first; another price than the proposed one raises ItemPriceChangedError,
    unless `is_sure` and it has not risen, or it is within `up_to`. Blocks meanwhile.

    Raises WaitingItemError for what still waits or is in doubt in an earlier job, OrderedMeanwhileError for what was
    ordered at this moment, UsageError where nothing is left to order, PriceAboveError, UnknownServiceError.
    """
    proposal = _hold_to_price(session, proposal, reorder=reorder, is_sure=is_sure, up_to=up_to)
    account = session.configuration.accounts[proposal.account]
    ledger = session.ledger
    with admit_one(session, proposal.account):
        seen = ledger.mark()
        past = _find_past(ledger, proposal.account, proposal.service, [item.digest for item in proposal.items])
        chosen = {
            line: item
            for line, item in zip(proposal.lines, proposal.items, strict=True)
            if _is_wanted(item, past.get(item.digest), reorder=reorder)
        }
        if not chosen:
            raise UsageError(
                problem="all of it was ordered before",
                remedy="Say --again (`reorder` in the library) to order it once more.",
            )
        columns = name_columns([*chosen.values()])
        name = proposal.name or _name_job([*chosen.values()])
        job = ledger.create_draft(_make_draft(account, proposal, name, columns))
        lock = session.job_lock(job)
        lock.acquire()
        try:
            ledger.add_items(job, chosen, columns)
            start_unrivalled(ledger, job, proposal.service, seen, lambda now: ledger.start_job(job, since=now))
        except BaseException:
            with suppress(LedgerError, UsageError):
                ledger.discard_draft(job)
            lock.release()
            raise
    return job, lock, proposal


def count_wanted(proposal: ItemProposal, *, reorder: bool) -> int:
    """Count what is ordered: all of it, or what was not accepted before."""
    left_out = sum(past.state not in _UNSETTLED for past in proposal.earlier.values())
    return len(proposal.items) - (0 if reorder else left_out)


def name_columns(items: Sequence[Item]) -> tuple[str, ...]:
    """Name what tells the items apart, as the columns of their list: `file`, or the fields in the order they came."""
    names = dict.fromkeys(name for item in items for name in item.cells)
    return tuple(names)


def _name_job(items: Sequence[Item]) -> str:
    """Name a job by its first order, and say how many others it has: its name stands beside each of them."""
    first = items[0].subject
    return first if len(items) == 1 else f"{first} and {len(items) - 1:,} more"


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableFileError(path=path, problem=error.strerror or "it cannot be read") from error
    if len(content) > LARGEST_FILE:
        raise UnreadableFileError(path=path, problem=f"it is larger than {LARGEST_FILE >> 20} MiB")
    if not content:
        raise UnreadableFileError(path=path, problem="it is empty")
    return content


def _check_items(account: AccountSettings, request: ItemRequest) -> OrderKind:
    provider = find_account_provider(account)
    kinds = {item.kind for item in request.items}
    if len(kinds) != 1:
        raise UsageError(problem="a job orders one or more items, all of one kind")
    kind = kinds.pop()
    if kind not in provider.kinds:
        raise UsageError(problem=f"{provider.name} takes no {kind.value} orders")
    if not request.service.strip():
        remedy = f"`imeiflow services --kind {kind.value}` lists them."
        raise UsageError(problem="--service: it is empty", remedy=remedy)
    for item in request.items:
        provider.check_item(item)
    return kind


def _keep_prices(
    session: Session, account: AccountSettings, kind: OrderKind, offer: Offer, asked_at: datetime
) -> PriceList:
    """Keep the price list that was fetched; without an answer give the ledger's."""
    if not offer.services:
        return recall_prices(session.ledger, account, kind, problem=offer.problem)
    session.ledger.record_prices(account.name, offer.services, kind, asked_at=asked_at)
    return PriceList(account=account.name, services=offer.services, is_fresh=True)


def _find_service(prices: PriceList, service: ServiceId, kind: OrderKind) -> PricedService | None:
    found = prices.find(service)
    if found is None and prices.is_fresh:
        remedy = f"`imeiflow services --kind {kind.value}` lists them with their ids."
        raise UnknownServiceError(account=prices.account, service=service, remedy=remedy)
    return found


def _hold_to_price(
    session: Session, proposal: ItemProposal, *, reorder: bool, is_sure: bool, up_to: Decimal | None
) -> ItemProposal:
    """Give a proposal at today's price, where that may be ordered without a word more."""
    renewed = _renew(session, proposal)
    if up_to is not None and renewed.price is not None and renewed.price.amount > up_to:
        limit = Money(up_to, renewed.price.currency)
        raise PriceAboveError(service=proposal.service, price=renewed.price, limit=limit)
    quote = Quote(is_listed=True, price=renewed.price)
    if renewed.price != proposal.price and not may_begin(proposal.price, quote, is_sure=is_sure, up_to=up_to):
        wanted = count_wanted(proposal, reorder=reorder)
        raise ItemPriceChangedError(
            proposal=renewed,
            change=say_move(proposal.service, proposal.price, quote),
            cost=say_total(proposal.cost(wanted), renewed.cost(wanted)),
            remedy=say_accept(renewed.price),
        )
    return renewed


def _renew(session: Session, proposal: ItemProposal) -> ItemProposal:
    prices = fetch_again(session, proposal.prices, proposal.kind)
    if prices is proposal.prices or not prices.is_fresh:
        return replace(proposal, prices=prices)
    service = _find_service(prices, proposal.service, proposal.kind)
    account = session.configuration.accounts[proposal.account]
    told = find_price(session.ledger, account, proposal.credit.balance, service)
    # A list that tells no price any more takes back nothing of what was shown.
    return replace(proposal, prices=prices, price=told or proposal.price)


def _find_past(
    ledger: Ledger, account: AccountName, service: ServiceId, digests: Sequence[str]
) -> dict[str, PastOrder]:
    """Give by digest the order that matters most for another one: one that waits, or was placed or may have been."""
    found = ledger.find_elsewhere(account, service, digests, is_item=True)
    past = {digest: one.waiting or one.past for digest, one in found.items()}
    return {digest: one for digest, one in past.items() if one is not None}


def _is_wanted(item: Item, past: PastOrder | None, *, reorder: bool) -> bool:
    if past is None:
        return True
    if past.state in _UNSETTLED:
        raise WaitingItemError(subject=item.subject, job=past.job, state=past.state)
    return reorder


def _make_draft(account: AccountSettings, proposal: ItemProposal, name: str, columns: tuple[str, ...]) -> JobDraft:
    price = proposal.price
    return JobDraft(
        account=account.name,
        provider=account.provider,
        kind=proposal.kind,
        service=proposal.service,
        service_name=proposal.service_name,
        name=name,
        source=name,
        policy=Policy.HOLD,
        unit_price=None if price is None else price.amount,
        currency=account.currency if price is None else price.currency,
        max_spend=proposal.max_spend,
        chunk_size=1,
        columns=columns,
        has_header=True,
    )
