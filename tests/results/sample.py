"""Made-up results to read: IMEIs of a test TAC, pairs, and every layout that they are written in."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from hypothesis import strategies as st

from imeiflow.domain.imei import Imei, check_digit
from imeiflow.results.vocabulary import find_term

Pairs: TypeAlias = Sequence[tuple[str, str]]


def make_imei(number: int) -> Imei:
    first14 = f"35000000{number:06}"
    return Imei(first14 + check_digit(first14))


def _join(separator: str) -> Callable[[Pairs], str]:
    return lambda pairs: separator.join(f"{key}: {value}" for key, value in pairs)


def _write_html(pairs: Pairs) -> str:
    return "<br />\n".join(f"<b>{html.escape(key)}:</b>&nbsp;<i>{html.escape(value)}</i>" for key, value in pairs)


def _write_escaped_html(pairs: Pairs) -> str:
    return html.escape(_write_html(pairs))


def _write_table(pairs: Pairs) -> str:
    rows = (f"<tr><td>{html.escape(key)}:</td><td>{html.escape(value)}</td></tr>" for key, value in pairs)
    return f"<table>\n{''.join(rows)}</table>"


#: Layouts in which every pair has a line of its own, and any text may be a value.
LINES: Final[dict[str, Callable[[Pairs], str]]] = {
    "br": _join("<br>"),
    "slashed br": _join("<br/>"),
    "spaced br": _join(" <BR /> "),
    "newline": _join("\n"),
    "carriage return": _join("\r\n"),
    "html": _write_html,
    "escaped html": _write_escaped_html,
    "table": _write_table,
}
INLINE: Final[dict[str, Callable[[Pairs], str]]] = {"dash": _join(" - "), "space": _join(" ")}

KNOWN_KEYS: Final = (
    *("Model", "IMEI Number", "Serial Number", "IMEI2 Number", "MEID Number", "AppleCare Eligible"),
    *("Estimated Purchase Date", "Carrier", "Next Tether Policy", "Current GSMA Status", "Find My iPhone", "SimLock"),
    *("Device Model", "IMEI", "Serial", "Network", "Lock Status", "FMI", "Demo Unit", "Unlock Code", "NCK"),
)
#: Words of which no known key consists, and none ends in.
_WORDS: Final = ("blue", "Widget", "Zähler", "T-Mobile", "128GB", "(PRODUCT)RED", "O2", "iPhone", "A&B", "x2", "3.5")

words = st.lists(st.sampled_from(_WORDS), max_size=5).map(" ".join)
#: Values with everything in them that separates pairs in one layout or another.
tricky_words = st.lists(
    st.sampled_from((*_WORDS, "-", "Carrier", "Carrier:", "12:30:00", "https://shop.example/?imei:1", "<b", "&", "|x")),
    min_size=1,
    max_size=7,
).map(" ".join)
unknown_keys = st.lists(st.sampled_from(("Blue", "Widget", "Zähler", "Yield", "x2")), min_size=1, max_size=4).map(
    " ".join
)
unknown_keys = unknown_keys.filter(lambda key: key[0].isalpha() and find_term(key) is None)
