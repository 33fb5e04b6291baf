"""Orders of one job that a person has chosen: those that are ticked, or all that a filter finds; and what can be done.

Nothing is done to an order whose state does not allow it, and nothing while the job runs: it may be sending them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import JobStateError, UsageError
from imeiflow.ledger.filter import Cursor, Filter
from imeiflow.operations.audit import record_action
from imeiflow.operations.job_view import JobLine
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session
from imeiflow.operations.steering import RETRIED, RetryPlan, plan_retry

_PAGE: Final = 1000
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen of a job: `orders`, or (None) all that are in one of `states`; None of both is the whole job."""

    job: JobId
    orders: tuple[OrderId, ...] | None = None
    states: frozenset[OrderState] | None = None

    def includes(self, state: OrderState) -> bool:
        """Say whether orders of a state can be among them."""
        return self.orders is not None or self.states is None or state in self.states


@dataclass(frozen=True, slots=True, kw_only=True)
class Possibilities:
    """What can be done about what was chosen, just now. `retry` is None where nothing can be sent again."""

    counts: dict[OrderState, int]
    is_running: bool
    retry: RetryPlan | None
    cancelled: int
    unconfirmed: int

    @property
    def total(self) -> int:
        """Count what was chosen."""
        return sum(self.counts.values())


def count_matching(session: Session, wanted: Filter, line: JobLine) -> int | None:
    """Count the orders of a job that a filter finds; None where that would take long."""
    if wanted.imeis is not None:
        return len(_list_ids(session, wanted))
    if wanted.statuses is not None:
        found = session.ledger.status_counts(line.job.id)
        return None if wanted.states is not None else sum(found.get(status, 0) for status in wanted.statuses)
    return line.tally.total if wanted.states is None else sum(line.tally[state] for state in wanted.states)


def choose_matching(session: Session, job: JobId, wanted: Filter) -> Chosen:
    """Choose all orders of a job that a filter finds. Raises UsageError where they are too many to be listed."""
    if wanted.imeis is None and wanted.statuses is None:
        return Chosen(job=job, states=None if wanted.states is None else frozenset(wanted.states))
    return Chosen(job=job, orders=tuple(_list_ids(session, wanted)))


def list_possibilities(session: Session, chosen: Chosen, line: JobLine) -> Possibilities:
    """Say what can be done about orders that were chosen; what cannot is none of it."""
    recover_orphans(session)
    if chosen.orders is None:
        counts = {state: number for state, number in line.tally.counts.items() if number and chosen.includes(state)}
    else:
        counts = session.ledger.count_chosen(chosen.job, chosen.orders)
    state = line.job.state
    again = frozenset(counts) & RETRIED
    is_at_rest = state in {JobState.PAUSED, JobState.FINISHED}
    retry = plan_retry(session, chosen.job, again, chosen=chosen.orders) if again and is_at_rest else None
    return Possibilities(
        counts=counts,
        is_running=state is JobState.RUNNING,
        retry=retry if retry is not None and retry.count else None,
        cancelled=counts.get(OrderState.QUEUED, 0) if is_at_rest else 0,
        unconfirmed=0 if state is JobState.RUNNING else counts.get(OrderState.UNCONFIRMED, 0),
    )


def cancel_chosen(session: Session, chosen: Chosen, actor: str) -> int:
    """Cancel what waits of the orders that were chosen, and count them. Raises JobStateError for a job that runs."""
    recover_orphans(session)
    state = session.find_job(chosen.job).state
    if state not in {JobState.PAUSED, JobState.FINISHED}:
        remedy = "Pause it first." if state is JobState.RUNNING else None
        raise JobStateError(job=chosen.job, state=state, wanted="changed", remedy=remedy)
    if not chosen.includes(OrderState.QUEUED):
        return 0
    count = session.ledger.cancel_queued(chosen.job, chosen=chosen.orders, is_at_rest=True, actor=actor)
    record_action(session, actor, "cancel orders", job=chosen.job, count=count)
    return count


def _list_ids(session: Session, wanted: Filter) -> Sequence[OrderId]:
    found: list[OrderId] = []
    after: Cursor | None = None
    while True:
        page = session.ledger.page_orders(wanted, after=after, limit=_PAGE)
        found += [order.id for order in page.orders]
        if len(found) > _MOST:
            raise UsageError(problem=f"over {_MOST:,} orders match", remedy="Choose fewer, by state or IMEI.")
        if page.next is None:
            return found
        after = page.next
