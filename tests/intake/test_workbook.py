"""Workbooks give the rows that the spreadsheet shows, with its own row numbers."""

from __future__ import annotations

import contextlib
import datetime
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from imeiflow.domain.imei import Flaw, Imei, Reading, Repair, check_digit
from imeiflow.errors import InputError
from imeiflow.intake.error import ColumnError, EmptyInputError, FormatError, ProtectedInputError
from imeiflow.intake.format import Format
from imeiflow.intake.workbook import show_cell

from .hostile import write_workbook
from .sample import imeis_of, make_imeis, read, write_xlsx

IMEIS = make_imeis(4)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    rows: list[list[object]] = [
        ["IMEI", "Model", "Price"],
        [int(IMEIS[0]), "iPhone", 12.5],
        [IMEIS[1], "", None],
        [],
        [float(IMEIS[2][:14]), "14 digits", True],
        [None, "lost", None],
        ["3.52E+14", "x", None],
    ]
    return write_xlsx(tmp_path / "list.xlsx", {"Phones": rows})


def test_numbers_text_and_empty_rows_are_read(book: Path) -> None:
    sheet, rows = read(book)
    assert (sheet.format, sheet.worksheet, sheet.columns) == (Format.XLSX, "Phones", ("IMEI", "Model", "Price"))
    assert [(row.line, row.was_number, row.reading.imei) for row in rows] == [
        (2, True, IMEIS[0]),
        (3, False, IMEIS[1]),
        (5, True, IMEIS[2]),
        (6, False, None),
        (7, False, None),
    ]
    assert rows[0].columns == (IMEIS[0], "iPhone", "12.5")
    assert rows[2].reading.repairs == (Repair.CHECK_DIGIT,)
    assert rows[2].columns[2] == "TRUE"
    assert [row.reading.flaw for row in rows[3:]] == [Flaw.EMPTY, Flaw.DIGITS_LOST]


def test_a_workbook_is_known_by_its_content(book: Path) -> None:
    renamed = book.rename(book.with_name("list.csv"))
    sheet, rows = read(renamed)
    assert sheet.format is Format.XLSX
    assert len(rows) == 5
    assert any("ends in .csv, but it is a workbook" in note for note in sheet.notes)


def test_a_workbook_is_read_from_a_stream(book: Path) -> None:
    assert len(read(book.read_bytes())[1]) == 5


def test_text_that_is_named_as_a_workbook_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "export.xls"
    path.write_text("SERVICE\tIMEI NO.\tIMEI 2\n" + "".join(f"S\t{imei}\t{imei}\n" for imei in IMEIS))
    sheet, rows = read(path)
    assert (sheet.format, sheet.delimiter, sheet.imei_column) == (Format.CSV, "\t", 1)
    assert imeis_of(rows) == IMEIS
    assert any("ends in .xls, but it is text" in note for note in sheet.notes)


def test_rows_and_letters_are_those_of_the_spreadsheet_when_the_list_starts_further_in(tmp_path: Path) -> None:
    rows: list[list[object]] = [[], [], ["", "", "IMEI", "Model"], *([None, None, int(imei), "X"] for imei in IMEIS)]
    sheet, found = read(write_xlsx(tmp_path / "in.xlsx", {"A": rows}), column="C")
    assert (sheet.imei_column, sheet.header_line) == (2, 3)
    assert [row.line for row in found] == [4, 5, 6, 7]
    assert imeis_of(found) == IMEIS


def test_the_first_visible_sheet_with_data_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {
        "Secret": [[IMEIS[3]]],
        "Blank": [],
        "One": [["IMEI"], [IMEIS[0]]],
        "Two": [["IMEI"], [IMEIS[1]]],
    }
    path = tmp_path / "many.xlsx"
    # A workbook's first sheet cannot be hidden while it is the active one.
    write_xlsx(path, {"Blank": sheets["Blank"], **sheets}, hidden=("Secret",))
    sheet, rows = read(path)
    assert (sheet.worksheet, imeis_of(rows)) == ("One", [IMEIS[0]])
    assert any("not 'Blank', 'Two'" in note for note in sheet.notes)
    assert imeis_of(read(path, sheet="two")[1]) == [IMEIS[1]]
    with pytest.raises(FormatError, match="no sheet 'Three'") as caught:
        read(path, sheet="Three")
    assert "'One', 'Two'" in caught.value.remedy
    with pytest.raises(EmptyInputError, match="'Blank' is empty"):
        read(path, sheet="Blank")


def test_a_first_sheet_that_is_no_list_does_not_hide_the_one_that_is(tmp_path: Path) -> None:
    phones: list[list[object]] = [["Device", "IMEI"], ["x", IMEIS[0]], ["y", IMEIS[1]]]
    cover: list[list[object]] = [["Phones of May"], [2]]
    path = write_xlsx(tmp_path / "cover.xlsx", {"Cover": cover, "Head": [["IMEI"]], "Phones": phones})
    sheet, rows = read(path)
    assert (sheet.worksheet, imeis_of(rows)) == ("Phones", IMEIS[:2])
    assert "Only the sheet 'Phones' is read, not 'Cover', 'Head'." in sheet.notes
    assert imeis_of(read(path, column="IMEI")[1]) == IMEIS[:2]
    with pytest.raises(ColumnError, match="in the first 2 rows"):
        read(path, sheet="Cover")
    other = write_xlsx(tmp_path / "none.xlsx", {"Cover": cover, "Notes": [["nothing"], ["here"]]})
    with pytest.raises(ColumnError, match="of the sheet 'Cover', nor in 'Notes'"):
        read(other)


