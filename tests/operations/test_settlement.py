"""Doubt settled by the user's word: only what is unconfirmed, only in a job at rest, and on record."""

from __future__ import annotations

import asyncio

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import GuardError, JobStateError, UnknownJobError, UsageError
from imeiflow.ledger.change import AttemptKind, Conclusion, Intent, OrderChange
from imeiflow.ledger.record import NewOrder
from imeiflow.operations import settlement
from tests.mould import record
from tests.operations.stand import ACCOUNT, PRICE, add_job, answer, conclude, finish, make_imei, open_session


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path) as opened:
        yield opened


@pytest.fixture
def job(session):
    made = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 7)])
    in_doubt = dict.fromkeys((3, 4, 5), OrderState.UNCONFIRMED)
    answer(session, made, {2: OrderState.ACCEPTED, **in_doubt}, Ending.IN_DOUBT)
    answer(session, made, {6: OrderState.REFUSED})
    finish(session, made)
    return made


def states(session, job):
    return [row.state for row in session.ledger.order_rows(job)]


def test_each_doubt_is_listed_with_its_call_and_what_came_back(session, job):
    doubts = list(settlement.list_doubtful(session, job))
    assert [doubt.imei for doubt in doubts] == [make_imei(n) for n in (3, 4, 5)]
    assert {(doubt.size, doubt.ending, doubt.http_status) for doubt in doubts} == {(4, Ending.IN_DOUBT, 200)}
    assert {doubt.message for doubt in doubts} == {"not named in the reply"}
    assert {doubt.attempts_in_doubt for doubt in doubts} == {1}


def test_placed_orders_are_accepted_and_counted_as_spent(session, job):
    plan = settlement.plan_settlement(session, job, None)
    assert plan.cost == Money(PRICE * 3, "USD")
    settlement.settle_placed(session, plan, note="seen on the site", actor="ann")
    assert states(session, job) == [OrderState.ACCEPTED] * 4 + [OrderState.REFUSED]
    assert session.ledger.spending(job).amount == PRICE * 4
    told = [event for event in session.ledger.events(job=job) if event.kind == "marked_placed"]
    assert len(told) == 3
    assert {(event.data["note"], event.data["actor"]) for event in told} == {("seen on the site", "ann")}


def test_one_order_takes_the_reference_that_was_seen(session, job):
    plan = settlement.plan_settlement(session, job, [make_imei(4)])
    settlement.settle_placed(session, plan, "4711")
    row = next(row for row in session.ledger.order_rows(job) if row.imei == make_imei(4))
    assert (row.state, row.reference) == (OrderState.ACCEPTED, "4711")


def test_a_reference_for_several_orders_changes_nothing(session, job):
    plan = settlement.plan_settlement(session, job, None)
    with pytest.raises(UsageError, match="belongs to one order"):
        settlement.settle_placed(session, plan, "4711")
    assert states(session, job).count(OrderState.UNCONFIRMED) == 3


def test_orders_that_were_not_placed_wait_to_be_sent_again(session, job):
    plan = settlement.plan_settlement(session, job, [make_imei(3)])
    settlement.settle_not_placed(session, plan, note="not there", actor="ann")
    assert states(session, job)[1] is OrderState.QUEUED
    assert states(session, job).count(OrderState.UNCONFIRMED) == 2


def test_in_a_cancelled_job_what_was_not_placed_is_cancelled_too(session, job):
    session.ledger.change_job(job, {JobState.FINISHED}, JobState.CANCELLED, None)
    settlement.settle_not_placed(session, settlement.plan_settlement(session, job, None))
    assert states(session, job)[1:4] == [OrderState.CANCELLED] * 3
    kinds = [event.kind for event in session.ledger.events(job=job)]
    assert kinds.count("orders_cancelled") == 1


def test_a_job_that_is_being_worked_on_is_left_alone(session):
    job = add_job(session, [NewOrder(line=2, imei=make_imei(2))])
    answer(session, job, {2: OrderState.UNCONFIRMED})
    lock = session.job_lock(job)
    assert lock.acquire()
    try:
        with pytest.raises(JobStateError, match="running"):
            settlement.plan_settlement(session, job, None)
    finally:
        lock.release()


def test_a_job_whose_process_died_can_be_settled_at_once(session):
    job = add_job(session, [NewOrder(line=2, imei=make_imei(2))])
    answer(session, job, {2: OrderState.UNCONFIRMED})
    plan = settlement.plan_settlement(session, job, None)
    settlement.settle_placed(session, plan)
    assert session.find_job(job).state is JobState.PAUSED


@pytest.mark.parametrize("number", [2, 6, 99])
def test_an_imei_that_is_not_unconfirmed_is_named_and_nothing_planned(session, job, number):
    with pytest.raises(UsageError, match=make_imei(number)):
        settlement.plan_settlement(session, job, [make_imei(3), make_imei(number)])


def test_an_order_that_was_settled_meanwhile_is_not_settled_twice(session, job):
    plan = settlement.plan_settlement(session, job, None)
    settlement.settle_placed(session, settlement.plan_settlement(session, job, [make_imei(4)]))
    with pytest.raises(GuardError, match="1 of 3"):
        settlement.settle_not_placed(session, plan)
    assert states(session, job)[1:4] == [OrderState.UNCONFIRMED, OrderState.ACCEPTED, OrderState.UNCONFIRMED]


def test_an_unknown_job_has_nothing_to_settle(session):
    with pytest.raises(UnknownJobError):
        list(settlement.list_doubtful(session, 99))


def test_imeis_are_not_looked_for_one_by_one_in_what_was_given(session, job):
    class Listed(list):
        def __contains__(self, value: object) -> bool:
            raise AssertionError("a million doubts against a million IMEIs would take days")

    plan = settlement.plan_settlement(session, job, Listed([make_imei(3), make_imei(5)]))
    assert plan.imeis == (make_imei(3), make_imei(5))


