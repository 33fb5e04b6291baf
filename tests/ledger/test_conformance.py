"""What every database must do for the engine: fenced intents, guarded conclusions, late replies, probes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AccountName, AttemptId, OrderId, Reference, Token
from imeiflow.domain.order import TRANSITIONS, JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.domain.reply import Anomaly, AnomalyKind
from imeiflow.errors import FencedError, GuardError, LedgerError
from imeiflow.ledger.change import AttemptKind
from tests.ledger.conftest import ACCOUNT, PRICE, SERVICE, Desk

S = OrderState


async def test_an_intent_takes_its_orders_and_leaves_the_others_queued(desk: Desk):
    attempt = await desk.send(0, 1)
    assert [desk.state(n) for n in range(3)] == [S.SENDING, S.SENDING, S.QUEUED]
    (found,) = desk.ledger.list_attempts(desk.job)
    assert (found.id, found.size, found.ended_at, found.token) == (attempt, 2, None, desk.token)
    assert desk.ledger.attempts_of(desk.orders[0].id)[0].outcome is None


async def test_an_order_cannot_be_taken_twice(desk: Desk):
    await desk.send(0)
    with pytest.raises(GuardError, match="1 of 2 orders are not queued"):
        await desk.send(0, 1)
    assert desk.state(1) is S.QUEUED
    assert desk.ledger.count_attempts(desk.job) == 1


async def test_of_two_intents_for_one_order_at_the_same_moment_one_fails(desk: Desk):
    results = await asyncio.gather(desk.send(0), desk.send(0), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["GuardError", "int"]


async def test_a_failing_intent_spares_the_others_of_its_group(desk: Desk):
    await desk.send(5)
    results = await asyncio.gather(
        *(desk.send(n) for n in range(5)),
        desk.send(5),
        desk.send(4, token=Token(99)),
        desk.send(4, account=AccountName("other")),
        return_exceptions=True,
    )
    assert all(isinstance(result, int) for result in results[:5])
    assert isinstance(results[5], GuardError)
    assert isinstance(results[6], FencedError)
    assert isinstance(results[7], FencedError)
    assert desk.count(S.SENDING) == 6
    assert desk.ledger.count_attempts(desk.job) == 6


async def test_a_worker_that_lost_its_lane_can_send_nothing_more(desk: Desk):
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    with pytest.raises(FencedError):
        await desk.send(0)
    assert desk.state(0) is S.QUEUED


async def test_a_released_lane_sends_nothing(desk: Desk):
    assert desk.ledger.release_lane(ACCOUNT, desk.token)
    assert not desk.ledger.release_lane(ACCOUNT, desk.token)
    with pytest.raises(FencedError):
        await desk.send(0)
    owner = desk.ledger.lane_owner(ACCOUNT)
    assert owner is not None
    assert owner.owner is None


@pytest.mark.parametrize("wanted", [JobState.PAUSED, JobState.CANCELLED])
async def test_a_job_that_is_asked_to_stop_sends_nothing_more(desk: Desk, wanted: JobState):
    desk.ledger.request(desk.job, wanted)
    with pytest.raises(GuardError, match=wanted.value):
        await desk.send(0)
    desk.ledger.request(desk.job, None)
    await desk.send(0)


async def test_what_an_order_of_unknown_price_cost_is_not_called_nothing(desk: Desk):
    attempt = await desk.send(0, 1)
    await desk.end(attempt, desk.change(0, S.ACCEPTED), desk.change(1, S.ACCEPTED, price=None))
    assert desk.ledger.spending(desk.job) is None
    assert desk.ledger.summary(desk.job).as_dict()["spent"] is None


async def test_a_paused_job_still_settles_its_doubts(desk: Desk):
    attempt = await desk.send(0)
    await desk.end(attempt, desk.change(0, S.UNCONFIRMED), ending=Ending.IN_DOUBT)
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, "credit")
    await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    assert desk.state(0) is S.SENDING


@pytest.mark.parametrize("expected", sorted(set(S) - {S.QUEUED, S.UNCONFIRMED}))
async def test_nothing_but_queued_and_unconfirmed_orders_is_ever_sent(desk: Desk, expected: OrderState):
    with pytest.raises(GuardError):
        await desk.send(0, expected=expected)


async def test_a_conclusion_moves_each_order_and_keeps_the_evidence(desk: Desk):
    attempt = await desk.send(0, 1, 2, 3, 4, 5)
    states = [S.ACCEPTED, S.DUPLICATE, S.REFUSED, S.UNCONFIRMED, S.QUEUED, S.FAILED]
    anomaly = Anomaly(AnomalyKind.UNASKED_IMEI, "x")
    done = await desk.end(
        attempt,
        *(desk.change(n, state) for n, state in enumerate(states)),
        http_status=200,
        elapsed_ms=321,
        headers={"Server": "x"},
        anomalies=(anomaly,),
        request=b"q" * 600,
        reply=b"\x00\xff",
        problem="\x00 \ud800 kept",
    )
    assert (done.late, done.applied) == (False, 6)
    rows = list(desk.ledger.order_rows(desk.job))
    assert [row.state for row in rows] == states
    assert [row.attempts for row in rows] == [1, 1, 1, 1, 0, 1]
    assert (rows[0].reference, rows[0].price, rows[0].charges) == ("R1", PRICE, 1)
    assert rows[0].accepted_at == desk.clock() + timedelta(milliseconds=300)
    assert str(desk.ledger.spending(desk.job)) == "$0.08"
    evidence = desk.ledger.attempt_evidence(attempt)
    assert evidence is not None
    assert (evidence.request, evidence.reply) == (b"q" * 600, b"\x00\xff")
    (found,) = desk.ledger.list_attempts(desk.job)
    assert (found.ending, found.http_status, found.elapsed_ms) == (Ending.ANSWERED, 200, 321)
    assert (found.anomalies, dict(found.headers)) == ((anomaly,), {"Server": "x"})
    assert found.problem.endswith("kept")
    assert [one.outcome for one in desk.ledger.attempts_of(desk.orders[0].id)] == [Outcome.ACCEPTED]


@pytest.mark.parametrize("state", sorted(S))
async def test_an_order_under_way_becomes_only_what_the_transitions_allow(desk: Desk, state: OrderState):
    attempt = await desk.send(0)
    change = desk.change(0, state)
    if (S.SENDING, state) in TRANSITIONS:
        await desk.end(attempt, change)
        assert desk.state(0) is state
    else:
        with pytest.raises(GuardError):
            await desk.end(attempt, change)
        assert desk.state(0) is S.SENDING


async def test_a_conclusion_that_is_against_the_rules_spares_the_others_of_its_group(desk: Desk):
    attempts = [await desk.send(n) for n in range(3)]
    results = await asyncio.gather(
        desk.end(attempts[0], desk.change(0, S.ACCEPTED)),
        desk.end(attempts[1], desk.change(1, S.INVALID)),
        desk.end(attempts[2], desk.change(2, S.REFUSED)),
        desk.end(AttemptId(999), desk.change(3, S.REFUSED)),
        return_exceptions=True,
    )
    assert [isinstance(result, LedgerError) for result in results] == [False, True, False, True]
    assert [desk.state(n) for n in range(4)] == [S.ACCEPTED, S.SENDING, S.REFUSED, S.QUEUED]


async def test_a_conclusion_that_is_told_twice_counts_once(desk: Desk):
    attempt = await desk.send(0)
    conclusion = desk.conclusion(attempt, desk.change(0, S.ACCEPTED))
    await desk.ledger.conclude(conclusion)
    again = await desk.ledger.conclude(conclusion)
    assert not again.late
    assert str(desk.ledger.spending(desk.job)) == "$0.08"
    assert [event.kind for event in desk.ledger.events(job=desk.job)] == ["job_started"]


async def test_a_new_owner_finds_orders_under_way_unconfirmed_and_never_queued(desk: Desk):
    attempt = await desk.send(0, 1)
    await desk.send(2)
    token, recovered = desk.ledger.take_lane(ACCOUNT, "worker 2")
    assert token == desk.token + 1
    assert (recovered.attempts, recovered.orders) == (2, 3)
    assert [desk.state(n) for n in range(4)] == [S.UNCONFIRMED] * 3 + [S.QUEUED]
    doubt = desk.ledger.doubts(desk.job)[0]
    assert (doubt.order, doubt.attempt, doubt.began_at) == (desk.orders[0].id, attempt, desk.clock())
    (first,) = desk.ledger.attempts_of(desk.orders[0].id)
    assert (first.outcome, first.attempt.ending) == (Outcome.UNCONFIRMED, Ending.IN_DOUBT)


@pytest.mark.parametrize("state", [S.ACCEPTED, S.DUPLICATE])
async def test_a_late_reply_that_proves_a_placement_is_applied(desk: Desk, state: OrderState):
    attempt = await desk.send(0)
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    done = await desk.end(attempt, desk.change(0, state), reply=b"late")
    assert (done.late, done.applied) == (True, 1)
    assert desk.state(0) is state
    evidence = desk.ledger.attempt_evidence(attempt)
    assert evidence is not None
    assert evidence.reply == b"late"
    assert desk.ledger.events(job=desk.job)[-1].kind == "late_reply"


@pytest.mark.parametrize("reason", ["the spending cap is reached", None])
async def test_why_doubts_are_held_is_said_until_the_last_of_them_is_settled(desk: Desk, reason: str | None):
    ledger, job = desk.ledger, desk.job
    attempt = await desk.send(0, 1, 2)
    late = await desk.send(3)
    await desk.end(attempt, *(desk.change(position, S.UNCONFIRMED) for position in range(3)))
    ledger.take_lane(ACCOUNT, "worker 2")
    ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, reason, held="repeats are charged here")
    told = "repeats are charged here" if reason is None else f"{reason}; repeats are charged here"

    def said() -> str | None:
        found = ledger.find_job(job)
        assert found is not None
        assert ledger.summary(job).reason == found.reason
        return found.reason

    assert said() == told
    ledger.mark_placed(desk.ids(0))
    ledger.mark_not_placed(desk.ids(1), note="")
    assert said() == told
    await desk.end(late, desk.change(3, S.ACCEPTED))
    assert said() == told
    ledger.mark_placed(desk.ids(2))
    assert said() == reason


async def test_a_late_reply_that_settles_the_last_doubt_ends_why_it_was_held(desk: Desk):
    attempt = await desk.send(0)
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    desk.ledger.cancel_queued(desk.job)
    assert desk.ledger.finish_job(desk.job, None, held="repeats are charged here")
    assert desk.ledger.summary(desk.job).reason == "repeats are charged here"
    assert (await desk.end(attempt, desk.change(0, S.ACCEPTED))).applied == 1
    assert desk.ledger.summary(desk.job).reason is None


@pytest.mark.parametrize("state", [S.REFUSED, S.QUEUED, S.FAILED, S.UNCONFIRMED])
async def test_a_late_reply_that_proves_no_placement_frees_no_order(desk: Desk, state: OrderState):
    attempt = await desk.send(0)
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    done = await desk.end(attempt, desk.change(0, state))
    assert (done.late, done.applied) == (True, 0)
    assert desk.state(0) is S.UNCONFIRMED
    assert len(desk.ledger.doubts(desk.job)) == 1


async def test_a_late_proof_keeps_an_order_that_was_queued_again_from_being_paid_twice(desk: Desk):
    attempt = await desk.send(0)
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    desk.ledger.mark_not_placed(desk.ids(0), note="the site does not show it")
    await desk.end(attempt, desk.change(0, S.ACCEPTED))
    assert desk.state(0) is S.ACCEPTED


async def test_a_late_proof_counts_whatever_was_tried_and_refused_unread_since(desk: Desk):
    attempt = await desk.send(0)
    token, _ = desk.ledger.take_lane(ACCOUNT, "worker 2")
    desk.ledger.mark_not_placed(desk.ids(0), note="the site does not show it")
    await desk.end(await desk.send(0, token=token), desk.change(0, S.QUEUED))
    done = await desk.end(attempt, desk.change(0, S.ACCEPTED))
    assert (done.late, desk.state(0)) == (True, S.ACCEPTED)


async def test_a_late_proof_of_an_order_placed_again_meanwhile_is_a_second_charge(desk: Desk):
    attempt = await desk.send(0)
    token, _ = desk.ledger.take_lane(ACCOUNT, "worker 2")
    again = await desk.send(0, token=token, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    await desk.end(again, desk.change(0, S.ACCEPTED))
    done = await desk.end(attempt, desk.change(0, S.ACCEPTED, reference=Reference("R0")))
    assert done.late
    assert str(desk.ledger.spending(desk.job)) == "$0.16"


async def test_a_probe_leaves_its_order_accepted_and_can_charge_it_again(desk: Desk):
    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED))
    probe = await desk.send(0, kind=AttemptKind.PROBE, expected=S.ACCEPTED)
    assert desk.state(0) is S.ACCEPTED
    seen = RepeatEvidence(desk.clock(), timedelta(minutes=5), is_refusal=False)
    await desk.end(probe, desk.change(0, S.ACCEPTED, reference=Reference("R2")), seen=(seen,))
    (row,) = desk.ledger.order_rows(desk.job, {S.ACCEPTED})
    assert (row.charges, row.reference) == (2, "R1")
    assert str(desk.ledger.spending(desk.job)) == "$0.16"
    assert desk.ledger.repeat_evidence(ACCOUNT, SERVICE) == [seen]


async def test_a_probe_of_a_process_that_died_may_have_charged_and_is_said_so(desk: Desk):
    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED))
    await desk.send(0, kind=AttemptKind.PROBE, expected=S.ACCEPTED)
    desk.ledger.take_lane(ACCOUNT, "worker 2")
    assert desk.state(0) is S.ACCEPTED
    assert [one.outcome for one in desk.ledger.attempts_of(desk.orders[0].id)] == [
        Outcome.ACCEPTED,
        Outcome.UNCONFIRMED,
    ]
    assert "probe_in_doubt" in [event.kind for event in desk.ledger.events(account=ACCOUNT)]


async def test_a_doubt_is_as_old_as_its_earliest_attempt_until_the_user_settles_it(desk: Desk):
    began_at = desk.clock()
    await desk.end(await desk.send(0), desk.change(0, S.UNCONFIRMED))
    desk.clock.move(hours=1)
    again = await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    await desk.end(again, desk.change(0, S.UNCONFIRMED, spends_attempt=False))
    assert desk.ledger.doubts(desk.job)[0].began_at == began_at
    desk.ledger.mark_not_placed(desk.ids(0), note="not there")
    desk.clock.move(hours=1)
    await desk.end(await desk.send(0), desk.change(0, S.UNCONFIRMED))
    assert desk.ledger.doubts(desk.job)[0].began_at == desk.clock()


@pytest.mark.parametrize("outcome", [Outcome.UNSENT, Outcome.THROTTLED])
async def test_a_doubt_keeps_why_it_is_one_where_nothing_was_heard_of_its_repeat(desk: Desk, outcome: Outcome):
    await desk.end(await desk.send(0), desk.change(0, S.UNCONFIRMED))
    again = await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    said = {"outcome": outcome, "message": "slow down", "spends_attempt": False}
    await desk.end(again, desk.change(0, S.UNCONFIRMED, **said))
    row = next(row for row in desk.ledger.order_rows(desk.job) if row.id == desk.orders[0].id)
    assert row.error == "no answer"
    assert [one.message for one in desk.ledger.attempts_of(row.id)] == ["no answer", "slow down"]
    once_more = await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    await desk.end(once_more, desk.change(0, S.UNCONFIRMED, message="reset", spends_attempt=False))
    row = next(row for row in desk.ledger.order_rows(desk.job) if row.id == desk.orders[0].id)
    assert row.error == "reset"


async def test_an_intent_whose_wait_is_cancelled_is_withdrawn(desk: Desk):
    task = asyncio.create_task(desk.send(0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await desk.end(await desk.send(5), desk.change(5, S.QUEUED))
    while desk.state(0) is not S.QUEUED or not all(one.ended_at for one in desk.ledger.list_attempts(desk.job)):
        await desk.end(await desk.send(5), desk.change(5, S.QUEUED))
    endings = {one.ending for one in desk.ledger.list_attempts(desk.job) if one.problem}
    assert endings <= {Ending.NOT_SENT}  # none where it was not written yet


async def test_an_intent_whose_wait_is_cancelled_when_it_was_just_written_is_withdrawn(desk: Desk):
    intending = desk.ledger.intend(desk.intent(0))

    async def wait() -> None:
        await intending

    waiting = asyncio.create_task(wait())
    written = intending._future  # type: ignore[attr-defined]
    written.add_done_callback(lambda _: waiting.cancel())  # before the task itself hears of it
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not written.cancelled()
    for _ in range(20):
        await desk.end(await desk.send(5), desk.change(5, S.QUEUED))
    assert desk.state(0) is S.QUEUED


async def test_what_is_wrong_with_an_intent_is_said_to_whoever_waits_and_not_before(desk: Desk):
    twice = desk.ledger.intend(desk.intent(0, 0))
    with pytest.raises(GuardError, match="each one once"):
        await twice
    desk.ledger.close()
    late = desk.ledger.intend(desk.intent(0))
    with pytest.raises(LedgerError, match="closed"):
        await late


async def test_what_was_not_placed_is_cancelled_in_a_cancelled_job_by_the_same_word(desk: Desk):
    attempt = await desk.send(0, 1, 2)
    await desk.end(attempt, *(desk.change(n, S.UNCONFIRMED) for n in range(3)))
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.CANCELLED, None)
    waiting = desk.count(S.QUEUED)
    desk.ledger.mark_not_placed(desk.ids(0), note="not there", actor="ann")
    assert desk.state(0) is S.CANCELLED
    words = {"references": {}, "notes": ("there", "not there"), "attempts": dict.fromkeys(desk.ids(1, 2), attempt)}
    desk.ledger.mark_apart(desk.ids(1), desk.ids(2), **words, actor="ann")
    assert (desk.state(1), desk.state(2)) == (S.ACCEPTED, S.CANCELLED)
    told = [event.data for event in desk.ledger.events(job=desk.job) if event.kind == "orders_cancelled"]
    assert told == [{"count": 1, "note": "not there", "actor": "ann"}] * 2
    assert desk.count(S.QUEUED) == waiting > 0


async def test_doubts_are_settled_by_the_users_word(desk: Desk):
    attempt = await desk.send(0, 1, 2)
    await desk.end(attempt, *(desk.change(n, S.UNCONFIRMED) for n in range(3)))
    desk.ledger.mark_placed(desk.ids(0), Reference("S1"), note="seen on the site", actor="ann")
    desk.ledger.mark_not_placed(desk.ids(1), note="not on the site")
    assert [desk.state(n) for n in range(3)] == [S.ACCEPTED, S.QUEUED, S.UNCONFIRMED]
    assert str(desk.ledger.spending(desk.job)) == "$0.08"
    with pytest.raises(GuardError):
        desk.ledger.mark_placed(desk.ids(2, 1), note="one of them is queued")
    assert desk.state(2) is S.UNCONFIRMED
    settled = [event for event in desk.ledger.events(job=desk.job) if event.kind == "marked_placed"]
    assert [(one.order, one.data["actor"], one.data["reference"]) for one in settled] == [
        (desk.orders[0].id, "ann", "S1")
    ]


async def test_only_failed_and_refused_orders_are_retried(desk: Desk):
    attempt = await desk.send(0, 1, 2, 3)
    states = [S.FAILED, S.REFUSED, S.UNCONFIRMED, S.ACCEPTED]
    await desk.end(attempt, *(desk.change(n, state) for n, state in enumerate(states)))
    for state in set(S) - {S.FAILED, S.REFUSED}:
        with pytest.raises(GuardError):
            desk.ledger.retry(desk.job, {state})
    assert desk.ledger.retry(desk.job, {S.FAILED, S.REFUSED}) == 2
    assert [desk.state(n) for n in range(4)] == [S.QUEUED, S.QUEUED, S.UNCONFIRMED, S.ACCEPTED]
    assert desk.ledger.queued_orders(desk.job)[0].attempts == 0


async def test_cancelling_spares_what_is_under_way(desk: Desk):
    await desk.send(0)
    assert desk.ledger.cancel_queued(desk.job) == 5
    assert desk.state(0) is S.SENDING
    assert desk.count(S.CANCELLED) == 5


async def test_of_chosen_orders_only_those_are_retried_or_cancelled_and_none_of_a_job_that_runs(desk: Desk):
    await desk.end(await desk.send(0, 1), desk.change(0, S.FAILED), desk.change(1, S.REFUSED))
    chosen = desk.ids(1, 3, 3)
    assert desk.ledger.count_chosen(desk.job, [*chosen, OrderId(999)]) == {S.REFUSED: 1, S.QUEUED: 1}
    with pytest.raises(GuardError, match="runs"):
        desk.ledger.cancel_queued(desk.job, chosen=chosen, is_at_rest=True)
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, None)
    assert desk.ledger.cancel_queued(desk.job, chosen=chosen, is_at_rest=True) == 1
    assert desk.ledger.retry(desk.job, {S.FAILED, S.REFUSED}, chosen=chosen) == 1
    assert [desk.state(n) for n in range(4)] == [S.FAILED, S.QUEUED, S.QUEUED, S.CANCELLED]


async def test_statuses_are_stored_for_accepted_orders_only(desk: Desk):
    from imeiflow.ledger.change import StatusUpdate

    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED))
    updates = [StatusUpdate(order=id_, status=ResultStatus.COMPLETED, result="Model: X") for id_ in desk.ids(0, 1)]
    assert desk.ledger.update_statuses(ACCOUNT, updates).stored == 1
    (row,) = desk.ledger.search_orders(statuses={ResultStatus.COMPLETED})
    assert (row.id, row.result, row.completed_at) == (desk.orders[0].id, "Model: X", desk.clock())


def test_an_unknown_order_cannot_be_marked(desk: Desk):
    with pytest.raises(GuardError):
        desk.ledger.mark_not_placed([OrderId(999)], note="?")
