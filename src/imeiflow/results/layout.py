"""Where in a result's lines the keys stand, whatever separates one pair from the next. Pure, linear in the length.

A text is laid out in one of three ways, told from the whole of it:

    LINES      two lines or more begin with a key: a line is a pair
    SEPARATED  ` - `, ` / `, `|`, `;`, a comma or a tab stands before a known key: the same stands before the others
    SPACES     neither: a known key begins wherever its words and a colon stand

In every layout a known key right behind a separator divides, in LINES a comma excepted. A known key behind nothing but
a space divides LINES and SEPARATED only where a value says so: what stands before it, or behind it, is exactly what the
field must hold (15 digits, `ON`). Otherwise `Note: see Carrier: below` would become two fields. An unknown key must
begin its line, or stand behind the text's own separator or a value that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from imeiflow.results.value import is_bare_code, read_value
from imeiflow.results.vocabulary import LONGEST_KEY, Term, find_last_term, find_term

_COLON: Final = re.compile("[:=\uff1a]")
_GAP: Final = re.compile(r" [-–—•·*/] | ?[|;] ?|, ?|\t")
_BULLET: Final = re.compile(r"[-–—•·*>#|]+ ?")
_NO_KEY: Final = re.compile(r"[!?;{}<>\\\"]|[.,] ")
_ENDS: Final = (" -", " –", " —", " |", " •", " ·", " *", " /")
_LONE_DASHES: Final = frozenset("-–—")
_COMMA: Final = ","
_MOST_WORDS: Final = 6
_LONGEST_PROOF: Final = 80  #: no value of a form of its own is longer
_SENTENCE_ENDS: Final = (".", "!", "?", ":", ";", ",", "-", "|")
_SMALL_WORDS: Final = frozenset(
    {"a", "and", "at", "by", "for", "from", "in", "is", "my", "of", "on", "or", "the", "to"}
)


class Layout(Enum):
    """What separates one pair from the next."""

    LINES = auto()
    SEPARATED = auto()
    SPACES = auto()


class Pair(NamedTuple):
    """A key as written, what it stands for if it is known, and its text; no key for a bare code."""

    key: str
    term: Term | None
    text: str


class _Mark(NamedTuple):
    """A key that may begin at `start` of a line; its value begins at `end`."""

    start: int
    end: int
    key: str
    term: Term | None


class _Place(NamedTuple):
    """A colon, the words since the one before it, and the keys that may stand there.

    `whole` is all that stands between it and the line's start or a separator, which is `gap`; `last`, if that is not
    known, is a known key that it ends in.
    """

    floor: int
    colon: re.Match[str]
    is_head: bool
    gap: str
    whole: _Mark | None
    last: _Mark | None


def divide(lines: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """Divide the lines of a result into pairs, and remarks that belong to no key."""
    if len(lines) > 2 and all(line.endswith(_ENDS) for line in lines[:-1]):
        lines = [_drop_end(line) for line in lines]
    lines = _join_cells(lines)
    places = [list(_find_places(line)) for line in lines]
    layout, separators = _tell_layout(places)
    chosen = [_choose(line, found, layout, separators) for line, found in zip(lines, places, strict=True)]
    if _is_sentence(lines, chosen):
        chosen = [[] for _ in lines]
    return _collect(lines, chosen)


def _join_cells(lines: Sequence[str]) -> Sequence[str]:
    """Put a colon between the two cells of a table's rows, if one of its first cells is a known key."""
    rows = [line.split("\t") for line in lines]
    if not any(len(row) == 2 and find_term(row[0]) for row in rows):
        return lines
    return [
        f"{row[0]}: {row[1]}" if len(row) == 2 and not _COLON.search(row[0]) else line
        for line, row in zip(lines, rows, strict=True)
    ]


def _find_places(line: str) -> Iterator[_Place]:
    floor = 0
    gaps = _GAP.finditer(line)
    gap = next(gaps, None)
    for colon in _COLON.finditer(line):
        begin, is_head, separator = floor, floor == 0, ""
        while gap is not None and gap.end() <= colon.start():
            # A tab right behind a colon is the gap before a table's cell.
            if gap.start() >= floor and (gap[0] != "\t" or gap.start() > floor):
                begin, is_head, separator = gap.end(), False, gap[0].strip(" ")
            gap = next(gaps, None)
        whole, last = _find_keys(line, begin, colon, is_head=is_head, is_anchored=is_head or separator != "")
        yield _Place(floor, colon, is_head, separator, whole, last)
        floor = colon.end()


