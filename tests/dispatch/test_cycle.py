"""What refusals measure: rates between them, and windows that explain what was admitted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.cycle import MAX_STEP, MIN_STEP, Cycle, find_window, measure, rate_between
from imeiflow.dispatch.rate import USUAL_PERIODS_S, Window, next_moment, pad

_RUN = [place * 0.005 for place in range(100)]


def test_of_the_refusals_before_the_last_one_since_which_enough_were_admitted_counts() -> None:
    starts = [place / 10 for place in range(200)]
    assert rate_between(starts, [0.0, 10.0, 19.8], 19.95) == pytest.approx(10.0, rel=0.01)


def test_too_few_calls_between_refusals_tell_nothing() -> None:
    assert rate_between([1.0, 2.0], [0.0], 3.0) is None
    assert rate_between([1.0, 2.0], [0.0], 4.0, fewest=2) == 0.5
    assert rate_between([1.0, 2.0, 3.0], [], 4.0) is None


def test_a_longer_window_explains_why_a_shorter_one_refused_at_once() -> None:
    assert find_window(100, [*_RUN, 10.0, 10.01], 10.1, longer_than=5.0) is None  # more were admitted than it holds
    assert find_window(100, [*_RUN[2:], 10.0, 10.01], 10.02, longer_than=5.0) == Window(100, pad(10.0))
    assert find_window(100, _RUN, 7.0, longer_than=5.0) == Window(100, pad(10.0))


def test_a_bucket_that_refills_is_no_window() -> None:
    starts = [*_RUN, *(1.0 + place for place in range(8))]
    assert find_window(100, starts, 8.5, longer_than=5.0) is None


def test_where_several_usual_periods_may_be_it_ten_seconds_are_and_more_is_tried_soon() -> None:
    cycle = Cycle(0.0, admitted=101, refused_at=0.7, asked_at=4.0)
    assert measure(cycle, 16.0).model == Window(100, pad(10.0))
    assert measure(cycle, 16.0).step == MAX_STEP
    assert measure(cycle, 6.0).model == Window(100, pad(5.0))
    assert measure(cycle, 6.0).step == MIN_STEP


@pytest.mark.parametrize("period_s", [1.0, 2.0, 5.0, 10.0, 20.0, 60.0])
@pytest.mark.parametrize("spent_at", [0.06, 0.7])
def test_few_questions_find_any_usual_window(period_s: float, spent_at: float) -> None:
    asked = [spent_at, spent_at + 0.3]
    while asked[-1] < period_s:
        asked.append(next_moment(0.0, spent_at, asked[-1], 60.0))
    assert len(asked) - 1 <= 3 + max(0, math.log2(period_s))
    assert asked[-1] <= 2.5 * period_s + 0.5


@given(st.floats(0, 1e4), st.floats(1e-3, 1e3), st.floats(0, 1e3))
def test_the_next_question_comes_later_and_not_after_ever(began_at: float, ran_s: float, waited_s: float) -> None:
    spent_at = began_at + ran_s
    now = spent_at + waited_s
    at = next_moment(began_at, spent_at, now, 60.0)
    assert now <= at <= now + 60.0
    assert at >= now + min(waited_s, 60.0) or at == pytest.approx(now + 60.0)


@given(st.sampled_from(USUAL_PERIODS_S[:6]), st.integers(4, 200))
def test_a_window_that_was_used_up_is_found_from_what_it_admitted(period_s: float, calls: int) -> None:
    starts = [place * 0.001 for place in range(calls)]
    found = find_window(calls, starts, period_s * 0.99, longer_than=0.0)
    assert found is not None
    assert found.period_s <= pad(period_s)
