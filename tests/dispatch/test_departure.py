"""A rate lets calls begin as it says, whatever began before."""

from __future__ import annotations

import pytest

from imeiflow.dispatch.departure import Departures, spread_parts
from imeiflow.dispatch.rate import Bucket, Model, Window


def _begin(departures: Departures, at: float, model: Model | None) -> None:
    departures.claim(at, model)
    departures.leave(at, model)


def test_without_any_rate_a_call_may_begin() -> None:
    departures = Departures(ceiling=None, model=None)
    _begin(departures, 0.0, None)
    assert departures.by_model(0.0, None) == 0.0
    assert departures.by_ceiling(0.0) == 0.0


def test_a_window_lets_one_more_begin_when_the_oldest_of_its_calls_is_a_period_old() -> None:
    window = Window(2, 10.0)
    departures = Departures(ceiling=None, model=window)
    for at in (0.0, 1.0, 3.0):
        _begin(departures, at, window)
    assert departures.by_model(3.0, window) == 11.0


def test_a_call_that_was_refused_does_not_count() -> None:
    window = Window(1, 10.0)
    departures = Departures(ceiling=None, model=window)
    _begin(departures, 0.0, window)
    _begin(departures, 4.0, window)
    departures.discount(4.0)
    assert list(departures.starts) == [0.0]
    assert departures.by_model(4.0, window) == 10.0


def test_a_bucket_is_full_at_first_and_empty_after_a_refusal() -> None:
    bucket = Bucket(2.0, 3.0)
    departures = Departures(ceiling=None, model=bucket)
    assert departures.by_model(0.0, bucket) == 0.0
    departures.empty()
    assert departures.by_model(5.0, bucket) == pytest.approx(5.5)


def test_the_users_rate_is_spread_evenly() -> None:
    departures = Departures(ceiling=Window(60, 60.0), model=None)
    _begin(departures, 0.0, None)
    assert departures.by_ceiling(0.2) == 1.0


def test_it_forgets_what_lies_too_far_back() -> None:
    departures = Departures(ceiling=None, model=None)
    for at in (0.0, 50.0, 100.0):
        _begin(departures, at, None)
    assert list(departures.starts) == [50.0, 100.0]
    _begin(departures, 400.0, Window(9, 600.0))
    assert list(departures.starts) == [50.0, 100.0, 400.0]


def test_what_is_claimed_counts_against_a_window_until_it_is_taken_back() -> None:
    window = Window(2, 10.0)
    departures = Departures(ceiling=None, model=window)
    _begin(departures, 0.0, window)
    departures.claim(1.0, window)
    assert departures.by_model(1.0, window) == 10.0
    departures.claim(1.0, window)
    assert 1.0 < departures.by_model(1.0, window) < 10.0
    departures.take_back(window)
    departures.leave(3.0, window)
    assert departures.by_model(3.0, window) == 10.0
    assert departures.by_model(3.0, Window(1, 10.0)) == 13.0


def test_a_claim_that_is_taken_back_leaves_its_token() -> None:
    bucket = Bucket(1.0, 1.0)
    departures = Departures(ceiling=None, model=bucket)
    assert departures.by_model(0.0, bucket) == 0.0
    departures.claim(0.0, bucket)
    assert departures.by_model(0.0, bucket) == 1.0
    departures.take_back(bucket)
    assert departures.by_model(0.0, bucket) == 0.0
    departures.take_back(bucket)
    departures.claim(0.0, bucket)
    assert departures.by_model(0.0, bucket) == 1.0


def test_a_window_counts_what_an_earlier_session_has_sent_until_it_is_a_period_old() -> None:
    window = Window(3, 10.0)
    departures = Departures(ceiling=None, model=window, carried=[1.0, 2.0])
    assert departures.by_model(5.0, window) == 5.0
    _begin(departures, 5.0, window)
    assert departures.is_full(window, 5.0)
    assert departures.by_model(5.0, window) == 11.0
    _begin(departures, 11.0, window)
    assert departures.by_model(11.0, window) == 12.0
    _begin(departures, 12.0, window)
    assert departures.by_model(12.0, window) == 15.0


def test_what_left_within_a_period_comes_back_no_earlier_than_it_was() -> None:
    window = Window(5, 10.0)
    departures = Departures(ceiling=None, model=window)
    starts = [0.0, 3.2, 3.3, 9.9, 11.0]
    for at in starts:
        _begin(departures, at, window)
    parts = departures.count_parts(window)
    assert sum(parts) == 4  # the first is older than a period
    again = spread_parts(parts, window, 11.0)
    assert all(before <= at <= before + 0.5 for before, at in zip(starts[1:], again, strict=True))
