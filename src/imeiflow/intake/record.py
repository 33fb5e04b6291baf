"""What every reader yields, whatever the format: lines or rows, cell by cell, nothing judged yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, TypeAlias

from imeiflow.domain.imei import Flaw, read_imei

#: Line or row number from 1, the cells as text, and the columns (from 0) that the spreadsheet held as numbers.
#: A bare tuple: a million of a class cost a second.
Record: TypeAlias = tuple[int, Sequence[str], Collection[int]]


class Reader(Protocol):
    """A source of records that can be read more than once."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in sentences what was found and how it is read."""

    def records(self) -> Iterator[Record]:
        """Yield every record from the first on; wholly empty ones may be left out."""

    def close(self) -> None:
        """Let go of what is held in memory."""


_NEAR_MISSES = {
    Flaw.LUHN: 0.5,
    Flaw.DIGITS_LOST: 0.6,
    Flaw.AMBIGUOUS: 0.5,
    Flaw.SEVERAL: 0.5,
    Flaw.PLACEHOLDER: 0.1,
}


def rate_value(value: str) -> float:
    """Rate from 0 to 1 how much a value looks like an IMEI, right or damaged."""
    reading = read_imei(value)
    if reading.flaw is not None:
        return _NEAR_MISSES.get(reading.flaw, 0.0)
    # Dates and order numbers of 14 or 16 digits can be completed too; they rarely start as an IMEI does.
    return 1.0 if not reading.repairs or value.lstrip("\"'= ").startswith(("35", "86", "01", "99")) else 0.7
