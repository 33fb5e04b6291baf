"""Dates as results write them, with every date that one can mean.

Pure. `03/04/2024` is the third of April or the fourth of March: both are given, and nobody decides.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_LONGEST: Final = 64
_FIRST_YEAR: Final = 1980
_LAST_YEAR: Final = 2099

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            *("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august"),
            *("sep sept september", "oct october", "nov november", "dec december"),
        ),
        1,
    )
    for name in names.split()
}
#: What may stand behind a date: a time of day with its zone, and a remark in brackets.
_REST: Final = (
    r"(?:[ T,]{1,2}(?:at )?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?[AP]\.?M\.?)?"
    r"(?: ?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?)?(?: \([^()]*\))?"
)
_DAY: Final = r"(\d{1,2})(?:st|nd|rd|th)?"
_WEEKDAY: Final = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?[,.]? )?"
_YEAR_FIRST: Final = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_REST}", re.ASCII)
_YEAR_LAST: Final = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_REST}", re.ASCII)
_DAY_MONTH: Final = re.compile(
    rf"{_WEEKDAY}{_DAY}(?:\.? |-|/|\. ?)(?:of )?([A-Z]{{3,9}})(?:[.,]? |-|/)(\d{{4}}|\d{{2}}){_REST}",
    re.ASCII | re.IGNORECASE,
)
_MONTH_DAY: Final = re.compile(
    rf"{_WEEKDAY}([A-Z]{{3,9}})(?:\.? |-){_DAY}(?:, ?| |-)(\d{{4}}){_REST}", re.ASCII | re.IGNORECASE
)


def read_dates(text: str) -> tuple[date, ...]:
    """Read every date that a text can mean, the earliest first; none if it is no date.

    Two digits of a year are 20xx. A day and a month as numbers can be exchanged, except behind a year of four digits;
    `23-11-14` and `23.11.14` can also begin with the year.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return ()
    found: list[date | None] = []
    if match := _YEAR_FIRST.fullmatch(text):
        found = [_make_date(match[1], match[3], match[4])]
    elif match := _YEAR_LAST.fullmatch(text):
        first, separator, second, third = match.groups()[:4]
        found = [_make_date(third, first, second), _make_date(third, second, first)]
        if len(third) == 2 and len(first) == 2 and separator != "/":
            found.append(_make_date(first, second, third))
    elif match := _DAY_MONTH.fullmatch(text):
        found = [_make_date(match[3], _MONTHS.get(match[2].lower(), 0), match[1])]
    elif match := _MONTH_DAY.fullmatch(text):
        found = [_make_date(match[3], _MONTHS.get(match[1].lower(), 0), match[2])]
    return tuple(sorted({day for day in found if day}))


def _make_date(year: str, month: str | int, day: str) -> date | None:
    number = int(year) + (2000 if len(year) == 2 else 0)
    if not _FIRST_YEAR <= number <= _LAST_YEAR:
        return None
    try:
        return date(number, int(month), int(day))
    except ValueError:
        return None
