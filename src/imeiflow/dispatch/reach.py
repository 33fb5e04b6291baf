"""Whether the provider can be reached at all: what to do about calls that never left.

Pure.
"""

from __future__ import annotations

import math

_FIRST_WAIT_S = 0.5
_MAX_ROUNDS = 5


class Reach:
    """Counts the rounds of calls, one after another, in which none left.

    While the provider cannot be reached, a call that was not sent is back-pressure: it says nothing of its orders.
    Only where another call reached the provider meanwhile was it the call's own fate.
    """

    def __init__(self) -> None:
        self._reached_at = -math.inf
        self._rounds = 0

    @property
    def is_given_up(self) -> bool:
        """Say whether it was tried often enough to ask a person."""
        return self._rounds >= _MAX_ROUNDS

    def was_reached_since(self, began_at: float) -> bool:
        """Say whether a call reached the provider after `began_at`."""
        return self._reached_at > began_at

    def reached(self, now: float) -> None:
        """Note a call that left."""
        self._reached_at, self._rounds = now, 0

    def missed(self, now: float) -> float:
        """Note a round of calls that did not leave; say when the next may be tried: after a doubling time."""
        self._rounds += 1
        return now + _FIRST_WAIT_S * 2.0**self._rounds
