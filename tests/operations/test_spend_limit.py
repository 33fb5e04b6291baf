"""What a user may spend in a day, whatever is under way, and however many lists are confirmed at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.user import Role
from imeiflow.ledger.record import JobDraft, NewOrder, PricedService
from imeiflow.operations.admission import BusyAdmissionError, admit_one
from imeiflow.operations.job_control import Shown, go_on, send_again
from imeiflow.operations.prospect import explain_no_repeat
from imeiflow.operations.session import Session
from imeiflow.operations.spend_limit import (
    BusySpenderError,
    NotTheirsError,
    SpendLimitError,
    UnpricedLimitError,
    find_committed,
    hold_to_limit,
    weigh_list,
    weigh_rest,
)
from imeiflow.operations.steering import RETRIED, resume_job, retry_job
from tests.operations.stand import ACCOUNT, PRICE, SERVICE, add_job, add_user, answer, finish, make_imei, open_session

LIMIT = Decimal("1.00")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Give a ledger with `otto`, who may spend 1.00 a day, that is 12 orders."""
    (tmp_path / "home").mkdir()
    with open_session(tmp_path / "home") as opened:
        for name, role in (("mia", Role.ADMIN), ("otto", Role.OPERATOR)):
            user = add_user(opened, name, role)
            if name == "otto":
                opened.ledger.change_user(user.id, actor="a test", spend_limit=LIMIT)
        yield opened


def rows(count: int, start: int = 0) -> list[NewOrder]:
    return [NewOrder(line=number + 2, imei=make_imei(start + number)) for number in range(count)]


def make_draft(**values: Any) -> JobDraft:
    base: dict[str, Any] = {"account": ACCOUNT, "provider": "gsm-fusion", "service": SERVICE, "unit_price": PRICE}
    return JobDraft(**{**base, "currency": "USD", "submitted_by": "otto", **values})


def spend(session: Session, amount: str, name: str = "otto", currency: str = "USD") -> None:
    with hold_to_limit(session, name, lambda: Money(Decimal(amount), currency)):
        pass


def test_up_to_the_limit_is_let_through_and_no_more(session):
    spend(session, "1.00")
    with pytest.raises(SpendLimitError) as error:
        spend(session, "1.01")
    assert str(error.value) == (
        "User otto may spend $1.00 a day: $0.00 of it are spent or committed today, and this may cost $1.01 more."
    )
    assert "$1.00 are left until" in error.value.remedy


def test_what_is_charged_in_doubt_under_way_and_waiting_counts(session):
    job = add_job(session, rows(6), submitted_by="otto")
    answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED, 4: OrderState.REFUSED})
    spend(session, "0.52")  # 0.08 charged, 0.08 in doubt, 3 × 0.08 waiting, 0.08 for a repeat probe
    with pytest.raises(SpendLimitError, match=r"\$0\.48 of it"):
        spend(session, "0.53")


def test_what_waits_in_a_paused_job_counts_when_it_goes_on(session):
    job = add_job(session, rows(10), submitted_by="otto")
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    other = add_job(session, rows(5, 100), submitted_by="otto")
    working = session.job_lock(other)
    working.acquire()
    assert weigh_rest(session, job) == Money(Decimal("0.80"), "USD")
    with pytest.raises(SpendLimitError):
        resume_job(session, job, spender="otto")
    assert session.find_job(job).state is JobState.PAUSED
    session.ledger.change_job(other, {JobState.RUNNING}, JobState.PAUSED, None)
    working.release()
    resume_job(session, job, spender="otto").lock.release()
    assert session.find_job(job).state is JobState.RUNNING


def add_doubtful(session: Session, count: int, *, start: int = 0, days: int, **draft: Any) -> JobId:
    """Add a finished job of `otto`, all of it in doubt since some days."""
    job = add_job(session, rows(count, start), submitted_by="otto", **draft)
    answer(session, job, {number + 2: OrderState.UNCONFIRMED for number in range(count)})
    finish(session, job)
    back_us = int(timedelta(days=days).total_seconds() * 1_000_000)
    with closing(sqlite3.connect(session.ledger.path)) as ledger, ledger:
        ledger.execute("UPDATE attempt SET started_at = started_at - ? WHERE job_id = ?", (back_us, job))
    return job


