"""A rate lets calls begin as it says, whatever began before."""

from __future__ import annotations

import pytest

from imeiflow.dispatch.departure import Departures
from imeiflow.dispatch.rate import Bucket, Window


def test_without_any_rate_a_call_may_begin() -> None:
    departures = Departures(ceiling=None, model=None)
    departures.begin(0.0, None)
    assert departures.by_model(0.0, None) == 0.0
    assert departures.by_ceiling(0.0) == 0.0


def test_a_window_lets_one_more_begin_when_the_oldest_of_its_calls_is_a_period_old() -> None:
    window = Window(2, 10.0)
    departures = Departures(ceiling=None, model=window)
    for at in (0.0, 1.0, 3.0):
        departures.begin(at, window)
    assert departures.by_model(3.0, window) == 11.0


def test_a_call_that_was_refused_does_not_count() -> None:
    window = Window(1, 10.0)
    departures = Departures(ceiling=None, model=window)
    departures.begin(0.0, window)
    departures.begin(4.0, window)
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
    departures.begin(0.0, None)
    assert departures.by_ceiling(0.2) == 1.0


def test_it_forgets_what_lies_too_far_back() -> None:
    departures = Departures(ceiling=None, model=None)
    for at in (0.0, 50.0, 100.0):
        departures.begin(at, None)
    assert list(departures.starts) == [50.0, 100.0]
    departures.begin(400.0, Window(9, 600.0))
    assert list(departures.starts) == [50.0, 100.0, 400.0]
