"""A result text as plain lines: markup, line ends and invisible characters of every kind made out.

Linear in the text's length.
"""

from __future__ import annotations

import re
from typing import Final

from imeiflow.domain.markup import remove_markup

#: Control characters that end no line, and characters without width that are joined to no emoji or script.
_INVISIBLE: Final = re.compile("[\0-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u2060\ufeff]+")
_SPACES: Final = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_CELL_GAP: Final = re.compile(r" ?\t[ \t]*")


def split_lines(text: str) -> list[str]:
    """Split a text into its lines, without markup and empty lines; a tab stands between the cells of a table."""
    if "&" not in text and text.count("<") == text.count("<br>"):
        text = text.replace("<br>", "\n")
    else:
        text = remove_markup(text)
    if not text.isascii() or not text.isprintable():
        text = _INVISIBLE.sub("", text)
    if "  " in text or not text.isascii():
        text = _SPACES.sub(" ", text)
    if "\t" in text:
        text = _CELL_GAP.sub("\t", text)
    return [line for line in map(_strip, text.splitlines()) if line]


def _strip(line: str) -> str:
    return line.strip(" \t")
