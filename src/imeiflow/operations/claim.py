"""Which row of a provider's export belongs to which order of the ledger, for one IMEI under one service. Pure.

A row belongs to at most one order. Orders that are known to be placed take theirs first: the same IMEI ordered twice
must not have the first order's row settle the doubt about the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import KnownOrder
from imeiflow.operations.statement import ExportedOrder
from imeiflow.operations.time_zone import ExportClock


class Obscurity(StrEnum):
    """Why a doubt is not settled though the export names its IMEI."""

    OTHER_TIME = "other_time"
    OTHER_ORDER = "other_order"
    SEVERAL = "several"
    TIME_UNKNOWN = "time_unknown"
    OTHER_SERVICE = "other_service"

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Obscurity.OTHER_TIME: "the export has the IMEI, ordered at another time",
    Obscurity.OTHER_ORDER: "the row may be that of another order of this IMEI, which is accepted",
    Obscurity.SEVERAL: "fewer rows than unconfirmed orders of this IMEI: which of them it is cannot be told",
    Obscurity.TIME_UNKNOWN: "in which time zone the export writes cannot be told: say it with --timezone",
    Obscurity.OTHER_SERVICE: "the export has the IMEI under another service",
}


@dataclass(slots=True)
class Claims:
    """What belongs to what. `left` are rows that belong to no order of the ledger.

    `unclear` are rows that may be those of orders that the ledger has; which, if any, cannot be told.
    """

    placed: list[tuple[KnownOrder, ExportedOrder]] = field(default_factory=list)
    settled: list[tuple[KnownOrder, ExportedOrder]] = field(default_factory=list)
    obscure: list[tuple[KnownOrder, Obscurity]] = field(default_factory=list)
    left: list[ExportedOrder] = field(default_factory=list)
    unclear: list[ExportedOrder] = field(default_factory=list)


def is_placed(known: KnownOrder) -> bool:
    """Say whether the ledger knows that this very order was placed, and charged."""
    return known.state is OrderState.ACCEPTED or (known.state is OrderState.DUPLICATE and known.charges > 0)


def is_doubt(known: KnownOrder) -> bool:
    """Say whether it may have been placed."""
    return known.state in {OrderState.UNCONFIRMED, OrderState.SENDING}


def claim_rows(
    rows: Sequence[ExportedOrder], known: Sequence[KnownOrder], clock: ExportClock | None, *, has_dates: bool
) -> Claims:
    """Give each row to the order that it belongs to. Without dates placed orders take any rows, and doubts the rest."""
    claims = Claims(left=list(rows))
    placed = [one for one in known if is_placed(one)]
    doubts = [one for one in known if is_doubt(one)]
    by_reference = {row.reference: row for row in rows if row.reference is not None}
    for order in list(placed):
        row = None if order.reference is None else by_reference.get(order.reference)
        if row is not None and row in claims.left:
            _take(claims, claims.placed, order, row)
            placed.remove(order)
    for order, row in _nearest(placed, claims.left, clock, has_dates=has_dates):
        _take(claims, claims.placed, order, row)
        placed.remove(order)
    for order in [one for one, _ in claims.placed for _ in range(one.charges - 1)]:
        # What a repeat probe placed a second time: never a doubt's, whenever it was.
        spare = [row for row in claims.left if all(_distance(row, one, clock, has_dates) is None for one in doubts)]
        if spare:
            _take(claims, claims.placed, order, spare[0])
    _settle(claims, doubts, placed, clock, has_dates=has_dates)
    if has_dates and clock is None and (doubts or placed):
        _leave_open(claims, claims.left)
    return claims


def _settle(
    claims: Claims,
    doubts: Sequence[KnownOrder],
    unclaimed: Sequence[KnownOrder],
    clock: ExportClock | None,
    *,
    has_dates: bool,
) -> None:
    """Give what is left to the doubts, unless another order may be meant; `unclaimed` were placed and have no row."""
    if not claims.left or not doubts:
        return
    if has_dates and clock is None:
        claims.obscure += [(one, Obscurity.TIME_UNKNOWN) for one in doubts]
        return
    if unclaimed:
        claims.obscure += [(one, Obscurity.OTHER_ORDER) for one in doubts]
        _leave_open(claims, claims.left)
        return
    fitting = [row for row in claims.left if any(_distance(row, one, clock, has_dates) is not None for one in doubts)]
    candidates = [one for one in doubts if any(_distance(row, one, clock, has_dates) is not None for row in fitting)]
    claims.obscure += [(one, Obscurity.OTHER_TIME) for one in doubts if one not in candidates]
    if len(fitting) < len(candidates):
        claims.obscure += [(one, Obscurity.SEVERAL) for one in candidates]
        _leave_open(claims, fitting)
        return
    for order, row in _nearest(candidates, fitting, clock, has_dates=has_dates):
        _take(claims, claims.settled, order, row)
    taken = {order.order for order, _ in claims.settled}
    claims.obscure += [(one, Obscurity.SEVERAL) for one in candidates if one.order not in taken]


def _take(claims: Claims, to: list[tuple[KnownOrder, ExportedOrder]], order: KnownOrder, row: ExportedOrder) -> None:
    claims.left.remove(row)
    to.append((order, row))


def _leave_open(claims: Claims, rows: Sequence[ExportedOrder]) -> None:
    """Say of rows that nobody can tell whether they belong to an order of the ledger."""
    claims.unclear += rows
    claims.left = [row for row in claims.left if row not in claims.unclear]


def _nearest(
    orders: Sequence[KnownOrder], rows: Sequence[ExportedOrder], clock: ExportClock | None, *, has_dates: bool
) -> list[tuple[KnownOrder, ExportedOrder]]:
    """Pair orders and rows, the nearest in time first, each once."""
    found = [
        (distance, order.order, row.line, order, row)
        for order in orders
        for row in rows
        if (distance := _distance(row, order, clock, has_dates)) is not None
    ]
    pairs: list[tuple[KnownOrder, ExportedOrder]] = []
    seen_orders: set[int] = set()
    seen_lines: set[int] = set()
    for _, id_, line, order, row in sorted(found, key=lambda one: one[:3]):
        if id_ not in seen_orders and line not in seen_lines:
            seen_orders.add(id_)
            seen_lines.add(line)
            pairs.append((order, row))
    return pairs


def _distance(row: ExportedOrder, order: KnownOrder, clock: ExportClock | None, has_dates: bool) -> timedelta | None:
    if not has_dates:
        return timedelta()
    if clock is None:
        return None
    return clock.distance(row, order, within=clock.near if is_doubt(order) else clock.slack)
