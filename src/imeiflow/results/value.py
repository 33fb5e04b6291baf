"""The words of a field, normalised where only one thing can be meant. Pure.

Words that no table has stay as they stood: `Unlocked by T-Mobile?` is not `unlocked`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from imeiflow.results.date import read_dates
from imeiflow.results.result import Kind
from imeiflow.results.vocabulary import squeeze

_LONGEST: Final = 80  #: no value of these kinds is longer


def _list_words(**meanings: str) -> dict[str, str]:
    return {squeeze(words): meaning for meaning, known in meanings.items() for words in known.split(", ")}


_SWITCH: Final = _list_words(
    on="On, Enabled, Enable, Yes, True, Active, FMI On, Find My On, Turned On",
    off="Off, Disabled, Disable, No, False, Inactive, FMI Off, Find My Off, Turned Off",
)
_PLAIN: Final = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_ANSWER: Final = _list_words(
    yes="Yes, Y, True, Eligible", no="No, N, False, Not Eligible, Ineligible, Non Eligible, Uneligible"
)
_LOCK: Final = _list_words(
    locked="Locked, Lock, SIM Locked, SIM Lock, SimLocked, Network Locked, Carrier Locked",
    unlocked="Unlocked, Unlock, SIM Unlocked, SIM Free, Not Locked, Network Unlocked, Factory Unlocked, SIM Unlock",
)
_LISTING: Final = _list_words(
    clean="Clean, Not Blacklisted, Not Listed, Whitelisted, No Blacklist, Not Blocked",
    blacklisted="Blacklisted, Blacklist, Black Listed, Blocked, Barred, Lost or Stolen, Lost/Stolen, "
    "Reported Lost or Stolen, Blacklisted Lost or Stolen",
    greylisted="Greylisted, Graylisted, Grey Listed, Gray Listed, Greylist, Graylist",
)

_DIGITS: Final = re.compile(r"\d[\d \-./]{12,24}\d", re.ASCII)
_BETWEEN: Final = re.compile(r"[ \-./]")
_MEID: Final = re.compile(r"[0-9A-Fa-f]{14}|\d{18}", re.ASCII)
_SERIAL: Final = re.compile(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{6,20}|[A-Z]{8,20}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,40}", re.ASCII)
#: Digits, as most networks have them, or what is typed on the keypad, with its signs.
_CODE: Final = re.compile(r"\d{4,32}|[#*][0-9A-Za-z+*#]{6,46}[#*]", re.ASCII)
_LETTERED_CODE: Final = re.compile(r"(?=[A-Za-z\-]*\d)[0-9A-Za-z\-]{4,32}", re.ASCII)

_WORDS: Final = {Kind.SWITCH: _SWITCH, Kind.ANSWER: _ANSWER, Kind.LOCK: _LOCK, Kind.LISTING: _LISTING}
_FORMS: Final = {
    Kind.MEID: (_MEID,),
    Kind.SERIAL: (_SERIAL,),
    Kind.NUMBER: (_NUMBER,),
    Kind.CODE: (_CODE, _LETTERED_CODE),
}


def is_bare_code(text: str) -> bool:
    """Say whether a text without a key can only be a code, or at worst an IMEI."""
    return _CODE.fullmatch(text) is not None


def read_value(kind: Kind, key: str, text: str) -> tuple[str | None, tuple[date, ...]]:
    """Normalise what stood behind a key; None where that is not safe. For a date, also all that it can mean."""
    if kind is Kind.TEXT or not text or len(text) > _LONGEST:
        return None, ()
    if kind is Kind.DATE:
        dates = read_dates(text)
        return dates[0].isoformat() if len(dates) == 1 else None, dates
    return _normalise(kind, key, text), ()


def _normalise(kind: Kind, key: str, text: str) -> str | None:
    if kind in _WORDS:
        return _WORDS[kind].get(squeeze(text)) or _read_answer(kind, squeeze(key), squeeze(text))
    if kind is Kind.IMEI:
        if not text.isdecimal():
            text = _BETWEEN.sub("", text) if _DIGITS.fullmatch(text) else ""
        return text if text.isascii() and 14 <= len(text) <= 17 else None
    first, *others = _FORMS[kind]
    if not first.fullmatch(text) and not any(form.fullmatch(text) for form in others):
        return None
    return text.upper() if kind in {Kind.MEID, Kind.SERIAL} else text


def _read_answer(kind: Kind, key: str, text: str) -> str | None:
    """Read a plain yes or no by what the key asks; None where it asks for something else."""
    said = _PLAIN.get(text)
    if said is None:
        return None
    if kind is Kind.LOCK and "lock" in key:
        return "unlocked" if said is ("unlock" in key) else "locked"
    if kind is Kind.LISTING and "blacklist" in key:
        return "blacklisted" if said else "clean"
    return None
