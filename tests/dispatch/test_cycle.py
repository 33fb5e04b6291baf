"""What refusals measure: windows with their periods, buckets with their rates, and nothing that was not seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.cycle import (
    Cycle,
    correct,
    fall_back,
    least_refill,
    make_sure,
    measure,
    measure_ban,
    rate_between,
)
from imeiflow.dispatch.rate import Bucket, Window, describe_model, spread


def _cycle(admitted: int, *, refused_at: float, asked_at: float, due_at: float | None = None) -> Cycle:
    return Cycle(0.0, admitted + 1, refused_at=refused_at, asked_at=asked_at, due_at=due_at)


def test_a_usual_period_that_ends_in_the_silence_is_the_window() -> None:
    found = measure(_cycle(100, refused_at=0.7, asked_at=5.0), 10.1)
    assert isinstance(found.model, Window)
    assert found.model.calls == 100
    assert 10.0 < found.model.period_s < 10.2


def test_a_time_to_wait_rounded_up_still_finds_the_second() -> None:
    found = measure(_cycle(20, refused_at=0.3, asked_at=0.3, due_at=1.3), 1.35)
    assert isinstance(found.model, Window)
    assert found.model.calls == 20
    assert 1.0 < found.model.period_s < 1.1


def test_a_long_silence_without_a_usual_end_is_a_window_as_well() -> None:
    found = measure(_cycle(50, refused_at=1.0, asked_at=6.0), 7.0)
    assert isinstance(found.model, Window)
    assert 7.0 < found.model.period_s < 7.2


def test_a_short_silence_is_a_bucket_a_little_below_what_was_admitted() -> None:
    found = measure(_cycle(100, refused_at=8.0, asked_at=8.0), 8.2)
    assert isinstance(found.model, Bucket)
    assert 0.85 * 100 / 8.2 < found.model.rate < 100 / 8.2


def test_between_two_refusals_the_limiter_let_in_what_it_allows() -> None:
    assert rate_between([1.0, 1.1, 2.0, 3.0, 4.0, 9.0], 1.0, 5.0) == pytest.approx(1.0)


def test_too_few_calls_measure_nothing() -> None:
    assert rate_between([1.0, 2.0], 0.0, 5.0) is None


def test_after_a_ban_of_unknown_length_what_was_measured_before_it_counts() -> None:
    found = measure_ban(_cycle(20, refused_at=1.0, asked_at=1.0), 60.0, None, between=10.0)
    assert found.model.rate == pytest.approx(9.3)


def test_after_a_ban_without_a_measurement_only_what_was_admitted_in_the_whole_time_counts() -> None:
    found = measure_ban(_cycle(100, refused_at=1.0, asked_at=1.0), 50.0, None, between=None)
    assert found.model.rate <= 2.0


def test_after_a_ban_an_earlier_pace_is_at_most_halved() -> None:
    found = measure_ban(_cycle(100, refused_at=1.0, asked_at=1.0), 2.0, spread(4.0), between=None)
    assert found.model.rate <= 2.0


@given(
    before=st.one_of(
        st.builds(spread, st.floats(0.01, 100)), st.builds(Window, st.integers(1, 500), st.floats(0.5, 600))
    ),
    admitted=st.integers(1, 500),
    elapsed_s=st.floats(0.1, 600),
    between=st.none() | st.floats(0.01, 200),
    is_rough=st.booleans(),
)
def test_a_pace_that_was_refused_never_becomes_faster(
    before: Bucket | Window, admitted: int, elapsed_s: float, between: float | None, is_rough: bool
) -> None:
    cycle = _cycle(admitted, refused_at=elapsed_s / 2, asked_at=elapsed_s / 2)
    found = measure(cycle, elapsed_s).model
    after = correct(before, found, cycle, elapsed_s, between=between, is_rough=is_rough, grace_s=0.02)
    assert 0 < after.rate <= before.rate


def test_part_of_a_window_does_not_measure_it() -> None:
    cycle = _cycle(40, refused_at=5.0, asked_at=5.0)
    found = measure(cycle, 5.2).model
    after = correct(Window(100, 10.0), found, cycle, 5.2, between=None, is_rough=False, grace_s=0.02)
    assert after == Window(100, pytest.approx(10.0 / 0.975))


@given(good=st.floats(0.01, 100), between=st.none() | st.floats(0.01, 200))
def test_what_was_good_is_gone_back_to_unless_it_was_not(good: float, between: float | None) -> None:
    after = fall_back(spread(good), between)
    assert after.rate <= good
    if between is None or between >= good:
        assert after == spread(good)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Window(100, 10.07), "100 calls in 10.1 s"),
        (Window(1, 1.0), "1 call in 1 s"),
        (spread(12.34), "12.3 calls a second"),
        (spread(0.5), "30.0 calls a minute"),
    ],
)
def test_a_pace_is_said_in_words(model: Bucket | Window, words: str) -> None:
    assert describe_model(model) == words


def test_after_a_ban_few_calls_between_two_refusals_are_one_less() -> None:
    starts = [0.1, 0.2, 0.3, 0.4]
    assert rate_between(starts, 0.0, 0.4) == pytest.approx(10.0)
    assert rate_between(starts, 0.0, 0.4, is_least=True) * 0.93 == pytest.approx(8.75)  # type: ignore[operator]


@given(rate=st.floats(0.5, 50), burst=st.integers(1, 60), asks=st.floats(1.05, 4))
def test_a_bucket_refills_at_least_as_fast_as_what_it_admitted_beyond_its_burst_shows(
    rate: float, burst: int, asks: float
) -> None:
    starts, tokens, now = [], float(burst), 0.0
    while tokens >= 1:
        starts.append(now)
        tokens = min(burst, tokens - 1 + 1 / asks)
        now += 1 / (asks * rate)
    assert least_refill(starts, now, burst) <= rate + 1e-6
    if burst <= 4 * rate:
        assert least_refill(starts, now, burst, fills_in_s=4.0) <= rate + 1e-6


def _at(rate: float, since: float, until: float) -> list[float]:
    return [since + number / rate for number in range(int(rate * (until - since)))]


def test_a_refusal_that_a_window_explains_leads_back_to_what_was_good() -> None:
    starts = [*_at(9.75, 0.0, 11.0), *_at(19.5, 11.0, 11.26)]
    good = spread(9.75)
    assert make_sure(good, 4.9, starts, 11.26, run=100, can_err=False) == good


def test_a_refusal_that_no_window_explains_leads_back_to_what_is_sure() -> None:
    starts = [*_at(5.85, 0.0, 2.4), *_at(11.7, 2.4, 3.43)]  # of a bucket of ten that refills at five a second
    sure = make_sure(spread(5.85), 2.34, starts, 3.43, run=12, can_err=False)
    assert 2.34 * 0.97 <= sure.rate <= 5.0
    assert make_sure(spread(5.85), 2.34, starts, 3.43, run=12, can_err=True).rate == 5.85


def test_what_is_sure_is_never_nothing() -> None:
    assert make_sure(spread(1.0), 0.0, [0.0, 0.1], 0.2, run=60, can_err=False).rate >= 0.2
