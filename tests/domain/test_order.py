"""The states of an order and the changes between them (design: "States of an order")."""

from __future__ import annotations

import pytest

from imeiflow.domain.order import SETTLED, TRANSITIONS, JobState, OrderState, ResultStatus, may_follow

NEVER_SENT = {OrderState.INVALID, OrderState.REPEATED}
S = OrderState


def test_every_state_but_those_of_the_file_is_reached_from_queued():
    reached, frontier = {S.QUEUED}, {S.QUEUED}
    while frontier:
        frontier = {after for before, after in TRANSITIONS if before in frontier} - reached
        reached |= frontier
    assert reached == set(OrderState) - NEVER_SENT


@pytest.mark.parametrize("state", sorted(NEVER_SENT))
def test_a_row_that_is_no_order_goes_nowhere(state):
    assert not [pair for pair in TRANSITIONS if state in pair]


@pytest.mark.parametrize("state", [S.ACCEPTED, S.DUPLICATE, S.CANCELLED])
def test_nothing_follows_a_final_state(state):
    assert not [after for before, after in TRANSITIONS if before is state]


def test_only_a_queued_order_can_be_cancelled():
    assert {before for before, after in TRANSITIONS if after is S.CANCELLED} == {S.QUEUED}


def test_an_order_is_sent_from_the_queue_or_once_more_from_doubt_and_from_nowhere_else():
    assert {before for before, after in TRANSITIONS if after is S.SENDING} == {S.QUEUED, S.UNCONFIRMED}


def test_an_accepted_order_comes_from_a_call_or_from_doubt():
    assert {before for before, after in TRANSITIONS if after is S.ACCEPTED} == {S.SENDING, S.UNCONFIRMED}


def test_doubt_never_turns_into_a_failure_or_a_refusal():
    assert {after for before, after in TRANSITIONS if before is S.UNCONFIRMED} == {S.SENDING, S.ACCEPTED, S.QUEUED}


def test_retry_leads_back_from_failed_and_refused_alone():
    final = {before for before, after in TRANSITIONS if after is S.QUEUED} & SETTLED
    assert final == {S.FAILED, S.REFUSED}


def test_settled_are_the_states_that_wait_for_nothing():
    assert set(OrderState) - {S.QUEUED, S.SENDING, S.UNCONFIRMED} == SETTLED


@pytest.mark.parametrize("state", OrderState)
def test_no_state_follows_itself(state):
    assert not may_follow(state, state)


@pytest.mark.parametrize(("before", "after"), sorted(TRANSITIONS))
def test_a_listed_change_may_happen(before, after):
    assert may_follow(before, after)


def test_a_change_that_is_not_listed_may_not_happen():
    listed = sum(may_follow(before, after) for before in OrderState for after in OrderState)
    assert listed == len(TRANSITIONS)


def test_only_completed_and_rejected_are_final_for_the_provider():
    assert {status for status in ResultStatus if status.is_final} == {ResultStatus.COMPLETED, ResultStatus.REJECTED}


@pytest.mark.parametrize("enum", [OrderState, JobState, ResultStatus])
def test_values_are_the_names_in_lower_case(enum):
    assert [member.value for member in enum] == [member.name.lower() for member in enum]
