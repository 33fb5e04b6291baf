"""From a list in memory to a running job: what other jobs order meanwhile is not ordered as well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import UsageError
from imeiflow.ledger.record import NewOrder, PricedService
from imeiflow.library.submission import Terms, begin_job
from imeiflow.operations.admission import OrderedMeanwhileError, WaitingElsewhereError
from imeiflow.operations.session import Session
from imeiflow.operations.steering import Resumed
from tests.operations.stand import (
    ACCOUNT,
    PRICE,
    SERVICE,
    add_job,
    after_read,
    answer,
    finish,
    hold_call,
    make_imei,
    open_session,
    retry_orders,
)

S = OrderState


@pytest.fixture
def session(tmp_path: Path):
    with open_session(tmp_path / "home") as opened:
        yield opened


def begin(session: Session) -> None:
    """Begin a job of one IMEI, unless that is refused."""
    with suppress(WaitingElsewhereError, OrderedMeanwhileError):
        account = session.configuration.accounts[ACCOUNT]
        begin_job(session, account, [make_imei(1)], Terms(service=SERVICE), None).lock.release()


def count_orders(session: Session) -> int:
    """Count the orders that were placed, or will be."""
    tallies = [session.ledger.tally(job.id) for job in session.ledger.list_jobs()]
    return sum(tally[state] for tally in tallies for state in (S.QUEUED, S.SENDING, S.ACCEPTED))


def let_leave(session: Session) -> Callable[[], None]:
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    return lambda: answer(session, job, {1: S.ACCEPTED})


def let_come_back(session: Session) -> Callable[[], None]:
    return hold_call(session, add_job(session, [NewOrder(line=1, imei=make_imei(1))]))


def let_retry(session: Session) -> Callable[[], None]:
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    answer(session, job, {1: S.REFUSED})
    finish(session, job)
    return lambda: retry_orders(session, job) and None


@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("happens", [let_leave, let_come_back, let_retry])
def test_what_moves_while_a_list_is_read_is_not_ordered_by_both(
    session: Session, happens: Callable[[Session], Callable[[], None]], number: int
):
    after_read(session, number, happens(session))
    begin(session)
    assert count_orders(session) == 1


def begin_capped(session: Session, cap: str | None) -> Resumed:
    """Begin a job of five IMEIs, or go on with it."""
    terms = Terms(service=SERVICE, max_spend=cap and Decimal(cap))
    service = PricedService(id=SERVICE, name="a service", price=Money(PRICE, "USD"))
    begun = begin_job(session, session.configuration.accounts[ACCOUNT], list(map(make_imei, range(5))), terms, service)
    begun.lock.release()
    return begun


@pytest.mark.parametrize("first", [None, "0.20"])
def test_a_list_does_not_go_on_under_another_cap_than_the_one_that_is_given(session: Session, first: str | None):
    job = begin_capped(session, first).job
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    with pytest.raises(UsageError, match=f"job {job}, which goes on with this list") as caught:
        begin_capped(session, "0.10")
    assert f"imeiflow resume {job} --max-spend 0.10" in caught.value.remedy
    assert session.find_job(job).state is JobState.PAUSED
    session.ledger.set_max_spend(job, Decimal("0.10"))
    assert begin_capped(session, "0.10").job == job


@pytest.mark.parametrize("cap", [None, "0.20"])
def test_a_list_goes_on_under_its_own_cap_where_that_is_given_or_none_is(session: Session, cap: str | None):
    job = begin_capped(session, "0.20").job
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    assert begin_capped(session, cap).job == job
    assert session.find_job(job).max_spend == Decimal("0.20")
