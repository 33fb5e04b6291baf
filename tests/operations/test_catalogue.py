"""Price list and credit, asked for afresh, and what is said where they are not told."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.errors import ConfigurationError, ProviderError
from imeiflow.operations.catalogue import fetch_credit, fetch_offer, fetch_services, list_services
from imeiflow.operations.session import Session
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import ACCOUNT, make_configuration
from tests.simulator.warm import start_simulator


@pytest.fixture(scope="module")
def simulator():
    with start_simulator() as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, simulator: SimulatorProcess):
    simulator.set_behaviour(lockout="none", faults=(), accountinfo=True)
    with Session.open(make_configuration(tmp_path / "home", simulator.base_url)) as opened:
        yield opened


def test_a_fresh_price_list_is_kept_in_the_ledger(session: Session):
    account = session.configuration.choose_account(None)
    prices = list_services(session.ledger, session.configuration, account)
    assert prices.is_fresh
    service = prices.find(ServiceId("1"))
    assert service is not None
    assert service.price is not None
    assert service.price.amount == Decimal("0.08")
    assert prices.find(ServiceId("999999")) is None
    assert {one.id for one in session.ledger.price_list(ACCOUNT)} == {one.id for one in prices.services}


def test_without_an_answer_the_ledger_s_list_is_given_with_its_date_and_the_problem(
    session: Session, simulator: SimulatorProcess
):
    account = session.configuration.choose_account(None)
    fresh = list_services(session.ledger, session.configuration, account)
    simulator.set_behaviour(faults=("html-502@100%",), fault_actions=("imeiservices",))
    old = list_services(session.ledger, session.configuration, account)
    assert not old.is_fresh
    assert old.problem
    assert old.as_of is not None
    assert {one.id for one in old.services} == {one.id for one in fresh.services}


def test_an_account_s_currency_completes_prices_that_name_none(tmp_path: Path, simulator: SimulatorProcess):
    simulator.set_behaviour(lockout="none", faults=())
    configuration = make_configuration(tmp_path, simulator.base_url, currency="EUR")
    services = asyncio.run(fetch_services(configuration, configuration.choose_account(None)))
    currencies = {one.price.currency for one in services if one.price is not None}
    assert currencies <= {"EUR", "USD"}
    assert "" not in currencies


def test_a_credit_that_is_not_told_has_its_reason(session: Session, simulator: SimulatorProcess):
    account = session.configuration.choose_account(None)
    told = asyncio.run(fetch_credit(session.configuration, account))
    assert told.balance is not None
    simulator.set_behaviour(accountinfo=False)
    silent = asyncio.run(fetch_credit(session.configuration, account))
    assert (silent.balance, silent.is_account_error) == (None, False)
    assert silent.problem


def test_a_login_that_is_turned_away_is_an_account_error(session: Session, simulator: SimulatorProcess):
    account = session.configuration.choose_account(None)
    simulator.set_behaviour(lockout="key")
    offer = asyncio.run(fetch_offer(session.configuration, account))
    assert offer.services == ()
    assert offer.problem
    assert offer.credit.is_account_error
    with pytest.raises(ProviderError, match=ACCOUNT):
        asyncio.run(fetch_services(session.configuration, account))


def test_a_base_url_without_tls_is_refused_before_anything_is_sent(tmp_path: Path):
    configuration = make_configuration(tmp_path, "http://shop.example")
    with pytest.raises(ConfigurationError, match="unencrypted"):
        asyncio.run(fetch_credit(configuration, configuration.choose_account(None)))


def test_a_list_that_was_fetched_without_a_change_was_fetched_all_the_same(session: Session):
    account = session.configuration.choose_account(None)
    assert session.ledger.prices_fetched_at(ACCOUNT) is None
    list_services(session.ledger, session.configuration, account)
    first, changed = session.ledger.prices_fetched_at(ACCOUNT), session.ledger.priced_at(ACCOUNT)
    list_services(session.ledger, session.configuration, account)
    again = session.ledger.prices_fetched_at(ACCOUNT)
    assert first is not None
    assert again is not None
    assert again > first
    assert session.ledger.priced_at(ACCOUNT) == changed
    assert [str(one.price) for one in session.ledger.price_history(ACCOUNT, ServiceId("1"))] == ["0.08"]
