"""Keeping how fast a job goes, and why, so that its chart is there after a restart.

A moment a second at first, fewer as the job grows old: a job of a day leaves some thousand rows. A change of a reason
is kept at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from imeiflow.dispatch.pace import Bucket, Model, Window
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import SETTLED
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.sample import Sample

#: From this age of a job on, so long between two moments.
_INTERVALS: Final = (
    (timedelta(hours=6), timedelta(seconds=60)),
    (timedelta(hours=1), timedelta(seconds=20)),
    (timedelta(minutes=10), timedelta(seconds=5)),
    (timedelta(0), timedelta(seconds=1)),
)


class Sampler:
    """Decides which moments of jobs are kept, and keeps them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._began: dict[JobId, datetime] = {}
        self._last: dict[JobId, datetime] = {}
        self._reasons: dict[JobId, dict[str, str]] = {}

    def look(self, job: JobId, view: JobView, now: datetime) -> list[tuple[JobId, Sample]]:
        """Give the moment to keep, if it is time for one."""
        began, last = self._began.setdefault(job, now), self._last.get(job)
        before, reasons = self._reasons.get(job, {}), tell_reasons(view)
        changed = {name: reason for name, reason in reasons.items() if before.get(name) != reason}
        interval = next(span for age, span in _INTERVALS if now - began >= age)
        if last is not None and now - last < (_INTERVALS[-1][1] if changed else interval):
            return []
        self._last[job], self._reasons[job] = now, reasons
        return [(job, take_sample(view, now, changed))]

    def write(self, due: Iterable[tuple[JobId, Sample]]) -> None:
        """Keep moments. Blocks; raises LedgerError."""
        for job, sample in due:
            self._ledger.add_sample(job, sample)


def tell_reasons(view: JobView) -> dict[str, str]:
    """Say why a job goes as it goes, by what the reason is about."""
    lane = view.lane
    return {
        "chunk_size": view.chunk_reason,
        "concurrency": lane.concurrency_reason,
        "pace": lane.pace_reason if lane.pace is not None else "",
    }


def take_sample(view: JobView, at: datetime, reasons: dict[str, str]) -> Sample:
    """Make the moment of a job that is worked on."""
    return Sample(
        at=at,
        orders_per_s=view.orders_per_s,
        calls_per_s=view.calls_per_s,
        in_flight=view.lane.in_flight,
        concurrency=view.lane.concurrency,
        chunk_size=view.chunk_size,
        pace=rate_of(view.lane.pace),
        refused=view.lane.refused,
        answered=sum(view.tally[state] for state in SETTLED),
        reasons=reasons or None,
    )


def rate_of(pace: Model | None) -> float | None:
    """Give a pace in calls a second; None where there is no limit."""
    match pace:
        case None:
            return None
        case Window(calls=calls, period_s=period):
            return calls / period
        case Bucket(rate=rate):
            return rate
