"""The IMEI column is told by name and by content, and what else it might be is said."""

from __future__ import annotations

import pytest

from imeiflow.intake.column import choose_column, rank_name, show_letter
from imeiflow.intake.error import ColumnError
from imeiflow.intake.record import Record

from .sample import make_imei, make_imeis


def records(*rows: list[str]) -> list[Record]:
    return [(line, row, ()) for line, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    "name",
    [
        *("imei", "IMEI", "imei1", "IMEI 1", "IMEI NO.", "IMEI Number", "Imei-Nr", "Serial/IMEI", "IMEI/MEID"),
        *("Device IMEI", "N° IMEI", "Номер IMEI", "IMEI:", "imei_number"),
    ],
)
def test_a_name_that_promises_the_imei_wins_over_columns_that_hold_imeis_too(name: str) -> None:
    rows = [[make_imei(n + 100), str(n), make_imei(n), make_imei(n + 200)] for n in range(1, 10)]
    choice = choose_column(records(["Other", "No", name, "IMEI 2"], *rows), source="x")
    assert (choice.column, choice.header, choice.alternatives) == (2, 0, (0, 3))


@pytest.mark.parametrize(
    "name", ["IMEI2", "IMEI 2", "IMEI_2", "imei no. 2", "Second IMEI", "eSIM IMEI", "IMEI (2)", "old imei"]
)
def test_a_second_imei_comes_last(name: str) -> None:
    assert rank_name(name) == 0
    rows = [[make_imei(n), make_imei(n + 200)] for n in range(1, 10)]
    assert choose_column(records([name, "Identity"], *rows), source="x").column == 1
    assert choose_column(records([name, "Colour"], *([row[0], "red"] for row in rows)), source="x").column == 0


def test_content_wins_over_a_name_whose_column_holds_no_imeis() -> None:
    rows = [["ok", make_imei(n)] for n in range(1, 10)]
    assert choose_column(records(["IMEI status", "Identity"], *rows), source="x").column == 1
    assert choose_column(records(["IMEI", "Serial"], *(["", row[1]] for row in rows)), source="x").column == 1


def test_a_named_column_of_nothing_but_wrong_numbers_is_still_the_one() -> None:
    rows = [["12345", "x"], ["unknown", "y"], ["", "z"]]
    assert choose_column(records(["IMEI", "Note"], *rows), source="x").column == 0


@pytest.mark.parametrize(
    "other",
    ["20240501123000", "8944501234567890123", "4006381333931", "0700123456", "1234567890123456789012"],
)
def test_other_long_numbers_are_not_taken_for_imeis(other: str) -> None:
    rows = [[other, make_imei(n)] for n in range(1, 10)]
    choice = choose_column(records(*rows), source="x")
    assert (choice.column, choice.header) == (1, None)


def test_without_names_the_first_column_of_imeis_is_taken_and_the_others_are_listed() -> None:
    rows = [[str(n), make_imei(n), make_imei(n + 50)] for n in range(1, 10)]
    choice = choose_column(records(*rows), source="x")
    assert (choice.column, choice.header, choice.alternatives) == (1, None, (2,))


def test_a_mostly_empty_column_of_imeis_yields_to_a_full_one() -> None:
    rows = [[make_imei(n + 50) if n < 3 else "", make_imei(n)] for n in range(1, 30)]
    choice = choose_column(records(*rows), source="x")
    assert (choice.column, choice.alternatives) == (1, (0,))


def test_a_header_without_an_imei_name_is_seen() -> None:
    rows = [[imei, "x"] for imei in make_imeis(5)]
    assert choose_column(records(["Gerät", "Farbe"], *rows), source="x").header == 0


def test_no_row_with_an_imei_is_ever_a_header() -> None:
    rows = [["IMEI", make_imei(1)], ["x", make_imei(2)]]
    assert choose_column(records(*rows), source="x").header is None


def test_nothing_plausible_is_an_error_with_the_columns_that_were_seen() -> None:
    with pytest.raises(ColumnError, match="x: none of its columns") as caught:
        choose_column(records(["a", "b"], ["1", "2"]), source="x")
    assert "A 'a', B 'b'" in caught.value.remedy


@pytest.mark.parametrize(
    ("column", "letter"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16383, "XFD")]
)
def test_letters_are_those_of_a_spreadsheet(column: int, letter: str) -> None:
    assert show_letter(column) == letter
