"""Ordering an IMEI again: what may have been placed never, what was rejected always, all else only if asked."""

from __future__ import annotations

import pytest

from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.recurrence import (
    PLACED,
    UNSETTLED,
    Past,
    explain_skip,
    judge_past,
    may_be_sent_anew,
    may_order_again,
)


@pytest.mark.parametrize("state", sorted(PLACED))
@pytest.mark.parametrize("status", [None, *ResultStatus])
def test_an_order_in_doubt_is_unsettled_whatever_its_status_and_every_placed_one_is_something(state, status):
    past = judge_past(state, status)
    assert (past is Past.UNSETTLED) == (state in UNSETTLED)
    assert past.sentence


@pytest.mark.parametrize("state", sorted(set(OrderState) - PLACED))
def test_an_order_that_was_certainly_not_placed_is_no_past(state):
    with pytest.raises(ValueError, match=state.value):
        judge_past(state, None)


@pytest.mark.parametrize("past", Past)
def test_only_what_is_settled_may_be_ordered_again(past):
    assert may_order_again(past, is_asked=True) == (past is not Past.UNSETTLED)
    assert may_order_again(past, is_asked=False) == (past is Past.REJECTED)


def test_what_was_ordered_and_what_may_have_been_are_not_told_alike():
    assert "not sent again" in explain_skip(Past.COMPLETED, 7)
    assert "may have" in explain_skip(Past.UNSETTLED, 7)


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("status", [None, *ResultStatus])
def test_nothing_that_may_have_been_placed_is_sent_anew_unless_it_was_rejected(state, status):
    if may_be_sent_anew(state, status):
        assert state not in PLACED or may_order_again(judge_past(state, status), is_asked=False)
        assert state not in {OrderState.QUEUED, OrderState.REPEATED, OrderState.CANCELLED}
