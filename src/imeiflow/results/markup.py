"""A result text as plain lines: tags, entities, line ends and invisible characters of every kind made out.

Only tags that HTML has are taken for tags; anything else between angle brackets is text. Linear in the text's length.
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import Final

#: What each tag, opening or closing, stands for: a line's end, the gap between two cells, or nothing.
_DRESS: Final = """
a abbr acronym b big cite code del dfn em font i img input ins kbd label mark meta nobr q s samp small span strike
strong style sub sup tt u var wbr
"""
_BREAKS: Final = """
address article blockquote body br center dd div dl dt footer h1 h2 h3 h4 h5 h6 head header hr html li main nav
ol p pre section table tbody tfoot thead title tr ul
"""
_TAGS: Final = dict.fromkeys(_DRESS.split(), "") | dict.fromkeys(_BREAKS.split(), "\n")
_CELLS: Final = frozenset({"td", "/td", "th", "/th", "/dt", "dd"})

_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,9})(?![\w:@.])([^<>]*+)>|<!--[^<>]*+>")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_LAYERS: Final = 3  #: how often a text may have been escaped
#: Control characters that end no line, and characters without width that are joined to no emoji or script.
_INVISIBLE: Final = re.compile("[\0-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u2060\ufeff]+")
_SPACES: Final = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_CELL_GAP: Final = re.compile(r" ?\t[ \t]*")


def split_lines(text: str) -> list[str]:
    """Split a text into its lines, without markup and empty lines; a tab stands between the cells of a table."""
    if "&" not in text and text.count("<") == text.count("<br>"):
        text = text.replace("<br>", "\n")
    else:
        text = _remove_markup(text)
    if not text.isascii() or not text.isprintable():
        text = _INVISIBLE.sub("", text)
    if "  " in text or not text.isascii():
        text = _SPACES.sub(" ", text)
    if "\t" in text:
        text = _CELL_GAP.sub("\t", text)
    return [line for line in map(_strip, text.splitlines()) if line]


def _strip(line: str) -> str:
    return line.strip(" \t")


def _remove_markup(text: str) -> str:
    """Replace tags and entities, layer by layer where a text was escaped more than once."""
    for _ in range(_MOST_LAYERS):
        if "<" in text:
            text = _TAG.sub(_replace_tag, text)
        before = text
        if "&" in text:
            text = _ENTITY.sub(_replace_entity, text)
        if text == before:
            break
    return text


def _replace_tag(found: re.Match[str]) -> str:
    if found[2] is None:
        return ""
    name = found[2].lower()
    if found[1] + name in _CELLS:
        return "\t"
    stands_for = _TAGS.get(name)
    if stands_for is None or (not stands_for and found[3].strip(" /\t\r\n") and "=" not in found[3]):
        return found[0]
    return stands_for


def _replace_entity(found: re.Match[str]) -> str:
    # Not html.unescape for names: it takes the beginning of an unknown one for a known one.
    return html.unescape(found[0]) if found[0][1] == "#" else html5.get(found[0][1:], found[0])
