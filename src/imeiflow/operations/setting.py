"""How a setting is written: each reader takes what stood in a file or a variable, and names the accepted form.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from imeiflow.errors import ConfigurationError

_RATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|sec|second|m|min|minute|h|hour)\s*", re.IGNORECASE)
_MOST_MONEY: Final = Decimal(10) ** 15
_PER_MINUTE: Final = {"s": 60.0, "m": 1.0, "h": 1 / 60}


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of value: how it is read, and how its accepted form is said."""

    read: Callable[[Any], Any]
    says: str


def read_rate(text: object) -> float:
    """Read `60/min`, `2/s` or `1000/h` as calls a minute. Raises ValueError for anything else."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError(RATE.says)
    return float(match[1]) * _PER_MINUTE[match[2][0].lower()]


def read_amount(value: object) -> Decimal:
    """Read an amount of money, exactly; not negative. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(AMOUNT.says)
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError(AMOUNT.says) from None
    if not amount.is_finite() or not 0 <= amount < _MOST_MONEY:
        raise ValueError(AMOUNT.says)
    return amount


def _read_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_count(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return read


def _read_seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value <= 86_400:
        raise ValueError
    return float(value)


def _read_share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value <= 1:
        raise ValueError
    return float(value)


def _read_currency(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError
    return value


TEXT: Final = Form(_read_text, 'a text in quotes, such as "shop"')
FLAG: Final = Form(_read_flag, "true or false")
RATE: Final = Form(read_rate, 'calls in a time, such as "60/min", "2/s" or "1000/h"')
AMOUNT: Final = Form(read_amount, "an amount of money that is not negative, such as 1.00")
CURRENCY: Final = Form(_read_currency, 'three capital letters in quotes, such as "USD"')
CONCURRENCY: Final = Form(_read_count(1, 1000), "a whole number from 1 to 1000")
COUNT: Final = Form(_read_count(1, 1_000_000), "a whole number, 1 or more")
SECONDS: Final = Form(_read_seconds, "a number of seconds above 0, such as 120")
SHARE: Final = Form(_read_share, "a share above 0 and at most 1, such as 0.10")


def read_table(table: object, forms: Mapping[str, Form], *, setting: str) -> dict[str, Any]:
    """Read a table of settings; `setting` is its own name.

    Raises ConfigurationError, naming the setting and what is accepted, for an unknown or malformed one.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            setting=setting, problem="it is not a table", remedy=f"Write [{setting}] on a line of its own."
        )
    values: dict[str, Any] = {}
    for name, value in table.items():
        form = forms.get(name)
        if form is None:
            raise ConfigurationError(
                setting=f"{setting}.{name}",
                problem="there is no such setting",
                remedy=f"Settings of [{setting}]: {', '.join(forms)}.",
            )
        try:
            values[name] = form.read(value)
        except (ValueError, ArithmeticError):  # the latter: a comparison with NaN
            shown = "its value is not accepted" if name == "key" else f"{_show(value)} is not accepted"
            raise ConfigurationError(setting=f"{setting}.{name}", problem=shown, remedy=f"Write {form.says}.") from None
    return values


def _show(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
