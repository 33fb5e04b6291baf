"""What pages say in the place of what the command line says."""

from __future__ import annotations

import pytest

from imeiflow.web.wording import say_capital, say_reason, say_remedy, say_sentence, say_worked, show_code


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("the spending cap of $20.00 is reached; `resume --max-spend AMOUNT` sets another", "of $20.00 is reached"),
        ("it would cost $4.00 instead of $3.20; `resume --accept-price 0.10` goes on", "instead of $3.20"),
        ("the provider refused 64 of the last 64 orders", "of the last 64 orders"),
    ],
)
def test_a_reason_is_told_without_the_command_that_a_page_has_a_button_for(told, said):
    assert say_reason(told).endswith(said)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("Pause it first: `imeiflow pause 3`.", "Pause it first."),
        (
            "Go on with that job (`imeiflow resume 3`), or give it up (`imeiflow cancel 3`).",
            "Go on with that job, or give it up.",
        ),
        ("Nothing was changed. Look again: `imeiflow settle 3`.", "Nothing was changed. Look again."),
        ("`imeiflow services` lists them with their ids.", ""),
        ("Load the page again.", "Load the page again."),
        ("", ""),
    ],
)
def test_a_remedy_is_told_without_commands_that_nobody_types_into_a_page(told, said):
    assert say_remedy(told) == said


def test_a_reason_begins_a_sentence_and_keeps_its_names():
    assert say_capital("the provider says: IP not allowed") == "The provider says: IP not allowed"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("no order was chosen", "No order was chosen."),
        ("stock.csv is empty", "stock.csv is empty."),
        ("gsm-fusion: there is none", "gsm-fusion: there is none."),
        ("north: there is none", "north: there is none."),
        ("Too many attempts!", "Too many attempts!"),
        ("", ""),
    ],
)
def test_what_went_wrong_is_told_as_a_sentence_that_keeps_its_names(told, said):
    assert say_sentence(told) == said


def test_what_would_be_typed_is_shown_as_such_and_nothing_else_becomes_markup():
    assert show_code("Ask `a<b>` & go") == "Ask <code>a&lt;b&gt;</code> &amp; go"


def test_what_was_worked_on_for_less_than_can_be_counted_was_not_worked_on_for_nothing():
    assert (say_worked(0.0), say_worked(1.0), say_worked(75.0)) == ("under 1 s", "1 s", "1 min 15 s")
