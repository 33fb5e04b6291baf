"""A list is read as it stands: every row that holds anything comes out, with its IMEI or its flaw."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imeiflow.domain.imei import Flaw, Repair
from imeiflow.errors import InputError
from imeiflow.intake.error import ChangedInputError, ColumnError, EmptyInputError, MissingInputError, RowError
from imeiflow.intake.format import Format
from imeiflow.intake.sheet import open_sheet

from .sample import imeis_of, make_imei, make_imeis, read

IMEIS = make_imeis(6)


def table(delimiter: str, end: str = "\r\n") -> str:
    lines = [delimiter.join(["Order", "IMEI", "Model"])]
    lines += [delimiter.join([str(place), imei, "iPhone é"]) for place, imei in enumerate(IMEIS)]
    return end.join(lines) + end


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_table_is_read_in_every_encoding_and_delimiter(delimiter: str, end: str, encoding: str) -> None:
    sheet, rows = read(table(delimiter, end).encode(encoding))
    assert (sheet.format, sheet.delimiter, sheet.imei_column) == (Format.CSV, delimiter, 1)
    assert sheet.columns == ("Order", "IMEI", "Model")
    assert (sheet.has_header, sheet.header_line) == (True, 1)
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]
    assert imeis_of(rows) == IMEIS
    assert rows[0].columns == ("0", IMEIS[0], "iPhone é")


def test_utf16_written_big_endian_with_its_mark_is_read() -> None:
    assert imeis_of(read(b"\xfe\xff" + table(";").encode("utf-16-be"))[1]) == IMEIS


def test_bytes_without_a_meaning_in_any_encoding_cost_no_row() -> None:
    sheet, rows = read(b"IMEI,Note\n" + b"".join(f"{imei},\x81".encode("latin-1") + b"\n" for imei in IMEIS))
    assert imeis_of(rows) == IMEIS
    assert any("not UTF-8" in note for note in sheet.notes)


def test_the_first_line_that_excel_declares_its_delimiter_in_is_no_row() -> None:
    sheet, rows = read(("sep=;\r\n" + table(";")).encode())
    assert (sheet.delimiter, sheet.header_line) == (";", 2)
    assert imeis_of(rows) == IMEIS
    assert rows[0].line == 3


def test_a_quoted_cell_keeps_its_line_ends_and_delimiters_and_lines_stay_right() -> None:
    text = f'IMEI,Note\n{IMEIS[0]},"first, second\r\nthird"\n{IMEIS[1]},"a ""b"""\n'
    _, rows = read(text.encode())
    assert [(row.line, row.columns[1]) for row in rows] == [(2, "first, second\r\nthird"), (4, 'a "b"')]


def test_an_inch_mark_inside_a_cell_is_only_a_character() -> None:
    assert imeis_of(read(f'Model,IMEI\n6.1" black,{IMEIS[0]}\n6.1" red,{IMEIS[1]}\n'.encode())[1]) == IMEIS[:2]


@pytest.mark.parametrize(
    "text",
    [
        f'Model,IMEI\nA,{IMEIS[0]}\n"B,{IMEIS[1]}\nC,{IMEIS[2]}\n',
        f'Model,IMEI\nA,{IMEIS[0]}\n"B,{IMEIS[1]}\n"C,{IMEIS[2]}\n',
        f'Model,IMEI\nA,{IMEIS[0]}\n"B,{IMEIS[1]}\nC",{IMEIS[2]}\n',
        f'Model,IMEI\nA,{IMEIS[0]}\n"B" x,{IMEIS[1]}\n',
    ],
)
def test_a_quote_without_a_partner_swallows_no_rows(text: str) -> None:
    with pytest.raises(RowError) as caught:
        read(text.encode(), name="phones.csv")
    assert caught.value.line == 3
    assert "phones.csv, line 3" in str(caught.value)
    assert "quote" in caught.value.remedy


