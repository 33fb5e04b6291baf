"""Outcomes, endings and kinds of errors: what proves what."""

from __future__ import annotations

import pytest

from imeiflow.domain.outcome import PROVES_NOT_PLACED, Ending, ErrorKind, Outcome


def test_three_outcomes_prove_that_nothing_was_placed():
    assert {Outcome.REFUSED, Outcome.THROTTLED, Outcome.UNSENT} == PROVES_NOT_PLACED


def test_the_kinds_of_errors_are_those_of_the_design():
    assert {kind.value for kind in ErrorKind} == {
        "order",
        "chunk",
        "rate",
        "overload",
        "account",
        "service",
        "unknown",
    }


def test_an_attempt_ends_in_one_of_four_ways():
    assert {ending.value for ending in Ending} == {"not_sent", "refused_unread", "answered", "in_doubt"}


@pytest.mark.parametrize("enum", [Outcome, Ending, ErrorKind])
def test_values_are_the_names_in_lower_case(enum):
    assert [member.value for member in enum] == [member.name.lower() for member in enum]
