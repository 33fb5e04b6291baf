"""What is HTML in a text that a provider wrote, and what only looks like it.

Pure. Only tags that HTML has are taken for tags; anything else between angle brackets is a word of the text, such as
`<Barred>` in a service's name. What is left is text: whoever shows it escapes it. Linear in the text's length.
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import Final

#: What each tag, opening or closing, stands for: a line's end, the gap between two cells, or nothing.
_DRESS: Final = """
a abbr acronym audio b bdi bdo big blink cite code col colgroup del dfn em embed font i iframe img input ins kbd label
mark marquee meta nobr o:p q s samp small span strike strong style sub sup svg tt u var video wbr
"""
_BREAKS: Final = """
address article blockquote body br caption center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3
h4 h5 h6 head header hr html legend li main nav ol p pre section summary table tbody tfoot thead title tr ul
"""
_TAGS: Final = dict.fromkeys(_DRESS.split(), "") | dict.fromkeys(_BREAKS.split(), "\n")
_CELLS: Final = frozenset({"td", "/td", "th", "/th", "/dt", "dd"})

#: `o:p` is what a word processor leaves behind.
_TAG: Final = re.compile(r"<(/?)(o:p|[A-Za-z][A-Za-z0-9]{0,9})(?![\w:@.])([^<>]*+)>|<!--[^<>]*+>")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_LAYERS: Final = 3  #: how often a text may have been escaped


def remove_markup(text: str) -> str:
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
