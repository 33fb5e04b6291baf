"""What is no list of IMEIs is named for what it is."""

from __future__ import annotations

import io
import zipfile

import pytest

from imeiflow.intake.error import FormatError
from imeiflow.intake.format import detect_format
from imeiflow.intake.origin import take_origin

from .sample import make_imei


def pack(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n1 0 obj", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"{\\rtf1\\ansi", "a rich text document"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><table>", "a web page"),
        (b"<meta charset=utf-8><table><tr><td>356938035643809</td>", "a web page"),
        ("\ufeff<html><body>".encode("utf-16-le"), "a web page"),
        (b'<html xmlns:x="urn:schemas-microsoft-com:office:excel">', "a web page"),
        (
            b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook xmlns="u">',
            "an Excel 2003 XML file",
        ),
        (b'<?xml version="1.0"?><orders/>', "an XML file"),
        (b'{"imei": "356938035643809"}', "a JSON file"),
        (b'[\n  {"imei": 1}]', "a JSON file"),
        (bytes(range(256)) * 4, "a binary file"),
        (pack("word/document.xml"), "a Word document"),
        (pack("Index/Document.iwa"), "Apple Numbers"),
        (pack("list.csv"), "a ZIP archive"),
    ],
)
def test_a_foreign_file_is_named(content: bytes, kind: str) -> None:
    origin = take_origin(io.BytesIO(content), "list.xls")
    with pytest.raises(FormatError) as caught:
        detect_format(origin)
    origin.close()
    assert kind in str(caught.value)
    assert str(caught.value).startswith("list.xls: ")
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["IMEI\n{}", "[IMEI]\n{}", "{}", "<none>\n{}", '"{}"', "\n\n{}"])
def test_text_is_taken_for_text(text: str) -> None:
    origin = take_origin(io.BytesIO(text.format(make_imei(1)).encode()))
    assert detect_format(origin).is_text
    origin.close()


@pytest.mark.parametrize(("name", "ending"), [("list.csv", ", although its name ends in .csv"), ("photo.png", "")])
def test_only_a_name_that_promises_a_list_is_said_to_break_its_word(name: str, ending: str) -> None:
    origin = take_origin(io.BytesIO(b"\x89PNG\r\n\x1a\n"), name)
    with pytest.raises(FormatError) as caught:
        detect_format(origin)
    origin.close()
    assert str(caught.value).removesuffix(".").endswith(f"not a list of IMEIs{ending}")
