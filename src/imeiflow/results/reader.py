"""Reading a result text into fields, in any layout that a provider uses.

Pure: no clock, no network. Never raises, and takes time and memory in proportion to the text's length, which is
bounded: the text comes from outside.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from imeiflow.domain.imei import read_imei
from imeiflow.results.layout import Pair, divide
from imeiflow.results.markup import split_lines
from imeiflow.results.result import Field, Kind, Note, Result
from imeiflow.results.value import read_value

LONGEST_TEXT: Final = 65_536
MOST_FIELDS: Final = 500


def read_result(text: str) -> Result:
    """Read what a result text says: its fields and remarks in their order, and what must be said of them.

    A text longer than LONGEST_TEXT characters, or of more than MOST_FIELDS fields, is kept raw and nothing else.
    """
    if len(text) > LONGEST_TEXT:
        return Result(text, notes=(Note.TOO_LONG,))
    pairs, remarks = divide(split_lines(text))
    if len(pairs) > MOST_FIELDS:
        return Result(text, notes=(Note.TOO_MANY_FIELDS,))
    fields = []
    notes = []
    for pair in pairs:
        if not pair.key and _may_be_imei(pair.text):
            remarks.append(pair.text)
            notes.append(Note.AMBIGUOUS_NUMBER)
        else:
            fields.append(_make_field(pair))
    if any(field.is_ambiguous for field in fields):
        notes.append(Note.AMBIGUOUS_DATE)
    if any(count > 1 for count in Counter(field.name for field in fields).values()):
        notes.append(Note.REPEATED_KEY)
    return Result(text, tuple(fields), tuple(remarks), tuple(dict.fromkeys(notes)))


def _make_field(pair: Pair) -> Field:
    if not pair.key:
        return Field("unlock_code", "", pair.text, Kind.CODE, pair.text)
    if pair.term is None:
        return Field(pair.key, pair.key, pair.text, is_known=False)
    value, dates = read_value(pair.term.kind, pair.key, pair.text)
    return Field(pair.term.name, pair.key, pair.text, pair.term.kind, value, dates)


def _may_be_imei(text: str) -> bool:
    return len(text) == 15 and read_imei(text).imei is not None
