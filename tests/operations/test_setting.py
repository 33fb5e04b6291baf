"""How settings are written: every accepted form, and that anything else names the setting and what is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.errors import ConfigurationError
from imeiflow.operations.account import FORMS
from imeiflow.operations.configuration import DISPATCH_FORMS
from imeiflow.operations.setting import AMOUNT, COUNT, SHARE, Form, read_amount, read_rate, read_table


@pytest.mark.parametrize(
    ("text", "per_min"),
    [("60/min", 60), ("2/s", 120), ("120/h", 2), ("0.5/s", 30), (" 90 / minute ", 90), ("3/SEC", 180), ("60/hour", 1)],
)
def test_a_rate_is_read_as_calls_a_minute(text, per_min):
    assert read_rate(text) == pytest.approx(per_min)


@pytest.mark.parametrize("text", ["60", "0/min", "-1/min", "fast", "60/day", "", "1/min/min", 60, None])
def test_anything_else_is_no_rate(text):
    with pytest.raises(ValueError, match=r"60/min|accepted"):
        read_rate(text)


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_an_amount_is_exact(amount):
    assert read_amount(str(amount)) == amount


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "ten", "", 1.5, True, None, "1e999999999"])
def test_what_is_no_amount_of_money_is_refused(value):
    with pytest.raises(ValueError, match="amount of money"):
        read_amount(value)


@pytest.mark.parametrize("forms", [FORMS, DISPATCH_FORMS])
@given(value=st.none() | st.text() | st.integers() | st.booleans() | st.decimals() | st.lists(st.integers()))
def test_whatever_stands_in_a_setting_is_read_or_refused_with_its_name(forms, value):
    for name, form in forms.items():
        error = find_error({name: value}, forms)
        if error is not None:
            assert error.data["setting"] == f"table.{name}"
            assert form.says in error.remedy


def test_a_key_that_is_not_accepted_is_not_repeated():
    error = find_error({"key": 123456789}, FORMS)
    assert error is not None
    assert "123456789" not in str(error)


def find_error(table: dict[str, object], forms: Mapping[str, Form]) -> ConfigurationError | None:
    try:
        read_table(table, forms, setting="table")
    except ConfigurationError as error:
        return error
    return None


def test_an_unknown_setting_stops_and_the_known_ones_are_named():
    with pytest.raises(ConfigurationError) as caught:
        read_table({"doubt_sahre": Decimal("0.1")}, DISPATCH_FORMS, setting="dispatch")
    assert str(caught.value) == "dispatch.doubt_sahre: there is no such setting"
    assert "doubt_share" in caught.value.remedy


def test_what_is_no_table_is_refused():
    with pytest.raises(ConfigurationError, match="not a table"):
        read_table(5, DISPATCH_FORMS, setting="dispatch")


def test_limits_of_numbers_hold_at_their_edges():
    assert COUNT.read(1) == 1
    assert SHARE.read(1) == 1.0
    assert AMOUNT.read("0") == 0
    for name, value in (
        ("doubt_window", 0),
        ("doubt_window", True),
        ("doubt_share", 0),
        ("doubt_share", Decimal("1.01")),
    ):
        assert find_error({name: value}, DISPATCH_FORMS) is not None
