"""Exact amounts, and how providers write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.money import Money, read_money

amounts = st.decimals(-(10**9), 10**9, places=4)
money = st.builds(Money, amounts, st.sampled_from(["", "USD"]))


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


class TestArithmetic:
    def test_twenty_thousand_times_eight_cents_is_sixteen_hundred(self):
        assert usd("0.08") * 20_000 == usd("1600.00")

    @given(money, money)
    def test_what_is_added_and_taken_away_leaves_the_amount(self, one, other):
        assert (one + other - other).amount == one.amount

    @given(money, st.integers(0, 50))
    def test_times_is_repeated_addition(self, one, times):
        assert sum((one.amount for _ in range(times)), Decimal(0)) == (one * times).amount

    @given(money, money)
    def test_either_one_is_the_smaller_or_they_are_equal(self, one, other):
        assert [one < other, other < one, one.amount == other.amount].count(True) == 1
        assert (one <= other) == (one < other or one.amount == other.amount)

    @pytest.mark.parametrize("act", [Money.__add__, Money.__sub__, Money.__lt__, Money.__le__])
    def test_two_currencies_do_not_mix(self, act):
        with pytest.raises(ValueError, match="USD and EUR"):
            act(usd("1"), Money(Decimal(1), "EUR"))

    def test_an_amount_without_a_currency_takes_that_of_the_other(self):
        assert usd("1") + Money(Decimal(2)) == usd("3")
        assert Money(Decimal(2)) + usd("1") == usd("3")


class TestWriting:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (usd("1600"), "$1,600.00"),
            (usd("0.085"), "$0.085"),
            (usd("-3.5"), "-$3.50"),
            (usd("1E+3"), "$1,000.00"),
            (Money(Decimal("25.4"), "EUR"), "€25.40"),
            (Money(Decimal(12), "CHF"), "12.00 CHF"),
            (Money(Decimal(12)), "12.00"),
        ],
    )
    def test_an_amount_is_written_with_its_currency(self, value, text):
        assert str(value) == text

    @given(amounts, st.sampled_from(["USD", "EUR", "GBP", "INR"]))
    def test_no_digit_is_lost_in_writing(self, amount, currency):
        text = str(Money(amount, currency))
        assert Decimal(text.replace(",", "").translate(str.maketrans("", "", "$€£₹"))) == amount


class TestReading:
    @pytest.mark.parametrize(
        ("text", "amount", "currency"),
        [
            ("$0.08", "0.08", "USD"),
            ("$ 150.00 USD", "150.00", "USD"),
            ("1,000.00", "1000.00", ""),
            ("25,40 €", "25.40", "EUR"),
            ("1.234,50 EUR", "1234.50", "EUR"),
            ("€1 234,50", "1234.50", "EUR"),
            ("1,000", "1000", ""),
            ("0.125", "0.125", ""),
            ("1.234.567", "1234567", ""),
            ("-3.50 GBP", "-3.50", "GBP"),
            ("Credits: 12.", "12", ""),
            ("$.50", "0.50", "USD"),
            ("Rs.5", "5", ""),
            ("$0.08 / IMEI", "0.08", "USD"),
        ],
    )
    def test_an_amount_is_read_as_providers_write_it(self, text, amount, currency):
        assert read_money(text) == Money(Decimal(amount), currency)

    @pytest.mark.parametrize("text", ["", "free", "$", "n/a", "-"])
    def test_a_text_without_an_amount_has_none(self, text):
        assert read_money(text) is None

    @pytest.mark.parametrize(
        "text",
        [
            "1e3",
            "1E+2",
            "1e-3",
            "0.08.01",
            "2 x 0.08",
            "0.08-0.20",
            "12.5%",
            "1.5k",
            "12,34,56",
            "$1 (was $2)",
            "9" * 200,
        ],
    )
    def test_where_it_is_not_clear_which_amount_is_meant_there_is_none(self, text):
        assert read_money(text) is None

    def test_the_account_s_currency_holds_where_the_text_names_none(self):
        assert read_money("0.08", currency="EUR") == Money(Decimal("0.08"), "EUR")
        assert read_money("$0.08", currency="EUR") == usd("0.08")

    @given(st.decimals(0, 10**9, places=2), st.sampled_from(["USD", "EUR", "GBP", "CHF", ""]))
    def test_what_was_written_is_read_back(self, amount, currency):
        value = Money(amount, currency)
        assert read_money(str(value)) == value

    @given(st.text(max_size=30))
    def test_no_text_makes_it_fail(self, text):
        value = read_money(text)
        assert value is None or value.amount.is_finite()


@pytest.mark.parametrize("text", ["0,080", "$0,080", "00,080 EUR", "-0,080"])
def test_a_number_below_one_has_no_thousands(text: str):
    money = read_money(text)
    assert money is not None
    assert abs(money.amount) == Decimal("0.080")
