"""Writing down conclusions that are not plain: replies that come late, and probes.

A late reply is one whose orders a new owner of the lane took meanwhile as unconfirmed. It is kept as evidence.
Proof of a placement is applied: the call was still under way after all, so the order goes back to `sending` and on
from there. Nothing else is: an order that may have been placed does not become free again by a reply nobody awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, case, delete, func, literal, select, update

from imeiflow.domain.order import OrderState, may_follow
from imeiflow.domain.outcome import Outcome
from imeiflow.errors import GuardError
from imeiflow.ledger.cell import Instant
from imeiflow.ledger.change import AttemptKind, Concluded, Conclusion, OrderChange
from imeiflow.ledger.charge import add_charges
from imeiflow.ledger.conclusion import (
    end_attempts,
    move_order,
    write_evidence,
    write_outcome,
    write_repeats,
)
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.log import PROBE_CHARGED, PROBE_IN_DOUBT, write_event
from imeiflow.ledger.schema import attempt, attempt_evidence, attempt_order, orders
from imeiflow.ledger.standing import forget_doubts

_PROVES_PLACED = frozenset({Outcome.ACCEPTED, Outcome.DUPLICATE})

#: From these a late proof of a placement is applied: doubt, and a doubt that the user's word sent back to the queue.
_OPEN_TO_PROOF = frozenset({OrderState.UNCONFIRMED, OrderState.QUEUED})


def write_odd(connection: Connection, conclusion: Conclusion, path: str, now: datetime) -> Concluded:
    """Write one conclusion that is not plain, within the transaction.

    Raises GuardError for an attempt that does not exist or a change that no order may make.
    """
    row = connection.execute(select(attempt).where(attempt.c.id == conclusion.attempt)).one_or_none()
    if row is None:
        raise GuardError(path=path, problem=f"there is no attempt {conclusion.attempt}")
    if row.ended_at == conclusion.ended_at and row.ending == conclusion.ending:
        return Concluded(late=False, applied=len(conclusion.changes))
    if row.kind == AttemptKind.PROBE:
        return _write_probe(connection, conclusion, row, path, now)
    for change in conclusion.changes:
        if not may_follow(OrderState.SENDING, change.state):
            raise GuardError(path=path, problem=f"an order under way cannot become {change.state}")
    if row.ended_at is None:
        end_attempts(connection, [conclusion])
    else:
        _add_to_attempt(connection, conclusion)
    late = row.ended_at is not None
    applied = 0
    held_back: list[OrderChange] = []
    for change in conclusion.changes:
        outcome = _apply(connection, conclusion, change)
        if outcome is _HELD:
            applied += 1
        elif outcome is _PROVED:
            applied, late = applied + 1, True
        else:
            late = True
            held_back.append(change)
    _keep_evidence(connection, conclusion)
    if late:
        forget_doubts(connection, [row.job_id])
        _log_late(connection, conclusion, row, held_back, now)
    return Concluded(late=late, applied=applied)


_HELD, _PROVED, _HELD_BACK = "held", "proved", "held back"


def _apply(connection: Connection, conclusion: Conclusion, change: OrderChange) -> str:
    order = connection.execute(
        select(orders.c.state, orders.c.attempt_id, orders.c.reference, orders.c.charges).where(
            orders.c.id == change.order
        )
    ).one_or_none()
    if order is None:
        return _HELD_BACK
    state = OrderState(order.state)
    is_last = order.attempt_id == conclusion.attempt
    if is_last and state is OrderState.SENDING:
        move_order(connection, conclusion, change)
        _replace_outcome(connection, conclusion, change)
        return _HELD
    if state in _OPEN_TO_PROOF and change.outcome in _PROVES_PLACED:
        connection.execute(
            update(orders)
            .where(orders.c.id == change.order, orders.c.state == state.value)
            .values(state=OrderState.SENDING.value, attempt_id=conclusion.attempt)
        )
        move_order(connection, conclusion, change)
        _replace_outcome(connection, conclusion, change)
        return _PROVED
    if change.outcome in _PROVES_PLACED:
        _replace_outcome(connection, conclusion, change)
        if change.charges and change.reference != order.reference:
            is_its_duplicate = state is OrderState.DUPLICATE and order.reference is None
            is_counted = is_its_duplicate and order.charges > 0
            _add_charge(connection, conclusion, change, is_counted=is_counted)
    return _HELD_BACK


def _write_probe(connection: Connection, conclusion: Conclusion, row: AnyRow, path: str, now: datetime) -> Concluded:
    """Write what a probe found: its orders stay accepted, and may have been charged once more."""
    for change in conclusion.changes:
        if change.state is not OrderState.ACCEPTED:
            raise GuardError(path=path, problem=f"a probe cannot make an order {change.state}")
    late = row.ended_at is not None
    if late:
        _add_to_attempt(connection, conclusion)
    else:
        end_attempts(connection, [conclusion])
    for change in conclusion.changes:
        _replace_outcome(connection, conclusion, change)
        if change.charges:
            _add_charge(connection, conclusion, change)
        _log_probe(connection, conclusion, change, row, now)
    _keep_evidence(connection, conclusion)
    if late:
        _log_late(connection, conclusion, row, (), now)
    return Concluded(late=late, applied=len(conclusion.changes))


_COSTLY = {Outcome.ACCEPTED: PROBE_CHARGED, Outcome.UNCONFIRMED: PROBE_IN_DOUBT}


def _log_probe(connection: Connection, conclusion: Conclusion, change: OrderChange, row: AnyRow, now: datetime) -> None:
    """Keep what a probe cost, or may have cost, with the job that it was made for."""
    kind = _COSTLY.get(change.outcome)
    if kind is None:
        return
    data = {
        "price": None if change.price is None else str(change.price),
        "reference": change.reference,
        "problem": conclusion.problem or change.message,
    }
    write_event(
        connection,
        kind,
        at=now,
        account=row.account,
        job=conclusion.asked_by or row.job_id,
        order=change.order,
        attempt=conclusion.attempt,
        data=data,
    )


def _add_charge(
    connection: Connection, conclusion: Conclusion, change: OrderChange, *, is_counted: bool = False
) -> None:
    """Count a charge, and keep the first reference; `is_counted`: as that of its repeat, which was a duplicate."""
    at = conclusion.ended_at
    if not is_counted:
        add_charges(connection, [(conclusion.attempt, change)])
    is_first_reference = and_(
        orders.c.reference.is_(None),
        literal(change.reference).is_not(None),
        orders.c.state == OrderState.ACCEPTED.value,
    )
    connection.execute(
        update(orders)
        .where(orders.c.id == change.order)
        .values(
            charges=orders.c.charges + (0 if is_counted else change.charges),
            price=func.coalesce(orders.c.price, change.price),
            reference=func.coalesce(orders.c.reference, change.reference),
            due_at=case((is_first_reference, literal(at, Instant())), else_=orders.c.due_at),
        )
    )


def _replace_outcome(connection: Connection, conclusion: Conclusion, change: OrderChange) -> None:
    connection.execute(
        delete(attempt_order).where(
            attempt_order.c.order_id == change.order, attempt_order.c.attempt_id == conclusion.attempt
        )
    )
    write_outcome(connection, conclusion, change)


def _add_to_attempt(connection: Connection, conclusion: Conclusion) -> None:
    """Add what the late reply tells to an attempt that was closed without it; how it was closed stays."""
    connection.execute(
        update(attempt)
        .where(attempt.c.id == conclusion.attempt)
        .values(
            http_status=conclusion.http_status,
            elapsed_ms=conclusion.elapsed_ms,
            headers=dict(conclusion.headers) or None,
            anomalies=[[anomaly.kind.value, anomaly.value] for anomaly in conclusion.anomalies] or None,
        )
    )


def _keep_evidence(connection: Connection, conclusion: Conclusion) -> None:
    connection.execute(delete(attempt_evidence).where(attempt_evidence.c.attempt_id == conclusion.attempt))
    write_evidence(connection, [conclusion])
    write_repeats(connection, [conclusion])


def _log_late(
    connection: Connection,
    conclusion: Conclusion,
    row: AnyRow,
    held_back: Sequence[OrderChange],
    now: datetime,
) -> None:
    write_event(
        connection,
        "late_reply",
        at=now,
        account=row.account,
        job=row.job_id,
        attempt=conclusion.attempt,
        data={
            "ending": conclusion.ending.value,
            "http_status": conclusion.http_status,
            "error": conclusion.error,
            "outcomes": {str(change.order): change.outcome.value for change in conclusion.changes},
            "references": {str(change.order): change.reference for change in conclusion.changes if change.reference},
            "not_applied": [change.order for change in held_back],
        },
    )
