"""Reading a result text into fields, in any layout that a provider uses.

Pure: no clock, no network. Never raises, and takes time and memory in proportion to the text's length, which is
bounded: the text comes from outside.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from imeiflow.domain.imei import read_imei
from imeiflow.results.layout import Pair, divide
from imeiflow.results.markup import split_lines
from imeiflow.results.plain import divide_plainly
from imeiflow.results.result import ONCE, Field, Kind, Note, Result
from imeiflow.results.value import read_value
from imeiflow.results.vocabulary import Term, find_term

LONGEST_TEXT: Final = 65_536
MOST_FIELDS: Final = 500
_LONGEST_KEPT: Final = 80


def read_result(text: str) -> Result:
    """Read what a result text says: its fields and remarks in their order, and what must be said of them.

    A text longer than LONGEST_TEXT characters, or of more than MOST_FIELDS fields, is kept raw and nothing else.
    """
    if len(text) > LONGEST_TEXT:
        return Result(text, notes=(Note.TOO_LONG,))
    lines = split_lines(text)
    pairs, remarks = divide_plainly(lines) or divide(lines)
    if len(pairs) > MOST_FIELDS:
        return Result(text, notes=(Note.TOO_MANY_FIELDS,))
    fields = []
    notes = []
    is_ambiguous = False
    for pair in pairs:
        if not pair.key and _may_be_imei(pair.text):
            remarks.append(pair.text)
            notes.append(Note.AMBIGUOUS_NUMBER)
        else:
            field = _make_field(pair)
            is_ambiguous = is_ambiguous or len(field.dates) > 1
            fields.append(field)
    if is_ambiguous:
        notes.append(Note.AMBIGUOUS_DATE)
    if len({field.name for field in fields}) < len(fields):
        notes.append(Note.REPEATED_KEY)
    return Result(text, tuple(fields), tuple(remarks), tuple(dict.fromkeys(notes)))


def _make_field(pair: Pair) -> Field:
    key, term, text = pair
    if not key:
        return Field("unlock_code", "", text, Kind.CODE, text)
    if len(text) > _LONGEST_KEPT or (term is not None and term.kind in ONCE):
        return _read_field(key, term, text)
    return _recall_field(key, text)  # of kinds whose values phones share


@lru_cache(maxsize=4096)
def _recall_field(key: str, text: str) -> Field:
    return _read_field(key, find_term(key), text)


def _read_field(key: str, term: Term | None, text: str) -> Field:
    if term is None:
        return Field(key, key, text, is_known=False)
    value, dates = read_value(term.kind, key, text)
    return Field(term.name, key, text, term.kind, value, dates)


def _may_be_imei(text: str) -> bool:
    return len(text) == 15 and read_imei(text).imei is not None
