"""What was read from a result text: fields, remarks, and what a reader of it must be told.

Values only; nothing here reads a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What the words of a field are about, and thereby how they may be normalised."""

    TEXT = "text"  #: anything; never normalised
    IMEI = "imei"  #: digits without what stands between them
    MEID = "meid"  #: 14 hexadecimal digits, or longer in decimal
    SERIAL = "serial"
    NUMBER = "number"  #: the number of something, as a policy's: leading zeros count
    DATE = "date"  #: ISO 8601, where only one date can be meant
    SWITCH = "switch"  #: on, off
    LOCK = "lock"  #: locked, unlocked
    LISTING = "listing"  #: clean, blacklisted, greylisted
    ANSWER = "answer"  #: yes, no
    CODE = "code"  #: an unlock code


#: Kinds of which every phone has its own value.
ONCE: Final = frozenset({Kind.IMEI, Kind.MEID, Kind.SERIAL, Kind.NUMBER, Kind.CODE})


class Note(StrEnum):
    """What is to be said of a result beside its fields."""

    TOO_LONG = "too_long"
    TOO_MANY_FIELDS = "too_many_fields"
    REPEATED_KEY = "repeated_key"
    AMBIGUOUS_DATE = "ambiguous_date"
    AMBIGUOUS_NUMBER = "ambiguous_number"
    FOREIGN_IMEI = "foreign_imei"

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return _SENTENCES[self]

    @property
    def is_plain(self) -> bool:
        """Say whether a reader of the fields sees it without being told."""
        return self is Note.REPEATED_KEY


_SENTENCES: Final = {
    Note.TOO_LONG: "The result is too long to be read; only its raw text is kept.",
    Note.TOO_MANY_FIELDS: "The result has too many fields to be one; only its raw text is kept.",
    Note.REPEATED_KEY: "The result says the same thing more than once; every value is kept.",
    Note.AMBIGUOUS_DATE: "A date can be read in more than one way; it is left as it stood.",
    Note.AMBIGUOUS_NUMBER: "A number may be an unlock code as well as an IMEI; it is left as it stood.",
    Note.FOREIGN_IMEI: "A result names another IMEI than the one that was ordered; ask the provider whose it is.",
}


class Field(NamedTuple):
    """One thing that a result says.

    `name` is normalised, or the key itself where it is unknown. `key` and `text` are the words as they stood, without
    markup; `key` is empty for a bare unlock code. `value` is the text normalised by its kind, None where that is not
    safe. `dates` are all the dates that the text can mean, the earliest first.
    """

    name: str
    key: str
    text: str
    kind: Kind = Kind.TEXT
    value: str | None = None
    dates: tuple[date, ...] = ()
    is_known: bool = True

    @property
    def shown(self) -> str:
        """Give the normalised value, or else the words as they stood."""
        return self.text if self.value is None else self.value

    @property
    def is_ambiguous(self) -> bool:
        """Say whether the text is a date that can be read in more than one way."""
        return len(self.dates) > 1


@dataclass(frozen=True, slots=True)
class Result:
    """A result text and what was read from it, in its order.

    `remarks` are the parts that belong to no key, such as sentences. `raw` is always the whole text.
    """

    raw: str
    fields: tuple[Field, ...] = ()
    remarks: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def find(self, name: str) -> Field | None:
        """Find the first field of a name."""
        return next((field for field in self.fields if field.name == name), None)

    def find_all(self, name: str) -> tuple[Field, ...]:
        """Find every field of a name; several where the result repeats itself."""
        return tuple(field for field in self.fields if field.name == name)
