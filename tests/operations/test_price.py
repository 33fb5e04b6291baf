"""The price that was confirmed is held: when a list is started, and when a job is resumed."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.ledger.record import NewOrder, PricedService
from imeiflow.operations.price import PriceRoseError, find_rise, renew_prices
from imeiflow.operations.session import Session
from imeiflow.operations.steering import resume_job
from imeiflow.operations.submit import PriceAboveError, PriceChangedError, Request, UnknownServiceError, read_list
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import ACCOUNT, SERVICE, add_job, make_configuration, make_imei
from tests.simulator.warm import start_simulator


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


@pytest.fixture
def drafted(session: Session):
    source = io.BytesIO("\n".join(make_imei(number) for number in range(10)).encode())
    draft, proposal = read_list(session, Request(source=source, service=SERVICE))
    with draft:
        yield draft, proposal
    draft.lock.release()


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def price_of(session: Session, job) -> Money | None:
    return session.find_job(job).price


def test_the_same_price_needs_no_word_more(session, drafted):
    draft, proposal = drafted
    assert draft.start(proposal).price == usd("0.08")
    assert session.find_job(draft.job).state is JobState.RUNNING


def test_a_rise_is_said_with_both_totals_and_nothing_is_started(session, simulator, drafted):
    draft, proposal = drafted
    simulator.set_behaviour(price_change="1=0.10@0")
    with pytest.raises(PriceChangedError) as caught:
        draft.start(proposal, is_sure=True)
    assert str(caught.value) == (
        "Nothing was ordered: the price of service 1 rose from $0.08 to $0.10, all of it $1.00 instead of $0.80."
    )
    assert "--accept-price 0.10" in caught.value.remedy
    assert caught.value.exit_code == 1
    found = session.ledger.find_job(draft.job)
    assert found is not None
    assert found.state is JobState.DRAFT
    assert draft.start(caught.value.proposal).cost == usd("1.00")  # confirmed anew


def test_a_rise_goes_on_up_to_what_was_accepted(session, simulator, drafted):
    draft, proposal = drafted
    simulator.set_behaviour(price_change="1=0.10@0")
    with pytest.raises(PriceAboveError):
        draft.start(proposal, is_sure=True, up_to=Decimal("0.09"))
    draft.start(proposal, is_sure=True, up_to=Decimal("0.10"))
    assert price_of(session, draft.job) == usd("0.10")


def test_a_fall_is_asked_about_where_somebody_can_be_asked_and_else_goes_on(session, simulator, drafted):
    draft, proposal = drafted
    simulator.set_behaviour(price_change="1=0.05@0")
    with pytest.raises(PriceChangedError, match=r"fell from \$0.08 to \$0.05"):
        draft.start(proposal)
    draft.start(proposal, is_sure=True)
    assert price_of(session, draft.job) == usd("0.05")


def test_a_service_that_has_gone_starts_nothing(simulator, drafted):
    draft, proposal = drafted
    simulator.set_behaviour(price_change="1=gone@0")
    with pytest.raises(UnknownServiceError):
        draft.start(proposal, is_sure=True, up_to=Decimal(5))


def test_a_list_that_cannot_be_fetched_again_leaves_the_price_as_it_was_shown(simulator, drafted):
    draft, proposal = drafted
    simulator.set_behaviour(faults="reset:before@100%", fault_actions="imeiservices")
    started = draft.start(proposal, is_sure=True)
    assert (started.price, started.prices.is_fresh) == (usd("0.08"), False)
    assert started.prices.problem


class TestResume:
    @pytest.fixture
    def job(self, session):
        job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 12)])
        session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "paused by the user")
        return job

    def test_a_job_goes_on_at_a_risen_price_only_where_that_is_accepted(self, session, simulator, job):
        simulator.set_behaviour(price_change="1=0.10@0")
        renew_prices(session, job)
        with pytest.raises(PriceRoseError, match=r"10 that wait would cost \$1.00 instead of \$0.80") as caught:
            resume_job(session, job, accept_price=Decimal("0.09"))
        assert caught.value.exit_code == 4
        assert session.find_job(job).state is JobState.PAUSED
        resume_job(session, job, accept_price=Decimal("0.12")).lock.release()
        assert price_of(session, job) == usd("0.10")
        assert find_rise(session, job) is None

    def test_what_is_said_to_go_on_has_all_that_was_given_and_not_kept(self, session, simulator, job):
        simulator.set_behaviour(price_change="1=0.10@0")
        renew_prices(session, job)
        with pytest.raises(PriceRoseError) as caught:
            resume_job(session, job, max_spend=Decimal("5.00"), probe_up_to=Decimal(25))
        command = f"`imeiflow resume {job} --accept-price 0.10 --max-spend 5.00 --probe-up-to 25`"
        assert caught.value.remedy == f"{command} goes on at the new price."
        assert session.find_job(job).max_spend is None

    def test_a_lower_price_and_a_list_from_before_the_job_hold_nobody_up(self, session, job):
        session.ledger.record_prices(ACCOUNT, [PricedService(id=SERVICE, name="check", price=usd("0.01"))])
        resume_job(session, job).lock.release()
        assert price_of(session, job) == usd("0.08")  # what was agreed to; the engine records what the list says

    def test_a_price_in_another_currency_cannot_be_accepted(self, session, job):
        session.ledger.record_prices(
            ACCOUNT, [PricedService(id=SERVICE, name="c", price=Money(Decimal("0.01"), "EUR"))]
        )
        with pytest.raises(PriceRoseError, match="was confirmed as"):
            resume_job(session, job, accept_price=Decimal(10))
