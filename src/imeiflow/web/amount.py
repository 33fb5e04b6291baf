"""Amounts of money as people type them into forms. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from imeiflow.errors import UsageError
from imeiflow.operations.setting import AMOUNT, read_amount

_SIGNS: Final = "$€£"


def read_cap(text: str) -> Decimal | None:
    """Read a spending cap; None where nothing was typed. Raises UsageError."""
    return _read(text, "cap")


def read_price(text: str) -> Decimal | None:
    """Read the price of an order; None where nothing was typed. Raises UsageError."""
    return _read(text, "price")


def _read(text: str, name: str) -> Decimal | None:
    plain = text.strip().lstrip(_SIGNS).replace(",", "")
    if not plain:
        return None
    try:
        amount = read_amount(plain)
    except ValueError:
        amount = Decimal(0)
    if amount <= 0:
        raise UsageError(
            problem=f"{text[:40]!r} is no {name}", remedy=f"Write {AMOUNT.says.split(' that')[0]}, above 0."
        )
    return amount
