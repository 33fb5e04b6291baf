"""Resume, pause, cancel, retry, and jobs whose process died: each only from the states that allow it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.errors import ConfigurationError, GuardError, JobStateError, UnknownJobError, UsageError
from imeiflow.ledger.change import Again
from imeiflow.ledger.record import NewOrder, PricedService
from imeiflow.operations import orphan
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session
from imeiflow.operations.steering import (
    RETRIED,
    HeldJobError,
    cancel_job,
    find_dear_probe,
    pause_job,
    plan_retry,
    resume_job,
    retry_job,
    take_lock,
    wait_for_end,
)
from tests.operations.stand import (
    ACCOUNT,
    PRICE,
    SERVICE,
    add_job,
    answer,
    finish,
    make_configuration,
    make_imei,
    open_session,
    retry_orders,
)

LINES = {
    1: OrderState.ACCEPTED,
    2: OrderState.REFUSED,
    3: OrderState.UNCONFIRMED,
    4: OrderState.DUPLICATE,
}


@pytest.fixture
def session(tmp_path: Path):
    with open_session(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def job(session: Session) -> JobId:
    """Add a running job of six orders: one accepted, refused, unconfirmed, duplicate; two wait."""
    added = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(1, 7)])
    answer(session, added, LINES)
    return added


def pause(session: Session, job: JobId) -> None:
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "a test")


def state_of(session: Session, job: JobId) -> JobState:
    return session.find_job(job).state


def test_a_running_job_that_nobody_works_on_is_paused_with_the_reason(session: Session, job: JobId):
    assert recover_orphans(session) == [job]
    found = session.find_job(job)
    assert (found.state, found.reason) == (JobState.PAUSED, orphan.REASON)
    assert recover_orphans(session) == []


def test_a_job_is_no_orphan_while_somebody_follows_it_or_has_its_lane(session: Session, job: JobId, tmp_path: Path):
    with Session.open(make_configuration(tmp_path / "home")) as other:
        for lock in (other.job_lock(job), other.lane_lock(ACCOUNT)):
            assert lock.acquire()
            assert recover_orphans(session) == []
            assert state_of(session, job) is JobState.RUNNING
            lock.release()


def test_an_orphan_that_was_to_be_cancelled_is_cancelled(session: Session, job: JobId):
    session.ledger.request(job, JobState.CANCELLED)
    assert recover_orphans(session) == [job]
    assert state_of(session, job) is JobState.CANCELLED
    assert session.ledger.tally(job)[OrderState.CANCELLED] == 2


def test_resuming_makes_a_paused_job_run_and_holds_its_lock(session: Session, job: JobId):
    pause(session, job)
    resumed = resume_job(session, job)
    assert (resumed.is_to_follow, resumed.was_running) == (True, False)
    assert resumed.lock.is_held
    assert state_of(session, job) is JobState.RUNNING
    resumed.lock.release()


def test_a_finished_job_is_resumed_only_for_what_is_still_to_do(session: Session):
    done = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    answer(session, done, {1: OrderState.ACCEPTED})
    finish(session, done)
    assert not resume_job(session, done).is_to_follow
    doubtful = add_job(session, [NewOrder(line=1, imei=make_imei(2))])
    answer(session, doubtful, {1: OrderState.UNCONFIRMED})
    finish(session, doubtful)
    resumed = resume_job(session, doubtful)
    assert resumed.is_to_follow
    resumed.lock.release()


def test_held_doubts_are_nothing_to_do_by_oneself(session: Session):
    held = add_job(session, [NewOrder(line=1, imei=make_imei(2))], policy=Policy.HOLD)
    answer(session, held, {1: OrderState.UNCONFIRMED})
    finish(session, held)
    assert not resume_job(session, held).is_to_follow
    assert state_of(session, held) is JobState.FINISHED


@pytest.mark.parametrize(
    ("policy", "state"), [(Policy.SETTLE, OrderState.ACCEPTED), (Policy.HOLD, OrderState.UNCONFIRMED)]
)
def test_a_paused_job_that_has_nothing_to_go_on_with_is_finished(session: Session, policy, state):
    done = add_job(session, [NewOrder(line=1, imei=make_imei(1))], policy=policy)
    answer(session, done, {1: state})
    pause(session, done)
    resumed = resume_job(session, done)
    assert not resumed.is_to_follow
    assert not resumed.lock.is_held
    assert state_of(session, done) is JobState.FINISHED
    assert session.ledger.tally(done)[state] == 1


def test_what_cannot_be_sent_again_is_not_queued(session: Session, job: JobId):
    pause(session, job)
    configuration, nobody = session.configuration, replace(session.configuration, accounts={})
    session.configuration = nobody
    with pytest.raises(ConfigurationError):
        retry_job(session, job, most=1)
    session.configuration = configuration
    held, before = session.job_lock(job), session.ledger.tally(job)
    assert before[OrderState.REFUSED] == 1
    assert state_of(session, job) is JobState.PAUSED
    with pytest.raises(GuardError):
        retry_job(session, job, most=0)
    assert session.ledger.tally(job) == before
    assert held.acquire()  # let go of
    held.release()
    count, resumed = retry_job(session, job, most=1)
    assert (count, resumed.is_to_follow, state_of(session, job)) == (1, True, JobState.RUNNING)
    assert session.ledger.tally(job)[OrderState.QUEUED] == before[OrderState.QUEUED] + 1
    resumed.lock.release()


def test_of_a_job_that_another_process_holds_nothing_that_was_agreed_to_is_kept(session: Session, job: JobId):
    pause(session, job)
    raise_price(session)
    held, before, events = session.job_lock(job), session.find_job(job), session.ledger.events(job=job)
    assert held.acquire()
    agreed = {"accept_price": PRICE * 2, "max_spend": Decimal(5), "within_s": 0.0}
    with pytest.raises(HeldJobError):
        resume_job(session, job, **agreed, again=Again(states=RETRIED, most=1))
    assert (session.find_job(job), session.ledger.events(job=job)) == (before, events)
    held.release()
    resumed = resume_job(session, job, **agreed, again=Again(states=RETRIED, most=1))
    found = session.find_job(job)
    assert (found.unit_price, found.max_spend, found.state) == (PRICE * 2, Decimal(5), JobState.RUNNING)
    assert (resumed.queued, session.ledger.tally(job)[OrderState.QUEUED]) == (1, 3)
    resumed.lock.release()


def test_orders_are_queued_again_and_their_job_goes_on_in_one_transaction(session: Session, job: JobId):
    """A process that is killed leaves no job that seems finished, with orders that wait."""
    finish(session, job)
    raise_price(session)
    before, events, tally = session.find_job(job), session.ledger.events(job=job), session.ledger.tally(job)
    change = session.ledger._change

    def die(*_: object, **__: object) -> None:
        raise ProcessLookupError

    session.ledger._change = die  # type: ignore[method-assign]
    with pytest.raises(ProcessLookupError):
        retry_job(session, job, most=1, accept_price=PRICE * 2)
    assert (session.find_job(job), session.ledger.events(job=job)) == (before, events)
    assert session.ledger.tally(job) == tally
    session.ledger._change = change  # type: ignore[method-assign]
    count, resumed = retry_job(session, job, most=1, accept_price=PRICE * 2)
    assert (count, state_of(session, job)) == (1, JobState.RUNNING)
    resumed.lock.release()


def raise_price(session: Session) -> None:
    """Let the ledger's price list say twice as much."""
    risen = PricedService(id=SERVICE, name="check", price=Money(PRICE * 2, "USD"))
    session.ledger.record_prices(ACCOUNT, [risen])


