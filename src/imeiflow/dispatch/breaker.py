"""When to stop by oneself: money is at stake.

Pure. Pauses a job when over a tenth of its last 50 attempts ended in doubt, or over three tenths of its last
200 orders were refused. Canaries are not counted: their doubt is the price of learning and is bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from imeiflow.domain.outcome import Outcome
from imeiflow.domain.reply import Account

#: What the provider never read says nothing of the orders.
_UNREAD = frozenset({Outcome.THROTTLED, Outcome.UNSENT})


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Shares above which a job pauses, and over how many attempts and orders they are taken."""

    doubt_share: float = 0.10
    doubt_window: int = 50
    refusal_share: float = 0.30
    refusal_window: int = 200


class Breaker:
    """Counts one job's doubts and refusals; `add` answers with the reason to pause, or None."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.policy = policy or BreakerPolicy()
        self._doubts = _Recent(self.policy.doubt_window)
        self._refusals = _Recent(self.policy.refusal_window)

    def add(self, account: Account) -> str | None:
        """Count one attempt; say why the job should pause, or None."""
        is_doubtful = False
        for finding in account.findings.values():
            is_doubtful = is_doubtful or finding.outcome is Outcome.UNCONFIRMED
            if finding.outcome not in _UNREAD:
                self._refusals.add(is_hit=finding.outcome is Outcome.REFUSED)
        self._doubts.add(is_hit=is_doubtful)
        doubts, refusals = self._doubts.hits, self._refusals.hits
        if doubts > self.policy.doubt_share * self.policy.doubt_window:
            calls = f"{doubts} of the last {self._doubts.count} calls"
            return f"{calls} got no clear answer: their orders may have been placed"
        if refusals > self.policy.refusal_share * self.policy.refusal_window:
            return f"the provider refused {refusals} of the last {self._refusals.count} orders"
        return None


class _Recent:
    """How many of the last so many were hits, kept as a running count: every order of every call passes here."""

    def __init__(self, window: int) -> None:
        self.hits = 0
        self._last: deque[bool] = deque(maxlen=window)

    @property
    def count(self) -> int:
        return len(self._last)

    def add(self, *, is_hit: bool) -> None:
        if len(self._last) == self._last.maxlen:
            self.hits -= self._last[0]
        self._last.append(is_hit)
        self.hits += is_hit
