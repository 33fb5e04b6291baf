"""A hostile workbook is turned away in words, and takes neither the process nor its memory along."""

from __future__ import annotations

import random
import resource
import time
import zipfile
from collections.abc import Iterator

import pytest
import xlsxwriter

from imeiflow.errors import InputError
from imeiflow.intake.format import Format
from imeiflow.intake.guard import SharedTexts, _is_plain, _unpack, check_workbook
from imeiflow.intake.origin import Origin, take_origin
from tests.intake.hostile import BILLION_LAUGHS, HOSTILE, lie_about_sizes, share_a_text, write_workbook
from tests.intake.sample import read

MOST_MB = 400


@pytest.fixture
def bounded() -> Iterator[None]:
    """Fail where more memory is taken than a list may take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MB * 1024


def take(path) -> Origin:
    return take_origin(path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workbook_is_turned_away(name, bounded):
    with pytest.raises(InputError) as error:
        read(HOSTILE[name](), name="phones.xlsx")
    assert str(error.value).startswith("phones.xlsx: it ")
    assert error.value.remedy


def test_an_archive_of_too_many_parts_is_turned_away(tmp_path):
    path = tmp_path / "parts.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"xl/part{number}.xml", b"")
    with pytest.raises(InputError, match="it has 10,001 parts"):
        check_workbook(take(path), Format.XLSX)


def test_more_cells_than_a_list_has_are_tried_out_first(tmp_path):
    path = tmp_path / "cells.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/noise.bin", random.Random(1).randbytes(600_000))  # so that it is not packed too well
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            for _ in range(101):
                sheet.write(b'<c r="A' * 100_000)
    assert not _unpack(take(path))


def test_sizes_that_lie_are_not_believed(bounded):
    with pytest.raises(InputError, match=r"phones\.xlsx: "):
        read(lie_about_sizes(), name="phones.xlsx")


def test_entities_do_not_unfold(bounded):
    began = time.process_time()
    content = write_workbook('<row r="1"><c r="A1" t="str"><v>&e9;</v></c></row>', head=BILLION_LAUGHS)
    with pytest.raises(InputError):
        read(content, name="phones.xlsx")
    assert time.process_time() - began < 20


def test_what_programs_write_is_read_without_a_trial(tmp_path):
    path = tmp_path / "plain.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row in range(3000):
            sheet.write_row(row, 0, ["text", row, 1.5, None, "<c> & more"])
    assert _unpack(take(path))
    check_workbook(take(path), Format.XLSX)


def test_a_long_text_that_few_cells_share_is_read(tmp_path):
    path = tmp_path / "shared.xlsx"
    path.write_bytes(share_a_text(30_000, 100))
    assert _unpack(take(path))
    assert len(read(path)[1]) == 99


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_shared_texts_are_measured_however_their_file_is_cut(size):
    texts = b"<sst><si><t>ab</t></si>" + b"<x:si ><t>" + b"c" * 50 + b"</t></x:si></sst>"
    found = SharedTexts()
    for start in range(0, len(texts), size):
        found.look(texts[start : start + size])
    assert found.longest == texts.index(b":si>") - texts.index(b":si ")
    assert SharedTexts().longest == 0


def test_a_wide_sheet_is_tried_out_and_read(tmp_path):
    path = tmp_path / "wide.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_row(0, 0, [f"c{number}" for number in range(60)])
    assert not _unpack(take(path))
    check_workbook(take(path), Format.XLSX)


@pytest.mark.parametrize(
    ("part", "is_plain"),
    [
        (b'<row r="1"><c r="A1" s="1"><v>1</v></c><c r="Z999999"/>', True),
        (b'<cols><col min="1"/></cols><row><c r="A1"/>', True),
        (b'<row><c r="A1"/><c r', True),  # cut
        (b'<row><c r="AA1"/>', False),
        (b'<row><c r="A1000000"/>', False),
        (b'<row><c s="1" r="A1"/>', False),
        (b"<row><c><v>1</v></c>", False),
        (b'<x:c r="A1"/>', False),
    ],
)
def test_what_is_plain_is_told_from_what_is_not(part, is_plain):
    assert _is_plain(part) is is_plain