def test_a_cancelled_job_is_not_resumed(session: Session, job: JobId):
    pause(session, job)
    assert cancel_job(session, job) is False
    with pytest.raises(JobStateError, match="cannot be resumed"):
        resume_job(session, job)
    assert session.job_lock(job).is_free()


def test_a_job_whose_account_is_gone_is_not_set_running(session: Session, job: JobId):
    pause(session, job)
    session.configuration = replace(session.configuration, accounts={})
    with pytest.raises(ConfigurationError, match=f"account {ACCOUNT}"):
        resume_job(session, job)
    assert state_of(session, job) is JobState.PAUSED
    assert session.job_lock(job).is_free()


def test_a_probe_needs_the_user_s_word_only_where_it_is_dear_and_could_teach_something(session: Session, job: JobId):
    assert find_dear_probe(session, job) is None  # it runs
    finish(session, job)
    assert find_dear_probe(session, job) is None  # it is cheap
    session.configuration = session.configuration.allow_probe(ACCOUNT, Decimal("0.07"))
    assert str(find_dear_probe(session, job)) == "$0.08"
    [attempt] = session.ledger.list_attempts(job)
    seen = RepeatEvidence(session.clock.now(), timedelta(minutes=5), is_refusal=True)
    session.ledger.add_repeat(attempt.id, seen)  # of an open order: that may be otherwise by now
    assert str(find_dear_probe(session, job)) == "$0.08"
    session.configuration = session.configuration.allow_probe(ACCOUNT, Decimal("0.08"))
    assert find_dear_probe(session, job) is None


