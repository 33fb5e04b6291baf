"""Whether a result speaks of the phone that was ordered. Pure."""

from __future__ import annotations

import re
from typing import Final

from imeiflow.domain.imei import Imei
from imeiflow.results.result import Field, Result

#: Numbers as long as an IMEI, in groups or not; `*`, `x` and the like stand for digits that a server hides.
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9*#•?xX][ \-./]?){13,16}[0-9*#•?xX](?![0-9A-Za-z])")
_NOISE: Final = re.compile(r"[ \-./]")


def find_foreign_imeis(result: Result, imei: Imei) -> tuple[Field, ...]:
    """Find the fields that name, as the phone's IMEI, another one than the order's: an anomaly to be shown.

    The second IMEI of a phone is none, and where the order's is the second, the first is none either. Check digit and
    software version are not compared; hidden digits fit any. What is no number (`N/A`) proves nothing.
    """
    firsts = result.find_all("imei")
    if any(_names(field, imei) for field in (*firsts, *result.find_all("imei2"))):
        return ()
    return tuple(field for field in firsts if _names(field, imei) is False)


def _names(field: Field, imei: Imei) -> bool | None:
    """Say whether a field names this IMEI; None where it names no phone."""
    numbers = [_NOISE.sub("", number) for number in _NUMBER.findall(field.text)]
    numbers = [number for number in numbers if any(map(str.isdigit, number))]
    return any(_can_be(number, imei) for number in numbers) if numbers else None


def _can_be(number: str, imei: Imei) -> bool:
    return all(shown == own or not shown.isdigit() for shown, own in zip(number[:14], imei[:14], strict=True))
