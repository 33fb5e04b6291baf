"""Prices that move: what may be ordered without a word more, and at which price it is recorded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.money import Money
from imeiflow.domain.price import PriceMove, Quote, compare_price, may_begin, may_go_on, price_to_record, say_move

amounts = st.decimals(0, 120, places=2)
prices = st.one_of(st.none(), st.builds(Money, amounts, st.sampled_from(["", "USD", "EUR"])))
quotes = st.builds(Quote, st.booleans(), prices)


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def listed(amount: str, currency: str = "USD") -> Quote:
    return Quote(is_listed=True, price=Money(Decimal(amount), currency))


@pytest.mark.parametrize(
    ("agreed", "quote", "move"),
    [
        (usd("0.08"), listed("0.08"), PriceMove.SAME),
        (usd("0.08"), listed("0.080", ""), PriceMove.SAME),
        (usd("0.08"), listed("0.07"), PriceMove.FELL),
        (usd("0.08"), listed("0.09", ""), PriceMove.ROSE),
        (usd("0.08"), listed("0.01", "EUR"), PriceMove.FOREIGN),
        (usd("0.08"), Quote(is_listed=False), PriceMove.GONE),
        (usd("0.08"), Quote(is_listed=True), PriceMove.UNTOLD),
        (None, listed("0.08"), PriceMove.NEW),
    ],
)
def test_a_price_is_compared_with_the_one_that_was_agreed_to(agreed, quote, move):
    assert compare_price(agreed, quote) is move
    assert say_move("12", agreed, quote)


@given(prices, quotes)
def test_a_running_job_never_goes_on_at_a_higher_price_or_in_another_currency(agreed, quote):
    if agreed is None or quote.price is None or not quote.is_listed:
        return
    is_foreign = bool(agreed.currency and quote.price.currency) and agreed.currency != quote.price.currency
    is_dearer = quote.price.amount > agreed.amount
    assert may_go_on(agreed, quote) is not (is_foreign or is_dearer)


@given(prices, quotes)
def test_nothing_is_sent_under_a_service_that_is_not_listed(agreed, quote):
    gone = Quote(is_listed=False, price=quote.price)
    assert not may_go_on(agreed, gone)
    assert not may_begin(agreed, gone, is_sure=True, up_to=Decimal(10_000))


@given(prices, quotes)
def test_no_order_is_recorded_at_more_than_was_agreed_to_nor_in_another_currency(agreed, quote):
    price = price_to_record(agreed, quote)
    if agreed is None:
        assert price is None
        return
    assert price is not None
    assert price.amount <= agreed.amount
    assert not agreed.currency or price.currency == agreed.currency
    if compare_price(agreed, quote) is PriceMove.FELL:
        assert quote.price is not None
        assert price.amount == quote.price.amount


@given(prices, quotes, st.booleans(), st.none() | amounts)
def test_a_list_is_ordered_at_no_more_than_was_shown_or_allowed(agreed, quote, is_sure, up_to):
    if not may_begin(agreed, quote, is_sure=is_sure, up_to=up_to) or quote.price is None:
        return
    if up_to is not None:
        assert quote.price.amount <= up_to
    elif agreed is not None:
        assert quote.price.amount <= agreed.amount
    if agreed is not None and agreed.currency and quote.price.currency:
        assert agreed.currency == quote.price.currency


@given(prices, quotes)
def test_whoever_can_be_asked_is_asked_about_every_change(agreed, quote):
    assert may_begin(agreed, quote) is (compare_price(agreed, quote) is PriceMove.SAME)