def test_probes_whose_reply_was_lost_are_part_of_what_needs_the_user_s_word(session: Session, job: JobId):
    finish(session, job)
    session.ledger.lost_probes = {job: 12}.__getitem__  # type: ignore[method-assign]
    assert str(find_dear_probe(session, job)) == "$1.04"
    session.configuration = session.configuration.allow_probe(ACCOUNT, Decimal("1.04"))
    assert find_dear_probe(session, job) is None


def test_a_job_that_does_not_exist_is_told(session: Session):
    for steer in (resume_job, pause_job, cancel_job, plan_retry):
        with pytest.raises(UnknownJobError):
            steer(session, JobId(99))


def test_pausing_asks_the_process_that_works(session: Session, job: JobId):
    lock = session.job_lock(job)
    lock.acquire()
    with_lane = session.lane_lock(ACCOUNT)
    with_lane.acquire()
    assert pause_job(session, job) is True
    assert session.find_job(job).wanted is JobState.PAUSED
    pause(session, job)
    assert pause_job(session, job) is False
    lock.release()
    with_lane.release()


def test_pausing_what_is_finished_is_wrong_usage(session: Session, job: JobId):
    finish(session, job)
    with pytest.raises(JobStateError, match="cannot be paused"):
        pause_job(session, job)


def test_cancelling_a_paused_job_cancels_what_waits_and_nothing_else(session: Session, job: JobId):
    pause(session, job)
    assert cancel_job(session, job) is False
    tally = session.ledger.tally(job)
    assert {state: tally[state] for state in OrderState if tally[state]} == {
        OrderState.ACCEPTED: 1,
        OrderState.REFUSED: 1,
        OrderState.UNCONFIRMED: 1,
        OrderState.DUPLICATE: 1,
        OrderState.CANCELLED: 2,
    }
    assert cancel_job(session, job) is False


def test_waiting_for_the_end_looks_until_the_job_stands_still(session: Session, job: JobId):
    lock = session.lane_lock(ACCOUNT)
    lock.acquire()
    seen: list[int] = []
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 12:
            pause(session, job)

    wait_for_end(session, job, lambda tally: seen.append(tally.waiting), nap)
    assert len(naps) == 12
    assert seen == [2, 2]
    lock.release()


def test_waiting_for_a_process_that_dies_meanwhile_ends(session: Session, job: JobId):
    wait_for_end(session, job, sleep=lambda _: None)
    assert state_of(session, job) is JobState.PAUSED