def test_a_workbook_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError, match="no sheet holds anything"):
        read(write_xlsx(tmp_path / "none.xlsx", {"A": []}))


def test_a_text_has_no_sheets() -> None:
    with pytest.raises(FormatError, match="no sheet"):
        read(IMEIS[0].encode(), sheet="One")


def test_sixteen_digits_that_a_spreadsheet_rounded_still_name_the_phone(tmp_path: Path) -> None:
    rounded = int(IMEIS[0][:14] + "10")
    _, rows = read(write_xlsx(tmp_path / "sv.xlsx", {"A": [["IMEI"], [rounded]]}))
    assert rows[0].reading.imei == IMEIS[0]
    assert rows[0].reading.repairs == (Repair.SOFTWARE_VERSION,)


def test_a_zero_that_the_spreadsheet_dropped_is_restored(tmp_path: Path) -> None:
    imei = "01234500000001" + check_digit("01234500000001")
    _, rows = read(write_xlsx(tmp_path / "zero.xlsx", {"A": [["IMEI"], [int(imei)]]}))
    assert rows[0].value == imei[1:]
    assert rows[0].reading == Reading(Imei(imei), (Repair.LEADING_ZERO,), None)


def test_an_opendocument_sheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list.ods"
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    number = (
        f'<table:table-cell office:value-type="float" office:value="{IMEIS[0]}"><text:p>3.5</text:p></table:table-cell>'
    )
    text = f'<table:table-cell office:value-type="string"><text:p>{IMEIS[1]}</text:p></table:table-cell>'
    rows = "".join(f"<table:table-row>{cell}</table:table-row>" for cell in (number, text))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="List">{rows}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    sheet, found = read(path)
    assert (sheet.format, sheet.worksheet) == (Format.ODS, "List")
    assert [(row.was_number, row.reading.imei) for row in found] == [(True, IMEIS[0]), (False, IMEIS[1])]


@pytest.mark.parametrize("cut", [50, 400, -40])
def test_a_workbook_that_is_cut_off_is_refused(book: Path, cut: int) -> None:
    with pytest.raises(FormatError, match="damaged"):
        read(book.read_bytes()[:cut], name="cut.xlsx")


def test_a_workbook_with_a_broken_sheet_is_refused(book: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[: len(content) // 2] if "worksheets/" in name else content)
    with pytest.raises(FormatError, match="damaged"):
        read(broken)


def test_a_sheet_with_a_stray_cell_far_out_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "stray.xlsx"
    stray = openpyxl.Workbook()
    assert stray.active is not None
    stray.active["A1"] = IMEIS[0]
    stray.active["XFD1048576"] = "x"
    stray.save(path)
    with pytest.raises(FormatError, match=r"1,048,576 rows and 16,384 columns"):
        read(path)


def place(row: int, text: str) -> str:
    """Write a row whose only cell stands in the last column that there is."""
    return f'<row r="{row}"><c r="XFD{row}" t="inlineStr"><is><t>{text}</t></is></c></row>'


def test_a_list_whose_rows_begin_far_out_is_refused_before_they_are_widened() -> None:
    with pytest.raises(FormatError, match=r"4,000 rows and 16,38\d columns"):
        read(write_workbook("".join(place(row, IMEIS[0]) for row in range(1, 4001))))


def test_empty_rows_before_a_list_cost_next_to_nothing() -> None:
    """Each of them had sixteen thousand cells, and no other list was read meanwhile."""
    _, rows = read(write_workbook(place(99_999, "IMEI") + place(100_000, IMEIS[0])))
    assert imeis_of(rows) == [IMEIS[0]]


def test_an_encrypted_workbook_is_refused() -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
    with pytest.raises(ProtectedInputError, match="password"):
        read(content)


def test_an_office_document_that_is_no_workbook_is_refused() -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "WordDocument".encode("utf-16-le") + b"\0" * 600
    with pytest.raises(FormatError, match="no workbook"):
        read(content)
    with pytest.raises(FormatError, match="damaged"):
        read(content.replace("WordDocument".encode("utf-16-le"), "Workbook".encode("utf-16-le")))


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (352130219890307.0, "352130219890307"),
        (352130219890307, "352130219890307"),
        (1.5, "1.5"),
        (True, "TRUE"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.datetime(2024, 5, 1, 3, 4), "2024-05-01 03:04:00"),  # noqa: DTZ001
        (datetime.time(3, 4), "03:04:00"),
        (datetime.timedelta(hours=1), "1:00:00"),
        (float("inf"), "inf"),
    ],
)
def test_a_cell_is_written_as_the_spreadsheet_shows_it(cell: object, shown: str) -> None:
    assert show_cell(cell) == shown


def small_book() -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        book.add_worksheet("A").write_column(0, 0, ["IMEI", *IMEIS])
    return content.getvalue()


SMALL_BOOK = small_book()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(SMALL_BOOK) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_to_a_workbook_gives_rows_or_an_error_of_ours(changes: list[tuple[int, int]]) -> None:
    content = bytearray(SMALL_BOOK)
    for place, byte in changes:
        content[place] = byte
    with contextlib.suppress(InputError):
        read(bytes(content))
