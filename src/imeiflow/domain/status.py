"""What a provider's word on the status of orders means for them.

Pure. As with a reply to placing, nothing is trusted as a whole: each order that was asked for is looked up by its
reference, and its IMEI must be its own. What does not fit is an anomaly: recorded, shown, never written over a result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from imeiflow.domain.ident import OrderId, Reference
from imeiflow.domain.order import ResultStatus

#: What nobody asked for is recorded one by one up to this many in a reply: a server may list all that it has.
MOST_UNASKED = 50
#: After so many answers that do not name an order, or of which nothing can be used, waiting for its end is in vain.
VAIN_ANSWERS = 3
_LONGEST_DETAIL = 500


class StatusAnomalyKind(StrEnum):
    """What in a reply about statuses does not fit to what was asked, or to what is known."""

    BACKWARDS = "backwards"  #: an earlier status than the one that is known
    RESULT_CHANGED = "result_changed"  #: another result, or another end, than the one that is known
    FOREIGN_IMEI = "foreign_imei"  #: the reference belongs to another IMEI there
    UNASKED = "unasked"  #: a reference that nobody asked for
    CONTRADICTION = "contradiction"  #: one reference named twice, in two ways
    UNKNOWN = "unknown"  #: asked for alone, and the provider does not know it
    UNREADABLE = "unreadable"  #: a status that is none of those known

    @property
    def sentence(self) -> str:
        """Say to a person what it means."""
        return _SENTENCES[self]

    @property
    def stuck_after(self) -> int | None:
        """Count the answers of this kind after which an order can come to no end by waiting; None: it still can.

        A reference that belongs to another IMEI will not change its owner, so that one answer says it.
        """
        return _STUCK_AFTER.get(self)


_SENTENCES = {
    StatusAnomalyKind.BACKWARDS: "the provider named an earlier status than before",
    StatusAnomalyKind.RESULT_CHANGED: "the provider named another result than before; the first one was kept",
    StatusAnomalyKind.FOREIGN_IMEI: "the provider has another IMEI under this reference; nothing was taken over",
    StatusAnomalyKind.UNASKED: "the provider named orders that were not asked for",
    StatusAnomalyKind.CONTRADICTION: "the provider said two things of one order in one reply; nothing was taken over",
    StatusAnomalyKind.UNKNOWN: "the provider does not know this reference",
    StatusAnomalyKind.UNREADABLE: "the provider named a status that nobody knows",
}


_STUCK_AFTER = {
    StatusAnomalyKind.FOREIGN_IMEI: 1,
    StatusAnomalyKind.CONTRADICTION: VAIN_ANSWERS,
    StatusAnomalyKind.UNKNOWN: VAIN_ANSWERS,
    StatusAnomalyKind.UNREADABLE: VAIN_ANSWERS,
}


class Word(Protocol):
    """What a reply says of one order, as a provider's reader gives it."""

    @property
    def reference(self) -> Reference: ...
    @property
    def imei(self) -> str: ...
    @property
    def status(self) -> ResultStatus | None: ...
    @property
    def code(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """An order that was asked for; its `imei` is empty where it is about something else."""

    order: OrderId
    reference: Reference
    imei: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply says of an order that was asked for."""

    order: OrderId
    status: ResultStatus
    code: str | None


@dataclass(frozen=True, slots=True)
class StatusAnomaly:
    """One thing that does not fit. `order` is None where it is no order that was asked for."""

    kind: StatusAnomalyKind
    reference: Reference
    order: OrderId | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StatusAccount:
    """What a reply says: one entry of `said` or `missing` for each order asked for, and what does not fit.

    An order whose word cannot be used is in neither: it has been named, and an anomaly says how.
    """

    said: tuple[Said, ...] = ()
    missing: tuple[Asked, ...] = ()
    anomalies: tuple[StatusAnomaly, ...] = ()


def account_for_statuses(asked: Sequence[Asked], words: Iterable[Word]) -> StatusAccount:
    """Look up each order that was asked for in what a reply says; what it says of others is an anomaly."""
    by_reference: dict[Reference, list[Word]] = defaultdict(list)
    for word in words:
        by_reference[word.reference].append(word)
    said: list[Said] = []
    missing: list[Asked] = []
    anomalies: list[StatusAnomaly] = []
    for one in asked:
        found = by_reference.get(one.reference)
        if not found:
            missing.append(one)
            continue
        told = _read(one, found)
        if isinstance(told, Said):
            said.append(told)
        else:
            anomalies.append(told)
    known = {one.reference for one in asked}
    unasked = [reference for reference in by_reference if reference not in known]
    anomalies += [
        StatusAnomaly(StatusAnomalyKind.UNASKED, reference, None, _describe(by_reference[reference][0]))
        for reference in unasked[:MOST_UNASKED]
    ]
    return StatusAccount(tuple(said), tuple(missing), tuple(anomalies))


def _read(asked: Asked, words: Sequence[Word]) -> Said | StatusAnomaly:
    word = words[0]
    if any(_differ(word, other) for other in words[1:]):
        detail = "; ".join(map(_describe, words[:3]))
        return StatusAnomaly(StatusAnomalyKind.CONTRADICTION, asked.reference, asked.order, _cut(detail))
    if word.imei and asked.imei and word.imei != asked.imei:
        return StatusAnomaly(StatusAnomalyKind.FOREIGN_IMEI, asked.reference, asked.order, _describe(word))
    if word.status is None:
        return StatusAnomaly(StatusAnomalyKind.UNREADABLE, asked.reference, asked.order, _cut(word.code))
    return Said(asked.order, word.status, word.code.strip() or None)


def _differ(one: Word, other: Word) -> bool:
    return (one.imei, one.status, one.code.strip()) != (other.imei, other.status, other.code.strip())


def _describe(word: Word) -> str:
    status = "a status that nobody knows" if word.status is None else word.status.value
    return _cut(" ".join(part for part in (f"IMEI {word.imei}:" if word.imei else "", status, word.code) if part))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_DETAIL else f"{text[: _LONGEST_DETAIL - 1]}…"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an order. `is_closed`: a reply about its status has said the last word."""

    status: ResultStatus | None = None
    code: str | None = None
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What becomes of an order's standing. `is_change`: it belongs into the order's history.

    `was` is the status that the history names as the one before: none where the placing call had named the end
    already, so that every order has one change to its end that comes from no other end.
    """

    status: ResultStatus
    code: str | None
    is_change: bool = False
    was: ResultStatus | None = None
    anomaly: StatusAnomalyKind | None = None


_RANK: Mapping[ResultStatus | None, int] = {
    None: 0,
    ResultStatus.PENDING: 1,
    ResultStatus.IN_PROCESS: 2,
    ResultStatus.COMPLETED: 3,
    ResultStatus.REJECTED: 3,
}


def decide_status(before: Standing, status: ResultStatus, code: str | None) -> News:
    """Decide what a provider's word makes of an order.

    Once the last word was said, status and result stay as they are: only a result that was missing is taken. Before
    that the newest word counts, also one that goes backwards; an end that the placing call named is not taken back.
    """
    was = before.status
    if was is not None and was.is_final and not (status.is_final and not before.is_closed):
        return _decide_after_end(before, was, status, code)
    anomaly = StatusAnomalyKind.BACKWARDS if _RANK[status] < _RANK[was] else None
    if was is not None and was.is_final:
        anomaly = StatusAnomalyKind.RESULT_CHANGED if status is not was else None
        return News(status, code, is_change=True, was=None, anomaly=anomaly)
    kept = code if status.is_final else code or before.code
    is_change = status is not was or (code is not None and code != before.code)
    return News(status, kept, is_change=is_change, was=was, anomaly=anomaly)


def _decide_after_end(before: Standing, was: ResultStatus, status: ResultStatus, code: str | None) -> News:
    if not status.is_final:
        return News(was, before.code, was=was, anomaly=StatusAnomalyKind.BACKWARDS)
    if status is not was or (code is not None and before.code is not None and code != before.code):
        return News(was, before.code, was=was, anomaly=StatusAnomalyKind.RESULT_CHANGED)
    is_late = before.code is None and code is not None
    return News(was, code if is_late else before.code, is_change=is_late, was=was)
