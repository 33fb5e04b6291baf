"""An export's columns: the same for the same results, and every field of every result in one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.column import MOST_UNKNOWN, Cell, Column, ColumnCollector
from imeiflow.results.reader import read_result
from imeiflow.results.result import Kind, Note, Result
from imeiflow.results.vocabulary import NAMES

from .sample import KNOWN_KEYS, unknown_keys, words

pairs = st.lists(st.tuples(st.sampled_from(KNOWN_KEYS) | unknown_keys, words), min_size=2, max_size=8)
results = st.lists(
    pairs.map(lambda some: read_result("<br>".join(f"{key}: {value}" for key, value in some))), max_size=6
)


def lay_out(found: Sequence[Result], taken: Collection[str] = ()) -> tuple[tuple[Column, ...], list[list[Cell]]]:
    """Collect the columns of results, and give each one's cells under them."""
    collector = ColumnCollector()
    rows = [collector.add(result) for result in found]
    columns = collector.list_columns(taken)
    assert {name for cells in rows for name in cells} == {column.name for column in columns}
    return columns, [[cells.get(column.name) for column in columns] for cells in rows]


def headings(*texts: str, taken: tuple[str, ...] = ()) -> list[str]:
    return [column.heading for column in lay_out([*map(read_result, texts)], taken)[0]]


def test_known_columns_have_one_order_and_unknown_ones_follow_as_they_were_seen():
    first, second = "SimLock: Locked<br>Zebra: 1<br>Model: A", "apple: 2<br>Carrier: B<br>ZEBRA: 3"
    assert headings(first, second) == ["model", "carrier", "simlock", "Zebra", "apple"]
    assert headings(second, first) == ["model", "carrier", "simlock", "apple", "ZEBRA"]
    assert headings() == []


def test_remarks_have_the_last_column_where_there_are_any():
    assert headings("Model: A<br>Zebra: 1", "Not found") == ["model", "Zebra", "remarks"]


def test_what_must_be_said_of_a_result_stands_behind_it_in_words_unless_it_is_seen_anyway():
    twice, ambiguous = "Carrier: A<br>Carrier: B", "Purchase Date: 03/04/2024"
    assert headings(twice) == ["carrier"]
    collector = ColumnCollector()
    cells = [collector.add(read_result(text)) for text in (twice, ambiguous)]
    column = collector.list_columns()[-1]
    assert column.heading == "notes"
    assert [one.get(column.name) for one in cells] == [None, Note.AMBIGUOUS_DATE.sentence]
    _, rows = lay_out([read_result("Not found<br>Sorry"), read_result("Model: A")])
    assert rows == [[None, "Not found; Sorry"], ["A", None]]


def test_a_heading_that_is_taken_is_told_apart():
    text = "IMEI: 350000000000006<br>Status: done<br>Remarks:x<br>result_imei: y"
    assert headings(text, taken=("IMEI", "status")) == ["result_imei", "result_status", "note", "result_result_imei"]


def test_cells_are_typed_normalised_and_hold_every_value_once():
    text = "FMI: ON ❌<br>Purchase Date: 14 Nov 2023<br>Carrier: A<br>Carrier: B<br>Network: A<br>Model: <br>IMEI: 35*"
    columns, rows = lay_out([read_result(text), read_result("Purchase Date: 03/04/2024")])
    assert [column.heading for column in columns] == ["model", "imei", "carrier", "find_my", "purchase_date", "notes"]
    assert [column.kind for column in columns] == [Kind.TEXT, Kind.IMEI, Kind.TEXT, Kind.SWITCH, Kind.DATE, Kind.TEXT]
    assert rows == [
        ["", "35*", "A; B", "on", date(2023, 11, 14), None],
        [None, None, None, None, "03/04/2024", Note.AMBIGUOUS_DATE.sentence],
    ]


def test_too_many_unknown_keys_share_a_column_in_which_none_is_lost():
    columns, rows = lay_out(
        [read_result(f"Zebra {number}: {number}<br>Model: A") for number in range(MOST_UNKNOWN + 2)]
    )
    assert len(columns) == 1 + MOST_UNKNOWN + 1
    assert columns[-1].heading == "other_results"
    assert rows[-1][-1] == f"Zebra {MOST_UNKNOWN + 1}: {MOST_UNKNOWN + 1}"
    assert rows[-1][1:-1] == [None] * MOST_UNKNOWN
    assert rows[0][1] == "0"


@given(results)
def test_every_field_of_every_result_stands_in_its_column(found):
    columns, rows = lay_out(found)
    assert len({column.heading.casefold() for column in columns}) == len(columns)
    for result, row in zip(found, rows, strict=True):
        cells = dict(zip((column.heading.casefold() for column in columns), row, strict=True))
        for field in result.fields:
            assert field.shown in str(cells[field.name.casefold()])
        assert sum(cell is not None for cell in cells.values()) == len(
            {field.name.casefold() for field in result.fields} | ({"remarks"} if result.remarks else set())
        )


@given(results)
def test_columns_do_not_depend_on_the_order_of_results_but_for_unknown_keys(found):
    forth, back = lay_out(found)[0], lay_out(found[::-1])[0]
    assert {column.name for column in forth} == {column.name for column in back}
    known = [column for column in forth if column.name in NAMES]
    assert known == [column for column in back if column.name in NAMES]
    assert [column.name for column in known] == [name for name in NAMES if name in {column.name for column in known}]
