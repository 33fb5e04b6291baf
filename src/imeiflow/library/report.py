"""What a program is told of a job: a moment of it, and how it stands in the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.price_rise import PriceRise
from imeiflow.domain.progress import Tally
from imeiflow.library.submission import count_in_doubt
from imeiflow.operations.session import Session

#: States of rows that are certainly not ordered.
NOT_ORDERED = (OrderState.INVALID, OrderState.REFUSED, OrderState.FAILED, OrderState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A list by what became of it: accepted + duplicate + not_ordered + unconfirmed + waiting = total.

    `in_doubt_before` counts the rows that this job left out because an earlier job may have placed them.
    """

    tally: Tally
    in_doubt_before: int = 0

    @property
    def total(self) -> int:
        """Count the values of the list."""
        return self.tally.total

    @property
    def accepted(self) -> int:
        """Count the orders that the provider has taken."""
        return self.tally[OrderState.ACCEPTED]

    @property
    def duplicate(self) -> int:
        """Count what was ordered before, as the provider or the ledger says, or stands in the list before."""
        return self.tally[OrderState.DUPLICATE] + self.tally[OrderState.REPEATED] - self.in_doubt_before

    @property
    def not_ordered(self) -> int:
        """Count what is certainly not ordered: invalid, refused, failed, cancelled."""
        return sum(self.tally[state] for state in NOT_ORDERED)

    @property
    def unconfirmed(self) -> int:
        """Count what may have been placed and paid for."""
        return self.tally[OrderState.UNCONFIRMED] + self.in_doubt_before

    @property
    def waiting(self) -> int:
        """Count the orders that have no answer yet."""
        return self.tally.waiting

    @property
    def processed(self) -> int:
        """Count the values that something has become of."""
        return self.total - self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A job under way. `view` tells of its speed; None while another process (`owner`) works on it."""

    job: JobId
    counts: Counts
    elapsed_s: float
    view: JobView | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A job as it stands in the ledger. `reason` says why it is paused, or why orders are held unconfirmed.

    `spent` is exact; its currency is empty where the provider names none. `seconds` were spent working on the job.
    `price_rise` says what was charged at most besides, where the price rose unseen while orders were placed.
    """

    job: JobId
    state: JobState
    reason: str | None
    counts: Counts
    attempts: int
    spent: Money | None
    seconds: float
    price_rise: PriceRise | None = None


def read_report(session: Session, job: JobId) -> Report:
    """Read how a job stands. Blocks. Raises UnknownJobError."""
    session.find_job(job)
    summary = session.ledger.summary(job)
    return Report(
        job=job,
        state=summary.state,
        reason=summary.reason,
        counts=Counts(tally=summary.tally, in_doubt_before=count_in_doubt(session, job)),
        attempts=summary.attempts,
        spent=summary.spent,
        seconds=summary.seconds,
        price_rise=summary.price_rise,
    )
