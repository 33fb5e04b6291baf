"""A date is read in every way that it can mean, and in no other."""

from __future__ import annotations

import calendar
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.date import read_dates

dates = st.dates(date(1980, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    "text",
    [
        *("2023-11-14", "2023/11/14", "2023.11.14", "2023-11-14 3:33:00", "2023-11-14T03:33:00Z", " 2023-11-14 "),
        *(
            "2023-11-14T03:33:00.123+02:00",
            "14 Nov 2023",
            "14-Nov-2023",
            "14 November 2023",
            "14/Nov/23",
            "14. Nov 2023",
        ),
        *(
            "November 14, 2023",
            "Nov 14 2023",
            "nov 14,2023",
            "NOVEMBER 14, 2023",
            "Nov. 14, 2023",
            "November 14th, 2023",
        ),
        *(
            "Tue, 14 Nov 2023",
            "Tuesday, November 14, 2023",
            "14th of November 2023",
            "11/14/23",
            "14/11/2023",
        ),
        *("11-14-2023", "11/14/2023 03:33 PM", "November 14, 2023 (estimated)", "Nov 14, 2023 at 3:33 AM UTC"),
    ],
)
def test_a_date_that_can_only_be_one_is_read(text):
    assert read_dates(text) == (date(2023, 11, 14),)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("03/04/2024", [date(2024, 3, 4), date(2024, 4, 3)]),
        ("3-4-24", [date(2024, 3, 4), date(2024, 4, 3)]),
        ("03.04.2024 10:00", [date(2024, 3, 4), date(2024, 4, 3)]),
        ("23-11-14", [date(2014, 11, 23), date(2023, 11, 14)]),
        ("14.11.23", [date(2014, 11, 23), date(2023, 11, 14)]),
        ("23/11/14", [date(2014, 11, 23)]),
        ("01-02-03", [date(2001, 2, 3), date(2003, 1, 2), date(2003, 2, 1)]),
        ("05/05/2024", [date(2024, 5, 5)]),
        ("29/02/2023", []),
        ("02/29/24", [date(2024, 2, 29)]),
    ],
)
def test_a_date_that_may_be_several_is_read_as_all_of_them_the_earliest_first(text, days):
    assert list(read_dates(text)) == days


@pytest.mark.parametrize(
    "text",
    [
        *("", "N/A", "2023", "20231114", "2023-13-01", "2023-02-30", "14 Foo 2023", "1979-12-31", "2100-01-01"),
        *("2023-11/14", "1/2", "12:30:00", "2023-11-14 x", "0000-00-00", "2O23-11-14", "٢٠٢٣-١١-١٤", "Not before 2023"),
        "14 November 2023" + " " * 70 + "x",
    ],
)
def test_what_is_no_date_is_none(text):
    assert read_dates(text) == ()


@given(dates)
def test_a_day_written_with_its_year_first_or_its_month_in_letters_is_read_alone(day):
    name = calendar.month_name[day.month]
    for text in (day.isoformat(), f"{day.day} {name[:3]} {day.year}", f"{name} {day.day}, {day.year}"):
        assert read_dates(text) == (day,)


@given(dates, st.sampled_from("/-."))
def test_a_day_written_in_numbers_is_always_among_what_is_read(day, separator):
    for numbers in ((day.day, day.month), (day.month, day.day)):
        found = read_dates(separator.join(f"{number:02}" for number in (*numbers, day.year)))
        assert day in found
        assert {(other.day, other.month) for other in found} <= {numbers, numbers[::-1]}


@given(st.text(max_size=80) | st.text("0123456789-/. :NovTZ,", max_size=40))
def test_nothing_raises_and_candidates_are_in_order(text):
    found = read_dates(text)
    assert list(found) == sorted(set(found))
