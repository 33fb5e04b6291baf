"""A job's list given back: every row, in its order, with what became of it, whatever the file held."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.order import OrderState
from imeiflow.errors import UnknownJobError, UsageError
from imeiflow.ledger.record import NewOrder
from imeiflow.operations import export
from imeiflow.operations.export import ADDED, ExistsError, ExportError, ExportFormat
from imeiflow.operations.session import Session
from tests.operations.stand import add_job, answer, make_imei, open_session

COLUMNS = ("Model", "IMEI", "Grade")


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path / "home") as opened:
        yield opened


def make_rows() -> list[NewOrder]:
    cells = [("iPhone 13", "A"), ("=cmd|' /C calc'!A0", "-B"), ("Pixel é", "+49 12"), ("S21", "C"), ("XR", "-5.50")]
    rows = [
        NewOrder(line=n, imei=make_imei(n), columns=(model, f"'{make_imei(n)}", grade), value=f"'{make_imei(n)}")
        for n, (model, grade) in enumerate(cells, 2)
    ]
    again = NewOrder(
        line=7, imei=make_imei(2), state=OrderState.REPEATED, repeated_of=2, columns=("X", make_imei(2), "")
    )
    bad = NewOrder(
        line=8, imei=None, state=OrderState.INVALID, value="12", flaw="too_short", columns=("Y", "12", "D", "more")
    )
    return [*rows, again, bad]


@pytest.fixture
def job(session):
    made = add_job(session, make_rows(), columns=COLUMNS, imei_column="IMEI", has_header=True)
    answer(
        session,
        made,
        {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.UNCONFIRMED, 5: OrderState.DUPLICATE},
    )
    return made


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def test_a_half_done_job_gives_every_row_back_in_its_order_with_its_own_columns(session: Session, job, tmp_path):
    done = export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    head, *rows = read_csv(tmp_path / "out.csv")
    assert head == [*COLUMNS, *ADDED]
    assert (done.rows, done.open) == (7, 1)
    assert [row[3] for row in rows] == ["2", "3", "4", "5", "6", "7", "8"]
    assert [row[5] for row in rows] == [
        "accepted",
        "refused",
        "unconfirmed",
        "duplicate",
        "queued",
        "repeated",
        "invalid",
    ]
    first = dict(zip(head, rows[0], strict=True))
    assert (first["Model"], first["imei"], first["reference"], first["price"]) == (
        "iPhone 13",
        make_imei(2),
        "R2",
        "0.08",
    )
    assert first["accepted_at"].endswith("Z")


def test_a_repeated_row_carries_the_result_of_the_first_but_is_not_counted_as_paid(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    head, *rows = read_csv(tmp_path / "out.csv")
    again = dict(zip(head, rows[5], strict=True))
    assert again["reference"] == "R2"
    assert again["price"] == ""
    assert again["error"] == "The same IMEI stands in row 2; it is ordered at most once."


def test_an_invalid_row_says_what_is_wrong_with_it(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    head, *rows = read_csv(tmp_path / "out.csv")
    assert rows[6][head.index("error")] == "It has too few digits; an IMEI has 15."


def test_no_cell_of_a_csv_begins_like_a_formula_unless_it_is_a_number(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    _, *rows = read_csv(tmp_path / "out.csv")
    assert rows[1][0] == "'=cmd|' /C calc'!A0"
    assert [row[2] for row in rows[1:5]] == ["'-B", "'+49 12", "C", "-5.50"]


def test_cells_beyond_the_header_are_kept_and_move_none_of_ours(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    export.export_to_file(session, job, tmp_path / "out.jsonl", ExportFormat.JSONL)
    head, *rows = read_csv(tmp_path / "out.csv")
    assert rows[6][len(head) :] == ["more"]
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[6])["beyond"] == ["more"]


@given(st.text(min_size=1))
def test_a_text_made_safe_is_the_text_itself_and_never_a_formula(text):
    safe = export.make_safe(text)
    assert safe in {text, "'" + text}
    assert not safe.startswith(("=", "@", "\t", "\r"))
    if safe.startswith(("+", "-")):
        assert not any(letter.isalpha() or letter in "(=!|" for letter in safe)


def test_a_workbook_holds_texts_only_with_a_frozen_header_and_a_filter(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.xlsx", ExportFormat.XLSX)
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == [*COLUMNS, *ADDED, None]
    assert {cell.data_type for row in rows for cell in row if cell.value is not None} == {"s"}
    assert rows[2][0].value == "=cmd|' /C calc'!A0"
    assert rows[1][4].value == make_imei(2)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:N8"


def test_json_lines_keep_the_files_columns_apart_from_ours(session, job, tmp_path):
    export.export_to_file(session, job, tmp_path / "out.jsonl", ExportFormat.JSONL)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == [*ADDED, "columns"]
    assert rows[2]["columns"] == {"Model": "Pixel é", "IMEI": f"'{make_imei(4)}", "Grade": "+49 12"}
    assert rows[0]["price"] == "0.08"
    assert rows[4]["reference"] is None


def test_a_list_of_one_column_gets_its_values_back_as_they_stood(session, tmp_path):
    rows = [NewOrder(line=2, imei=make_imei(2)), NewOrder(line=3, imei=make_imei(3), value=f" {make_imei(3)} ")]
    job = add_job(session, rows, columns=("phones",), imei_column="phones")
    export.export_to_file(session, job, tmp_path / "out.csv", ExportFormat.CSV)
    assert [row[0] for row in read_csv(tmp_path / "out.csv")] == ["phones", make_imei(2), f" {make_imei(3)} "]


def test_a_column_of_ours_whose_name_the_file_has_gets_a_prefix():
    names = export.name_columns(("IMEI", "state", "row"))
    assert names[:3] == ["imeiflow_row", "imei", "imeiflow_state"]


def test_blank_and_repeated_names_become_keys_of_their_own():
    assert export.make_keys(("a", "", "a", "a (2)")) == ["a", "column 2", "a (3)", "a (2)"]


def test_a_file_that_is_there_is_left_alone_unless_told_otherwise(session, job, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(ExistsError, match="there already"):
        export.export_to_file(session, job, target, ExportFormat.CSV)
    assert target.read_text() == "mine"
    export.export_to_file(session, job, target, ExportFormat.CSV, replaces=True)
    assert len(read_csv(target)) == 8


def test_a_file_that_appears_while_it_is_written_is_left_alone(session, job, tmp_path):
    target = tmp_path / "out.csv"
    with pytest.raises(ExistsError, match="meanwhile"):
        export.export_to_file(session, job, target, ExportFormat.CSV, on_rows=lambda _: target.write_text("mine"))
    assert target.read_text() == "mine"
    assert list(tmp_path.glob(".out*")) == []


def test_only_its_owner_can_read_an_export(session, job, tmp_path):
    before = os.umask(0)
    try:
        for format_ in ExportFormat:
            target = tmp_path / f"out.{format_}"
            export.export_to_file(session, job, target, format_)
            assert target.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_an_export_that_fails_leaves_neither_half_a_file_nor_the_old_one_changed(session, job, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("mine")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match="No space left"):
        export.export_to_file(session, job, target, ExportFormat.CSV, replaces=True, on_rows=fail)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["out.csv"]


def test_a_folder_that_is_not_there_and_a_folder_itself_are_named_as_such(session, job, tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        export.export_to_file(session, job, tmp_path / "none" / "out.csv", ExportFormat.CSV)
    with pytest.raises(ExportError, match="folder"):
        export.export_to_file(session, job, tmp_path, ExportFormat.CSV, replaces=True)


def test_an_unknown_job_is_named(session, tmp_path):
    with pytest.raises(UnknownJobError):
        export.export_to_file(session, 99, tmp_path / "out.csv", ExportFormat.CSV)


def test_a_stream_gets_no_byte_order_mark_and_stays_open(session, job):
    stream = io.BytesIO()
    export.export_to_stream(session, job, stream, ExportFormat.CSV)
    assert stream.getvalue().startswith(b"Model,IMEI")


@pytest.mark.parametrize(
    ("target", "named", "format_"),
    [
        ("a.csv", None, "csv"),
        ("a.XLSX", None, "xlsx"),
        ("a.ndjson", None, "jsonl"),
        ("a.txt", "csv", "csv"),
        (None, "jsonl", "jsonl"),
    ],
)
def test_the_format_is_the_one_named_or_that_of_the_name(target, named, format_):
    assert export.choose_format(Path(target) if target else None, named) == format_


@pytest.mark.parametrize(("target", "named"), [("a.txt", None), (None, None), (None, "xlsx")])
def test_a_format_that_cannot_be_told_or_had_is_wrong_usage(target, named):
    with pytest.raises(UsageError):
        export.choose_format(Path(target) if target else None, named)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_whatever_a_spreadsheet_takes_for_the_start_of_a_formula_is_made_safe(start):
    assert export.make_safe(f"{start}cmd|A0") == f"'{start}cmd|A0"


def test_a_list_too_wide_for_a_sheet_with_our_columns_is_no_workbook_and_leaves_no_file(session, tmp_path):
    columns = tuple(f"c{number}" for number in range(16_380))
    rows = [NewOrder(line=2, imei=make_imei(2), columns=columns)]
    wide = add_job(session, rows, columns=columns, imei_column="c0", has_header=True)
    with pytest.raises(ExportError, match="16,391"):
        export.export_to_file(session, wide, tmp_path / "out.xlsx", ExportFormat.XLSX)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert export.export_to_file(session, wide, tmp_path / "out.csv", ExportFormat.CSV).rows == 1


def test_thousands_of_columns_of_one_name_are_named_without_comparing_each_with_each():
    keys = export.make_keys(("x", "") * 50_000)
    assert len(keys) == len(set(keys)) == 100_000
    assert keys[-2:] == ["x (50000)", "column 100000"]
