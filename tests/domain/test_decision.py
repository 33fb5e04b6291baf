"""`decide`, `decide_again`, `reason_to_pause`: what becomes of an order and of its job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.decision import Decision, RetryPolicy, decide, decide_again, reason_to_pause
from imeiflow.domain.order import OrderState, may_follow
from imeiflow.domain.outcome import PROVES_NOT_PLACED, ErrorKind, Outcome
from imeiflow.domain.reply import Account, Finding, ReplyContent, WholeError, account_for

from .sample import chunks, contents, make_imei

POLICY = RetryPolicy()
A, B = make_imei(0), make_imei(1)
STOPPING = {ErrorKind.ACCOUNT, ErrorKind.SERVICE}

findings = st.builds(Finding, st.sampled_from(Outcome), kind=st.none() | st.sampled_from(ErrorKind))
policies = st.builds(RetryPolicy, st.integers(1, 10))


class TestDecide:
    @given(findings, st.integers(1, 20), policies)
    def test_only_an_order_that_was_proved_not_placed_is_queued_again(self, finding, attempt, policy):
        if decide(finding, attempt=attempt, policy=policy).state is OrderState.QUEUED:
            assert finding.outcome in PROVES_NOT_PLACED

    @pytest.mark.parametrize("outcome", sorted(set(Outcome) - PROVES_NOT_PLACED))
    @given(attempt=st.integers(1, 20))
    def test_an_order_that_may_have_been_placed_is_never_queued_again(self, outcome, attempt):
        state = decide(Finding(outcome), attempt=attempt, policy=POLICY).state
        assert state not in {OrderState.QUEUED, OrderState.FAILED, OrderState.REFUSED}

    @given(findings, st.integers(1, 20), policies)
    def test_whatever_it_decides_may_follow_sending(self, finding, attempt, policy):
        assert may_follow(OrderState.SENDING, decide(finding, attempt=attempt, policy=policy).state)

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (Outcome.ACCEPTED, OrderState.ACCEPTED),
            (Outcome.DUPLICATE, OrderState.DUPLICATE),
            (Outcome.REFUSED, OrderState.REFUSED),
            (Outcome.UNCONFIRMED, OrderState.UNCONFIRMED),
        ],
    )
    @given(attempt=st.integers(1, 20))
    def test_an_answer_decides_at_once_at_any_attempt(self, outcome, state, attempt):
        assert decide(Finding(outcome), attempt=attempt, policy=POLICY) == Decision(state, spends_attempt=True)

    @given(st.integers(1, 1000), policies)
    def test_throttling_is_back_pressure_and_never_uses_up_an_order(self, attempt, policy):
        decision = decide(Finding(Outcome.THROTTLED), attempt=attempt, policy=policy)
        assert decision == Decision(OrderState.QUEUED, spends_attempt=False)

    @given(policies)
    def test_an_order_that_never_left_is_tried_up_to_its_attempts_and_then_failed(self, policy):
        states = [
            decide(Finding(Outcome.UNSENT), attempt=attempt, policy=policy).state
            for attempt in range(1, policy.max_attempts + 2)
        ]
        assert states == [OrderState.QUEUED] * (policy.max_attempts - 1) + [OrderState.FAILED] * 2

    @given(st.integers(1, 1000), policies)
    def test_a_provider_that_nobody_can_reach_uses_up_no_order(self, attempt, policy):
        decision = decide(Finding(Outcome.UNSENT), attempt=attempt, policy=policy, is_reachable=False)
        assert decision == Decision(OrderState.QUEUED, spends_attempt=False)


class TestDecideAgain:
    @given(findings)
    def test_the_repeat_of_an_order_in_doubt_settles_it_or_leaves_the_doubt(self, finding):
        settles = {Outcome.ACCEPTED: OrderState.ACCEPTED, Outcome.DUPLICATE: OrderState.DUPLICATE}
        assert decide_again(finding).state is settles.get(finding.outcome, OrderState.UNCONFIRMED)

    @given(findings)
    def test_a_repeat_that_settles_nothing_spends_no_attempt(self, finding):
        decision = decide_again(finding)
        assert decision.spends_attempt == (decision.state is not OrderState.UNCONFIRMED)

    @pytest.mark.parametrize("outcome", sorted(PROVES_NOT_PLACED))
    def test_no_proof_about_the_repeat_is_a_proof_about_the_first_attempt(self, outcome):
        assert decide_again(Finding(outcome)).state is OrderState.UNCONFIRMED


class TestReasonToPause:
    @given(chunks, contents)
    def test_only_an_error_of_the_account_or_the_service_stops_the_job(self, sent, content):
        account = account_for(sent, content)
        kinds = {finding.kind for finding in account.findings.values()} | {content.error and content.error.kind}
        assert (reason_to_pause(account) is not None) == bool(kinds & STOPPING)

    @pytest.mark.parametrize("kind", sorted(STOPPING))
    def test_the_reason_is_what_the_provider_said(self, kind):
        account = account_for((A, B), ReplyContent(error=WholeError(kind, "Invalid User!")))
        assert reason_to_pause(account) == "Invalid User!"

    def test_an_error_tied_to_one_order_can_be_of_the_account(self):
        findings_ = {
            A: Finding(Outcome.ACCEPTED),
            B: Finding(Outcome.THROTTLED, kind=ErrorKind.ACCOUNT, message="Credit has been finished!"),
        }
        assert reason_to_pause(Account(findings_)) == "Credit has been finished!"

    @pytest.mark.parametrize("kind", sorted(set(ErrorKind) - STOPPING))
    def test_other_errors_do_not_stop_the_job(self, kind):
        assert reason_to_pause(account_for((A, B), ReplyContent(error=WholeError(kind, "no")))) is None