def _find_keys(
    line: str, begin: int, colon: re.Match[str], *, is_head: bool, is_anchored: bool
) -> tuple[_Mark | None, _Mark | None]:
    """Find the keys that may stand between `begin` and a colon: all of it, or its end."""
    words = line[begin : colon.start()].rstrip(" \t")
    if is_head and (bullet := _BULLET.match(words)):
        begin += bullet.end()
        words = words[bullet.end() :]
    start = begin + len(words) - len(words.lstrip(" "))
    words = words.lstrip(" ")
    whole = last = None
    if not words:
        return whole, last
    if is_anchored and len(words) <= LONGEST_KEY:
        term = find_term(words)
        if term or (colon[0] != "=" and _can_be_key(words, line[colon.end() : colon.end() + 1])):
            whole = _Mark(start, colon.end(), words, term)
    if not (whole and whole.term) and (found := find_last_term(words)):
        offset, term = found
        last = _Mark(start + offset, colon.end(), words[offset:], term)
    return whole, last


def find_head(head: str) -> Pair | None:
    """Give the key that begins a line and ends at its colon, without a value; None where that is not all before it.

    `head` ends with the colon, or one character behind it.
    """
    colon = _COLON.search(head)
    if colon is None or _GAP.search(head, 0, colon.start()):
        return None
    whole, _ = _find_keys(head, 0, colon, is_head=True, is_anchored=True)
    return Pair(_clean(whole.key), whole.term, "") if whole and whole.start == 0 else None


def _can_be_key(words: str, following: str) -> bool:
    """Say whether words can be a key that nobody knows: a few words, and no part of a time, an address or a path."""
    if following.isdigit() and words[-1].isdigit():
        return False
    return (
        words[0].isalpha()
        and following not in {"/", "\\"}
        and words.count(" ") < _MOST_WORDS
        and not _NO_KEY.search(words)
    )


def _tell_layout(places: Sequence[Sequence[_Place]]) -> tuple[Layout, frozenset[str]]:
    """Tell how a text is laid out, and what separates its pairs if not line ends or spaces."""
    if sum(bool(found) and found[0].is_head and found[0].whole is not None for found in places) > 1:
        return Layout.LINES, frozenset()
    behind = [(place.gap, place.whole, place.last) for found in places for place in found if place.gap and place.whole]
    separators = frozenset(gap for gap, whole, _ in behind if whole.term)
    if not separators and all(last is None for _, _, last in behind):
        # A value may hold a dash, so that ` - Phantom Gray IMEI: …` is no unknown key; and sentences have commas.
        separators = frozenset(gap for gap, _, _ in behind) - {_COMMA}
    return (Layout.SEPARATED if separators else Layout.SPACES), separators


def _choose(line: str, places: Sequence[_Place], layout: Layout, separators: frozenset[str]) -> list[_Mark]:
    """Choose the keys of a line among those that may be."""
    chosen: list[_Mark] = []
    for number, place in enumerate(places):
        whole, last = place.whole, place.last
        if layout is Layout.LINES and place.gap == _COMMA:
            last = whole if whole and whole.term else last
            whole = None
        before = chosen[-1] if chosen else None
        if whole and (whole.term or _is_own_key(whole, place, layout, separators)):
            chosen.append(whole)
        elif last:
            others = places[number + 1 : number + _LONGEST_PROOF]
            if layout is Layout.SPACES or _is_proved(line, before, last, others, separators):
                chosen.append(last)
        elif before and (mark := _find_behind_value(line, before, place)):
            chosen.append(mark)
    return chosen


def _find_behind_value(line: str, before: _Mark, place: _Place) -> _Mark | None:
    """Find the unknown key behind a first word that is exactly the value of the key before."""
    if place.floor != before.end or place.colon[0] == "=" or place.colon.start() - place.floor > _LONGEST_PROOF:
        return None
    value, _, words = line[place.floor : place.colon.start()].strip(" \t").partition(" ")
    following = line[place.colon.end() : place.colon.end() + 1]
    if not words or len(words) > LONGEST_KEY or not _can_be_key(words, following) or not _is_title(words):
        return None
    if not _is_value(before, value):
        return None
    start = line.rindex(words, place.floor, place.colon.start())
    return _Mark(start, place.colon.end(), words, find_term(words))


