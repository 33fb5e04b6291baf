"""File and server orders: their price lists are kept, and the price that was confirmed is held."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import FileItem, OrderKind, ServerItem
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.operations.item_order import (
    ItemPriceChangedError,
    ItemProposal,
    ItemRequest,
    order_items,
    propose_items,
    read_server_items,
)
from imeiflow.operations.price import PriceRoseError, agree_price, find_rise, renew_prices
from imeiflow.operations.session import Session
from imeiflow.operations.submit import PriceAboveError, UnknownServiceError
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import ACCOUNT, make_configuration
from tests.simulator.warm import start_simulator

FILE, SERVER = ServiceId("902"), ServiceId("951")
ITEMS = {
    OrderKind.FILE: (FILE, (FileItem("1.ask", b"request 1"), FileItem("2.ask", b"request 2"))),
    OrderKind.SERVER: (
        SERVER,
        (ServerItem({"email_951": "a@example.com"}), ServerItem({"email_951": "b@example.com"})),
    ),
}
BOTH = pytest.mark.parametrize("kind", [OrderKind.FILE, OrderKind.SERVER])
WAS = {OrderKind.FILE: "3.75", OrderKind.SERVER: "2.10"}


@pytest.fixture(scope="module")
def simulator():
    with start_simulator() as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, simulator: SimulatorProcess):
    """Give a session to which every price list is too old as soon as it was read."""
    simulator.set_behaviour(price_change=(), fault_actions=(), faults=())
    configuration = make_configuration(tmp_path / "home", simulator.base_url)
    with Session.open(replace(configuration, price_max_age_s=0.0)) as opened:
        yield opened


def propose(session: Session, kind: OrderKind) -> ItemProposal:
    service, items = ITEMS[kind]
    return propose_items(session, ItemRequest(items=items, service=service))


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def change(simulator: SimulatorProcess, kind: OrderKind, to: str) -> None:
    simulator.set_behaviour(price_change=f"{ITEMS[kind][0]}={to}@0")


@BOTH
def test_a_preview_keeps_the_price_list_of_its_kind_alone(session: Session, kind: OrderKind):
    proposal = propose(session, kind)
    assert (proposal.price, proposal.prices.is_fresh) == (usd(WAS[kind]), True)
    kept = {one.id: one.price for one in session.ledger.price_list(ACCOUNT, kind)}
    assert kept[proposal.service] == Money(Decimal(WAS[kind]), "")  # the provider names no currency
    others = [other for other in OrderKind if other is not kind]
    assert [session.ledger.price_list(ACCOUNT, other) for other in others] == [[], []]


@BOTH
def test_a_rise_is_said_with_both_totals_and_nothing_is_ordered(session: Session, simulator, kind: OrderKind):
    proposal = propose(session, kind)
    change(simulator, kind, "5.00")
    with pytest.raises(ItemPriceChangedError) as caught:
        order_items(session, proposal, is_sure=True)
    shown = proposal.cost(2)
    assert str(caught.value) == (
        f"Nothing was ordered: the price of service {proposal.service} rose from {proposal.price} to $5.00, "
        f"all of it $10.00 instead of {shown}."
    )
    assert "--accept-price 5.00" in caught.value.remedy
    assert session.ledger.list_jobs() == []
    job, lock, started = order_items(session, caught.value.proposal)  # confirmed anew
    lock.release()
    assert (session.find_job(job).price, started.price) == (usd("5.00"), usd("5.00"))
    history = session.ledger.price_history(ACCOUNT, proposal.service, kind)
    assert [one.price.amount for one in history if one.price] == [Decimal(WAS[kind]), Decimal("5.00")]


@BOTH
def test_a_rise_goes_on_up_to_what_was_accepted(session: Session, simulator, kind: OrderKind):
    proposal = propose(session, kind)
    change(simulator, kind, "5.00")
    with pytest.raises(PriceAboveError):
        order_items(session, proposal, is_sure=True, up_to=Decimal("4.99"))
    job, lock, _ = order_items(session, proposal, is_sure=True, up_to=Decimal("5.00"))
    lock.release()
    assert session.find_job(job).price == usd("5.00")


@BOTH
def test_a_fall_is_asked_about_where_somebody_can_be_asked_and_else_goes_on(
    session: Session, simulator, kind: OrderKind
):
    proposal = propose(session, kind)
    change(simulator, kind, "1.00")
    with pytest.raises(ItemPriceChangedError, match="fell from"):
        order_items(session, proposal)
    job, lock, _ = order_items(session, proposal, is_sure=True)
    lock.release()
    assert session.find_job(job).price == usd("1.00")


@BOTH
def test_a_service_that_has_gone_starts_nothing(session: Session, simulator, kind: OrderKind):
    proposal = propose(session, kind)
    change(simulator, kind, "gone")
    with pytest.raises(UnknownServiceError) as caught:
        order_items(session, proposal, is_sure=True, up_to=Decimal(50))
    assert f"--kind {kind.value}" in caught.value.remedy
    assert session.ledger.list_jobs() == []


@BOTH
def test_without_an_answer_the_list_of_last_time_is_shown_as_such(session: Session, simulator, kind: OrderKind):
    first = propose(session, kind)
    simulator.set_behaviour(faults="reset:before@100%", fault_actions=f"{kind.value}services")
    second = propose(session, kind)
    assert (second.price, second.prices.is_fresh) == (first.price, False)
    assert second.prices.problem
    assert second.prices.as_of is not None


@BOTH
def test_a_price_of_last_time_is_in_the_money_that_the_account_is_known_to_have(
    session: Session, simulator, kind: OrderKind
):
    job, lock, _ = order_items(session, propose(session, kind))
    lock.release()
    assert session.find_job(job).currency == "USD"
    simulator.set_behaviour(faults="reset:before@100%", fault_actions="all")
    found = propose(session, kind)
    assert (found.price, found.credit.balance) == (usd(WAS[kind]), None)


def test_rows_are_those_of_the_table_and_the_job_is_called_by_what_is_ordered(session: Session):
    table = io.BytesIO(b"email_951;quantity_951\r\na@example.com;2\r\n;\r\nb@example.com;1\r\n")
    read = read_server_items(table)
    assert list(read) == [2, 4]
    request = ItemRequest(items=tuple(read.values()), lines=tuple(read), service=ServiceId("951"))
    job, lock, _ = order_items(session, propose_items(session, request))
    lock.release()
    told = [(row.line, row.value) for row in session.ledger.order_rows(job)]
    assert told == [(2, "email_951=a@example.com, quantity_951=2"), (4, "email_951=b@example.com, quantity_951=1")]
    assert session.find_job(job).name == "email_951=a@example.com, quantity_951=2 and 1 more"


@BOTH
def test_a_paused_job_goes_on_at_a_risen_price_only_where_that_is_accepted(
    session: Session, simulator, kind: OrderKind
):
    job, lock, _ = order_items(session, propose(session, kind))
    lock.release()
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "paused by the user")
    change(simulator, kind, "5.00")
    renew_prices(session, job)
    rise = find_rise(session, job)
    assert rise is not None
    assert rise.cost.startswith("The 2 that wait would cost $10.00 instead of")
    with pytest.raises(PriceRoseError):
        agree_price(session, job, up_to=None)
    assert agree_price(session, job, up_to=Decimal(5)) == Decimal(5)


@BOTH
def test_a_job_whose_service_has_gone_is_told_where_to_look(session: Session, simulator, kind: OrderKind):
    job, lock, _ = order_items(session, propose(session, kind))
    lock.release()
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "paused by the user")
    change(simulator, kind, "gone")
    renew_prices(session, job)
    with pytest.raises(PriceRoseError) as caught:
        agree_price(session, job, up_to=Decimal(50))
    assert f"`imeiflow services --kind {kind.value}`" in caught.value.remedy