def test_short_rows_are_filled_and_long_ones_keep_what_they_hold() -> None:
    sheet, rows = read(f"Order,IMEI,Note\n1,{IMEIS[0]}\n2,{IMEIS[1]},a,b\n3\n".encode())
    assert sheet.columns == ("Order", "IMEI", "Note", "")
    assert [row.columns for row in rows] == [("1", IMEIS[0], "", ""), ("2", IMEIS[1], "a", "b"), ("3", "", "", "")]
    assert rows[2].reading.flaw is Flaw.EMPTY


def test_empty_rows_are_left_out_and_rows_without_an_imei_are_kept() -> None:
    _, rows = read(f"IMEI,Note\n\n{IMEIS[0]},a\n,\n  , \n,lost\n{IMEIS[1]},b\n\n".encode())
    assert [(row.line, row.reading.imei, row.reading.flaw) for row in rows] == [
        (3, IMEIS[0], None),
        (6, None, Flaw.EMPTY),
        (7, IMEIS[1], None),
    ]


def test_nul_characters_are_removed_everywhere() -> None:
    _, rows = read(f"IMEI,Note\n{IMEIS[0]}\0,a\0b\n".encode())
    assert rows[0].columns == (IMEIS[0], "ab")
    assert rows[0].reading.repairs == ()


def test_one_imei_a_line_needs_no_header() -> None:
    sheet, rows = read("\n".join(IMEIS).encode())
    assert (sheet.format, sheet.has_header, sheet.columns, sheet.delimiter) == (Format.TXT, False, ("A",), None)
    assert imeis_of(rows) == IMEIS
    assert [row.line for row in rows] == [1, 2, 3, 4, 5, 6]


def test_a_single_imei_is_a_list() -> None:
    assert imeis_of(read(IMEIS[0].encode())[1]) == IMEIS[:1]


def test_comments_in_plain_text_are_no_rows_unless_they_hold_an_imei() -> None:
    _, rows = read(f"# May\n{IMEIS[0]}\n#{IMEIS[1]}\n# end 2024\n{IMEIS[2]}\n".encode())
    assert [(row.line, row.reading.imei) for row in rows] == [(2, IMEIS[0]), (3, None), (5, IMEIS[2])]


@pytest.mark.parametrize("mark", [",", ", ", " ", ";", "; ", "\t", "  ", "|", " , "])
@pytest.mark.parametrize("per_line", [100, 4])
def test_a_pasted_list_is_one_imei_a_value(mark: str, per_line: int) -> None:
    lines = [mark.join(IMEIS[start : start + per_line]) for start in range(0, len(IMEIS), per_line)]
    sheet, rows = read("\n".join(lines).encode())
    assert imeis_of(rows) == IMEIS
    assert [row.line for row in rows] == [1, 2, 3, 4, 5, 6]
    assert any("IMEI of its own" in note for note in sheet.notes)


def test_a_pasted_list_on_one_long_line_is_streamed() -> None:
    imeis = make_imeis(80_000)
    _, rows = read(",".join(imeis).encode())
    assert imeis_of(rows) == imeis


def test_phones_with_two_imeis_are_ordered_once_and_it_is_said() -> None:
    text = "\n".join(f"{make_imei(n)},{make_imei(n + 500)}" for n in range(1, 9))
    sheet, rows = read(text.encode())
    assert imeis_of(rows) == make_imeis(8)
    assert sheet.alternatives == (1,)
    assert any("column B as well" in note for note in sheet.notes)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_columns_of_imeis_under_a_header_are_a_table(count: int, mark: str) -> None:
    header = mark.join(f"IMEI {n}" for n in range(1, count + 1))
    lines = [mark.join(make_imei(n * 10 + column) for column in range(count)) for n in range(1, 40)]
    sheet, rows = read("\n".join([header, *lines]).encode())
    assert imeis_of(rows) == [make_imei(n * 10) for n in range(1, 40)]
    assert sheet.alternatives == tuple(range(1, count))


def test_imeis_with_spaces_inside_stay_whole() -> None:
    text = "\n".join(f"{imei[:2]} {imei[2:8]} {imei[8:14]} {imei[14]}" for imei in IMEIS)
    _, rows = read(text.encode())
    assert imeis_of(rows) == IMEIS


