"""The records in a document: groups of fields that stand side by side, wherever they are nested. Judges nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from imeiflow.domain.order import ResultStatus
from imeiflow.providers.gsm_fusion.document import local_name

if TYPE_CHECKING:
    from lxml.etree import _Element

_SEPARATORS = re.compile(r"[\s\-./_\u00a0]+")
_IMEI = re.compile(r"[0-9]{15}")
_REFERENCE = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}")
_STATUSES: Mapping[str, ResultStatus] = {
    "1": ResultStatus.PENDING,
    "pending": ResultStatus.PENDING,
    "2": ResultStatus.COMPLETED,
    "completed": ResultStatus.COMPLETED,
    "complete": ResultStatus.COMPLETED,
    "success": ResultStatus.COMPLETED,
    "3": ResultStatus.REJECTED,
    "rejected": ResultStatus.REJECTED,
    "4": ResultStatus.IN_PROCESS,
    "inprocess": ResultStatus.IN_PROCESS,
    "inprogress": ResultStatus.IN_PROCESS,
    "processing": ResultStatus.IN_PROCESS,
}


@dataclass(frozen=True, slots=True)
class Record:
    """Fields by lower-case name, with the lower-case names of the elements around them, outermost first."""

    path: tuple[str, ...]
    fields: Mapping[str, str]
    is_paired: bool = True  #: False where it cannot be told which id belongs to which IMEI


def collect_records(root: _Element, stop: frozenset[str] = frozenset()) -> tuple[list[Record], list[_Element]]:
    """Collect the groups of leaf elements that stand side by side, and the outermost elements called one of `stop`.

    Both in document order. Nothing inside a stopped element is grouped; a stopped leaf is a field as well.
    """
    records: list[Record] = []
    stopped: list[_Element] = []
    if local_name(root) in stop:
        stopped.append(root)
    else:
        _collect(root, (), stop, records, stopped)
    return records, stopped


def _collect(
    element: _Element, around: tuple[str, ...], stop: frozenset[str], records: list[Record], stopped: list[_Element]
) -> None:
    path = (*around, local_name(element))
    leaves: list[tuple[str, str]] = []
    branches: list[_Element] = []
    for child in element:
        name = local_name(child)
        is_leaf = not len(child)
        if name in stop:
            stopped.append(child)
        elif not is_leaf and name != "code":
            branches.append(child)
            continue
        if is_leaf:
            leaves.append((name, (child.text or "").strip()))
        elif name == "code":
            leaves.append((name, _read_markup(child)))
    if leaves:
        records.extend(_group(path, leaves))
    for branch in branches:
        _collect(branch, path, stop, records, stopped)


def _group(path: tuple[str, ...], leaves: list[tuple[str, str]]) -> list[Record]:
    """Group leaves: a name that returns begins the next record, as in `<imeis>` that holds several orders flat."""
    groups: list[dict[str, str]] = []
    current: dict[str, str] = {}
    for name, text in leaves:
        if name in current:
            groups.append(current)
            current = {}
        current[name] = text
    if current:
        groups.append(current)
    if len(groups) > 1 and not all(("id" in group) == ("imei" in group) for group in groups):
        return [Record(path, {name: text}, is_paired=False) for name, text in leaves]
    return [Record(path, group) for group in groups]


def read_leaf_texts(element: _Element, name: str) -> list[str]:
    """Give the texts of all leaves called `name` inside `element`; its own text counts as one."""
    texts = [element.text or ""]
    texts.extend(child.text or "" for child in element.iter() if child is not element and local_name(child) == name)
    return [text for text in texts if text.strip()]


def normalise_imei(text: str) -> str:
    """Give the 15 digits that `text` writes with separators; anything else as it stands, at most 64 characters.

    Nothing is completed: an echo of 14 digits names nobody.
    """
    if _IMEI.fullmatch(text):
        return text
    digits = _SEPARATORS.sub("", text)
    return digits if _IMEI.fullmatch(digits) else text.strip()[:64]


def split_imeis(text: str) -> list[str]:
    """Split a list of IMEIs at commas and the like; at spaces only where that leaves whole IMEIs."""
    imeis: list[str] = []
    for piece in re.split(r"[,;|\r\n\t]+", text):
        words = piece.split()
        if len(words) > 1 and all(_IMEI.fullmatch(word) for word in words):
            imeis.extend(words)
        elif words:
            imeis.append(normalise_imei(piece))
    return imeis


def read_reference(text: str) -> str:
    """Give the provider's id of an order, or an empty text: none, zero, or a text that is no id."""
    text = text.strip()
    if not _REFERENCE.fullmatch(text) or not text.strip("0.-"):
        return ""
    return text


@lru_cache(maxsize=64)  # a server has few words for it
def read_status(word: str, number: str = "") -> ResultStatus | None:
    """Read a status, a word or a number (1 Pending, 2 Completed, 3 Rejected, 4 In Process); None if unknown."""
    for text in (word, number):
        if text:
            status = _STATUSES.get(text.lower()) or _STATUSES.get(re.sub(r"[\s_-]+", "", text).lower())
            if status is not None:
                return status
    return None


def _read_markup(element: _Element) -> str:
    """Give a text with the line breaks that stand in it as elements; other markup gives its words only."""
    parts = [element.text or ""]
    for child in element.iter():
        if child is element:
            continue
        if local_name(child) == "br":
            parts.append("<br>")
        parts.append(child.text or "")
        parts.append(child.tail or "")
    return "".join(parts).strip()
