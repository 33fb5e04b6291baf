"""One option of a simulated server: what it is called, what it takes, and how its value is read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from imeiflow.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a behaviour: what a command line needs to offer it."""

    name: str
    kind: type[Any]
    default: Any
    group: str
    says: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Give the accepted values, where they can be counted."""
        return tuple(str(member) for member in self.kind) if issubclass(self.kind, StrEnum) else ()

    def read(self, value: object) -> object:
        """Read a value from a text or a JSON value; ValueError or TypeError when it is none."""
        if self.kind is tuple:
            parts = value.split(";" if self.name == "faults" else ",") if isinstance(value, str) else value
            if not isinstance(parts, list | tuple):
                raise TypeError("a list of texts")
            return tuple(str(part).strip() for part in parts if str(part).strip())
        if self.kind is bool:
            return _read_bool(value)
        if isinstance(value, bool):
            raise TypeError(f"not {value}")
        if self.kind is Decimal:
            return Decimal(str(value))
        if self.kind is str or issubclass(self.kind, StrEnum):
            return self.kind(str(value))
        if self.kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError("a whole number")
        number: object = self.kind(value)
        return number


def _read_bool(value: object) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    word = str(value).lower()
    if word not in words:
        raise ValueError("yes or no")
    return words[word]


def read_option(name: str, read: Callable[[Any], object], value: object) -> object:
    """Read the value of an option. Raises ConfigurationError."""
    try:
        return read(value)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise ConfigurationError(setting=name, problem=f"{value!r} is not accepted: {error}") from error


def check_range(option: Option, value: object) -> None:
    """Raise ConfigurationError where a number is not one that the option takes."""
    if option.kind not in {int, float, Decimal} or option.name == "seed":
        return
    highest = Decimal(1) if option.name.endswith("_share") else Decimal("Infinity")
    lowest = 1 if option.name in {"dribble_bytes", "lockout_from"} else 0
    number = Decimal(str(value))
    if not (number.is_finite() and lowest <= number <= highest):
        problem = f"{value!r} must be {lowest} or more" + ("" if highest.is_infinite() else ", and at most 1")
        raise ConfigurationError(setting=option.name, problem=problem)


def to_json(value: object) -> object:
    """Give the value of an option as a JSON value."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Decimal | StrEnum) else value
