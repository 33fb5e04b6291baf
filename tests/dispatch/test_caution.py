"""What bans teach: nothing is tried where the first refusal bans, and hidden windows are found step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.rate import Window, spread


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


def test_a_hidden_window_is_sought_from_long_periods_to_short_ones() -> None:
    caution = Caution(bans=1, warnings=1, run=100, floor_s=5.0)
    model, periods = spread(3.0), []
    while (period_s := caution.next_period(model)) is not None:
        periods.append(period_s)
        model = caution.leap(period_s)
    assert periods == [20.0, 15.0, 10.0]
    assert model.rate < 10.0


def test_a_leap_that_was_refused_is_not_taken_again() -> None:
    caution = Caution(bans=1, warnings=1, run=100)
    model = caution.leap(10.0)
    caution.leap(5.0)
    caution.end_leap()
    assert caution.floor_s == 5.0
    assert caution.next_period(model) is None


def test_a_step_that_was_refused_was_no_leap() -> None:
    caution = Caution(bans=1, warnings=1, run=100)
    caution.leap(10.0)
    caution.take_step()
    caution.end_leap()
    assert caution.floor_s == 0.0


def test_windows_that_are_known_and_paces_that_were_measured_hide_nothing() -> None:
    assert Caution(run=100).next_period(spread(1.0)) is None
    assert Caution(bans=1, warnings=1, run=0).next_period(spread(1.0)) is None
    assert Caution(bans=1, warnings=1, run=100).next_period(Window(100, 60.0)) is None


@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 500), st.floats(0, 600))
def test_what_is_remembered_is_all_that_it_knows(bans: int, warnings: int, run: int, floor_s: float) -> None:
    caution = Caution(bans=bans, warnings=warnings, run=run, floor_s=floor_s)
    assert caution.as_learned() == {"bans": bans, "warnings": warnings, "run": run, "floor_s": floor_s}
