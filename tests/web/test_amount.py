"""Amounts as people type them: what could be meant otherwise is asked for again, for it caps what is spent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from imeiflow.errors import UsageError
from imeiflow.web.amount import read_cap, read_price


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("", None),
        ("  ", None),
        ("1600", 1600),
        ("$1,600.00", 1600),
        ("€ 12.5", Decimal("12.5")),
        ("1,234,567.89", Decimal("1234567.89")),
        (" 0.08 ", Decimal("0.08")),
    ],
)
def test_an_amount_is_read_with_its_sign_and_its_thousands(text, amount):
    assert read_cap(text) == amount


@pytest.mark.parametrize(
    "text", ["16,50", "1600,00", "1.600,00", "1,60", ",5", "1,,600", "16,5000", "0,080", "0", "-5", "ten", "1e3x"]
)
def test_what_is_no_amount_or_could_be_another_is_not_guessed(text):
    for read in (read_cap, read_price):
        with pytest.raises(UsageError) as error:
            read(text)
        assert text in error.value.message
