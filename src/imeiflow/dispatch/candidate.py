"""Which accepted order is repeated to learn whether repeats are refused, and from when on that would teach enough.

Asks the provider for statuses, through the lane; places nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imeiflow.dispatch.work import Work
from imeiflow.domain.doubt import covers_from
from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import LedgerBusyError
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import PlacedOrder
from imeiflow.ledger.spending import SpendingFilter

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

_OWN = 40
_OLDER = 30
_NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """An accepted order that could be repeated. `is_own`: it is of the job whose doubts are settled.

    `has_room`: the spending cap of its job allows it to be charged once more.
    """

    order: PlacedOrder
    is_completed: bool
    is_own: bool
    has_room: bool = True

    def covers_from(self, doubt_at: datetime, takes: timedelta) -> datetime | None:
        """Say from when on its refusal would cover a doubt that leaves `takes` after; None where it never would."""
        return covers_from(doubt_at, self.order.placed_by, takes=takes, of_completed=self.is_completed)


async def find_candidates(
    engine: Engine, work: Work, span: tuple[datetime, datetime], is_stopped: Callable[[], bool]
) -> list[Candidate]:
    """Find accepted orders under the job's service that are not rejected, with what can be known of their statuses.

    `span` is when the oldest and the youngest doubt began. They are the job's first orders, where it has none as old as
    its oldest doubt those of any job just before that, and those just before its youngest doubt: what has become of
    them is the best that can be known of the doubts.
    """
    orders = await asyncio.to_thread(_read_candidates, engine, work, span)
    statuses = await fetch_statuses(engine, orders, is_stopped)
    full = await asyncio.to_thread(_find_full, engine.ledger, {order.job for order in orders} - {work.job.id})
    found = [(order, statuses.get(order.order, order.status)) for order in orders]
    return [
        Candidate(order, status is ResultStatus.COMPLETED, order.job == work.job.id, order.job not in full)
        for order, status in found
        if status is not ResultStatus.REJECTED
    ]


def choose(candidates: Iterable[Candidate], doubt_at: datetime, now: datetime, takes: timedelta) -> Candidate | None:
    """Choose the order to repeat for a doubt: a completed one, where there is one.

    The job's oldest that is old enough, else the youngest of another job that is: some services refuse for a time
    only. Where none is old enough yet, the oldest.
    """
    every = [one for one in candidates if one.has_room]
    pool = [one for one in every if one.is_completed] or every
    ready = [one for one in pool if (at := one.covers_from(doubt_at, takes)) is not None and at <= now]
    own = [one for one in ready if one.is_own]
    if own or not ready:
        return min(own or pool, key=lambda one: one.order.placed_by, default=None)
    return max(ready, key=lambda one: one.order.placed_by)


def _read_candidates(engine: Engine, work: Work, span: tuple[datetime, datetime]) -> Sequence[PlacedOrder]:
    ledger, account, service = engine.ledger, work.job.account, work.job.service
    oldest, youngest = span
    found = ledger.oldest_accepted(account, service, job_id=work.job.id, limit=_OWN)
    if not any(order.placed_by <= oldest for order in found):
        found += ledger.accepted_before(account, service, oldest, limit=_OLDER)
    found += ledger.accepted_before(account, service, youngest, limit=_NEIGHBOURS)
    found = found or ledger.oldest_accepted(account, service, limit=_OWN)
    return list({order.order: order for order in found}.values())


def _find_full(ledger: Ledger, jobs: Iterable[JobId]) -> frozenset[JobId]:
    """Find the jobs whose spending cap leaves no room for one of their orders to be charged once more."""
    return frozenset(job for job in jobs if not _has_room(ledger, job))


def _has_room(ledger: Ledger, job_id: JobId) -> bool:
    job = ledger.find_job(job_id)
    if job is None or job.max_spend is None or job.unit_price is None:
        return True
    tally = ledger.tally(job_id)
    at_risk = tally[OrderState.UNCONFIRMED] + tally[OrderState.SENDING] + ledger.lost_probes(job_id)
    spent = ledger.charged_as_agreed(SpendingFilter(jobs=[job_id]))
    return job.max_spend - spent >= (at_risk + 1) * job.unit_price


async def fetch_statuses(
    engine: Engine, orders: Sequence[PlacedOrder], is_stopped: Callable[[], bool]
) -> dict[OrderId, ResultStatus]:
    """Ask the provider for the statuses of orders, in one call through the lane; give and keep those that it tells."""
    named = {order.reference: order for order in orders if order.reference}
    listing = await engine.inquiry.fetch(list(named), is_stopped) if named else None
    if listing is None:
        return {}
    found: dict[OrderId, ResultStatus] = {}
    updates: list[StatusUpdate] = []
    for item in listing.items:
        order = named.get(item.reference)
        if order is None or item.status is None or (item.imei and item.imei != order.imei):
            continue
        found[order.order] = item.status
        updates.append(StatusUpdate(order=order.order, status=item.status, result=item.code or None))
    with suppress(LedgerBusyError):  # they are fetched again when somebody asks for them
        await asyncio.to_thread(engine.ledger.update_statuses, engine.account, updates)
    return found
