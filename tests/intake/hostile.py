"""Workbooks that mean harm: small to send, and without measure to read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_RELATION = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="{1}" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{0}"/>'
    "</Relationships>"
)
_BOOK = (
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="List" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
_SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"{}><sheetData>{}</sheetData></worksheet>'
_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = f'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY e0 "lollollol">{_ENTITIES}]>'


def write_workbook(rows: str, *, head: str = "", names: str = "", more: Mapping[str, bytes] | None = None) -> bytes:
    """Write a workbook whose only sheet has these rows; `head` stands before its root, `names` in it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATION.format("officeDocument", "xl/workbook.xml"))
        archive.writestr("xl/workbook.xml", _BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", _RELATION.format("worksheet", "worksheets/sheet1.xml"))
        archive.writestr("xl/worksheets/sheet1.xml", head + _SHEET.format(names, rows))
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return target.getvalue()


def lie_about_sizes() -> bytes:
    """Write an archive that says of its largest part that it is small."""
    content = write_workbook("", more={"xl/sharedStrings.xml": b"<" * 400_000_000})
    size = (400_000_000).to_bytes(4, "little")
    return content.replace(size, (1000).to_bytes(4, "little"))


def share_a_text(length: int, cells: int) -> bytes:
    """Write a workbook of few bytes, in which many cells show one long text."""
    names = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    texts = f'<?xml version="1.0"?><sst {names}><si><t>IMEI</t></si><si><t>{"A" * length}</t></si></sst>'
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>{int(n > 1)}</v></c></row>' for n in range(1, cells + 1))
    return write_workbook(rows, more={"xl/sharedStrings.xml": texts.encode()})


_ONE = '<row r="1"><c r="A1"><v>1</v></c></row>'
_WIDE = '<row r="1">' + "<c><v>1</v></c>" * 16_000 + "</row>"

#: What each does, by a name that says it.
HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "two corners": lambda: write_workbook(f'{_ONE}<row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'),
    "single quotes": lambda: write_workbook(f"{_ONE}<row r='1048576'><c r='XFD1048576'><v>2</v></c></row>"),
    "a row beyond all": lambda: write_workbook(f'{_ONE}<row r="1"><c r="A4000000000"><v>2</v></c></row>'),
    "cells without a place": lambda: write_workbook(f'{_WIDE}<row r="999999"><c><v>2</v></c></row>'),
    "a prefix": lambda: write_workbook(
        f'{_ONE}<x:row r="1048576"><x:c r="XFD1048576"><x:v>2</x:v></x:c></x:row>',
        names=' xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"',
    ),
    "a text for all": lambda: share_a_text(100_000, 5_000),
    "zeros that unfold": lambda: write_workbook(_ONE, more={"xl/media/image1.png": b"\0" * 120_000_000}),
    "ten thousand parts": lambda: write_workbook(_ONE, more={f"xl/media/{n}": b"" for n in range(10_001)}),
}