def _is_own_key(whole: _Mark, place: _Place, layout: Layout, separators: frozenset[str]) -> bool:
    """Say whether an unknown key is one, and not the end of something else with a known key behind it."""
    if not place.is_head:
        return place.gap in separators
    return place.last is None or layout is not Layout.SPACES or _is_title(whole.key)


def _is_proved(
    line: str, before: _Mark | None, mark: _Mark, others: Sequence[_Place], separators: frozenset[str]
) -> bool:
    """Say whether the value before or behind a known key proves that the key is one."""
    if before and _fits(before, line, mark.start):
        return True
    end = len(line)
    for place in others:
        whole = place.whole
        following = whole if whole and (whole.term or place.gap in separators) else place.last
        if following or place.floor - mark.end > _LONGEST_PROOF:
            end = following.start if following else end
            break
    return _fits(mark, line, end)


def _fits(mark: _Mark, line: str, end: int) -> bool:
    """Say whether what stands behind a key, up to `end`, is exactly what the field must hold."""
    return end - mark.end <= _LONGEST_PROOF and _is_value(mark, trim_value(line[mark.end : end]))


def _is_value(mark: _Mark, text: str) -> bool:
    return mark.term is not None and read_value(mark.term.kind, mark.key, text) != (None, ())


def _is_title(key: str) -> bool:
    """Say whether the words of a key are written as a title's are, unlike those of a sentence."""
    first, *others = key.split(" ")
    return not first[:1].islower() and all(not word[:1].islower() or word in _SMALL_WORDS for word in others)


def _is_sentence(lines: Sequence[str], chosen: Sequence[Sequence[_Mark]]) -> bool:
    """Say whether the only key that was found is a sentence's part before a colon."""
    found = [(line, mark) for line, marks in zip(lines, chosen, strict=True) for mark in marks]
    if len(found) != 1:
        return False
    line, mark = found[0]
    before = _drop_bullet(line[: mark.start]).strip(" \t")
    if before:
        return not before.endswith(_SENTENCE_ENDS)
    return mark.term is None and not _is_title(mark.key)


def _collect(lines: Sequence[str], chosen: Sequence[Sequence[_Mark]]) -> tuple[list[Pair], list[str]]:
    adopted = _find_values_below(lines, chosen)
    pairs: list[Pair] = []
    remarks: list[str] = []
    has_keys = any(chosen)
    for number, (line, marks) in enumerate(zip(lines, chosen, strict=True)):
        if not marks:
            if not has_keys and is_bare_code(line):
                pairs.append(Pair("", None, line))
            elif number - 1 not in adopted:
                remarks.append(_clean(line))
            continue
        if marks[0].start and (before := trim_value(_drop_bullet(line[: marks[0].start]))):
            remarks.append(before)
        ends = [mark.start for mark in marks[1:]]
        for mark, end in zip(marks, [*ends, None], strict=True):
            pairs.append(Pair(_clean(mark.key), mark.term, trim_value(line[mark.end : end], is_cut=end is not None)))
        if number in adopted:
            pairs[-1] = Pair(pairs[-1].key, pairs[-1].term, _clean(lines[number + 1]))
    return pairs, remarks


def _find_values_below(lines: Sequence[str], chosen: Sequence[Sequence[_Mark]]) -> frozenset[int]:
    """Find the lines with a key alone whose value is the line below: a code's, or all where every key stands so."""
    keyed = [number for number, marks in enumerate(chosen) if marks]
    alone = [
        number
        for number in keyed
        if number + 1 < len(lines)
        and not chosen[number + 1]
        and len(chosen[number]) == 1
        and not trim_value(lines[number][chosen[number][0].end :])
    ]
    if len(alone) == len(keyed) > 1:
        return frozenset(alone)
    return frozenset(number for number in alone if _is_value(chosen[number][0], lines[number + 1]))


def _drop_bullet(text: str) -> str:
    bullet = _BULLET.match(text)
    return text[bullet.end() :] if bullet else text


def trim_value(text: str, *, is_cut: bool = True) -> str:
    """Take off a value's ends what only separates it from its neighbours."""
    text = text.strip(" \t")
    if text.startswith("- "):
        text = text[2:].lstrip(" ")
    if is_cut:
        text = text.rstrip(" ,;|\t")
        text = "" if text in _LONE_DASHES else _drop_end(text)
    return _clean(text)


def _drop_end(text: str) -> str:
    return text[:-2].rstrip(" ") if text.endswith(_ENDS) else text


def _clean(text: str) -> str:
    return text.replace("\t", " ")
