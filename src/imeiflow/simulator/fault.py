"""Replies that get lost: which calls they hit, whether before or after the work, and what the client sees.

A fault is said as `KIND[:before|:after]@WHEN`, where WHEN is a share (`4%`, `0.04`), `every:N`, or the numbers of calls
(`#3,9,12`, from 1). Pure: the random numbers come from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import assert_never

from imeiflow.simulator.answer import HTML, REASONS, XML, Answer, Manner, show_page

FORM = "KIND[:before|:after]@SHARE, @every:N or @#N,N,…, for example reset:after@4%"


class FaultKind(StrEnum):
    """What the client sees instead of the reply."""

    RESET = "reset"
    CLOSE = "close"  #: closed without a byte
    HANG = "hang"  #: no byte until the client goes away
    CUT = "cut"  #: the announced length is longer than what comes before the close
    CUT_XML = "cut-xml"  #: a complete HTTP reply, whose XML ends in the middle
    EMPTY = "empty"  #: HTTP 200 and nothing in it
    GARBAGE = "garbage"  #: bytes in no encoding
    BAD_GZIP = "bad-gzip"  #: said to be gzip, and is not
    ERROR_500 = "500"  #: HTTP 500 without a body
    HTML_200 = "html-200"
    HTML_500 = "html-500"
    HTML_502 = "html-502"
    HTML_503 = "html-503"
    HTML_504 = "html-504"
    HTML_520 = "html-520"
    HTML_521 = "html-521"
    HTML_522 = "html-522"
    HTML_523 = "html-523"
    HTML_524 = "html-524"


class Moment(StrEnum):
    """Whether the orders of the call were placed before its reply was lost."""

    BEFORE = "before"  #: nothing was placed
    AFTER = "after"  #: all that was to be placed was placed


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of lost reply and the calls that it hits: a share of them, every Nth, or some by number."""

    kind: FaultKind
    moment: Moment = Moment.AFTER
    share: float = 0.0
    every: int = 0
    calls: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault in the form of `FORM`; ValueError for anything else."""
        what, at, when = text.strip().partition("@")
        name, colon, moment = what.partition(":")
        if not at:
            raise ValueError(FORM)
        kind = FaultKind(name)
        fault = cls(kind, Moment(moment) if colon else Moment.AFTER)
        if when.startswith("every:"):
            every = int(when.removeprefix("every:"))
            if every < 1:
                raise ValueError(FORM)
            return replace(fault, every=every)
        if when.startswith("#"):
            return replace(fault, calls=frozenset(int(number) for number in when[1:].split(",")))
        share = float(when.removesuffix("%")) / (100 if when.endswith("%") else 1)
        if not 0 <= share <= 1:
            raise ValueError(FORM)
        return replace(fault, share=share)

    def hits(self, number: int, random: Random) -> bool:
        """Say whether it hits call `number` (from 1). Draws once for a share, never otherwise."""
        if self.share:
            return random.random() < self.share
        return number in self.calls or (self.every > 0 and number % self.every == 0)


def choose_fault(faults: Sequence[Fault], number: int, random: Random) -> Fault | None:
    """Choose the first fault that hits call `number`. Every fault draws, so that one does not shift another."""
    chosen: Fault | None = None
    for fault in faults:
        if fault.hits(number, random) and chosen is None:
            chosen = fault
    return chosen


_MANNERS = {FaultKind.RESET: Manner.RESET, FaultKind.CLOSE: Manner.CLOSE, FaultKind.HANG: Manner.HANG}
#: The head of a gzip member, and a block of the one type that deflate does not know.
_NO_GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x07"
_GZIP = (("Content-Encoding", "gzip"),)


def spoil(answer: Answer, kind: FaultKind, random: Random) -> Answer:
    """Turn the answer that would have been given into what the client sees of it."""
    body = answer.body
    match kind:
        case FaultKind.RESET | FaultKind.CLOSE | FaultKind.HANG:
            seen = Answer(manner=_MANNERS[kind])
        case FaultKind.CUT:
            seen = answer._replace(manner=Manner.CUT, sent=random.randrange(max(1, len(body))))
        case FaultKind.CUT_XML:
            seen = answer._replace(body=body[: _choose_cut(body, random)])
        case FaultKind.EMPTY:
            seen = answer._replace(body=b"")
        case FaultKind.GARBAGE:
            seen = Answer(200, b"\xff\xfe\x00\xd8" + random.randbytes(120), XML)
        case FaultKind.BAD_GZIP:
            seen = Answer(200, _NO_GZIP + random.randbytes(60), XML, _GZIP)
        case FaultKind.ERROR_500:
            seen = Answer(500, b"", HTML)
        case (
            FaultKind.HTML_200
            | FaultKind.HTML_500
            | FaultKind.HTML_502
            | FaultKind.HTML_503
            | FaultKind.HTML_504
            | FaultKind.HTML_520
            | FaultKind.HTML_521
            | FaultKind.HTML_522
            | FaultKind.HTML_523
            | FaultKind.HTML_524
        ):
            status = int(kind.removeprefix("html-"))
            seen = show_page(status, "Just a moment..." if status == 200 else REASONS[status])
        case _:
            assert_never(kind)
    return seen


def _choose_cut(body: bytes, random: Random) -> int:
    """Choose a place that leaves the root element open, so that the XML is cut whatever the layout."""
    last = body.rfind(b"</")
    return random.randrange(1, last + 1) if last > 0 else len(body) // 2