@pytest.mark.parametrize("mark", [",", "."])
def test_a_column_that_excel_shortened_is_seen_for_what_it_is(mark: str) -> None:
    _, rows = read("\n".join(["IMEI", *[f"3{mark}52E+14"] * 4]).encode())
    assert [row.reading.flaw for row in rows] == [Flaw.DIGITS_LOST] * 4


def test_formulas_that_protect_the_digits_are_undone() -> None:
    _, rows = read(("IMEI,Model\n" + "\n".join(f'"=""{imei}""",X' for imei in IMEIS)).encode())
    assert imeis_of(rows) == IMEIS
    assert {row.reading.repairs for row in rows} == {(Repair.QUOTES,)}


def test_header_names_stay_as_they_are() -> None:
    sheet, _ = read(f"IMEI,,Note,Note,Note (2),\n{IMEIS[0]},a,b,c,d,e\n".encode())
    assert sheet.columns == ("IMEI", "", "Note", "Note", "Note (2)", "")


def test_a_first_row_that_is_flawed_is_no_header() -> None:
    _, rows = read(("\n".join(["35693803564380", "12345", *IMEIS])).encode())
    assert len(rows) == 8
    sheet, rows = read(("\n".join(["12345678", *IMEIS])).encode())
    assert not sheet.has_header
    assert rows[0].reading.flaw is Flaw.TOO_SHORT


def test_a_title_above_the_header_is_left_out_and_it_is_said() -> None:
    sheet, rows = read(f"IMEI list of May,,\n,,\nNo,IMEI,Model\n1,{IMEIS[0]},X\n2,{IMEIS[1]},Y\n".encode())
    assert (sheet.header_line, sheet.columns) == (3, ("No", "IMEI", "Model"))
    assert imeis_of(rows) == IMEIS[:2]
    assert "What stands above line 3 is not read." in sheet.notes


@pytest.mark.parametrize("wanted", ["Second", "second ", "B", "b", "2"])
def test_the_user_can_name_the_column(wanted: str) -> None:
    text = "First IMEI,Second\n" + "\n".join(f"{make_imei(n)},{make_imei(n + 500)}" for n in range(1, 9))
    sheet, rows = read(text.encode(), column=wanted)
    assert sheet.imei_column == 1
    assert imeis_of(rows) == make_imeis(8, 501)


@pytest.mark.parametrize("wanted", ["Third", "C", "3", "0", "", "ZZZZ", "99999999", "é"])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(wanted: str) -> None:
    with pytest.raises(ColumnError) as caught:
        read(f"IMEI,Model\n{IMEIS[0]},X\n".encode(), column=wanted, name="phones.csv")
    assert "phones.csv" in str(caught.value)
    assert "A 'IMEI', B 'Model'" in caught.value.remedy


def test_a_name_that_two_columns_have_is_refused() -> None:
    with pytest.raises(ColumnError, match="several columns"):
        read(f"Id,Id\n{IMEIS[0]},{IMEIS[1]}\n".encode(), column="id")


def test_a_list_without_imeis_is_refused_with_its_columns() -> None:
    with pytest.raises(ColumnError, match="none of its columns holds IMEIs") as caught:
        read(b"Name,City\nAnn,Rome\nBob,Oslo\n", name="people.csv")
    assert "A 'Name', B 'City'" in caught.value.remedy


@pytest.mark.parametrize(
    "content", [b"", b"\n\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\0" * 100, b"# only this\n", b"IMEI\n"]
)
def test_a_list_of_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(EmptyInputError):
        read(content)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        open_sheet(tmp_path / "none.csv")
    with pytest.raises(MissingInputError, match="a folder"):
        open_sheet(tmp_path)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(InputError, match="line 1"):
        read(f"IMEI,Note\n{IMEIS[0]},a\n".encode()[:10].replace(b"\n", b"") + b"," + b"x" * (1 << 20) + b"\n")


