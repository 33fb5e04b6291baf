"""`cover`: when an order in doubt may be sent again (design: "Doubt")."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imeiflow.domain.doubt import (
    COMPLETED_SHARE,
    LASTS,
    MOMENT,
    OPEN_SHARE,
    OPEN_SLACK,
    Coverage,
    RepeatEvidence,
    are_repeats_charged,
    cover,
    covers_from,
)

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

ages = st.timedeltas(timedelta(0), timedelta(days=90))
seen = st.builds(
    RepeatEvidence,
    observed_at=st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda ago: NOW - ago),
    age=ages,
    is_refusal=st.booleans(),
    of_completed=st.booleans(),
)
evidence = st.lists(seen, max_size=6)


def refusal(age: timedelta, *, ago: timedelta = timedelta(0), of_completed: bool = False) -> RepeatEvidence:
    return RepeatEvidence(NOW - ago, age, is_refusal=True, of_completed=of_completed)


def charge(*, ago: timedelta = timedelta(0), age: timedelta = MINUTE) -> RepeatEvidence:
    return RepeatEvidence(NOW - ago, age, is_refusal=False)


def ask(age: timedelta, *evidence_: RepeatEvidence) -> Coverage:
    """Ask about a doubt of `age`."""
    return cover(NOW - age, NOW, evidence_)


@given(ages)
def test_without_evidence_nothing_is_known(age):
    assert ask(age) is Coverage.UNKNOWN


@given(ages, ages)
def test_a_refusal_covers_every_doubt_that_is_no_older_than_the_refused_order(refused, doubt):
    assume(doubt <= refused)
    assert ask(doubt, refusal(refused)) is Coverage.COVERED


@given(ages, ages)
def test_a_refusal_says_nothing_of_doubts_that_are_clearly_older(refused, doubt):
    assume(doubt > refused + MOMENT + min(OPEN_SLACK, refused * OPEN_SHARE))
    assert ask(doubt, refusal(refused)) is Coverage.UNKNOWN


def test_a_refusal_after_ten_minutes_covers_ten_minutes_and_not_twenty():
    assert ask(10 * MINUTE, refusal(10 * MINUTE)) is Coverage.COVERED
    assert ask(20 * MINUTE, refusal(10 * MINUTE)) is Coverage.UNKNOWN


def test_what_was_refused_after_a_moment_covers_nothing_that_is_seconds_old():
    second = timedelta(seconds=1)
    assert ask(second, refusal(second / 10)) is Coverage.UNKNOWN
    assert ask(66 * second, refusal(60 * second)) is Coverage.COVERED
    assert ask(67 * second, refusal(60 * second)) is Coverage.UNKNOWN


@given(ages, evidence)
def test_where_the_clock_was_set_back_only_a_completed_order_that_was_placed_before_covers(age, evidence_):
    at = NOW - age
    for doubt_at, covered in [
        (NOW + MINUTE, cover(NOW + MINUTE, NOW, evidence_)),
        (at, cover(at, NOW, evidence_, unsure_before=NOW + MINUTE)),
    ]:
        if covered is Coverage.COVERED:
            assert any(one.is_refusal and one.of_completed and one.placed_by <= doubt_at for one in evidence_)


@given(ages, ages)
def test_a_completed_order_s_refusal_reaches_half_as_far_again_as_that_order_s_age_and_no_further(refused, doubt):
    """It rules out that only open orders are refused, not that a time is over."""
    is_covered = doubt <= refused + MOMENT + refused * COMPLETED_SHARE
    assert ask(doubt, refusal(refused, of_completed=True)) is (Coverage.COVERED if is_covered else Coverage.UNKNOWN)


@given(ages, evidence)
def test_where_orders_as_young_are_completed_only_a_completed_order_s_refusal_covers(age, evidence_):
    completed = [one for one in evidence_ if one.of_completed or not one.is_refusal]
    assert cover(NOW - age, NOW, evidence_, is_completing=True) is cover(NOW - age, NOW, completed)


def test_the_refusal_of_an_open_order_says_nothing_where_orders_as_young_are_completed():
    assert ask(MINUTE, refusal(10 * MINUTE)) is Coverage.COVERED
    assert cover(NOW - MINUTE, NOW, [refusal(10 * MINUTE)], is_completing=True) is Coverage.UNKNOWN


@given(ages, ages, st.timedeltas(timedelta(0), MINUTE), st.booleans())
def test_an_order_that_is_repeated_as_soon_as_it_would_cover_does_cover(doubt, placed, takes, of_completed):
    """One microsecond more than was told: times have no smaller parts."""
    doubt_at, placed_by = NOW - doubt, NOW - placed
    began_at = covers_from(doubt_at, placed_by, takes=takes, of_completed=of_completed)
    if began_at is None:
        assert not of_completed
        return
    began_at += timedelta(microseconds=10)
    leaves_at = began_at + takes
    assume(leaves_at >= doubt_at)
    seen = RepeatEvidence(leaves_at, began_at - placed_by, is_refusal=True, of_completed=of_completed)
    assert cover(doubt_at, leaves_at, [seen]) is Coverage.COVERED


@given(ages, ages, st.timedeltas(timedelta(0), MINUTE), st.booleans())
def test_an_order_that_is_repeated_sooner_does_not_cover(doubt, placed, takes, of_completed):
    doubt_at, placed_by = NOW - doubt, NOW - placed
    told = covers_from(doubt_at, placed_by, takes=takes, of_completed=of_completed)
    assume(told is None or told > placed_by)
    began_at = (told or placed_by + timedelta(days=1)) - timedelta(microseconds=10)
    assume(began_at >= placed_by)
    leaves_at = began_at + takes
    seen = RepeatEvidence(leaves_at, began_at - placed_by, is_refusal=True, of_completed=of_completed)
    assert cover(doubt_at, leaves_at, [seen]) is Coverage.UNKNOWN


@given(ages, ages, st.booleans())
def test_a_refusal_is_forgotten_after_some_time(refused, doubt, of_completed):
    assume(doubt <= refused)
    for ago, covered in [(LASTS, Coverage.COVERED), (LASTS + MINUTE, Coverage.UNKNOWN)]:
        assert ask(doubt, refusal(refused, ago=ago, of_completed=of_completed)) is covered


def test_a_charge_is_never_forgotten():
    old = charge(ago=timedelta(days=400))
    assert ask(MINUTE, old, refusal(10 * MINUTE, ago=LASTS + MINUTE)) is Coverage.CHARGED


@given(ages, evidence)
def test_a_doubt_is_covered_only_by_a_refusal(age, evidence_):
    if ask(age, *evidence_) is Coverage.COVERED:
        assert any(one.is_refusal for one in evidence_)


@given(ages, evidence)
def test_a_charge_that_was_seen_last_forbids_every_repeat(age, evidence_):
    assert ask(age, *evidence_, charge()) is Coverage.CHARGED


@given(st.lists(ages, max_size=3), evidence)
def test_where_repeats_are_charged_no_doubt_of_any_age_is_covered(doubts, evidence_):
    if are_repeats_charged(evidence_, NOW):
        assert any(not one.is_refusal for one in evidence_)
        assert all(ask(age, *evidence_) is Coverage.CHARGED for age in doubts)


def test_repeats_are_charged_until_a_refusal_that_still_counts_is_newer_than_the_last_charge():
    told = refusal(MINUTE, ago=2 * MINUTE)
    assert not are_repeats_charged([], NOW)
    assert not are_repeats_charged([told], NOW)
    assert are_repeats_charged([told, charge(ago=MINUTE)], NOW)
    assert not are_repeats_charged([told, charge(ago=3 * MINUTE)], NOW)
    assert are_repeats_charged([refusal(MINUTE, ago=LASTS + MINUTE), charge(ago=LASTS + 2 * MINUTE)], NOW)


@given(ages, evidence)
def test_a_repeat_is_called_charged_only_when_one_was(age, evidence_):
    if ask(age, *evidence_) is Coverage.CHARGED:
        assert any(not one.is_refusal for one in evidence_)


def test_a_refusal_that_was_seen_after_a_charge_covers_again():
    assert ask(5 * MINUTE, charge(ago=9 * MINUTE), refusal(10 * MINUTE)) is Coverage.COVERED


def test_a_younger_order_s_refusal_after_a_charge_does_not_cover_an_older_doubt():
    assert ask(60 * MINUTE, charge(ago=9 * MINUTE), refusal(10 * MINUTE)) is Coverage.CHARGED


@given(ages, st.permutations([refusal(10 * MINUTE), charge(ago=MINUTE), refusal(90 * MINUTE, ago=2 * MINUTE)]))
def test_the_order_in_which_the_evidence_is_told_is_of_no_account(age, told):
    assert ask(age, *told) is ask(age, *reversed(told))


@given(ages, ages, evidence)
def test_a_covered_doubt_stays_covered_if_it_were_younger(age, younger, evidence_):
    assume(younger <= age)
    if ask(age, *evidence_) is Coverage.COVERED:
        assert ask(younger, *evidence_) is Coverage.COVERED


@pytest.mark.parametrize("coverage", Coverage)
def test_values_are_the_names_in_lower_case(coverage):
    assert coverage.value == coverage.name.lower()
