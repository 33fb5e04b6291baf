"""Holding a price to what was agreed to: before a list is ordered, and before a job goes on.

Fetches price lists, places nothing. What a job does about prices while it runs is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from imeiflow.dispatch.price import recall_quote
from imeiflow.domain.ident import JobId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, Policy
from imeiflow.domain.price import PriceMove, Quote, compare_price, may_go_on, name_price, say_move
from imeiflow.domain.progress import Tally
from imeiflow.errors import ImeiflowError
from imeiflow.ledger.record import Job
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.catalogue import PriceList, list_services
from imeiflow.operations.session import Session


class PriceRoseError(ImeiflowError):
    """Job {job} was not resumed: {change}. {cost}"""

    exit_code: ClassVar[int] = 4  #: the job is paused


@dataclass(frozen=True, slots=True)
class Rise:
    """Why a job may not go on at today's price, and what the rest of it would cost. `price` is what may be accepted."""

    job: JobId
    change: str
    cost: str
    price: Money | None
    kind: OrderKind = OrderKind.IMEI


def find_stale_prices(session: Session, job: JobId) -> tuple[AccountSettings, OrderKind] | None:
    """Say which price list has to be fetched before a job is judged by it: older than `price_max_age_s`; None: none.

    Raises UnknownJobError, ConfigurationError.
    """
    found, configuration = session.find_job(job), session.configuration
    account = configuration.choose_account(found.account)
    fetched_at = session.ledger.prices_fetched_at(account.name, found.kind)
    max_age = timedelta(seconds=configuration.price_max_age_s)
    is_fresh = fetched_at is not None and session.clock.now() - fetched_at <= max_age
    return None if is_fresh else (account, found.kind)


def renew_prices(session: Session, job: JobId) -> PriceList | None:
    """Fetch the price list of a job's account where the ledger's is older than `price_max_age_s`; None where not.

    Blocks for as long as the provider takes: for the command line. Raises UnknownJobError, ConfigurationError.
    """
    stale = find_stale_prices(session, job)
    return None if stale is None else list_services(session.ledger, session.configuration, *stale)


def fetch_again(session: Session, prices: PriceList, kind: OrderKind = OrderKind.IMEI) -> PriceList:
    """Give a price list that was shown: fetched anew where it is older than `price_max_age_s` by now, else as it is.

    Without an answer it is the ledger's. Blocks. Raises ConfigurationError.
    """
    age = session.clock.now() - (prices.asked_at or session.clock.now())
    if age <= timedelta(seconds=session.configuration.price_max_age_s):
        return prices
    account = session.configuration.choose_account(prices.account)
    renewed = list_services(session.ledger, session.configuration, account, kind)
    return replace(renewed, asked_at=session.clock.now())


def say_total(shown: Money | None, now: Money | None) -> str:
    """Say what all of it costs now instead of what was shown; empty where one is not known."""
    return "" if shown is None or now is None else f", all of it {now} instead of {shown}"


def say_accept(price: Money | None) -> str:
    """Say what to do about a price that has changed since it was shown."""
    accept = "" if price is None else f", or say --accept-price {price.amount:f}"
    return f"Submit it again to see and confirm the new price{accept}."


def find_rise(session: Session, job: JobId, *, more: int = 0, tally: Tally | None = None) -> Rise | None:
    """Say why a job may not go on at the price that the ledger's list shows; None where it may.

    `more` orders are about to wait besides those that do. A list from before the job began says nothing. `tally` is
    that of the job, where it is known: to count a million orders takes a while.

    Raises UnknownJobError.
    """
    found = session.find_job(job)
    tally = tally or session.ledger.tally(job)
    doubts = tally[OrderState.UNCONFIRMED] if found.policy is Policy.SETTLE else 0
    if found.price is None or not (tally.waiting or doubts or more):
        return None
    quote = recall_quote(session.ledger, found)
    if quote is None or may_go_on(found.price, quote):
        return None
    is_rise = compare_price(found.price, quote) is PriceMove.ROSE
    return Rise(
        job,
        say_move(found.service, found.price, quote),
        _say_cost(found, quote, tally.waiting + more),
        name_price(found.price, quote.price) if is_rise and quote.price is not None else None,
        found.kind,
    )


def agree_price(
    session: Session, job: JobId, *, up_to: Decimal | None, more: int = 0, options: Sequence[str] = ()
) -> Decimal | None:
    """Give the price at which a job that does not run may go on today, up to an amount; None where it has not risen.

    `more` orders are about to wait besides those that do. `options` are those of `resume` that were given beside the
    price: nothing is kept of them where the job may not go on, so that they have to be given again.

    Raises UnknownJobError; PriceRoseError where that was not agreed to.
    """
    rise = find_rise(session, job, more=more)
    if rise is None:
        return None
    if rise.price is None or up_to is None or rise.price.amount > up_to:
        raise PriceRoseError(job=job, change=rise.change, cost=rise.cost, remedy=_say_remedy(rise, options))
    return rise.price.amount


def refuse_rise(session: Session, job: JobId, *, more: int, up_to: Decimal | None) -> None:
    """Look at the price of the ledger's list before more orders of a job wait; asks nobody, and changes nothing.

    Raises UnknownJobError; PriceRoseError where one costs more than was confirmed and `up_to`.
    """
    rise = find_rise(session, job, more=more)
    if rise is not None and (rise.price is None or up_to is None or rise.price.amount > up_to):
        remedy = _say_remedy(rise)
        if rise.price is not None:
            remedy = f"Nothing was sent. `imeiflow retry {job}` shows what it costs today, and asks."
        raise PriceRoseError(job=job, change=rise.change, cost=rise.cost, remedy=remedy)


def _say_cost(job: Job, quote: Quote, waiting: int) -> str:
    price = job.price
    if compare_price(price, quote) is not PriceMove.ROSE or price is None or quote.price is None:
        return f"{waiting:,} wait{'s' if waiting == 1 else ''} to be sent."
    now = name_price(price, quote.price)
    wait = "waits" if waiting == 1 else "wait"
    return f"The {waiting:,} that {wait} would cost {now * waiting} instead of {price * waiting}."


def _say_remedy(rise: Rise, options: Sequence[str] = ()) -> str:
    if rise.price is not None:
        command = " ".join((f"imeiflow resume {rise.job} --accept-price {rise.price.amount:f}", *options))
        return f"`{command}` goes on at the new price."
    kind = "" if rise.kind is OrderKind.IMEI else f" --kind {rise.kind.value}"
    return (
        f"`imeiflow services{kind}` shows what there is now. Cancel the rest (`imeiflow cancel {rise.job}`) "
        "and submit it under what you want, or resume the job when the list is as it was."
    )
