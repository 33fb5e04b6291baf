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
from typing import Any


def dump_json(value: object) -> str:
    """Write a value as JSON; a Decimal is a number, exact to its last digit, which the json module cannot do."""
    match value:
        case Decimal():
            return format(value, "f")
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


def as_values(record: Any, *leave_out: str) -> dict[str, object]:
    """Give a dataclass's fields as a mapping for JSON, in their order."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name not in leave_out}


def clean(text: str) -> str:
    """Give a text from elsewhere (a file, a provider) as one printable line: control characters are spaces here."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
