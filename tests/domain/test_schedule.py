from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.schedule import INSTANT, UNKNOWN, Delivery, first_wait, next_wait, plan, plan_first, read_delivery

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NOW = datetime(2025, 6, 1, tzinfo=UTC)

spans = st.tuples(st.floats(0, 90 * DAY), st.floats(0, 90 * DAY))
deliveries = spans.map(lambda pair: Delivery(min(pair), max(pair)))
ages = st.floats(0, 400 * DAY)
shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Instant", 0, MINUTE),
        ("INSTANT (24/7)", 0, MINUTE),
        ("Immediately", 0, MINUTE),
        ("1-5 Minutes", MINUTE, 5 * MINUTE),
        ("1 - 5 mins", MINUTE, 5 * MINUTE),
        ("5min~30min", 5 * MINUTE, 30 * MINUTE),
        ("Instant - 5 Minutes", 0, 5 * MINUTE),
        ("30 sec", 30, 30),
        ("1-24 Hours", HOUR, DAY),
        ("0-6h", 0, 6 * HOUR),
        ("up to 48 hours", 0, 2 * DAY),
        ("Within 2 hrs", 0, 2 * HOUR),
        ("1 Min to 2 Hours", MINUTE, 2 * HOUR),
        ("1-3 Days", DAY, 3 * DAY),
        ("3-10 Business Days", 3 * DAY, 14 * DAY),
        ("5 Working Days", 5 * DAY, 7 * DAY),
        ("1.5 days", 1.5 * DAY, 1.5 * DAY),
        ("2 to 3 weeks", 14 * DAY, 21 * DAY),
        ("1-2 months", 30 * DAY, 60 * DAY),
        ("5-1 Days", DAY, 5 * DAY),
    ],
)
def test_a_delivery_time_is_read_from_what_price_lists_say(text: str, least: float, most: float):
    read = read_delivery(text)
    assert read is not None
    assert (read.least_s, read.most_s) == pytest.approx((least, most))


@pytest.mark.parametrize("text", ["", "Miscellaneous", "see notes", "24/7", "iPhone 13", "Premium (All Models)"])
def test_what_names_no_time_is_not_guessed(text: str):
    assert read_delivery(text) is None


@given(st.text(max_size=300))
def test_any_text_can_be_read_and_the_least_is_never_above_the_most(text: str):
    read = read_delivery(text)
    assert read is None or 0 <= read.least_s <= read.most_s


@given(deliveries, ages, st.integers(0, 50))
def test_nothing_is_asked_for_too_often_and_nothing_is_forgotten(delivery: Delivery, age: float, misses: int):
    assert 5.0 <= first_wait(delivery) <= 6 * HOUR
    assert 5.0 <= next_wait(delivery, age) <= 6 * HOUR
    assert next_wait(delivery, age) <= next_wait(delivery, age, misses) <= DAY


@given(deliveries, ages, ages)
def test_the_older_an_order_the_seldomer_it_is_asked_for(delivery: Delivery, one: float, other: float):
    assert next_wait(delivery, min(one, other)) <= next_wait(delivery, max(one, other))


@given(ages, deliveries, deliveries)
def test_a_slower_service_is_not_asked_for_more_often_while_it_is_in_its_time(
    age: float, one: Delivery, other: Delivery
):
    slower = Delivery(max(one.least_s, other.least_s), max(one.most_s, other.most_s))
    if age <= 3 * min(one.most_s, other.most_s):
        assert next_wait(slower, age) >= next_wait(one, age)


def count_questions(delivery: Delivery, until_s: float) -> int:
    age, count = first_wait(delivery), 0
    while age < until_s:
        count += 1
        age += next_wait(delivery, age)
    return count


def test_seconds_for_an_instant_service_hours_for_a_slow_unlock():
    slow = read_delivery("3-10 Business Days")
    assert slow is not None
    assert first_wait(INSTANT) == 5.0
    assert next_wait(INSTANT, 30.0) == 5.0
    assert first_wait(slow) == 6 * HOUR
    assert next_wait(slow, 2 * DAY) == 6 * HOUR
    assert count_questions(slow, 14 * DAY) < 80
    assert count_questions(UNKNOWN, DAY) < 80
    assert count_questions(INSTANT, 7 * DAY) < 120  # one that is stuck


@pytest.mark.parametrize(
    ("delivery", "first", "least", "most"),
    [
        (INSTANT, 5.0, 5.0, 30.0),
        (Delivery(MINUTE, 5 * MINUTE), 15.0, 5.0, 37.5),
        (Delivery(HOUR, DAY), 15 * MINUTE, 3 * MINUTE, 3 * HOUR),
        (Delivery(DAY, 3 * DAY), 6 * HOUR, HOUR, 6 * HOUR),
        (UNKNOWN, 15.0, 5.0, 3 * HOUR),
    ],
)
def test_how_often_is_asked_is_what_the_page_on_results_says(
    delivery: Delivery, first: float, least: float, most: float
):
    assert first_wait(delivery) == first
    assert next_wait(delivery, 0.0) == least
    assert next_wait(delivery, 3 * delivery.most_s) == most
    for age in (6 * least, 6 * (least + most) / 2, 6 * most):
        assert next_wait(delivery, age) == pytest.approx(min(age / 6, most))
    overdue = 3 * delivery.most_s + 1
    assert next_wait(delivery, overdue) == pytest.approx(min(overdue / 6, 6 * HOUR))
    assert next_wait(delivery, 0.0, misses=3) == 8 * least


def test_how_many_questions_an_order_takes_is_what_the_page_on_results_says():
    delivery = read_delivery("1-24 Hours")
    assert delivery is not None
    assert 26 <= count_questions(delivery, 16 * HOUR) <= 28
    assert count_questions(INSTANT, 2 * MINUTE) == 14


@given(st.floats(5, DAY), shares, shares, st.integers(0, 10**9))
def test_a_planned_time_is_the_wait_with_a_tenth_of_jitter_and_up_to_a_sixth_of_rounding(
    wait: float, jitter: float, phase: float, seconds: int
):
    now = NOW + timedelta(seconds=seconds)
    planned = (plan(now, wait, jitter=jitter, phase=phase) - now).total_seconds()
    assert 0.9 * wait - 1e-5 <= planned <= 1.1 * wait + max(1.0, 1.1 * wait / 8) + 1e-5


@given(st.floats(60, DAY), shares)
def test_orders_placed_one_by_one_come_due_together(wait: float, phase: float):
    placed = [NOW + timedelta(seconds=wait / 1000 * number) for number in range(100)]
    assert len({plan(now, wait, phase=phase) for now in placed}) <= 5


@given(deliveries, shares, st.integers(0, 10**15))
def test_the_first_question_waits_for_the_delivery_time_and_at_most_a_quarter_of_a_second_longer(
    delivery: Delivery, phase: float, micros: int
):
    placed_at = NOW + timedelta(microseconds=micros)
    wait = first_wait(delivery)
    planned = (plan_first(placed_at, delivery, phase) - placed_at).total_seconds()
    assert 0.9 * wait - 1e-5 <= planned <= 1.1 * wait + max(1.0, 1.1 * wait / 8) + 0.25 + 1e-5


@given(deliveries, shares, st.integers(0, 10**9))
def test_orders_placed_in_one_quarter_of_a_second_are_asked_for_at_one_time(
    delivery: Delivery, phase: float, quarters: int
):
    end = NOW + timedelta(seconds=quarters / 4)
    within = [end - timedelta(microseconds=before) for before in (0, 1, 125_000, 249_999)]
    assert len({plan_first(placed_at, delivery, phase) for placed_at in within}) == 1
