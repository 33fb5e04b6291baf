"""Settling doubts by the provider's own list of recent orders, where it has one. Sends nothing again.

An order is taken for the doubt only where everything fits (`sighting`), and where it is the only one that does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from imeiflow.dispatch.sighting import Sighting, Window, find_made, find_offset, is_of_service
from imeiflow.dispatch.work import Work
from imeiflow.domain.ident import OrderId, Reference
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import LedgerError
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Doubt, Job
from imeiflow.providers.contract import OrderStatus

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

log = structlog.get_logger(__name__)

_PAGE = 1000


async def settle_by_list(engine: Engine, work: Work, is_stopped: Callable[[], bool]) -> set[OrderId]:
    """Settle the doubts of a job that the list shows to be placed; give those that may be any of several orders."""
    ambiguous: set[OrderId] = set()
    if not engine.provider.lists_recent_orders:
        return ambiguous
    listing = await engine.inquiry.fetch((), is_stopped)
    if listing is None or listing.exchange.ending is not Ending.ANSWERED or not listing.items:
        return ambiguous
    ledger = engine.ledger
    named = [(item.reference, item.imei) for item in listing.items]
    known = await asyncio.to_thread(ledger.known_references, work.job.account, named)
    offset = _compare_clocks(listing.items, known)
    sightings = _find_strangers(listing.items, known, work.job)
    after = OrderId(0)
    while sightings and offset is not None:
        doubts = await asyncio.to_thread(ledger.doubts, work.job.id, after=after, limit=_PAGE)
        if not doubts:
            break
        after = doubts[-1].order
        for doubt in doubts:
            if doubt.imei in sightings:
                windows = await asyncio.to_thread(_find_windows, ledger, doubt)
                made = find_made(sightings[doubt.imei], windows, offset)
                if len(made) == 1:
                    await _mark_found(engine, work, doubt, made[0], offset)
                elif made:
                    ambiguous.add(doubt.order)
    return ambiguous


def _compare_clocks(items: Sequence[OrderStatus], known: dict[Reference, datetime | None]) -> timedelta | None:
    pairs = [(item.requested_at, known.get(item.reference)) for item in items]
    return find_offset([(theirs, ours) for theirs, ours in pairs if theirs is not None and ours is not None])


def _find_strangers(
    items: Sequence[OrderStatus], known: dict[Reference, datetime | None], job: Job
) -> dict[str, list[Sighting]]:
    """Give, by IMEI, the listed orders of the service that are not known to belong to an order of ours."""
    found: dict[str, dict[Reference, Sighting]] = defaultdict(dict)
    for item in items:
        is_service = is_of_service(item.service_name, job.service, job.service_name)
        if item.reference not in known and item.imei and is_service and item.requested_at is not None:
            found[item.imei][item.reference] = Sighting(item.reference, item.requested_at)
    return {imei: list(sightings.values()) for imei, sightings in found.items()}


def _find_windows(ledger: Ledger, doubt: Doubt) -> list[Window]:
    """List when the calls were under way that may have placed an order."""
    return [
        Window(one.attempt.started_at, one.attempt.ended_at or one.attempt.started_at)
        for one in ledger.attempts_of(doubt.order)
        if one.outcome is Outcome.UNCONFIRMED and one.settled_at is None and one.attempt.kind is not AttemptKind.PROBE
    ]


async def _mark_found(engine: Engine, work: Work, doubt: Doubt, sighting: Sighting, offset: timedelta) -> None:
    at = sighting.requested_at - offset
    note = (
        f"found in the provider's list of recent orders: {sighting.reference}, of the same IMEI, made at "
        f"{at:%Y-%m-%d %H:%M:%S} UTC while the call was under way, and known to no other order"
    )
    try:
        await asyncio.to_thread(engine.ledger.mark_placed, [doubt.order], sighting.reference, note=note)
    except LedgerError as error:
        log.warning("not_settled", order=doubt.order, error=str(error))
        return
    work.counts[OrderState.UNCONFIRMED] -= 1
    work.counts[OrderState.ACCEPTED] += 1
    work.spend(work.job.unit_price or Decimal(0))
