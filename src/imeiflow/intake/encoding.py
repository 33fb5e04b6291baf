"""In which encoding a text was written. The whole file is decoded once to know it; digits are the same in all."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import BinaryIO, Final

from imeiflow.intake.origin import Origin

_BLOCK_SIZE: Final = 1 << 20

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec's name, and whether every byte of the file has a meaning in it."""

    name: str
    is_exact: bool


def detect_encoding(origin: Origin) -> Encoding:
    """Find the encoding of a text: by its byte order mark, its zero bytes, or by what can be decoded."""
    with origin.open() as file:
        head = file.read(65_536)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return Encoding(name, _decodes(file, name))
        for name in ("utf-8", *_guess_wide(head), "cp1252"):
            if _decodes(file, name) and not (name == "utf-8" and _guess_wide(head)):
                return Encoding(name, name != "cp1252")
    return Encoding("latin-1", False)


def read_text(origin: Origin) -> str:
    """Read a short text whole."""
    encoding = detect_encoding(origin).name
    with io.TextIOWrapper(origin.open(), encoding=encoding, errors="replace") as text:
        return text.read()


def _guess_wide(head: bytes) -> tuple[str, ...]:
    """Name UTF-16 without a byte order mark: every other byte of plain digits is zero."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > len(head) // 5 and even * 10 < odd:
        return ("utf-16-le",)
    if even > len(head) // 5 and odd * 10 < even:
        return ("utf-16-be",)
    return ()


def _decodes(file: BinaryIO, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    file.seek(0)
    try:
        while block := file.read(_BLOCK_SIZE):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