@pytest.mark.parametrize(
    ("days", "draft", "cost"),
    [
        (2, {}, "0.80"),  # ten that may be placed now
        (0, {}, "0.00"),  # ten that count as charged today
        (2, {"max_spend": Decimal("0.50")}, "0.50"),
        (2, {"policy": Policy.HOLD}, "0"),
        (2, {"unit_price": Decimal("2.00")}, "20.00"),
    ],
)
def test_doubts_are_weighed_by_what_settling_them_may_cost(session, days, draft, cost):
    job = add_doubtful(session, 10, days=days, **draft)
    assert weigh_rest(session, job) == Money(Decimal(cost), "USD")


def test_a_job_with_only_old_doubts_may_not_go_on_beyond_the_limit(session):
    job = add_doubtful(session, 13, days=2)
    with pytest.raises(SpendLimitError, match=r"this may cost \$1\.04 more"):
        resume_job(session, job, spender="otto")
    assert session.find_job(job).state is JobState.FINISHED


@pytest.mark.parametrize(
    ("count", "draft", "cap"),
    [
        (12, {}, "1.00"),  # 0.96, so that a repeat probe would exceed the limit
        (11, {}, None),
        (12, {"max_spend": Decimal("1.20")}, "1.00"),
        (12, {"max_spend": Decimal("0.98")}, "0.98"),
        (12, {"policy": Policy.HOLD}, None),
    ],
)
def test_what_fits_the_limit_only_without_a_repeat_probe_gets_a_cap(session, count, draft, cap):
    job = add_job(session, rows(count), submitted_by="otto", **draft)
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    resume_job(session, job, spender="otto").lock.release()
    assert session.find_job(job).max_spend == (None if cap is None else Decimal(cap))
    assert session.ledger.find_cap_limit(job) == ("otto" if cap == "1.00" else None)


