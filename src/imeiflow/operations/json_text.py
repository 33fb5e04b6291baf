"""Values as JSON: times in ISO 8601, and amounts of money as numbers that are exact to their last digit.

What `--json` prints and what the API sends. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final

#: Numbers of more places than this are written with an exponent: as JSON says them, too, but not at any length.
_MOST_PLACES: Final = 60


def dump_json(value: object) -> str:
    """Write a value as JSON; a Decimal is a number, exact to its last digit, which the json module cannot do.

    Raises ValueError for a number that JSON has no word for.
    """
    match value:
        case Decimal():
            return _write_number(value)
        case Enum():
            return dump_json(value.value)
        case datetime():
            return json.dumps(value.isoformat())
        case Path():
            return json.dumps(str(value))
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(key))}: {dump_json(one)}" for key, one in value.items()) + "}"
        case str() | int() | float() | None:
            return json.dumps(value, allow_nan=False)
        case Iterable():
            return "[" + ", ".join(map(dump_json, value)) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def _write_number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no JSON value")
    exponent = value.as_tuple().exponent
    is_short = isinstance(exponent, int) and exponent >= -_MOST_PLACES and value.adjusted() < _MOST_PLACES
    return format(value, "f") if is_short else str(value)


def as_values(record: Any, *leave_out: str) -> dict[str, object]:
    """Give a dataclass's fields as a mapping for JSON, in their order."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name not in leave_out}


def clean(text: str) -> str:
    """Give a text from elsewhere (a file, a provider) as one printable line: control characters are spaces here."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
