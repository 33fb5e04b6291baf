"""What may have been charged where a price rose between two looks at the list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.money import Money
from imeiflow.domain.price_rise import Charged, Stand, find_excess, sum_up_rise

START = datetime(2026, 11, 28, 14, 30, tzinfo=UTC)
AGREED, RISEN = Money(Decimal("0.08"), "USD"), Money(Decimal("0.20"), "USD")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stand(price: Money = RISEN, known: float = 10, seen: float = 20, until: float | None = None) -> Stand:
    return Stand(price, at(known), at(seen), None if until is None else at(until))


def call(began: float, ended: float | None, price: Money = AGREED, *, orders: int = 100, times: int = 1) -> Charged:
    return Charged(at(began), None if ended is None else at(ended), price, orders, times)


@pytest.mark.parametrize(
    ("charged", "may"),
    [
        (call(2, 9.9), False),
        (call(2, 10), False),
        (call(2, 10.1), True),
        (call(12, 14), True),
        (call(21, 22), True),
        (call(5, None), True),
    ],
    ids=["answered before", "answered as it was asked", "under way", "between", "after", "without an answer"],
)
def test_a_call_may_cost_more_unless_it_was_answered_before_the_list_that_did_not_show_it(charged, may):
    assert (find_excess(charged, [stand()]) is not None) is may


def test_a_price_that_was_seen_to_have_gone_is_not_that_of_later_calls():
    assert find_excess(call(30, 31), [stand(until=30)]) is None
    assert find_excess(call(29, 31), [stand(until=30)]) is not None


def test_what_is_recorded_at_that_price_or_above_costs_no_more():
    assert find_excess(call(12, 14, RISEN), [stand()]) is None
    assert find_excess(call(12, 14), [stand(Money(Decimal("0.05"), "USD"))]) is None


def test_of_two_prices_the_dearest_counts():
    found = find_excess(call(12, 50), [stand(until=30), stand(Money(Decimal("0.30"), "USD"), 25, 30)])
    assert found is not None
    assert found.each == Decimal("0.22")


def test_a_price_in_another_currency_leaves_unknown_what_was_charged():
    found = find_excess(call(12, 14), [stand(Money(Decimal("0.05"), "EUR"))])
    assert found is not None
    rise = sum_up_rise([found])
    assert rise is not None
    assert rise.more is None
    assert rise.say("9:00", "9:05").startswith("the price changed from $0.08 to €0.05 between 9:00 and 9:05")


def test_the_sum_says_when_it_rose_how_many_were_placed_and_what_they_may_have_cost_besides():
    found = [find_excess(one, [stand()]) for one in (call(12, 14), call(13, 15, orders=1, times=2))]
    rise = sum_up_rise([one for one in found if one is not None])
    assert rise is not None
    assert (rise.before, rise.after, rise.since, rise.until) == (AGREED, RISEN, at(10), at(20))
    assert (rise.orders, rise.more) == (101, Money(Decimal("0.12") * 102, "USD"))
    assert "rose from $0.08 to $0.20" in rise.say("", "")
    assert rise.say("", "").endswith("while 101 orders were placed")


@pytest.mark.parametrize(
    ("cap", "doubtful", "may"),
    [("20.24", None, False), ("20.23", None, True), ("20.31", "0.08", True), ("20.32", "0.08", False)],
)
def test_a_cap_may_be_passed_by_a_rise_with_what_doubts_may_have_cost_besides(cap, doubtful, may):
    found = find_excess(call(12, 14, orders=102), [stand()])
    assert found is not None
    rise = sum_up_rise([found])
    assert rise is not None
    spent = Money(Decimal("8.00"), "USD")
    assert rise.at_most(spent) == Money(Decimal("20.24"), "USD")
    doubts = None if doubtful is None else Money(Decimal(doubtful), "USD")
    assert rise.passes(Money(Decimal(cap), "USD"), spent, doubts) is may
    assert not rise.passes(None, spent, doubts)
    assert not rise.passes(Money(Decimal(cap), "USD"), None, doubts)


def test_nothing_in_doubt_is_no_rise():
    assert sum_up_rise([]) is None


@given(
    began=st.floats(0, 100),
    lasts=st.floats(0, 50),
    rose=st.floats(0, 100),
    before=st.floats(0, 100),
    after=st.floats(0, 9),
)
def test_whenever_it_rose_between_two_looks_a_call_that_cost_more_is_among_those_that_may_have(
    began, lasts, rose, before, after
):
    """The call is charged at its start; the lists were asked for before the rise and seen after it."""
    known, seen = max(0.0, rose - before), rose + after
    if began > rose:
        assert find_excess(call(began, began + lasts + 0.001), [stand(known=known, seen=seen)]) is not None
