"""Whether a result speaks of the phone that was ordered. Pure."""

from __future__ import annotations

import re
from typing import Final

from imeiflow.domain.imei import Imei
from imeiflow.results.result import Field, Result

_NOISE: Final = re.compile(r"[ \-./]+")
#: What servers write in place of the digits that they hide.
_MASK: Final = str.maketrans(dict.fromkeys("*xX#•?", "."))
_NUMBER: Final = re.compile(r"[0-9.]{14,17}")


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
    digits = _NOISE.sub("", field.text).translate(_MASK)
    if not _NUMBER.fullmatch(digits) or not digits.strip("."):
        return None
    return all(shown in {".", own} for shown, own in zip(digits[:14], imei[:14], strict=True))
