"""Money: an exact amount with its currency.

Pure. Amounts are Decimal and never float; amounts of different currencies do not add up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "₹": "INR", "¥": "JPY"}
#: One number and no other: words and signs may stand around it, letters and other signs may not touch it.
_AMOUNT = re.compile(
    r"(?:[^\d%]*?(?:[\s:(]|[$€£₹¥]|\b[A-Z]{3}|[A-Za-z]\.))??(?P<sign>[-+]?)(?:[$€£₹¥]\s?)?"
    r"(?P<number>\d(?:[\d.,'\u00a0 ]*\d)?|(?<![A-Za-z\d])[.,]\d+)"
    r"[.,]?(?:[A-Z]{3}\b|[$€£₹¥])?(?:[\s)/;,][^\d%]*)?"
)
_GROUPED = re.compile(r"\d{1,3}(?:([.,' \u00a0])\d{3})(?:\1\d{3})*(?:[.,]\d+)?|\d*(?:[.,]\d+)?")
_LONGEST = 100
_CODE = re.compile(r"\b[A-Z]{3}\b")


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount. `currency` is an ISO 4217 code; empty where the provider does not tell."""

    amount: Decimal
    currency: str = ""

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + other.amount, self._common(other))

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - other.amount, self._common(other))

    def __mul__(self, times: int) -> Money:
        return Money(self.amount * times, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._common(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._common(other)
        return self.amount <= other.amount

    def __str__(self) -> str:
        places = max(2, -int(self.amount.normalize().as_tuple().exponent))
        text = f"{abs(self.amount):,.{places}f}"
        sign = "-" if self.amount < 0 else ""
        symbol = next((sign_ for sign_, code in _SYMBOLS.items() if code == self.currency), "")
        if symbol:
            return f"{sign}{symbol}{text}"
        return f"{sign}{text} {self.currency}".rstrip()

    def _common(self, other: Money) -> str:
        if self.currency and other.currency and self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return self.currency or other.currency


def read_money(text: str, *, currency: str = "") -> Money | None:
    """Read an amount as providers write it (`$0.08`, `$ 150.00 USD`, `1,000.00`, `25,40 €`); None if there is none.

    None too where it is not clear which amount is meant: two numbers, a share, an exponent, thousands that are none.
    A single comma or dot with other than three digits behind it is the decimal mark, and so is one behind a bare 0,
    which has no thousands; `currency` is what holds when the text names none.
    """
    text = text.strip()
    match = _AMOUNT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or _GROUPED.fullmatch(match["number"]) is None:
        return None
    digits = match["sign"] + re.sub(r"[\u00a0 ']", "", match["number"])
    try:
        amount = Decimal(_with_decimal_dot(digits))
    except InvalidOperation:
        return None
    code = _CODE.search(text)
    named = code.group() if code else next((iso for sign, iso in _SYMBOLS.items() if sign in text), currency)
    return Money(amount, named)


def _with_decimal_dot(digits: str) -> str:
    comma, dot = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and dot >= 0:
        thousands = "," if dot > comma else "."
        return digits.replace(thousands, "").replace(",", ".")
    if comma >= 0:
        is_below_one = digits[:comma].lstrip("+-0") == ""
        is_decimal = digits.count(",") == 1 and (len(digits) - comma - 1 != 3 or is_below_one)
        return digits.replace(",", "." if is_decimal else "")
    return digits.replace(".", "") if digits.count(".") > 1 else digits
