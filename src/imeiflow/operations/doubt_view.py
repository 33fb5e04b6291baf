"""Which jobs hold orders that may have been placed, and how many there are over all jobs. Reads only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.operations.job_view import FindView, JobLine, count_job
from imeiflow.operations.session import Session

_KEPT_S: Final = 2.0


class _Count:
    """What was counted a moment ago: hundreds of open pages ask at once, and one look at the ledger answers them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, int]] = {}

    def find(self, path: str, count: Callable[[], int]) -> int:
        with self._lock:
            at, number = self._known.get(path, (-_KEPT_S, 0))
            now = time.monotonic()
            if now - at >= _KEPT_S:
                number = count()
                self._known = {path: (now, number)}
            return number


_count: Final = _Count()


def count_unconfirmed(session: Session) -> int:
    """Count the orders of all jobs that may have been placed, as it was at most two seconds ago."""
    ledger = session.ledger
    return _count.find(ledger.path, lambda: sum(ledger.count_in_state(OrderState.UNCONFIRMED).values()))


def list_doubtful_jobs(
    session: Session, find_view: FindView, *, before: int | None, limit: int
) -> tuple[list[JobLine], JobId | None]:
    """List jobs with unconfirmed orders, newest first, those older than `before`; and where the rest begins."""
    ids = [job for job in session.ledger.count_in_state(OrderState.UNCONFIRMED) if before is None or job < before]
    lines = [count_job(session, session.find_job(job), find_view(job)) for job in ids[:limit]]
    return lines, ids[limit - 1] if len(ids) > limit else None
