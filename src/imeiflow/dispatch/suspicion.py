"""What a lane keeps of refusals whose reason is not known. A value that changes."""

from __future__ import annotations

from dataclasses import dataclass

#: What is on the wire blurs a number by so much, beyond the first few.
_BLUR = 0.15
_SHARP = 10


@dataclass(slots=True)
class Suspicion:
    """Refusals without words, taken for a matter of number."""

    first_at: float  #: when the first refused call began
    began_at: float  #: when the last one did
    refused_at: float
    crowd: int
    value: float  #: the limit before the first of them
    is_news: bool  #: the last of them was more than that of one beyond a number that is known for sure
    in_a_row: int = 1  #: refusals since a call was last served
    verified: int = 0
    falls: int = 0  #: how often one even among fewer was refused


def surely_at_once(number: int) -> float:
    """Give a number of calls at once as the provider surely saw it: it sees a reply leave before we see it arrive."""
    return number - _BLUR * max(0, number - _SHARP)
