"""Whether a result speaks of the phone that was ordered: it is decided here and nowhere else. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from imeiflow.domain.imei import Imei
from imeiflow.results.reader import read_result
from imeiflow.results.result import Field, Kind, Note, Result

#: Numbers as long as an IMEI, in groups or not; `*`, `x` and the like stand for digits that a server hides.
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9*#•?xX][ \-./]?){13,16}[0-9*#•?xX](?![0-9A-Za-z])")
_NOISE: Final = re.compile(r"[ \-./]")
#: Words of a key that say of an IMEI that it was asked for, rather than that the phone has it.
_ECHO: Final = frozenset(
    {"ask", "asked", "check", "checked", "input", "lookup", "order", "ordered", "query", "ref"}
    | {"request", "requested", "search", "searched", "submitted", "your"}
)
_WORD: Final = re.compile(r"[^\W\d_]+")


def read_order_result(text: str, imei: Imei | None, *, read: Callable[[str], Result] = read_result) -> Result:
    """Read the result of an order about `imei`, if it is about one: a note says where it speaks of another phone."""
    result = read(text)
    if imei is None or not find_foreign_imeis(result, imei):
        return result
    return replace(result, notes=(*result.notes, Note.FOREIGN_IMEI))


def find_foreign_imeis(result: Result, imei: Imei) -> tuple[Field, ...]:
    """Find the fields that name, as the phone's IMEI, another one than the order's: an anomaly to be shown.

    The second IMEI of a phone is none, and where the order's is the second, the first is none either, whatever the key
    of the second (`Alternate IMEI`). A key that only repeats what was asked for (`Ordered IMEI`, `Ref`) and a remark
    say nothing of the phone. Check digit and software version are not compared; hidden digits fit any. What is no
    number (`N/A`) proves nothing.
    """
    others = [field for field in result.fields if field.name == "imei" and field.text != imei]
    foreign = tuple(field for field in others if _names(field, imei) is False)
    if not foreign or any(_is_of_phone(field) and _names(field, imei) for field in result.fields):
        return ()
    return foreign


def _is_of_phone(field: Field) -> bool:
    """Say whether a field gives a number that the phone itself has, as far as its key tells."""
    if field.is_known:
        return field.kind in {Kind.IMEI, Kind.MEID}
    words = _WORD.findall(field.key.casefold())
    return any("imei" in word for word in words) and _ECHO.isdisjoint(words)


def _names(field: Field, imei: Imei) -> bool | None:
    """Say whether a field names this IMEI; None where it names no phone."""
    numbers = [_NOISE.sub("", number) for number in _NUMBER.findall(field.text)]
    numbers = [number for number in numbers if any(map(str.isdigit, number))]
    return any(_can_be(number, imei) for number in numbers) if numbers else None


def _can_be(number: str, imei: Imei) -> bool:
    return all(shown == own or not shown.isdigit() for shown, own in zip(number[:14], imei[:14], strict=True))
