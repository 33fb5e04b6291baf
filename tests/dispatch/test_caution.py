"""What bans teach: nothing is tried where the first refusal bans, and hidden windows are found step by step."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.rate import Model, Window, spread


def test_without_a_ban_nothing_is_forbidden() -> None:
    assert not Caution().forbids


def test_a_ban_without_a_warning_forbids_to_try_more() -> None:
    caution = Caution()
    caution.note_ban(10.0)
    assert caution.forbids


def test_refusals_of_the_last_minute_are_warnings() -> None:
    caution = Caution()
    for at in (0.0, 50.0, 60.0):
        caution.warn(at)
    caution.note_ban(65.0)
    assert caution.warnings == 2
    assert not caution.forbids


def test_the_ban_that_came_with_the_fewest_warnings_counts() -> None:
    caution = Caution(bans=1, warnings=4)
    caution.note_ban(1000.0)
    assert caution.bans == 2
    assert caution.forbids


def _leaps(caution: Caution, model: Model) -> list[float]:
    periods = []
    while (period_s := caution.next_period(model, 1000.0)) is not None:
        periods.append(period_s)
        model = caution.leap(period_s)
    return periods


def test_a_hidden_window_is_sought_from_long_periods_to_short_ones_where_one_refusal_may_be_borne() -> None:
    assert _leaps(Caution(bans=1, warnings=1, run=100, floor_s=5.0), spread(1.0)) == [60.0, 30.0, 20.0, 10.0]


def test_where_several_refusals_may_be_borne_a_leap_goes_to_the_middle() -> None:
    assert _leaps(Caution(bans=1, warnings=4, run=100, floor_s=1.0), spread(3.0)) == [10.0, 5.0, 2.0]


def test_a_period_that_is_set_most_often_is_tried_before_the_middle_where_the_run_was_long() -> None:
    assert (
        Caution(bans=1, warnings=4, run=100, floor_s=2.0).next_period(spread(2.8), 0.0) == 10.0
    )  # of 5, 10, 15, 20, 30
    assert Caution(bans=1, warnings=4, run=100, floor_s=10.0).next_period(spread(2.8), 0.0) == 20.0
    assert Caution(bans=1, warnings=4, run=5, floor_s=2.0).next_period(spread(0.14), 0.0) == 15.0


def test_fewer_refusals_are_borne_than_led_to_the_ban_and_none_twice() -> None:
    caution = Caution()
    for at in (0.0, 1.0, 2.0):
        caution.warn(at)
    caution.note_ban(3.0)
    assert [caution.spare(10.0), caution.warn(11.0), caution.spare(12.0)] == [2, None, 1]
    caution.warn(13.0)
    assert caution.spare(14.0) == 0
    assert caution.spare(140.0) == 2


def test_a_single_refusal_is_borne_where_one_came_before_the_ban() -> None:
    caution = Caution(bans=1, warnings=1)
    assert caution.spare(0.0) == 1
    caution.warn(0.0)
    assert caution.spare(100.0) == 0
    assert not caution.can_err


def test_a_ban_is_asked_about_when_a_usual_one_has_ended() -> None:
    caution = Caution()
    caution.note_ban(0.0)
    at, asked = 0.0, []
    for _ in range(6):
        at += caution.next_gap()
        asked.append(at)
    assert asked == [10.0, 30.0, 60.0, 120.0, 300.0, 600.0]


def test_a_second_ban_is_left_alone_for_longer() -> None:
    caution = Caution(bans=1)
    caution.note_ban(0.0)
    assert caution.next_gap() >= 60.0


def test_after_a_ban_refusals_are_asked_about_at_the_end_of_usual_windows() -> None:
    caution = Caution(bans=1, warnings=4)
    assert caution.next_ask(0.0, 0.0) == pytest.approx(10.0, abs=1)
    assert caution.next_ask(31.0, 0.0) == pytest.approx(120.0, abs=1)
    caution.warn(0.0)
    caution.warn(1.0)
    caution.warn(2.0)
    assert caution.next_ask(2.0, 2.0) == pytest.approx(62.0, abs=1)
    assert caution.next_ask(90_000.0, 0.0) <= 91_000.0


def test_a_leap_that_was_refused_is_not_taken_again() -> None:
    caution = Caution(bans=1, warnings=1, run=100)
    model = caution.leap(10.0)
    caution.leap(5.0)
    caution.end_leap()
    assert caution.floor_s == 5.0
    assert caution.next_period(model, 0.0) is None


def test_a_step_that_was_refused_was_no_leap() -> None:
    caution = Caution(bans=1, warnings=1, run=100)
    caution.leap(10.0)
    caution.take_step()
    caution.end_leap()
    assert caution.floor_s == 0.0


def test_windows_that_are_known_and_paces_that_were_measured_hide_nothing() -> None:
    assert Caution(run=100).next_period(spread(1.0), 0.0) is None
    assert Caution(bans=1, warnings=1, run=0).next_period(spread(1.0), 0.0) is None
    assert Caution(bans=1, warnings=1, run=100).next_period(Window(100, 60.0), 0.0) is None


@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 500), st.floats(0, 600))
def test_what_is_remembered_is_all_that_it_knows(bans: int, warnings: int, run: int, floor_s: float) -> None:
    caution = Caution(bans=bans, warnings=warnings, run=run, floor_s=floor_s)
    assert caution.as_learned() == {"bans": bans, "warnings": warnings, "run": run, "floor_s": floor_s}


def test_a_refusal_excludes_the_windows_in_which_fewer_calls_were_than_in_the_longest_run() -> None:
    caution = Caution(bans=1, warnings=4, run=100, floor_s=0.7)
    starts = [place / 9.75 for place in range(120)]
    caution.exclude(starts, starts[-1] + 0.05, since=0.0)
    assert caution.floor_s == 5.0
    assert caution.next_period(spread(9.75), 1000.0) is None


def test_windows_longer_than_what_was_seen_are_not_excluded() -> None:
    caution = Caution(bans=1, warnings=4, run=100)
    caution.exclude([0.0, 0.1], 1.5, since=0.0)
    assert caution.floor_s == 1.0


def test_where_two_refusals_may_be_borne_a_window_is_asked_again_as_soon_as_it_has_room() -> None:
    starts = [place / 10 for place in range(100)]
    caution = Caution(bans=1, warnings=4, run=100)
    assert caution.room_again_at(starts, spread(10.0), 10.0) == pytest.approx(11.0)
    assert Caution(bans=1, warnings=1, run=100).room_again_at(starts, spread(10.0), 10.0) == math.inf
    assert Caution(bans=1, warnings=4, run=0).room_again_at(starts, spread(10.0), 10.0) == math.inf


def test_refusals_of_the_last_minute_are_late_enough_to_hold_back() -> None:
    caution = Caution()
    assert not caution.was_refused_lately(0.0)
    caution.warn(10.0)
    assert caution.was_refused_lately(69.0)
    assert not caution.was_refused_lately(71.0)


def test_a_climb_ends_with_a_refusal_or_a_leap_and_is_remembered_until_then() -> None:
    refused, leapt = (
        Caution(bans=1, warnings=2, is_climbing=True),
        Caution(bans=1, warnings=2, run=20, is_climbing=True),
    )
    assert refused.as_learned()["is_climbing"] is True
    refused.warn(0.0)
    leapt.leap(10.0)
    assert "is_climbing" not in refused.as_learned() | leapt.as_learned()
