"""Summing up what is charged, in the transactions that change `orders.charges`, so that both always agree.

A charge belongs to the time of the call that placed the order, and to the price of that call. Only the functions here
write to the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Integer, Select, Text, cast, func, literal, select

from imeiflow.domain.ident import AttemptId, OrderId
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.bulk import Bulk
from imeiflow.ledger.cell import encode_rows
from imeiflow.ledger.change import OrderChange
from imeiflow.ledger.dialect import add_up, block_rows, json_rows
from imeiflow.ledger.schema import Id, attempt, attempt_order, charge, job, orders

#: The time zones in use differ from UTC by whole quarters of an hour: days in any of them can be told from the sums.
QUARTER_US: Final = 900_000_000

_first = attempt.alias("first")
#: When the earliest call began that left an order in doubt.
earliest_doubt = (
    select(func.min(_first.c.started_at))
    .join(attempt_order, attempt_order.c.attempt_id == _first.c.id)
    .where(
        attempt_order.c.order_id == orders.c.id,
        attempt_order.c.outcome == Outcome.UNCONFIRMED.value,
        attempt_order.c.settled_at.is_(None),
    )
    .correlate(orders)
    .scalar_subquery()
)


def sum_up(rows: Select[Any]) -> Select[Any]:
    """Sum up rows of (job, instant, price, times) by quarter of an hour, an unknown price as an empty one."""
    job_id, at, price, times = rows.subquery("s").c
    micros = cast(at, BigInteger)
    quarter, amount = (micros - micros % QUARTER_US).label("at"), func.coalesce(price, "").label("price")
    return select(job_id, quarter, amount, func.sum(times).label("times")).group_by(job_id, quarter, amount)


_charged = block_rows(attempt_id=Id, price=Text(), times=Integer())
_ADD_CHARGES = Bulk(
    add_up(
        charge,
        sum_up(
            select(attempt.c.job_id, attempt.c.started_at, _charged.c.price, _charged.c.times)
            .select_from(_charged)
            .join(attempt, attempt.c.id == _charged.c.attempt_id)
        ),
        "times",
    ),
    len(_charged.c),
)

#: Doubts that a repeat has shown to be there: charged by the call that left the doubt, unless that is counted already.
_found = block_rows(order_id=Id, attempt_id=Id, price=Text(), times=Integer())
_ADD_FOUND = Bulk(
    add_up(
        charge,
        sum_up(
            select(
                orders.c.job_id,
                func.coalesce(earliest_doubt, attempt.c.started_at),
                func.coalesce(orders.c.price, _found.c.price),
                _found.c.times,
            )
            .select_from(_found)
            .join(orders, orders.c.id == _found.c.order_id)
            .join(attempt, attempt.c.id == _found.c.attempt_id)
            .where(orders.c.charges == 0)
        ),
        "times",
    ),
    len(_found.c),
)

_named = json_rows(order_id=Id)
_add_placed = add_up(
    charge,
    sum_up(
        select(
            orders.c.job_id,
            func.coalesce(earliest_doubt, orders.c.accepted_at, job.c.created_at),
            func.coalesce(orders.c.price, job.c.unit_price),
            literal(1),
        )
        .select_from(_named)
        .join(orders, orders.c.id == _named.c.order_id)
        .join(job, job.c.id == orders.c.job_id)
        .where(orders.c.state == OrderState.UNCONFIRMED.value, orders.c.charges == 0)
    ),
    "times",
)


def add_charges(connection: Connection, changes: Sequence[tuple[AttemptId, OrderChange]]) -> None:
    """Add what `changes` charge. To be called before the orders are changed."""
    sums: dict[tuple[AttemptId, str | None], int] = {}
    found: list[object] = []
    for attempt_id, change in changes:
        if not change.charges:
            continue
        price = None if change.price is None else str(change.price)
        if change.state is OrderState.DUPLICATE:
            found += (change.order, attempt_id, price, change.charges)
        else:
            key = attempt_id, price
            sums[key] = sums.get(key, 0) + change.charges
    if sums:
        _ADD_CHARGES.run(connection, [value for (id_, price), times in sums.items() for value in (id_, price, times)])
    if found:
        _ADD_FOUND.run(connection, found)


def add_placed(connection: Connection, placed: Sequence[OrderId]) -> None:
    """Add what unconfirmed orders cost that are about to be marked as placed."""
    connection.execute(_add_placed, {"rows": encode_rows([(order,) for order in placed])})