def test_a_cell_or_a_row_too_large_is_refused_with_its_line() -> None:
    with pytest.raises(RowError, match="line 2"):
        read(b"IMEI,Note\n" + IMEIS[0].encode() + b',"' + b"x" * 200_000 + b'"\n')
    with pytest.raises(RowError, match=r"line 2: it has 20,002 cells"):
        read(b"IMEI,Note\n" + IMEIS[0].encode() + b",a" + b"," * 20_000 + b"\n")


def test_a_file_that_changes_between_two_readings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(IMEIS))
    with open_sheet(path) as sheet:
        assert len(list(sheet.rows())) == 6
        path.write_text("\n".join(IMEIS[:5]))
        with pytest.raises(ChangedInputError, match=r"list\.txt"):
            list(sheet.rows())


def test_a_file_that_changes_during_a_reading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(IMEIS))
    with open_sheet(path) as sheet:
        rows = sheet.rows()
        next(rows)
        path.write_text("\n".join(IMEIS * 2))
        with pytest.raises(ChangedInputError):
            list(rows)


def test_a_stream_is_copied_to_a_private_file_that_goes_with_the_sheet() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write("\n".join(IMEIS).encode())
    with os.fdopen(read_end, "rb") as stream, open_sheet(stream, name="standard input") as sheet:
        copy = sheet._origin._path
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert sheet.name == "standard input"
        assert imeis_of(list(sheet.rows())) == imeis_of(list(sheet.rows())) == IMEIS
    assert not copy.exists()


def test_a_stream_that_breaks_off_is_an_error_of_ours() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match="Input/output error") as caught:
        open_sheet(io.BufferedReader(Broken()))
    assert caught.value.exit_code == 1


def test_a_named_pipe_is_read_like_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=["\n".join(IMEIS)])
    writer.start()
    with open_sheet(path) as sheet:
        writer.join()
        assert imeis_of(list(sheet.rows())) == imeis_of(list(sheet.rows())) == IMEIS


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\r\n"), max_size=12).filter(
    lambda cell: sum(map(str.isdecimal, cell)) < 8
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.lists(st.tuples(cells, st.integers(1, 999_999), cells), min_size=3, max_size=12), st.sampled_from(",;\t|"))
def test_every_row_that_a_csv_writer_writes_comes_back_whole(rows: list[tuple[str, int, str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["Name", "IMEI", "Note"])
    writer.writerows([name, make_imei(number), note] for name, number, note in rows)
    sheet, found = read(text.getvalue().encode(), column="IMEI")
    assert sheet.columns == ("Name", "IMEI", "Note")
    assert [row.columns for row in found] == [(name, make_imei(number), note) for name, number, note in rows]
    assert imeis_of(found) == [make_imei(number) for _, number, _ in rows]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.binary(max_size=400) | st.text("0123456789,;\t\n\"'#=IMEI ", max_size=200).map(str.encode))
def test_any_bytes_give_rows_or_an_error_of_ours(content: bytes) -> None:
    with contextlib.suppress(InputError):
        _, rows = read(content)
        assert all((row.reading.imei is None) != (row.reading.flaw is None) for row in rows)


def test_decimal_commas_do_not_pass_for_delimiters() -> None:
    text = "IMEI;Price\n" + "".join(f"{imei};12,50\n" for imei in IMEIS)
    sheet, rows = read(text.encode())
    assert (sheet.delimiter, sheet.columns) == (";", ("IMEI", "Price"))
    assert imeis_of(rows) == IMEIS
    assert rows[0].columns == (IMEIS[0], "12,50")


marks = st.sampled_from([",", ";", "\t", "|", " ", "\n", "\r\n", ", ", "\n\n"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 999_999).map(make_imei), marks), min_size=1, max_size=30))
def test_no_imei_of_a_list_is_lost_in_silence(entries: list[tuple[str, str]]) -> None:
    sheet, rows = read("".join(imei + mark for imei, mark in entries).encode())
    shown = " ".join(cell for row in rows for cell in row.columns)
    assert all(imei in shown for imei, _ in entries)
    taken = sum(row.reading.imei is not None for row in rows)
    assert taken == len(entries) or sheet.alternatives or any(row.reading.flaw is Flaw.SEVERAL for row in rows)
