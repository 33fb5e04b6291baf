"""How far the results of some jobs are, counted. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import VAIN_ANSWERS, StatusAnomalyKind
from imeiflow.ledger.status_record import StuckOrder
from imeiflow.operations.session import Session

#: So many orders that come to no end by waiting are named one by one.
MOST_STUCK: Final = 100


@dataclass(frozen=True, slots=True)
class StatusTally:
    """Accepted orders of some jobs by status. `open` are still followed, some of them in vain so far: the provider does
    not know `unknown`, and nothing can be used of what it says of `unusable`.

    The provider has said nothing yet of those under `unheard`; `lost` cannot be followed: no reference of theirs is
    known.
    """

    counts: Mapping[ResultStatus | None, int] = field(default_factory=dict)
    open: int = 0
    unknown: int = 0
    unusable: int = 0

    def __getitem__(self, status: ResultStatus | None) -> int:
        return self.counts.get(status, 0)

    @property
    def total(self) -> int:
        """Count the accepted orders."""
        return sum(self.counts.values())

    @property
    def final(self) -> int:
        """Count those that came to their end."""
        return sum(count for status, count in self.counts.items() if status is not None and status.is_final)

    @property
    def stuck(self) -> int:
        """Count those that are followed, and come to no end by waiting."""
        return min(self.open, self.unknown + self.unusable)

    @property
    def lost(self) -> int:
        """Count those that cannot be followed."""
        return max(0, self.total - self.final - self.open)


def count_statuses(session: Session, jobs: tuple[JobId, ...]) -> StatusTally:
    """Count the accepted orders of some jobs by status, and those that are still followed. Blocks."""
    counts: Counter[ResultStatus | None] = Counter()
    for job in jobs:
        counts.update(session.ledger.status_counts(job))
    ledger = session.ledger
    return StatusTally(
        counts=counts,
        open=sum(map(ledger.count_open, jobs)),
        unknown=sum(ledger.count_unknown(job, misses=VAIN_ANSWERS) for job in jobs),
        unusable=sum(map(ledger.count_unusable, jobs)),
    )


def count_all_anomalies(session: Session, jobs: tuple[JobId, ...]) -> Counter[StatusAnomalyKind]:
    """Count the anomalies about statuses of some jobs, by kind. Blocks."""
    counts: Counter[StatusAnomalyKind] = Counter()
    for job in jobs:
        counts.update(session.ledger.count_anomalies(job))
    return counts


def list_stuck(session: Session, jobs: tuple[JobId, ...], *, limit: int) -> tuple[StuckOrder, ...]:
    """List the orders of some jobs that come to no end by waiting, job by job, `limit` at the most. Blocks."""
    found: list[StuckOrder] = []
    for job in jobs:
        if len(found) >= limit:
            break
        found += session.ledger.stuck_orders(job, limit=limit - len(found))
    return tuple(found)
