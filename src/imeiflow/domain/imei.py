"""What an IMEI is, and how one is read from what people and spreadsheets write.

Pure: no files, no clock. Reading repairs only what leaves a single possible phone; whatever could name two
phones, or has lost digits, is a flaw and never guessed, because an order for the wrong phone is paid all the same.

An IMEI is 14 digits (8 of type allocation, TAC; 6 of serial) and a Luhn check digit (3GPP TS 23.003, annex B).
An IMEISV is the same 14 digits and 2 of software version, without a check digit.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, NewType, cast

from imeiflow.domain.folding import fold
from imeiflow.domain.luhn import WEIGHTS, is_luhn_valid

if TYPE_CHECKING:
    from collections.abc import Callable

Imei = NewType("Imei", str)  #: 15 ASCII digits, Luhn valid


class Repair(StrEnum):
    """What was done to a value to read the IMEI in it."""

    SPACES = "spaces"
    SEPARATORS = "separators"
    QUOTES = "quotes"
    LABEL = "label"
    DIGITS = "digits"
    DECIMALS = "decimals"
    EXPONENT = "exponent"
    CHECK_DIGIT = "check_digit"
    SOFTWARE_VERSION = "software_version"
    LEADING_ZERO = "leading_zero"

    @property
    def sentence(self) -> str:
        """Say to a person what was repaired."""
        return _REPAIR_SENTENCES[self]


class Flaw(StrEnum):
    """Why no IMEI can be read from a value."""

    EMPTY = "empty"
    NOT_DIGITS = "not_digits"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    LUHN = "luhn"
    PLACEHOLDER = "placeholder"
    DIGITS_LOST = "digits_lost"
    AMBIGUOUS = "ambiguous"
    SEVERAL = "several"

    @property
    def sentence(self) -> str:
        """Say to a person what is wrong."""
        return _FLAW_SENTENCES[self][0]

    @property
    def remedy(self) -> str:
        """Say to a person what to do about it."""
        return _FLAW_SENTENCES[self][1]


_REPAIR_SENTENCES: Final = {
    Repair.SPACES: "Spaces or invisible characters were removed.",
    Repair.SEPARATORS: "Dashes, dots or other separators were removed.",
    Repair.QUOTES: "Quotes, brackets or a formula around the number were removed.",
    Repair.LABEL: "A label before the number was removed.",
    Repair.DIGITS: "Digits of another script were turned into plain ones.",
    Repair.DECIMALS: "Decimal places, all zero, were removed.",
    Repair.EXPONENT: "A number in scientific notation was written out; no digit was missing.",
    Repair.CHECK_DIGIT: "14 digits: the check digit was computed and appended.",
    Repair.SOFTWARE_VERSION: "An IMEISV: its two digits of software version were replaced by the check digit.",
    Repair.LEADING_ZERO: "A leading zero that the spreadsheet had dropped was restored.",
}

_FLAW_SENTENCES: Final = {
    Flaw.EMPTY: ("There is no IMEI.", "Fill in the IMEI, or delete the row."),
    Flaw.NOT_DIGITS: (
        "It holds something other than the digits of an IMEI.",
        "Write the 15 digits that *#06# shows; a MEID or serial number is not an IMEI.",
    ),
    Flaw.TOO_SHORT: (
        "It has too few digits; an IMEI has 15.",
        "Write all 15 digits, in a column formatted as text: spreadsheets drop leading zeros.",
    ),
    Flaw.TOO_LONG: (
        "It has too many digits; an IMEI has 15.",
        "Write only the 15 digits of one IMEI, without numbering or other numbers beside it.",
    ),
    Flaw.LUHN: (
        "The last digit does not fit the others: at least one digit is mistyped.",
        "Compare it with the phone or the box; the check digit shows that something is wrong, not which digit.",
    ),
    Flaw.PLACEHOLDER: ("It is one digit repeated: a placeholder.", "Write the phone's own IMEI."),
    Flaw.DIGITS_LOST: (
        "Digits were lost when a spreadsheet shortened the number (3.52E+14).",
        "Format the column as text, or as a number without decimals, and export the file again from the original.",
    ),
    Flaw.AMBIGUOUS: (
        "It can be read as more than one IMEI, or a digit was dropped or added.",
        "Write all 15 digits, in a column formatted as text.",
    ),
    Flaw.SEVERAL: ("It holds more than one IMEI.", "Write one IMEI a row."),
}


class Reading(NamedTuple):
    """What was read from a value: an IMEI and what had to be repaired, or the flaw that prevents it.

    `digits` are the digits that were found in a value with a flaw, as far as they are of use to a person. A tuple,
    because there are millions of readings.
    """

    imei: Imei | None
    repairs: tuple[Repair, ...]
    flaw: Flaw | None
    digits: str = ""

    @property
    def sentence(self) -> str:
        """Say to a person what was repaired or what is wrong; empty when the value was clean."""
        if self.flaw is None:
            return " ".join(repair.sentence for repair in self.repairs)
        if self.flaw is Flaw.LUHN:
            return f"{self.flaw.sentence} {self.digits[:14]} would end in {check_digit(self.digits[:14])}."
        if self.flaw in {Flaw.TOO_SHORT, Flaw.TOO_LONG} and self.digits:
            return f"{self.flaw.sentence[:-1]}, this has {len(self.digits)}."
        return self.flaw.sentence


#: First two digits of a TAC: the bodies that have allocated TACs to phones, and 00 for test phones.
#: https://en.wikipedia.org/wiki/Reporting_Body_Identifier
_ALLOCATED: Final = frozenset(
    {"00", "01", "30", "33", "35", "44", "45", "49", "50", "51", "52", "53", "54", "86", "91", "98", "99"}
)

#: A number that was shortened to at most seven significant digits ends like this; a phone's serial does not.
_SHORTENED: Final = "00000000"

_LONGEST_VALUE: Final = 256

#: A Reading of a string just proved to be an IMEI; calling Imei() a million times takes as long as the proof.
_clean: Final = cast("Callable[[str, tuple[Repair, ...], None], Reading]", Reading)


def check_digit(first14: str) -> str:
    """Compute the Luhn check digit of an IMEI's first 14 digits.

    Raises ValueError for anything but 14 ASCII digits.
    """
    try:
        total = WEIGHTS[first14[:4]] + WEIGHTS[first14[4:8]] + WEIGHTS[first14[8:12]] + WEIGHTS[first14[12:] + "00"]
    except KeyError:
        total = -1
    if total < 0 or len(first14) != 14:
        raise ValueError(f"not 14 digits: {first14!r}")
    return str(-total % 10)


def read_imei(value: str, *, was_number: bool = False) -> Reading:
    """Read the one IMEI that a cell, line or field holds; never raises, whatever the text.

    `was_number` says that a spreadsheet held a number, not text: its leading zeros are gone.

    What is decided when digits are missing or too many, and why:

    - 14 digits not starting with 1: the check digit was left out. It is computed. No TAC of a phone starts with 02
      to 09, so a dropped zero is not the other reading; where neither reading is an allocated TAC and a number
      would be right with a zero in front, the value is AMBIGUOUS.
    - 14 digits starting with 1: no TAC of a phone starts with 1, but many start with 01. If a zero in front makes
      the check digit right, the zero was dropped and is restored. If not, both a zero and a digit are wrong: AMBIGUOUS.
    - 16 digits: an IMEISV; its last two digits are replaced by the check digit. With a leading zero that no phone's
      TAC has (all but 01), it may as well be a shorter number padded with zeros: AMBIGUOUS.
    - 3.52130219890307E+14: exact if all the digits are there, else DIGITS_LOST; so is a number ending in eight zeros.
    - A date with its time of day is no IMEI, though it has 14 digits.
    - Digits in several groups are joined only in layouts in which nothing else, such as the number of a list item,
      can be among them.
    """
    if len(value) == 15:
        try:
            total = WEIGHTS[value[:4]] + WEIGHTS[value[4:8]] + WEIGHTS[value[8:12]] + WEIGHTS[value[12:]]
        except KeyError:
            pass
        else:
            if not total % 10:
                return _clean(value, (), None)
    text = value.strip()
    if text.isascii() and text.isdigit():
        return _judge(text, [Repair.SPACES] if text != value else [], was_number=was_number)
    return _read_dressed(value, was_number=was_number)


def _judge(digits: str, repairs: list[Repair], *, was_number: bool) -> Reading:
    """Decide what a bare string of ASCII digits is."""
    if flaw := _find_flaw(digits):
        return Reading(None, (), flaw, digits[:_LONGEST_VALUE])
    if len(digits) == 15:
        return Reading(Imei(digits), tuple(repairs), None)
    if len(digits) == 14:
        return _judge_fourteen(digits, repairs, was_number=was_number)
    _note(Repair.SOFTWARE_VERSION, repairs)
    return _complete(digits[:14], repairs)


def _find_flaw(digits: str) -> Flaw | None:
    """Find what is wrong with ASCII digits, were they 14, 15 or 16 digits of an IMEI."""
    flaw = None
    if not digits.strip("0") or (len(digits) >= 13 and not digits.strip(digits[0])):
        flaw = Flaw.PLACEHOLDER
    elif len(digits) < 14:
        flaw = Flaw.TOO_SHORT
    elif len(digits) > 16:
        flaw = Flaw.TOO_LONG
    elif digits[:14].endswith(_SHORTENED) or digits[:15].endswith(_SHORTENED):
        flaw = Flaw.DIGITS_LOST
    elif len(digits) == 15 and not is_luhn_valid(digits):
        flaw = Flaw.LUHN
    elif len(digits) == 16 and digits[0] == "0" and digits[1] != "1":
        flaw = Flaw.AMBIGUOUS
    return flaw


def _judge_fourteen(digits: str, repairs: list[Repair], *, was_number: bool) -> Reading:
    restored = "0" + digits
    if digits[0] == "1":
        if not is_luhn_valid(restored):
            return Reading(None, (), Flaw.AMBIGUOUS, digits)
        return Reading(Imei(restored), (*repairs, Repair.LEADING_ZERO), None)
    if was_number and digits[:2] not in _ALLOCATED and is_luhn_valid(restored):
        return Reading(None, (), Flaw.AMBIGUOUS, digits)
    return _complete(digits, [*repairs, Repair.CHECK_DIGIT])


def _complete(first14: str, repairs: list[Repair]) -> Reading:
    imei = first14 + check_digit(first14)
    if imei.endswith(_SHORTENED):
        return Reading(None, (), Flaw.DIGITS_LOST, first14)
    return Reading(Imei(imei), tuple(repairs), None)


_QUOTES: Final = "\"'`()[]{}<>="
_PUNCTUATION: Final = ",;:.*|_/\\"
_SEPARATORS: Final = r"[ \-./\\_:,;|']+"
_LABEL: Final = re.compile(
    r"imei(?: ?sv)?(?: ?/ ?meid)?"
    r"[ ._-]*(?:no|nr|num|number|code)?"
    r"[ ._-]*(?:\(?[12]\)?(?=[ :=#.)-]))?"
    r"[ :=#.)-]*(?=[\d\"'`(\[=])",
    re.IGNORECASE,
)
_EXPONENT: Final = re.compile(r"(\d+)(?:[.,](\d*))?[eE]\+?(\d{1,3})", re.ASCII)
_DECIMALS: Final = re.compile(
    r"(\d{14,}|\d{1,3}(?:,\d{3}){4,}(?=\.)|\d{1,3}(?:\.\d{3}){4,}(?=,)|\d{1,3}(?:[ ']\d{3}){4,})[.,]0+", re.ASCII
)
_THOUSANDS: Final = re.compile(r"(\d{1,3}(?:,\d{3}){4,}|\d{1,3}(?:\.\d{3}){4,}|\d{1,3}(?:'\d{3}){4,})", re.ASCII)
_GROUPED: Final = re.compile(rf"\d+(?:{_SEPARATORS}\d+)*", re.ASCII)
#: A date with its time of day, down to seconds, has the 14 digits that an IMEI has without its check digit.
_MOMENT: Final = re.compile(
    r"(?:(?:19|20)\d\d-[01]?\d-[0-3]?\d|[0-3]?\d-[0-3]?\d-(?:19|20)\d\d)-[0-2]?\d-[0-5]\d-[0-6]\d(?:-\d+)?$"
)
_SPLIT: Final = re.compile(_SEPARATORS)
_LONG_RUN: Final = re.compile(r"\d{14,}", re.ASCII)


def _read_dressed(value: str, *, was_number: bool) -> Reading:
    """Read a value that is more than digits: undress it, then judge its digits."""
    repairs: list[Repair] = []
    text = _undress(_fold(value, repairs), repairs)
    if not text.strip("-"):
        return Reading(None, (), Flaw.EMPTY)
    if text.isascii() and text.isdigit():
        return _judge(text, repairs, was_number=was_number)
    if len(text) <= _LONGEST_VALUE:
        if found := _EXPONENT.fullmatch(text):
            return _read_exponent(found, repairs)
        if found := _DECIMALS.fullmatch(text) or _THOUSANDS.fullmatch(text):
            return _read_whole(text, found[1], repairs)
        if _GROUPED.fullmatch(text):
            return _read_groups(text, repairs, was_number=was_number)
    runs = _LONG_RUN.findall(text)
    return Reading(None, (), Flaw.SEVERAL if len(runs) > 1 else Flaw.NOT_DIGITS)


def _fold(value: str, repairs: list[Repair]) -> str:
    """Turn every character that a person would take for a digit, space or dash into the plain one."""
    if value.isascii() and value.isprintable():
        return value
    folded = fold(value)
    if len(folded) < len(value):
        repairs.append(Repair.SPACES)
    if any(char.isdecimal() and not char.isascii() for char in value):
        repairs.append(Repair.DIGITS)
    return folded


def _undress(text: str, repairs: list[Repair]) -> str:
    """Take off what stands around the number, layer by layer."""
    before = ""
    while text != before:
        before = text
        text = _strip(text, " ", Repair.SPACES, repairs)
        if text.startswith("- "):
            text = _strip(text, "- ", Repair.SEPARATORS, repairs)
        text = _strip(text, _PUNCTUATION, Repair.SEPARATORS, repairs)
        text = _strip(text, _QUOTES, Repair.QUOTES, repairs)
        if found := _LABEL.match(text):
            text = text[found.end() :]
            _note(Repair.LABEL, repairs)
    return text


def _strip(text: str, chars: str, repair: Repair, repairs: list[Repair]) -> str:
    stripped = text.strip(chars)
    if len(stripped) < len(text):
        _note(repair, repairs)
    return stripped


def _note(repair: Repair, repairs: list[Repair]) -> None:
    if repair not in repairs:
        repairs.append(repair)


def _read_exponent(found: re.Match[str], repairs: list[Repair]) -> Reading:
    """Write out a number in scientific notation, if all its digits are there."""
    whole, fraction, exponent = found[1], found[2] or "", int(found[3])
    digits, point = whole + fraction, len(whole) + exponent
    if not digits.strip("0"):
        return _judge("0", repairs, was_number=True)
    if point > len(digits):
        magnitude = point - (len(digits) - len(digits.lstrip("0")))
        flaw = Flaw.TOO_SHORT if magnitude < 13 else Flaw.TOO_LONG if magnitude > 17 else Flaw.DIGITS_LOST
        return Reading(None, (), flaw)
    if digits[point:].strip("0"):
        return Reading(None, (), Flaw.NOT_DIGITS)
    _note(Repair.EXPONENT, repairs)
    return _judge(digits[:point].lstrip("0") or "0", repairs, was_number=True)


def _read_whole(text: str, whole: str, repairs: list[Repair]) -> Reading:
    """Read a number with thousands or decimals marked: `whole` is its part before the decimal mark."""
    digits = _SPLIT.sub("", whole)
    if digits != whole:
        _note(Repair.SEPARATORS, repairs)
    if whole != text:
        _note(Repair.DECIMALS, repairs)
    return _judge(digits, repairs, was_number=True)


def _read_groups(text: str, repairs: list[Repair], *, was_number: bool) -> Reading:
    """Join digits that stand in groups, in layouts in which they can only be parts of one IMEI."""
    groups = _SPLIT.split(text)
    sizes = [len(group) for group in groups]
    digits = "".join(groups)
    if sum(size >= 14 for size in sizes) > 1:
        return Reading(None, (), Flaw.SEVERAL)
    if _MOMENT.match("-".join(groups)):
        return Reading(None, (), Flaw.NOT_DIGITS)
    _note(Repair.SPACES if " " in text and not text.strip("0123456789 ") else Repair.SEPARATORS, repairs)
    if sizes == [15, 2] and text[15:-2].strip() == "/" and is_luhn_valid(groups[0]):
        # *#06# shows some phones' IMEI with the software version behind it: 356938035643809/01.
        _note(Repair.SOFTWARE_VERSION, repairs)
        return _judge(groups[0], repairs, was_number=was_number)
    if max(sizes) >= 14 and sizes not in ([14, 1], [14, 2]):
        return Reading(None, (), Flaw.AMBIGUOUS if len(digits) < 16 else Flaw.TOO_LONG, digits[:_LONGEST_VALUE])
    if sizes[0] == 1 and len(digits) >= 14:
        return Reading(None, (), Flaw.AMBIGUOUS, digits)
    if len(digits) == 16 and not _is_version_layout(sizes, digits):
        return Reading(None, (), Flaw.AMBIGUOUS, digits)
    return _judge(digits, repairs, was_number=was_number)


def _is_version_layout(sizes: list[int], digits: str) -> bool:
    """Say whether 16 digits in groups are laid out as an IMEISV is."""
    return digits[:2] in _ALLOCATED and (sizes[-1] == 2 or len(set(sizes)) == 1)
