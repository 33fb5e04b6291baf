"""Counts that add up, and the exit status that follows from them (design: "Command line")."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import COUNTED, Summary, Tally, exit_code

S = OrderState
DONE = [JobState.FINISHED, JobState.CANCELLED]
KEYS = ["job", "state", "total", *COUNTED, "attempts", "spent", "currency", "seconds", "reason"]

tallies = st.dictionaries(st.sampled_from(OrderState), st.integers(0, 10**6)).map(Tally)


def summarize(tally: Tally, spent: Money | None = None) -> dict[str, object]:
    return Summary(JobId(7), JobState.FINISHED, tally, 3, spent, 1.23456, None).as_dict()


class TestTally:
    @given(tallies)
    def test_every_row_is_in_exactly_one_state(self, tally):
        assert tally.total == sum(tally[state] for state in OrderState)

    @given(tallies)
    def test_rows_are_orders_unless_invalid_or_repeated(self, tally):
        assert tally.to_place == tally.total - tally[S.INVALID] - tally[S.REPEATED]

    @given(tallies)
    def test_an_order_under_way_waits_for_its_answer(self, tally):
        assert tally.waiting == tally[S.QUEUED] + tally[S.SENDING]


class TestSummary:
    @given(tallies)
    def test_the_states_add_up_to_the_total(self, tally):
        summary = summarize(tally)
        assert sum(int(str(summary[name])) for name in COUNTED) == summary["total"]

    def test_it_has_the_keys_of_the_design_in_their_order(self):
        besides = {"sending", "refunded", "in_doubt", "probed", "price_rise"}
        assert [key for key in summarize(Tally()) if key not in besides] == KEYS

    def test_the_states_are_counted_in_the_order_of_the_design(self):
        names = "accepted duplicate refused failed unconfirmed queued invalid repeated cancelled"
        assert " ".join(COUNTED) == names

    def test_every_state_is_counted_an_order_under_way_as_queued(self):
        assert set(COUNTED) | {"sending"} == {state.value for state in OrderState}
        assert summarize(Tally({S.QUEUED: 2, S.SENDING: 3}))["queued"] == 5

    def test_money_stays_exact(self):
        summary = summarize(Tally(), Money(Decimal("1600.08"), "USD"))
        assert (summary["spent"], summary["currency"]) == (Decimal("1600.08"), "USD")

    def test_what_is_not_known_to_have_been_spent_is_not_called_nothing(self):
        assert (summarize(Tally())["spent"], summarize(Tally())["currency"]) == (None, "")


class TestExitCode:
    @given(st.sampled_from(JobState), tallies)
    def test_it_is_zero_only_when_every_order_was_accepted_or_is_a_duplicate(self, state, tally):
        if exit_code(state, tally) == 0:
            assert tally.to_place == tally[S.ACCEPTED] + tally[S.DUPLICATE]
            assert tally[S.INVALID] == 0

    @pytest.mark.parametrize("state", [S.INVALID, S.REFUSED, S.FAILED, S.CANCELLED])
    @pytest.mark.parametrize("job", DONE)
    def test_it_is_three_when_a_row_got_a_definite_no(self, job, state):
        assert exit_code(job, Tally({S.ACCEPTED: 9, state: 1})) == 3

    @pytest.mark.parametrize("state", [S.UNCONFIRMED, S.QUEUED, S.SENDING])
    @pytest.mark.parametrize("job", DONE)
    def test_it_is_four_when_an_order_has_no_answer_whatever_else_there_is(self, job, state):
        assert exit_code(job, Tally({S.INVALID: 1, S.REFUSED: 1, state: 1})) == 4

    @given(tallies)
    def test_a_paused_job_is_four(self, tally):
        assert exit_code(JobState.PAUSED, tally) == 4

    @pytest.mark.parametrize("job", DONE)
    def test_rows_that_stood_in_the_file_before_are_no_fault(self, job):
        assert exit_code(job, Tally({S.ACCEPTED: 2, S.REPEATED: 5, S.DUPLICATE: 1})) == 0
