"""What kind of file a list is, told by its bytes; the extension only makes a message clearer."""

from __future__ import annotations

import mmap
import re
import zipfile
import zlib
from enum import StrEnum
from typing import Final

from imeiflow.intake.error import EmptyInputError, FormatError, ProtectedInputError
from imeiflow.intake.origin import Origin


class Format(StrEnum):
    """A format that is read."""

    CSV = "csv"  #: text with a delimiter
    TXT = "txt"  #: text without: one IMEI a line, or a pasted list
    XLSX = "xlsx"
    XLSB = "xlsb"
    XLS = "xls"
    ODS = "ods"

    @property
    def is_text(self) -> bool:
        """Say whether it is text, not a workbook."""
        return self in {Format.CSV, Format.TXT}


_HEAD_SIZE: Final = 65_536
#: Names that promise a list; whatever else a name ends in is no surprise.
_LIST_SUFFIXES: Final = frozenset({*(f".{one}" for one in Format), ".tsv", ".xlsm"})
_LARGEST_UNPACKED: Final = 4 << 30

#: What reading a damaged, encrypted or hostile ZIP archive raises.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)

_FOREIGN: Final[tuple[tuple[bytes, str], ...]] = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"BZh", "a compressed file (bzip2)"),
    (b"\xfd7zXZ", "a compressed file (xz)"),
    (b"\x28\xb5\x2f\xfd", "a compressed file (zstd)"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "a rich text document"),
    (b"SQLite format 3", "a database"),
)
_MARKUP: Final = (
    (re.compile(rb"<\?xml\b.*<(?:\w+:)?Workbook\b", re.DOTALL), "an Excel 2003 XML file"),
    (
        re.compile(rb"<(?:.*<)?(?:!doctype html|html|head|body|table|meta|style|div)\b", re.IGNORECASE | re.DOTALL),
        "a web page",
    ),
    (re.compile(rb"<\?xml\b"), "an XML file"),
    (re.compile(rb"\{\s*[\"}]|\[\s*[{\"]"), "a JSON file"),
)
_CONTROLS: Final = bytes(set(range(32)) - set(b"\0\t\n\x0b\x0c\r\x1a\x1b\x1c\x1d\x1e\x1f")) + b"\x7f"


def detect_format(origin: Origin) -> Format:
    """Tell the format of a file by its content; text of any layout is given as CSV.

    Raises EmptyInputError, ProtectedInputError or FormatError, which names what the file is instead.
    """
    with origin.open() as file:
        head = file.read(_HEAD_SIZE)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        if origin.size <= _HEAD_SIZE:
            raise EmptyInputError(source=origin.name, problem="the file is empty" if not head else "the file is blank")
        raise FormatError(source=origin.name, problem=f"its first {_HEAD_SIZE:,} bytes are blank")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip(origin)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _detect_compound(origin)
    if foreign := _name_foreign(head):
        named = f", although its name ends in {origin.suffix}" if origin.suffix in _LIST_SUFFIXES else ""
        raise FormatError(source=origin.name, problem=f"this is {foreign}, not a list of IMEIs{named}")
    return Format.CSV


def _name_foreign(head: bytes) -> str | None:
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            return kind
    text = head[3:] if head.startswith(b"\xef\xbb\xbf") else head
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = text.replace(b"\0", b"")[2:]
    start = text.lstrip()[:4096]
    for pattern, kind in _MARKUP:
        if pattern.match(start):
            return kind
    if len(head) - len(head.translate(None, _CONTROLS)) > max(8, len(head) // 20):
        return "a binary file"
    return None


def _detect_zip(origin: Origin) -> Format:
    try:
        with origin.open() as file, zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            names = set(archive.namelist())
            mimetype = b""
            if "mimetype" in names:
                with archive.open("mimetype") as entry:
                    mimetype = entry.read(80)
    except ZIP_ERRORS as error:
        raise FormatError(source=origin.name, problem=f"the file is damaged or cut off ({error})") from error
    if unpacked > _LARGEST_UNPACKED:
        raise FormatError(source=origin.name, problem=f"it would unpack to {unpacked / (1 << 30):.1f} GiB")
    if "xl/workbook.bin" in names:
        return Format.XLSB
    if any(name.startswith("xl/") for name in names):
        return Format.XLSX
    if mimetype.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
        return Format.ODS
    raise FormatError(source=origin.name, problem=f"this is {_name_archive(names)}, not a list of IMEIs")


def _name_archive(names: set[str]) -> str:
    if any(name.startswith("word/") for name in names):
        return "a Word document"
    if any(name.endswith(".iwa") for name in names):
        return "an Apple Numbers or Pages document"
    return "a ZIP archive"


def _detect_compound(origin: Origin) -> Format:
    """Tell what an OLE compound file holds by the names of its streams, which are UTF-16."""
    with origin.open() as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find("EncryptedPackage".encode("utf-16-le")) >= 0:
            raise ProtectedInputError(source=origin.name, problem="the workbook is protected by a password")
        if any(content.find(stream.encode("utf-16-le")) >= 0 for stream in ("Workbook", "Book\0")):
            return Format.XLS
    raise FormatError(source=origin.name, problem="this is an Office document, but no workbook")
