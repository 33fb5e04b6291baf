"""Amounts of money as people type them into forms. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from imeiflow.errors import UsageError
from imeiflow.operations.setting import read_amount

_SIGNS: Final = "$€£"
#: A comma parts thousands only where it can part nothing else: 16,50 is not 1650, nor 0,080 80.
_WITH_THOUSANDS: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")


def read_cap(text: str) -> Decimal | None:
    """Read a spending cap; None where nothing was typed. Raises UsageError."""
    return _read(text, "cap")


def read_price(text: str) -> Decimal | None:
    """Read the price of an order; None where nothing was typed. Raises UsageError."""
    return _read(text, "price")


def _read(text: str, name: str) -> Decimal | None:
    plain = text.strip().lstrip(_SIGNS).strip()
    if not plain:
        return None
    try:
        amount = read_amount(plain.replace(",", "") if _WITH_THOUSANDS.fullmatch(plain) else plain)
    except ValueError:
        amount = Decimal(0)
    if amount <= 0:
        remedy = "Write it with a point before the cents, such as 1600.00, and above 0."
        raise UsageError(problem=f"{text[:40]!r} is no {name}", remedy=remedy)
    return amount
