"""Results that are laid out plainly, divided without weighing what else their words could be: most of them are.

Pure. Gives what `layout.divide` would, or None: each line is one pair, or one line is all pairs with ` - ` between, or
has no pair in it. What it learns of short words it keeps for the next result, as far as they are few.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from imeiflow.results.layout import Pair, find_head, trim_value
from imeiflow.results.result import ONCE
from imeiflow.results.value import is_bare_code

_COLON: Final = re.compile("[:=\uff1a]")
#: A text with one colon, at most 63 characters before it.
_PAIR: Final = re.compile("([^:=\uff1a]{1,63}[:=\uff1a])[^:=\uff1a]*")
_SEPARATOR: Final = " - "
#: Behind these a dash is another separator's end, or the value's own.
_UNCLEAR_ENDS: Final = frozenset(",;|-–—•·*/")
_LONGEST_LINE: Final = 4_096
_LONGEST_KEPT: Final = 80
_MOST_KEPT: Final = 4_096

#: Pairs by their text, of kinds of which phones share their values.
_kept: dict[str, Pair] = {}


def divide_plainly(lines: Sequence[str]) -> tuple[list[Pair], list[str]] | None:
    """Divide the lines of a result into pairs and remarks, if nothing in them is open to doubt."""
    if len(lines) == 1:
        return _divide_line(lines[0])
    pairs = []
    for line in lines:
        pair = _kept.get(line)
        if pair is None:
            if "\t" in line or line[-1] in _UNCLEAR_ENDS or (pair := _read_pair(line)) is None:
                return None
            _keep(line, pair)
        pairs.append(pair)
    return (pairs, []) if pairs else None


def _divide_line(line: str) -> tuple[list[Pair], list[str]] | None:
    if "\t" in line:
        return None
    if not _COLON.search(line):
        return ([Pair("", None, line)], []) if is_bare_code(line) else ([], [line])
    if _SEPARATOR not in line or len(line) > _LONGEST_LINE:
        return None
    parts: list[str] = []
    for part in line.split(_SEPARATOR):
        if not part.strip():
            return None  # of two separators with nothing between, one is a value's own
        if parts and not _COLON.search(part):
            parts[-1] += _SEPARATOR + part  # the value before has a dash in it
        else:
            parts.append(part)
    last = len(parts) - 1
    pairs = []
    for number, part in enumerate(parts):
        pair = _kept.get(part)
        if pair is None:
            if (part[-1] in _UNCLEAR_ENDS and number < last) or (pair := _read_pair(part)) is None:
                return None
            if number < last:
                _keep(part, pair)
        pairs.append(pair)
    # A known key behind the dash proves that it separates.
    return (pairs, []) if any(pair.term for pair in pairs[1:]) else None


def _read_pair(text: str) -> Pair | None:
    """Read a text that has one colon, with nothing but a key before it."""
    found = _PAIR.fullmatch(text)
    if found is None:
        return None
    end = found.end(1)
    head = _read_head(text[: end + 1])
    return None if head is None else Pair(head.key, head.term, trim_value(text[end:], is_cut=False))


def _keep(text: str, pair: Pair) -> None:
    """Keep what a text that ends clearly was read as for the next result, unless it is one phone's own."""
    if len(text) <= _LONGEST_KEPT and (pair.term is None or pair.term.kind not in ONCE):
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[text] = pair


@lru_cache(maxsize=4096)
def _read_head(head: str) -> Pair | None:
    """Read the words up to a colon and the character behind it, if all of them are a key."""
    return find_head(head)
