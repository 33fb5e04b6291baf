"""From a list in memory to a running job: what other jobs order meanwhile is not ordered as well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.library.submission import Terms, begin_job
from imeiflow.operations.admission import OrderedMeanwhileError, WaitingElsewhereError
from imeiflow.operations.session import Session
from imeiflow.operations.steering import retry_orders
from tests.operations.stand import (
    ACCOUNT,
    SERVICE,
    add_job,
    after_read,
    answer,
    finish,
    make_imei,
    open_session,
    throttle,
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
    return throttle(session, add_job(session, [NewOrder(line=1, imei=make_imei(1))]))


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
