"""When to stop by oneself: money is at stake.

Pure. Pauses a job when over a tenth of its last 50 attempts ended in doubt, or over three tenths of its last
200 orders were refused. Canaries are not counted: their doubt is the price of learning and is bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from imeiflow.domain.outcome import Outcome
from imeiflow.domain.reply import Account


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
        self._doubts: deque[bool] = deque(maxlen=self.policy.doubt_window)
        self._refusals: deque[bool] = deque(maxlen=self.policy.refusal_window)

    def add(self, account: Account) -> str | None:
        """Count one attempt; say why the job should pause, or None."""
        self._doubts.append(account.count(Outcome.UNCONFIRMED) > 0)
        for finding in account.findings.values():
            if finding.outcome not in {Outcome.THROTTLED, Outcome.UNSENT}:
                self._refusals.append(finding.outcome is Outcome.REFUSED)
        doubts, refusals = sum(self._doubts), sum(self._refusals)
        if doubts > self.policy.doubt_share * self.policy.doubt_window:
            return f"{doubts} of the last {len(self._doubts)} attempts ended in doubt"
        if refusals > self.policy.refusal_share * self.policy.refusal_window:
            return f"{refusals} of the last {len(self._refusals)} orders were refused"
        return None

    def reset(self) -> None:
        """Forget everything: the user resumed the job."""
        self._doubts.clear()
        self._refusals.clear()
