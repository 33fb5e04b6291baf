"""A job's list given back: every row, in its order, with what became of it, whatever the file held."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.cli.export import tell_done
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import UnknownJobError, UsageError
from imeiflow.intake.sheet import open_sheet
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.filter import Filter, Span
from imeiflow.ledger.record import NewOrder
from imeiflow.operations import export
from imeiflow.operations.cell import ADDED, describe_row, make_keys, make_safe
from imeiflow.operations.export import ExportFormat, Layout, Wish
from imeiflow.operations.new_file import ExistsError, ExportError
from imeiflow.operations.session import Session
from imeiflow.operations.table import ProviderTable, explain_failure, name_columns
from imeiflow.operations.workbook import write_workbook
from imeiflow.results.result import Note
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei, open_session

COLUMNS = ("Model", "IMEI", "Grade")


def wish(job, format_=ExportFormat.CSV, **more) -> Wish:
    return Wish(jobs=(job,), format=format_, **more)


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
    done = export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
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
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    again = dict(zip(head, rows[5], strict=True))
    assert again["reference"] == "R2"
    assert again["price"] == ""
    assert again["error"] == "The same IMEI stands in row 2; it is ordered at most once."


def test_an_invalid_row_says_what_is_wrong_with_it(session, job, tmp_path):
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert rows[6][head.index("error")] == "It has too few digits; an IMEI has 15."


def test_no_cell_of_a_csv_begins_like_a_formula_unless_it_is_a_number(session, job, tmp_path):
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    _, *rows = read_csv(tmp_path / "out.csv")
    assert rows[1][0] == "'=cmd|' /C calc'!A0"
    assert [row[2] for row in rows[1:5]] == ["'-B", "'+49 12", "C", "-5.50"]


def test_cells_beyond_the_header_are_kept_and_move_none_of_ours(session, job, tmp_path):
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    export.export_to_file(session, wish(job, ExportFormat.JSONL), tmp_path / "out.jsonl")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert rows[6][len(head) :] == ["more"]
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[6])["beyond"] == ["more"]


@given(st.text(min_size=1))
def test_a_text_made_safe_is_the_text_itself_and_never_a_formula(text):
    safe = make_safe(text)
    assert safe.replace("'", "") == text.replace("'", "")
    assert ";" in text or "\t" in text or safe in {text, "'" + text}
    assert not safe.startswith(("=", "@", "\t", "\r"))
    if safe.startswith(("+", "-")):
        assert not any(letter.isalpha() or letter in "(=!|" for letter in safe)


def test_a_workbook_holds_imeis_as_texts_and_no_formula_with_a_frozen_header_and_a_filter(session, job, tmp_path):
    export.export_to_file(session, wish(job, ExportFormat.XLSX), tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == [*COLUMNS, *ADDED, None]
    kinds = {rows[0][place].value: {row[place].data_type for row in rows[1:]} - {"n"} for place in range(14)}
    numbers = {"row", "attempts", "price"}
    assert {name for name, kind in kinds.items() if not kind} - {"status", "result", "completed_at"} == numbers
    assert kinds["accepted_at"] == {"d"}
    assert (rows[1][11].value, rows[1][12].number_format) == (0.08, "yyyy-mm-dd hh:mm:ss")
    assert {kind for name in (*COLUMNS, "imei", "reference", "error") for kind in kinds[name]} == {"s"}
    assert rows[2][0].value == "=cmd|' /C calc'!A0"
    assert rows[1][4].value == make_imei(2)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:N8"


def test_json_lines_keep_the_files_columns_apart_from_ours(session, job, tmp_path):
    export.export_to_file(session, wish(job, ExportFormat.JSONL), tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == [*ADDED, "columns"]
    assert rows[2]["columns"] == {"Model": "Pixel é", "IMEI": f"'{make_imei(4)}", "Grade": "+49 12"}
    assert rows[0]["price"] == "0.08"
    assert rows[4]["reference"] is None


def test_a_list_of_one_column_gets_its_values_back_as_they_stood(session, tmp_path):
    rows = [NewOrder(line=2, imei=make_imei(2)), NewOrder(line=3, imei=make_imei(3), value=f" {make_imei(3)} ")]
    job = add_job(session, rows, columns=("phones",), imei_column="phones")
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    assert [row[0] for row in read_csv(tmp_path / "out.csv")] == ["phones", make_imei(2), f" {make_imei(3)} "]


def test_a_column_of_ours_whose_name_the_file_has_gets_a_prefix():
    names = name_columns(("IMEI", "state", "row"))
    assert names[:3] == ["imeiflow_row", "imei", "imeiflow_state"]


def test_blank_and_repeated_names_become_keys_of_their_own():
    assert make_keys(("a", "", "a", "a (2)")) == ["a", "column 2", "a (3)", "a (2)"]


def test_a_file_that_is_there_is_left_alone_unless_told_otherwise(session, job, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(ExistsError, match="there already"):
        export.export_to_file(session, wish(job, ExportFormat.CSV), target)
    assert target.read_text() == "mine"
    export.export_to_file(session, wish(job, ExportFormat.CSV), target, replaces=True)
    assert len(read_csv(target)) == 8


def test_a_file_that_appears_while_it_is_written_is_left_alone(session, job, tmp_path):
    target = tmp_path / "out.csv"
    with pytest.raises(ExistsError, match="meanwhile"):
        export.export_to_file(session, wish(job, ExportFormat.CSV), target, on_rows=lambda _: target.write_text("mine"))
    assert target.read_text() == "mine"
    assert list(tmp_path.glob(".out*")) == []


def test_only_its_owner_can_read_an_export(session, job, tmp_path):
    before = os.umask(0)
    try:
        for format_ in ExportFormat:
            target = tmp_path / f"out.{format_}"
            export.export_to_file(session, wish(job, format_), target)
            assert target.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_an_export_that_fails_leaves_neither_half_a_file_nor_the_old_one_changed(session, job, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("mine")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match="No space left"):
        export.export_to_file(session, wish(job, ExportFormat.CSV), target, replaces=True, on_rows=fail)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["out.csv"]


def test_a_folder_that_is_not_there_and_a_folder_itself_are_named_as_such(session, job, tmp_path):
    with pytest.raises(ExportError, match="No such file"):
        export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "none" / "out.csv")
    with pytest.raises(ExportError, match="folder"):
        export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path, replaces=True)


def test_an_unknown_job_is_named(session, tmp_path):
    with pytest.raises(UnknownJobError):
        export.export_to_file(session, wish(99, ExportFormat.CSV), tmp_path / "out.csv")


def test_a_stream_gets_no_byte_order_mark_and_stays_open(session, job):
    stream = io.BytesIO()
    export.export_to_stream(session, wish(job), stream)
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
    assert make_safe(f"{start}cmd|A0") == f"'{start}cmd|A0"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("x;=HYPERLINK(1)", "x;'=HYPERLINK(1)"),
        ("x; \t+1+cmd|A0;@a", "x; \t'+1+cmd|A0;'@a"),
        ("=1;=2", "'=1;'=2"),
        ("64 GB; -5; black", "64 GB; -5; black"),
    ],
)
def test_what_would_begin_a_cell_where_texts_are_parted_otherwise_is_made_safe_too(text, safe):
    assert make_safe(text) == safe


def test_a_list_too_wide_for_a_sheet_with_our_columns_is_no_workbook_and_leaves_no_file(session, tmp_path):
    columns = tuple(f"c{number}" for number in range(16_380))
    rows = [NewOrder(line=2, imei=make_imei(2), columns=columns)]
    wide = add_job(session, rows, columns=columns, imei_column="c0", has_header=True)
    with pytest.raises(ExportError, match="16,391"):
        export.export_to_file(session, wish(wide, ExportFormat.XLSX), tmp_path / "out.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert export.export_to_file(session, wish(wide, ExportFormat.CSV), tmp_path / "out.csv").rows == 1


def test_thousands_of_columns_of_one_name_are_named_without_comparing_each_with_each():
    keys = make_keys(("x", "") * 50_000)
    assert len(keys) == len(set(keys)) == 100_000
    assert keys[-2:] == ["x (50000)", "column 100000"]


def complete(session, job, results):
    """Give the accepted orders of some rows their results."""
    by_line = {row.line: row.id for row in session.ledger.order_rows(job)}
    session.ledger.update_statuses(
        ACCOUNT, [StatusUpdate(order=by_line[line], status=status, result=text) for line, status, text in results]
    )


@pytest.fixture
def completed(session):
    """Make a job with two results, a rejected order, one in doubt, one refused, one invalid, one that waits."""
    rows = [NewOrder(line=n, imei=make_imei(n), columns=(make_imei(n), f"box {n}")) for n in range(2, 8)]
    bad = NewOrder(line=8, imei=None, state=OrderState.INVALID, value="12", flaw="too_short", columns=("12", "box 8"))
    made = add_job(session, [*rows, bad], columns=("IMEI", "Status"), imei_column="IMEI", has_header=True)
    accepted = dict.fromkeys((2, 3, 4), OrderState.ACCEPTED)
    answer(session, made, {**accepted, 5: OrderState.UNCONFIRMED, 6: OrderState.REFUSED})
    texts = [
        (2, ResultStatus.COMPLETED, "Model: iPhone 13<br>Carrier: T-Mobile<br>Estimated Purchase Date: 2023-11-14"),
        (3, ResultStatus.COMPLETED, "Model: iPhone 12 - Odd Key: =1+1 - SimLock: Unlocked"),
        (4, ResultStatus.REJECTED, "Not found"),
    ]
    complete(session, made, texts)
    return made


def test_what_the_results_say_stands_in_columns_of_their_own(session, completed, tmp_path):
    export.export_to_file(session, wish(completed), tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert head[:2] == ["IMEI", "Status"]
    assert head[13:] == ["model", "carrier", "simlock", "purchase_date", "Odd Key", "remarks"]
    assert rows[0][13:] == ["iPhone 13", "T-Mobile", "", "2023-11-14", "", ""]
    assert rows[1][13:] == ["iPhone 12", "", "unlocked", "", "'=1+1", ""]
    assert {len(row) for row in rows} == {len(head)}


def test_a_day_that_a_result_names_is_a_day_in_a_workbook(session, completed, tmp_path):
    export.export_to_file(session, wish(completed, ExportFormat.XLSX), tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    column = [cell.value for cell in sheet[1]].index("purchase_date") + 1
    cell = sheet.cell(2, column)
    assert (cell.value.date().isoformat(), cell.number_format) == ("2023-11-14", "yyyy-mm-dd")
    assert sheet.cell(3, column + 1).value == "=1+1"
    assert sheet.cell(3, column + 1).data_type == "s"


def test_json_lines_have_what_a_result_says_by_name(session, completed, tmp_path):
    export.export_to_file(session, wish(completed, ExportFormat.JSONL), tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0]["fields"] == {"model": "iPhone 13", "carrier": "T-Mobile", "purchase_date": "2023-11-14"}
    assert rows[2]["fields"] == {"remarks": ["Not found"]}
    assert "fields" not in rows[3]


def test_failed_rows_are_a_list_that_is_submitted_as_it_is_and_nothing_in_doubt_is_among_them(
    session, completed, tmp_path
):
    for format_ in (ExportFormat.CSV, ExportFormat.XLSX):
        target = tmp_path / f"failed.{format_}"
        done = export.export_to_file(session, wish(completed, format_, layout=Layout.FAILED), target)
        assert done.rows == 3
        with open_sheet(target) as sheet:
            rows = list(sheet.rows())
            assert sheet.columns == ("IMEI", "Status", "Error")
            assert sheet.columns[sheet.imei_column] == "IMEI"
        assert [row.reading.imei for row in rows] == [make_imei(4), make_imei(6), None]
        assert [row.columns[2] for row in rows] == [
            "Rejected by the provider: Not found",
            "Invalid IMEI!",
            "It has too few digits; an IMEI has 15.",
        ]


def test_rows_that_fail_once_more_have_their_new_reason_and_no_second_error_column(session, tmp_path):
    columns = ("IMEI", "Error")
    row = NewOrder(line=2, imei=make_imei(2), columns=(make_imei(2), "an old reason"))
    again = add_job(session, [row], columns=columns, imei_column="IMEI", has_header=True)
    answer(session, again, {2: OrderState.REFUSED})
    export.export_to_file(session, wish(again, layout=Layout.FAILED), tmp_path / "out.csv")
    assert read_csv(tmp_path / "out.csv") == [["IMEI", "Error"], [make_imei(2), "Invalid IMEI!"]]


def test_failed_rows_of_a_list_without_a_header_get_one_that_is_understood(session, tmp_path):
    rows = [NewOrder(line=n, imei=make_imei(n), columns=("phone", make_imei(n))) for n in (1, 2)]
    bare = add_job(session, rows, columns=("A", "B"), imei_column="B")
    answer(session, bare, dict.fromkeys((1, 2), OrderState.REFUSED))
    export.export_to_file(session, wish(bare, layout=Layout.FAILED), tmp_path / "out.csv")
    with open_sheet(tmp_path / "out.csv") as sheet:
        assert (sheet.columns, sheet.imei_column) == (("Column A", "IMEI", "Error"), 1)


def test_the_providers_own_layout_has_its_columns_and_only_orders_that_it_took(session, completed, tmp_path):
    done = export.export_to_file(session, wish(completed, layout=Layout.GSM_FUSION), tmp_path / "out.tsv")
    head, *rows = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert head == list(ProviderTable.headings)
    assert (head[1], head[11], len(head)) == ("IMEI NO.", "NOTES", 12)
    assert (done.rows, done.left_out) == (3, 4)
    assert rows[0][:4] == ["1", make_imei(2), "$0.08", "Completed"]
    assert (rows[0][6], rows[0][8]) == ("T-Mobile", "iPhone 13")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d{1,2}:\d\d:\d\d", rows[0][10])
    assert rows[2][3] == "Rejected"


def test_rows_can_be_chosen_by_state_status_service_and_time(session, completed, tmp_path):
    def lines(**wanted) -> list[str]:
        target = tmp_path / "out.csv"
        export.export_to_file(session, wish(completed, filter=Filter(**wanted)), target, replaces=True)
        head, *rows = read_csv(target)
        return [row[head.index("row")] for row in rows]

    assert lines(states=frozenset({OrderState.REFUSED, OrderState.INVALID})) == ["6", "8"]
    assert lines(statuses=frozenset({ResultStatus.COMPLETED})) == ["2", "3"]
    now = session.ledger.clock()
    assert lines(completed=Span(now - timedelta(hours=1), None)) == ["2", "3", "4"]
    assert lines(accepted=Span(now + timedelta(hours=1), None)) == []
    assert lines(service=ServiceId("other")) == []


def test_of_chosen_orders_no_other_is_written_and_none_where_none_is_chosen(session, completed, tmp_path):
    ids = {row.line: row.id for row in session.ledger.order_rows(completed)}

    def lines(*chosen: int, **more) -> list[str]:
        wanted = wish(completed, orders=frozenset(ids[line] for line in chosen), **more)
        export.export_to_file(session, wanted, tmp_path / "out.csv", replaces=True)
        return [row[0] for row in read_csv(tmp_path / "out.csv")[1:]]

    assert lines(3, 6) == [make_imei(3), make_imei(6)]
    assert lines(3, 6, layout=Layout.FAILED) == [make_imei(6)]
    assert lines() == []


def test_several_jobs_go_into_one_file_with_columns_of_one_name_in_one_place(session, job, completed, tmp_path):
    everything = Wish(jobs=None)
    done = export.export_to_file(session, everything, tmp_path / "out.csv")
    head, *rows = read_csv(tmp_path / "out.csv")
    assert (done.jobs, done.rows) == (2, 14)
    assert head[:6] == ["Model", "IMEI", "Grade", "Status", "job", "row"]
    assert rows[0][:6] == ["iPhone 13", f"'{make_imei(2)}", "A", "", str(job), "2"]
    assert rows[7][:6] == ["", make_imei(2), "", "box 2", str(completed), "2"]


def test_rows_beyond_a_sheet_go_on_in_another_one_and_texts_beyond_a_cell_say_so(tmp_path):
    rows = [["a" * 40_000 if number == 5 else f"text {number}"] for number in range(7)]
    target = tmp_path / "out.xlsx"
    with target.open("w+b") as file:
        assert write_workbook(file, target, ["heading"], rows, most_rows=4) == (3, 1)
    book = openpyxl.load_workbook(target)
    assert [[cell.value for cell in sheet["A"]] for sheet in book][::2] == [
        ["heading", "text 0", "text 1", "text 2"],
        ["heading", "text 6"],
    ]
    assert [(sheet.freeze_panes, sheet.auto_filter.ref) for sheet in book][1:] == [("A2", "A1:A4"), ("A2", "A1:A2")]
    cut = book.worksheets[1]["A4"].value
    assert len(cut) == 32_767
    assert cut.endswith("have it whole)")


def test_an_export_without_rows_has_its_headings(session, tmp_path):
    empty = add_job(session, [], columns=("IMEI",), imei_column="IMEI", has_header=True)
    export.export_to_file(session, wish(empty, ExportFormat.XLSX), tmp_path / "out.xlsx")
    assert openpyxl.load_workbook(tmp_path / "out.xlsx").active["A1"].value == "IMEI"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Not found", "Rejected by the provider: Not found"),
        ("Rejected: Not found", "Rejected by the provider: Not found"),
        ("REJECTED - Not found", "Rejected by the provider: Not found"),
        ("Rejected", "Rejected by the provider: Rejected"),
        (None, "Rejected by the provider."),
    ],
)
def test_the_reason_of_a_rejected_order_says_so_once(session, completed, said, told):
    row = next(row for row in session.ledger.order_rows(completed) if row.status is ResultStatus.REJECTED)
    assert explain_failure(replace(row, result=said)) == told


def test_a_result_about_another_phone_than_the_one_that_was_ordered_is_said(session, tmp_path):
    own = make_imei(1)
    said = {
        1: f"IMEI: {own[:8]} {own[8:]}",
        2: f"IMEI: {own}",
        3: f"IMEI: {own}, IMEI2: {make_imei(3)}",
        4: f"Ordered by: {make_imei(4)}<br>IMEI: {own}",  # that it was asked for does not make it the phone's
        5: f"IMEI: {own}<br>Alternate IMEI: {make_imei(5)}",
    }
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line), columns=(make_imei(line),)) for line in said])
    answer(session, job, dict.fromkeys(said, OrderState.ACCEPTED))
    complete(session, job, [(line, ResultStatus.COMPLETED, text) for line, text in said.items()])
    for format_ in ExportFormat:
        target = tmp_path / f"out.{format_}"
        done = export.export_to_file(session, wish(job, format_), target)
        assert done.notes == {Note.FOREIGN_IMEI: 2}
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one.get("notes") for one in told] == [None, ["foreign_imei"], None, ["foreign_imei"], None]
    sentence = Note.FOREIGN_IMEI.sentence
    target = tmp_path / "out.tsv"
    done = export.export_to_file(session, wish(job, layout=Layout.GSM_FUSION), target)
    assert done.notes == {Note.FOREIGN_IMEI: 2}
    with target.open(encoding="utf-8", newline="") as file:
        noted = [row["NOTES"] for row in csv.DictReader(file, delimiter="\t")]
    assert noted == [f"job {job}, order R{line}" + (f"; {sentence}" if line in {2, 4} else "") for line in said]
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["notes"] for row in csv.DictReader(file)] == ["", sentence, "", sentence, ""]
    head, *rows = openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(values_only=True)
    assert [row[head.index("notes")] for row in rows] == [None, sentence, None, sentence, None]
    assert (
        "2 results: A result names another IMEI than the one that was ordered; ask the provider whose it is."
        in list(tell_done(done, wish(job, ExportFormat.XLSX), target))
    )


def test_a_date_that_can_be_read_in_two_ways_is_left_as_it_stood_and_said(session, completed, tmp_path):
    line = next(row.line for row in session.ledger.order_rows(completed) if row.state is OrderState.ACCEPTED)
    doubtful = [(line, ResultStatus.COMPLETED, "Purchase Date: 03/04/2024")]
    again = add_job(session, [NewOrder(line=line, imei=make_imei(line), columns=(make_imei(line), "box"))])
    answer(session, again, {line: OrderState.ACCEPTED})
    complete(session, again, doubtful)
    for format_ in ExportFormat:
        target = tmp_path / f"out.{format_}"
        done = export.export_to_file(session, wish(again, format_), target)
        assert done.notes == {Note.AMBIGUOUS_DATE: 1}
        assert export.export_to_file(session, wish(completed, format_), target, replaces=True).notes == {}
    export.export_to_file(session, wish(again, ExportFormat.JSONL), tmp_path / "notes.jsonl")
    (told,) = map(json.loads, (tmp_path / "notes.jsonl").read_text().splitlines())
    assert (told["fields"], told["notes"]) == ({"purchase_date": "03/04/2024"}, ["ambiguous_date"])
    assert "1 result: A date can be read in more than one way; it is left as it stood." in list(
        tell_done(done, wish(again, ExportFormat.CSV), target)
    )


@pytest.mark.parametrize("text", ["-2+3", "+1-1", "-1*9", "--1", "+-1", "-1/2", "-1-2"])
def test_a_sum_is_no_number(text: str):
    assert make_safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5.50", "+4,5", "-1.000,00", "+491234"])
def test_a_number_stays_as_it_is(text: str):
    assert make_safe(text) == text


def test_a_heading_of_a_csv_is_no_formula_either(session, tmp_path):
    rows = [NewOrder(line=2, imei=make_imei(77), columns=(str(make_imei(77)), "x"))]
    job = add_job(session, rows, columns=("IMEI", "=1+cmd|A0"), has_header=True)
    export.export_to_file(session, wish(job, ExportFormat.CSV), tmp_path / "out.csv")
    assert read_csv(tmp_path / "out.csv")[0][:2] == ["IMEI", "'=1+cmd|A0"]


def test_what_was_charged_twice_cost_twice_its_price(session, job):
    row = next(iter(session.ledger.order_rows(job)))
    place = ADDED.index("price")
    for charges, cost in ((0, None), (1, Decimal("0.08")), (2, Decimal("0.16"))):
        assert describe_row(replace(row, price=Decimal("0.08"), charges=charges))[place] == cost


def test_of_failed_rows_only_those_in_a_wanted_state_are_written(session, job, tmp_path):
    wanted = wish(job, ExportFormat.CSV, layout=Layout.FAILED, filter=Filter(states=frozenset({OrderState.REFUSED})))
    everything = wish(job, ExportFormat.CSV, layout=Layout.FAILED)
    some = export.export_to_file(session, wanted, tmp_path / "some.csv").rows
    assert 0 < some < export.export_to_file(session, everything, tmp_path / "all.csv").rows