def test_doubts_are_summed_up_by_their_calls_and_the_first_few_shown_in_full(session, job):
    summed = settlement.sum_up_doubts(session, job, most=1)
    every = list(settlement.list_doubtful(session, job))
    assert (summed.total, summed.orders) == (3, every[:1])
    assert (list(summed.calls.values()), list(summed.counts.values())) == (every[:1], [3])
    assert settlement.sum_up_doubts(session, job, most=9).orders == every


def test_the_evidence_of_a_call_is_not_read_again_for_each_of_its_orders(session, job, monkeypatch):
    read = []
    attempts_of = session.ledger.attempts_of
    monkeypatch.setattr(session.ledger, "attempts_of", lambda order: read.append(order) or attempts_of(order))
    assert settlement.sum_up_doubts(session, job, most=1).total == 3
    assert len(read) == 1


def test_a_job_that_runs_again_is_not_settled_by_a_word_about_what_was_before(session, job):
    plan = settlement.plan_settlement(session, job, None)
    session.ledger.change_job(job, {JobState.FINISHED}, JobState.RUNNING, None)
    for settle in (settlement.settle_placed, settlement.settle_not_placed):
        with pytest.raises(JobStateError, match="running"):
            settle(session, plan)
    assert states(session, job).count(OrderState.UNCONFIRMED) == 3


def test_orders_that_were_sent_again_since_they_were_shown_are_not_settled(session, job):
    plan = settlement.plan_settlement(session, job, None)
    settlement.settle_not_placed(session, settlement.plan_settlement(session, job, [make_imei(4)]))
    session.ledger.change_job(job, {JobState.FINISHED}, JobState.RUNNING, None)
    answer(session, job, {4: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, job)
    with pytest.raises(UsageError, match="sent again since"):
        settlement.settle_not_placed(session, plan)
    assert states(session, job).count(OrderState.UNCONFIRMED) == 3


def send_again(session, job, *, ends: bool) -> None:
    """Let another process go on with the job: its first doubt goes out once more, and that reply is lost, too."""
    ledger = session.ledger
    ledger.change_job(job, {JobState.FINISHED}, JobState.RUNNING, None)
    token, _ = ledger.take_lane(ACCOUNT, "another process")
    doubt = ledger.doubts(job, limit=1)[0]
    attempt = asyncio.run(
        record(
            ledger,
            Intent(
                job=job,
                account=ACCOUNT,
                token=token,
                kind=AttemptKind.AGAIN,
                orders=(doubt.order,),
                started_at=ledger.clock(),
                expected=OrderState.UNCONFIRMED,
            ),
        )
    )
    change = OrderChange(order=doubt.order, state=OrderState.UNCONFIRMED, outcome=Outcome.UNCONFIRMED)
    lost = Conclusion(attempt=attempt, ended_at=ledger.clock(), ending=Ending.IN_DOUBT, changes=(change,))
    conclude(ledger, lost)
    if ends:
        finish(session, job)


@pytest.mark.parametrize("ends", [True, False], ids=["over", "running"])
@pytest.mark.parametrize("settle", [settlement.settle_placed, settlement.settle_not_placed])
def test_an_order_that_was_sent_again_at_this_very_moment_is_not_settled(session, job, settle, ends: bool):
    """The transaction that settles sees to it: what was looked at before it is gone by then."""
    plan = settlement.plan_settlement(session, job, None)
    read, views = session.ledger.doubts, []

    def read_and_go_on(*args, **values):
        found = read(*args, **values)
        if not found and not views:  # all that was shown has been compared
            views.append(found)
            send_again(session, job, ends=ends)
        return found

    session.ledger.doubts = read_and_go_on
    with pytest.raises(GuardError, match="sent again" if ends else f"job {job} runs"):
        settle(session, plan)
    assert views
    assert states(session, job).count(OrderState.UNCONFIRMED) == 3
    assert session.ledger.spending(job).amount == PRICE


def test_a_reference_belongs_to_one_order(session, job):
    """R2 is that of line 2, which was accepted."""
    plan = settlement.plan_settlement(session, job, [make_imei(3)])
    with pytest.raises(GuardError, match=f"^Reference R2 is that of line 2 of job {job}"):
        settlement.settle_placed(session, plan, "R2")
    assert states(session, job).count(OrderState.UNCONFIRMED) == 3


def test_of_several_references_all_are_taken_or_none(session, job):
    plan = settlement.plan_settlement(session, job, None)
    first, second, _ = plan.orders
    for references in ({first: "4711", second: "R2"}, {first: "4711", second: "4711"}):
        with pytest.raises(GuardError):
            settlement.settle_placed(session, plan, references=references)
        assert states(session, job).count(OrderState.UNCONFIRMED) == 3
    settlement.settle_placed(session, plan, references={first: "4711", second: "4712"})
    assert [row.reference for row in session.ledger.order_rows(job)] == ["R2", "4711", "4712", None, None]
    told = [event.data["reference"] for event in session.ledger.events(job=job) if event.kind == "marked_placed"]
    assert sorted(told, key=str) == ["4711", "4712", None]


def test_the_reference_that_a_duplicate_was_told_may_be_that_of_the_doubt_that_it_repeats(session, job):
    later = add_job(session, [NewOrder(line=3, imei=make_imei(3))])
    answer(session, later, {3: OrderState.DUPLICATE})
    row = next(iter(session.ledger.order_rows(later)))
    assert row.reference == "R3"
    settlement.settle_placed(session, settlement.plan_settlement(session, job, [make_imei(3)]), "R3")
    assert states(session, job)[1] is OrderState.ACCEPTED
