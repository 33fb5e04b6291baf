"""A delivery that fails is tried for a day, less and less often; only 2xx ends it well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.notice import DeliveryState
from imeiflow.jobs.backoff import GIVE_UP_AFTER, LONGEST_S, decide, delay_s

START = datetime(2026, 11, 28, tzinfo=UTC)


def after(status, *, failures=1, now=START, retry_after_s=None, chance=0.5):
    return decide(
        http_status=status, retry_after_s=retry_after_s, failures=failures, since=START, now=now, chance=chance
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_2xx(status):
    assert after(status).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [None, 100, 301, 302, 307, 400, 401, 404, 408, 429, 500, 503])
def test_everything_else_is_tried_again(status):
    found = after(status)
    assert found.state is DeliveryState.PENDING
    assert found.at is not None
    assert found.at > START


def test_a_receiver_that_is_gone_for_good_is_not_asked_again():
    assert after(410).state is DeliveryState.FAILED


@given(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1))
def test_each_delay_is_longer_than_the_one_before_up_to_four_hours(failures, chance, other):
    assert 7.5 <= delay_s(failures, chance) <= 1.25 * LONGEST_S
    assert delay_s(failures + 1, other) > delay_s(failures, chance) or delay_s(failures + 1, other) >= 0.75 * LONGEST_S


@given(st.lists(st.floats(0, 1), min_size=40, max_size=40))
def test_it_is_given_up_after_a_day_and_some_tries_and_not_before(chances):
    now, tries = START, 0
    for number, chance in enumerate(chances, start=1):
        tries = number
        found = after(503, failures=number, now=now, chance=chance)
        if found.state is DeliveryState.FAILED:
            break
        assert found.at is not None
        assert now < found.at <= START + GIVE_UP_AFTER
        now = found.at
    assert found.state is DeliveryState.FAILED
    assert now == START + GIVE_UP_AFTER
    assert 10 <= tries <= 20


def test_a_time_to_wait_is_obeyed_but_for_no_longer_than_we_would():
    assert after(429, retry_after_s=120).at == START + timedelta(seconds=120)
    assert after(429, retry_after_s=1e9).at == START + timedelta(seconds=LONGEST_S)


def test_the_delays_are_those_of_the_page_on_webhooks_moved_by_up_to_a_quarter():
    assert [delay_s(failures, 0.5) for failures in (1, 2, 3, 20)] == [10, 30, 90, 4 * 3600]
    for failures in (1, 2, 3, 20):
        middle = delay_s(failures, 0.5)
        assert (delay_s(failures, 0.0), delay_s(failures, 1.0)) == (0.75 * middle, 1.25 * middle)
