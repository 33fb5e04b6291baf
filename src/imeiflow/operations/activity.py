"""What an event of the log says to a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imeiflow.ledger.record import Event

#: What says nothing to a person, or stands beside the sentence anyway.
_HIDDEN: Final = frozenset({"actor", "action"})
_LONGEST: Final = 300


def describe_event(event: Event) -> str:
    """Say in one line what else is known of an event; empty where that is nothing."""
    data = dict(event.data)
    moved = f"from {_say(data.pop('from'))} to {_say(data.pop('to'))}" if data.get("from") and data.get("to") else ""
    said = ", ".join(
        [moved] * bool(moved) + [f"{_name(key)} {_say(one)}" for key, one in data.items() if _says(key, one)]
    )
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


def _says(key: str, value: object) -> bool:
    return key not in _HIDDEN and value is not None and value not in ("", [], {})


def _name(key: str) -> str:
    return f"{key.replace('_', ' ')}:"


def _say(value: object) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{_name(str(key))} {_say(one)}" for key, one in value.items())
        case list():
            return ", ".join(map(_say, value))
        case _:
            return str(value)
