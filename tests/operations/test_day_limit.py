"""What is left today of an account's cap and of a user's limit: what was charged, and what may have been, is gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from imeiflow.domain.ident import AccountName
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Role
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.day_limit import find_account_limit, find_user_limit
from imeiflow.operations.identity import accept_invitation, invite_user
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, PRICE, add_job, answer, make_configuration, make_imei

CAP = Decimal("0.50")


@pytest.fixture
def session(tmp_path):
    (tmp_path / "home").mkdir()
    with Session.open(make_configuration(tmp_path / "home", max_spend_per_day=CAP)) as opened:
        secret = invite_user(opened, role=Role.OPERATOR, actor="a test")
        user = accept_invitation(opened, secret, name="otto", password="seven brass kettles sing")
        opened.ledger.change_user(user.id, actor="a test", spend_limit=Decimal("1.00"))
        yield opened


def test_what_was_charged_and_what_may_have_been_is_gone(session):
    assert find_account_limit(session, ACCOUNT, "USD").left == Money(CAP, "USD")
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(2, 7)], submitted_by="otto")
    answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED, 4: OrderState.REFUSED})
    account, user = find_account_limit(session, ACCOUNT, "USD"), find_user_limit(session, "otto", "USD")
    assert (account.most, account.left) == (Money(CAP, "USD"), Money(CAP - 2 * PRICE, "USD"))
    assert user.left == Money(Decimal("1.00") - 5 * PRICE, "USD")  # its job runs: two more, and a probe
    assert account.affords(Money(PRICE, "USD")) == 4
    assert find_user_limit(session, "otto", "EUR").left == Money(Decimal("1.00"), "EUR")


def test_what_was_spent_on_another_day_takes_nothing(session):
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(2, 5)], submitted_by="otto")
    answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.ACCEPTED, 4: OrderState.UNCONFIRMED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.FINISHED, None)
    two_days_us = 2 * 24 * 3600 * 1_000_000
    with closing(sqlite3.connect(session.ledger.path)) as ledger, ledger:
        ledger.execute("UPDATE charge SET at = at - ?", (two_days_us,))
        ledger.execute("UPDATE attempt SET started_at = started_at - ?", (two_days_us,))
    assert find_account_limit(session, ACCOUNT, "USD").left == Money(CAP, "USD")
    assert find_user_limit(session, "otto", "USD").left == Money(Decimal("1.00"), "USD")


def test_who_has_no_limit_has_none_left(session):
    assert find_user_limit(session, "nobody", "USD") is None
    assert find_account_limit(session, AccountName("elsewhere"), "USD") is None


def test_nothing_is_left_of_what_was_passed(session):
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(2, 10)])
    answer(session, job, dict.fromkeys(range(2, 10), OrderState.ACCEPTED))
    limit = find_account_limit(session, ACCOUNT, "USD")
    assert (limit.left, limit.affords(Money(PRICE, "USD"))) == (Money(Decimal(0), "USD"), 0)