def test_the_cap_of_a_job_that_has_spent_before_covers_that_too(session):
    job = add_job(session, rows(12), submitted_by="otto")
    answer(session, job, {2: OrderState.ACCEPTED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    resume_job(session, job, spender="otto").lock.release()
    assert session.find_job(job).max_spend == Decimal("1.00")  # 0.08 spent, and the 0.92 that are left


@pytest.mark.parametrize("given", [None, Decimal(5)])
def test_a_job_that_goes_on_with_doubts_of_today_alone_makes_no_repeat_probe_beyond_the_limit(session, given):
    job = add_job(session, rows(12), submitted_by="otto")
    states = dict.fromkeys(range(2, 11), OrderState.ACCEPTED)
    answer(session, job, {**states, **dict.fromkeys(range(11, 14), OrderState.UNCONFIRMED)})
    finish(session, job)
    resume_job(session, job, max_spend=given, spender="otto").lock.release()
    assert session.find_job(job).max_spend == Decimal("1.00")  # 0.72 spent, 0.24 in doubt, and the 0.04 that are left
    assert session.ledger.find_cap_limit(job) == "otto"
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    assert explain_no_repeat(session, session.find_job(job)) == (
        "the spending cap, which comes from what otto may spend in a day, leaves no room for a repeat probe"
    )
    session.ledger.set_max_spend(job, Decimal("1.00"))  # chosen, it is nobody's limit any more
    assert session.ledger.find_cap_limit(job) is None


def test_what_is_in_doubt_today_takes_nothing_of_what_is_left_for_what_waits(session):
    job = add_job(session, rows(12), submitted_by="otto")
    answer(session, job, dict.fromkeys((2, 3), OrderState.UNCONFIRMED))
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    resume_job(session, job, spender="otto").lock.release()
    assert session.find_job(job).max_spend == Decimal("1.00")  # 0.16 in doubt, and the 0.84 that are left


def test_a_job_with_nothing_to_send_is_given_no_cap(session):
    job = add_job(session, rows(12), submitted_by="otto")
    answer(session, job, dict.fromkeys(range(2, 14), OrderState.ACCEPTED))
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    resume_job(session, job, spender="otto").lock.release()
    assert session.find_job(job).max_spend is None


def test_old_doubts_of_a_job_that_runs_count_until_they_are_settled(session):
    job = add_doubtful(session, 6, days=2)
    resumed = resume_job(session, job, spender="otto")
    spend(session, "0.44")
    with pytest.raises(SpendLimitError, match=r"\$0\.56 of it"):
        spend(session, "0.45")
    resumed.lock.release()


def test_a_job_commits_no_more_than_its_cap_or_its_trial(session):
    job = session.ledger.create_draft(make_draft(max_spend=Decimal("0.30")))
    session.ledger.add_orders(job, rows(10))
    session.ledger.start_job(job)
    trial = session.ledger.create_draft(make_draft())
    session.ledger.add_orders(trial, rows(10, 100))
    session.ledger.start_job(trial, trial=2)
    assert find_committed(session, "otto") == {"USD": Decimal("0.54")}  # 0.30; two, and a repeat probe


@pytest.mark.parametrize(
    ("draft", "committed"),
    [
        ({}, "0.32"),
        ({"policy": Policy.HOLD}, "0.24"),  # sends nothing again
        ({"unit_price": Decimal("1.50")}, "4.50"),  # dearer than a repeat probe may be
        ({"max_spend": Decimal("0.25")}, "0.25"),
    ],
)
def test_a_job_that_runs_commits_a_repeat_probe_where_it_may_make_one(session, draft, committed):
    job = add_job(session, rows(3), submitted_by="otto", **draft)
    assert find_committed(session, "otto") == {"USD": Decimal(committed)}
    answer(session, job, dict.fromkeys((2, 3, 4), OrderState.REFUSED))
    assert find_committed(session, "otto") == {"USD": Decimal(0)}  # nothing of it can be in doubt any more


def test_another_s_money_another_currency_and_whoever_has_no_limit_are_not_counted(session):
    add_job(session, rows(12), submitted_by="mia")
    add_job(session, rows(12, 100), submitted_by="otto", currency="EUR")
    add_job(session, rows(12, 200))
    spend(session, "1.00")
    spend(session, "999", name="mia")
    spend(session, "999", name="a shell user")
    with pytest.raises(SpendLimitError):
        spend(session, "0.10", currency="EUR")


def test_a_price_that_is_not_known_cannot_be_held_to(session):
    with pytest.raises(UnpricedLimitError), hold_to_limit(session, "otto", lambda: None):
        pass
    add_job(session, rows(1), submitted_by="otto", unit_price=None)
    with pytest.raises(UnpricedLimitError):
        spend(session, "0.10", currency="USD")


def test_a_limited_user_lets_only_their_own_jobs_go_on(session):
    job = add_job(session, rows(1), submitted_by="mia")
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    with pytest.raises(NotTheirsError, match="is mia's"):
        resume_job(session, job, spender="otto")
    with pytest.raises(NotTheirsError):
        retry_job(session, job, most=1, spender="otto")
    resume_job(session, job, spender="mia").lock.release()


def test_what_a_repeat_probe_of_a_running_job_may_cost_is_weighed(session):
    own = add_job(session, rows(2), submitted_by="otto")
    theirs = add_job(session, rows(2, 100), submitted_by="mia")
    locks = [session.job_lock(job) for job in (own, theirs)]
    assert all(lock.acquire() for lock in locks)
    with pytest.raises(SpendLimitError, match=r"may cost \$20\.00 more"):
        resume_job(session, own, spender="otto", probe_up_to=Decimal(20))
    with pytest.raises(NotTheirsError):
        resume_job(session, theirs, spender="otto", probe_up_to=Decimal("0.08"))
    assert resume_job(session, own, spender="otto", probe_up_to=Decimal("0.08")).was_running
    for lock in locks:
        lock.release()


@pytest.mark.parametrize("is_retry", [False, True])
def test_what_a_page_lets_go_on_is_held_to_the_limit_of_whoever_asks(session, is_retry):
    job = add_job(session, rows(14), submitted_by="otto")
    answer(session, job, {2: OrderState.REFUSED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    adopted, before = [], session.ledger.tally(job)
    how = {"adopt": lambda *one: adopted.append(one)}
    shown = Shown(count=1, price=PRICE, waiting=13)
    act = partial(send_again, states=RETRIED, shown=shown) if is_retry else go_on
    with pytest.raises(SpendLimitError):
        act(session, job, actor="otto", **how)
    assert (adopted, session.ledger.tally(job), session.find_job(job).state) == ([], before, JobState.PAUSED)


def test_a_price_that_a_job_may_not_go_on_at_is_not_kept(session):
    job = add_job(session, rows(10), submitted_by="otto")
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    risen = PricedService(id=SERVICE, name="check", price=Money(PRICE * 2, "USD"))
    session.ledger.record_prices(ACCOUNT, [risen])
    with pytest.raises(SpendLimitError, match=r"may cost \$1\.60 more"):
        resume_job(session, job, spender="otto", accept_price=PRICE * 2, max_spend=Decimal(9))
    assert (session.find_job(job).unit_price, session.find_job(job).max_spend) == (PRICE, None)


def test_what_the_limit_of_the_day_forbids_is_not_queued_again_either(session):
    """One order of six was refused; five wait, and are all that is left of the day."""
    job = add_job(session, rows(6), submitted_by="otto")
    answer(session, job, {2: OrderState.REFUSED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    session.ledger.change_user(session.ledger.find_user("otto")[0].id, actor="a test", spend_limit=PRICE * 5)
    before = session.ledger.tally(job)
    with pytest.raises(SpendLimitError):
        retry_job(session, job, most=1, spender="otto")
    assert session.ledger.tally(job) == before
    assert session.find_job(job).state is JobState.PAUSED
    assert session.job_lock(job).is_free()
    count, resumed = retry_job(session, job, most=1)  # whoever has no limit
    assert (count, resumed.is_to_follow) == (1, True)
    resumed.lock.release()


@pytest.mark.parametrize(
    ("number", "trial", "cap", "cost"),
    [
        (10, None, None, "0.80"),
        (10, 3, None, "0.24"),
        (2, 5, None, "0.16"),
        (10, None, "0.50", "0.50"),
        (0, 1, None, "0"),
    ],
)
def test_a_list_is_weighed_by_the_least_that_bounds_it(number, trial, cap, cost):
    most = None if cap is None else Decimal(cap)
    found = weigh_list(Money(PRICE, "USD"), number, trial=trial, cap=most)
    assert found == Money(Decimal(cost), "USD")


def test_whoever_waits_for_a_turn_that_does_not_come_is_told_so(session):
    """Another process is at it, and hangs: a page waits some seconds, and no thread for good."""
    at_it = threading.Event(), threading.Event()

    def hang() -> None:
        with hold_to_limit(session, "otto", lambda: Money(PRICE, "USD")), admit_one(session, ACCOUNT):
            at_it[0].set()
            at_it[1].wait(60)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(hang)
        assert at_it[0].wait(60)
        try:
            turn = hold_to_limit(session, "otto", lambda: Money(PRICE, "USD"), within_s=0.1)
            with pytest.raises(BusySpenderError, match="Another list of otto"), turn:
                pass
            with pytest.raises(BusyAdmissionError), admit_one(session, ACCOUNT, within_s=0.1):
                pass
        finally:
            at_it[1].set()
        hanging.result(60)
    spend(session, "1.00")


def test_lists_confirmed_at_once_share_what_is_left(session):
    """Eight of 0.48 each, with a repeat probe, and room for two."""
    jobs = [session.ledger.create_draft(make_draft()) for _ in range(8)]
    for number, job in enumerate(jobs):
        session.ledger.add_orders(job, rows(5, number * 10))
    ready = threading.Barrier(len(jobs))

    def confirm(job: JobId) -> bool:
        ready.wait()
        try:
            with hold_to_limit(session, "otto", lambda: Money(PRICE * 6, "USD")):
                session.ledger.start_job(job)
        except SpendLimitError:
            return False
        return True

    with ThreadPoolExecutor(len(jobs)) as pool:
        assert sum(pool.map(confirm, jobs)) == 2
