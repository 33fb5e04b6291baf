"""How far a job is: counts by state that add up, and the summary that the command line prints.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.price_rise import PriceRise

#: The states of the summary, in its order. An order under way counts as queued: it has no answer yet.
COUNTED = ("accepted", "duplicate", "refused", "failed", "unconfirmed", "queued", "invalid", "repeated", "cancelled")


@dataclass(frozen=True, slots=True)
class Tally:
    """Orders by state. Every row of the job's file is in exactly one state."""

    counts: Mapping[OrderState, int] = field(default_factory=dict)

    def __getitem__(self, state: OrderState) -> int:
        return self.counts.get(state, 0)

    @property
    def total(self) -> int:
        """Count the file's rows."""
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """Count the orders that have no answer yet: queued or under way."""
        return self[OrderState.QUEUED] + self[OrderState.SENDING]

    @property
    def to_place(self) -> int:
        """Count the rows that are orders at all: neither invalid nor repeated."""
        return self.total - self[OrderState.INVALID] - self[OrderState.REPEATED]


@dataclass(frozen=True, slots=True)
class Summary:
    """What `submit --json` prints of a job."""

    job: JobId
    state: JobState
    tally: Tally
    attempts: int
    spent: Money | None  #: None where something was charged whose price is not known
    seconds: float
    reason: str | None
    refunded: Money | None = None  #: what rejected orders had cost; None where that is not known
    in_doubt: Money | None = None  #: what may have been charged beyond `spent`; None where that is not known
    probed: Money | None = None  #: the part of `spent` that is for repeat probes; None where that is not known
    price_rise: PriceRise | None = None  #: one that was seen only after orders were placed; part of `in_doubt`

    @property
    def doubtful(self) -> Money | None:
        """Give what doubts may have cost: all of `in_doubt` that is not for a price that rose; None: not known."""
        more = None if self.price_rise is None else self.price_rise.more
        return self.in_doubt if self.in_doubt is None or more is None else self.in_doubt - more

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object of `design.md`; amounts stay Decimal. `sending` is the part of `queued` under way."""
        counts: dict[str, object] = {name: self._count(name) for name in COUNTED}
        return {
            "job": self.job,
            "state": self.state.value,
            "total": self.tally.total,
            **counts,
            "sending": self.tally[OrderState.SENDING],
            "attempts": self.attempts,
            "spent": None if self.spent is None else self.spent.amount,
            "refunded": None if self.refunded is None else self.refunded.amount,
            "in_doubt": None if self.in_doubt is None else self.in_doubt.amount,
            "probed": None if self.probed is None else self.probed.amount,
            "price_rise": None if self.price_rise is None else self.price_rise.as_dict(),
            "currency": "" if self.spent is None else self.spent.currency,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
        }

    def _count(self, name: str) -> int:
        return self.tally.waiting if name == "queued" else self.tally[OrderState(name)]


def whole_percent(share: float) -> int:
    """Give a share from 0 to 1 as a whole percentage; never 100 before all is done."""
    return 100 if share >= 1 else min(99, int(100 * share + 1e-9))


def exit_code(state: JobState, tally: Tally) -> int:
    """Give the exit status of a job that is no longer worked on (`design.md`, Command line)."""
    if state in {JobState.PAUSED, JobState.RUNNING} or tally[OrderState.UNCONFIRMED] or tally.waiting:
        return 4
    imperfect = (OrderState.INVALID, OrderState.REFUSED, OrderState.FAILED, OrderState.CANCELLED)
    return 3 if any(tally[state_] for state_ in imperfect) else 0