@pytest.mark.parametrize("state", [OrderState.ACCEPTED, OrderState.UNCONFIRMED, OrderState.QUEUED, OrderState.REFUSED])
def test_a_retry_leaves_what_another_job_has_ordered_since_or_is_about_to(session: Session, state: OrderState):
    rows = [NewOrder(line=line, imei=make_imei(line)) for line in (2, 3)]
    job = add_job(session, rows)
    answer(session, job, {2: OrderState.REFUSED, 3: OrderState.REFUSED})
    finish(session, job)
    other = add_job(session, rows[:1])
    if state is not OrderState.QUEUED:
        answer(session, other, {2: state})
    is_left = state is not OrderState.REFUSED
    plan = plan_retry(session, job)
    assert plan.elsewhere == ({other: 1} if is_left else {})
    assert plan.count == 2 - is_left
    assert plan_retry(session, job, is_again=True).count == 2
    assert retry_orders(session, job) == 2 - is_left
    assert retry_orders(session, job, is_again=True) == is_left


def test_of_two_jobs_that_are_retried_only_one_orders_an_imei(session: Session):
    jobs = [add_job(session, [NewOrder(line=2, imei=make_imei(2))]) for _ in range(2)]
    for job in jobs:
        answer(session, job, {2: OrderState.REFUSED})
        finish(session, job)
    assert [retry_orders(session, job) for job in jobs] == [1, 0]


def test_a_retry_does_not_mind_what_older_jobs_ordered(session: Session):
    """Whoever ordered an IMEI again has said so when its list was submitted."""
    rows = [NewOrder(line=2, imei=make_imei(2))]
    answer(session, add_job(session, rows), {2: OrderState.ACCEPTED})
    job = add_job(session, rows)
    answer(session, job, {2: OrderState.REFUSED})
    finish(session, job)
    assert plan_retry(session, job).count == 1


def test_a_retry_is_counted_and_priced_and_never_holds_what_may_have_been_placed(session: Session, job: JobId):
    pause(session, job)
    plan = plan_retry(session, job)
    assert plan.counts == {OrderState.REFUSED: 1}
    assert str(plan.cost) == "$0.08"
    assert retry_orders(session, job) == 1
    tally = session.ledger.tally(job)
    assert (tally[OrderState.QUEUED], tally[OrderState.REFUSED], tally[OrderState.UNCONFIRMED]) == (3, 0, 1)


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.FAILED, OrderState.REFUSED}))
def test_no_other_state_can_be_retried(session: Session, job: JobId, state):
    pause(session, job)
    with pytest.raises(UsageError):
        plan_retry(session, job, {state})


def test_a_running_job_is_not_retried(session: Session, job: JobId):
    lock = session.lane_lock(ACCOUNT)
    lock.acquire()
    with pytest.raises(JobStateError, match="cannot be retried") as caught:
        plan_retry(session, job)
    assert f"imeiflow pause {job}" in caught.value.remedy
    lock.release()


def test_what_a_cancelled_job_was_left_with_by_a_process_that_died_is_cancelled_at_the_second_time(
    session: Session, job: JobId
):
    pause(session, job)
    session.ledger.change_job(job, {JobState.PAUSED}, JobState.CANCELLED, None)
    assert session.ledger.tally(job)[OrderState.QUEUED] == 2
    assert cancel_job(session, job) is False
    assert session.ledger.tally(job)[OrderState.QUEUED] == 0


def test_a_job_whose_lock_is_let_go_of_in_a_moment_is_resumed_with_it(session: Session, job: JobId):
    """Who has paused it looks once a second whether it runs."""
    pause(session, job)
    held = session.job_lock(job)
    assert held.acquire()
    thread = threading.Timer(0.2, held.release)
    thread.start()
    resumed = resume_job(session, job)
    thread.join()
    assert resumed.lock.is_held
    assert state_of(session, job) is JobState.RUNNING
    resumed.lock.release()


def test_a_job_that_another_process_holds_for_long_is_not_resumed(session: Session, job: JobId):
    """It would run without anybody to answer for it, and be taken for an orphan."""
    pause(session, job)
    held = session.job_lock(job)
    assert held.acquire()
    with pytest.raises(HeldJobError, match=f"Job {job} is still held"):
        take_lock(job, session.job_lock(job), within_s=0.0)
    held.release()
