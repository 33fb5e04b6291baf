"""Writing down conclusions: the attempt's evidence, and what became of its orders.

Most conclusions are plain: their attempt is open and holds its orders. All plain ones of a group take one statement
for each table (see `bulk`). The others (`find_odd`) are written one by one by `late`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    Text,
    and_,
    case,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from imeiflow.domain.order import OrderState, ResultStatus, may_follow
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.ledger.bulk import Bulk
from imeiflow.ledger.cell import Exact, Instant, Json, encode_json, encode_pairs, encode_rows, mend_text, to_micros
from imeiflow.ledger.change import AttemptKind, Conclusion, OrderChange
from imeiflow.ledger.charge import add_charges
from imeiflow.ledger.dialect import Listing, block_rows, json_rows
from imeiflow.ledger.fault import Mismatch
from imeiflow.ledger.schema import Id, attempt, attempt_evidence, attempt_order, job, orders, repeat_seen

#: Shorter requests and replies are kept as they are.
_PACKED_ABOVE_BYTES = 512
_PACK_LEVEL = 3

_ended = block_rows(
    id=Id,
    ended_at=Instant(),
    ending=Text(),
    http_status=Integer(),
    error_kind=Text(),
    error=Text(),
    elapsed_ms=Integer(),
    problem=Text(),
    anomalies=Json(),
    headers=Json(),
)
_END_ATTEMPTS = Bulk(
    update(attempt)
    .where(attempt.c.id == _ended.c.id, attempt.c.ended_at.is_(None))
    .values({column.name: column for column in _ended.c if column.name != "id"}),
    len(_ended.c),
)

_moved = block_rows(
    order_id=Id,
    attempt_id=Id,
    state=Text(),
    spent=Integer(),
    reference=Text(),
    status=Text(),
    is_final=Boolean(),
    error_kind=Text(),
    error=Text(),
    keeps_error=Boolean(),
    price=Exact(),
    charges=Integer(),
    ended_at=Instant(),
    due_at=Instant(),
)
_MOVE_ORDERS = Bulk(
    update(orders)
    .where(
        orders.c.id == _moved.c.order_id,
        orders.c.attempt_id == _moved.c.attempt_id,
        orders.c.state == OrderState.SENDING.value,
    )
    .values(
        state=_moved.c.state,
        attempts=orders.c.attempts + _moved.c.spent,
        reference=func.coalesce(_moved.c.reference, orders.c.reference),
        status=func.coalesce(_moved.c.status, orders.c.status),
        status_at=case((_moved.c.status.is_(None), orders.c.status_at), else_=_moved.c.ended_at),
        error_kind=case((_moved.c.keeps_error, orders.c.error_kind), else_=_moved.c.error_kind),
        error=case((_moved.c.keeps_error, orders.c.error), else_=_moved.c.error),
        # What a repeat finds was placed by an earlier call, at the price of that time.
        price=case(
            (_moved.c.state == OrderState.DUPLICATE.value, func.coalesce(orders.c.price, _moved.c.price)),
            else_=func.coalesce(_moved.c.price, orders.c.price),
        ),
        charges=case(
            (and_(_moved.c.state == OrderState.DUPLICATE.value, orders.c.charges > 0), orders.c.charges),
            else_=orders.c.charges + _moved.c.charges,
        ),
        accepted_at=case((_moved.c.state == OrderState.ACCEPTED.value, _moved.c.ended_at), else_=orders.c.accepted_at),
        completed_at=case((_moved.c.is_final, _moved.c.ended_at), else_=orders.c.completed_at),
        due_at=func.coalesce(_moved.c.due_at, orders.c.due_at),
    ),
    len(_moved.c),
)

_told = block_rows(
    order_id=Id, attempt_id=Id, outcome=Text(), reference=Text(), message=Text(), price=Exact(), charges=Integer()
)
_INSERT_OUTCOMES = Bulk(
    insert(attempt_order).from_select(
        ["order_id", "attempt_id", "outcome", "reference", "message", "price", "charges", "settled_at"],
        select(*_told.c, null()),
    ),
    len(_told.c),
)

_kept = block_rows(attempt_id=Id, packed=Integer(), request=LargeBinary(), reply=LargeBinary())
_INSERT_EVIDENCE = Bulk(
    insert(attempt_evidence).from_select(["attempt_id", "packed", "request", "reply"], select(*_kept.c)), len(_kept.c)
)

_repeat = block_rows(
    attempt_id=Id, observed_at=Instant(), age_us=BigInteger(), is_refusal=Boolean(), of_completed=Boolean()
)
_INSERT_REPEATS = Bulk(
    insert(repeat_seen).from_select(
        ["account", "service", "observed_at", "age_us", "is_refusal", "of_completed", "attempt_id"],
        select(
            attempt.c.account,
            job.c.service,
            _repeat.c.observed_at,
            _repeat.c.age_us,
            _repeat.c.is_refusal,
            _repeat.c.of_completed,
            attempt.c.id,
        )
        .join(attempt, attempt.c.id == _repeat.c.attempt_id)
        .join(job, job.c.id == attempt.c.job_id),
    ),
    len(_repeat.c),
)

#: The values of enums as the driver takes them, and NULL for none: looked up, they cost a third of `.value`.
_TEXTS: dict[StrEnum | None, str | None] = {
    None: None,
    **{member: member.value for enum in (OrderState, Outcome, ResultStatus, ErrorKind, Ending) for member in enum},
}
_IS_FINAL: dict[ResultStatus | None, int] = {None: 0, **{status: int(status.is_final) for status in ResultStatus}}
_AFTER_SENDING = frozenset(state for state in OrderState if may_follow(OrderState.SENDING, state))
#: A doubt that was sent again keeps why it is one where these are all that came of it.
_UNHEARD = frozenset({Outcome.THROTTLED, Outcome.UNSENT})
_named = json_rows(position=Integer(), attempt_id=Id, order_id=Id)
_HELD = Listing(
    select(_named.c.position, func.count())
    .join(orders, orders.c.id == _named.c.order_id)
    .join(attempt, attempt.c.id == _named.c.attempt_id)
    .where(
        orders.c.attempt_id == attempt.c.id,
        orders.c.state == OrderState.SENDING.value,
        attempt.c.ended_at.is_(None),
        attempt.c.kind != literal(AttemptKind.PROBE.value),
    )
    .group_by(_named.c.position)
)


def write_conclusions(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Write plain conclusions within the transaction; raise Mismatch if one turns out not to be plain."""
    if not conclusions:
        return
    end_attempts(connection, conclusions)
    moved: list[object] = []
    told: list[object] = []
    for conclusion in conclusions:
        _add_changes(conclusion, conclusion.changes, moved, told)
    add_charges(
        connection, [(conclusion.attempt, change) for conclusion in conclusions for change in conclusion.changes]
    )
    if moved and _MOVE_ORDERS.run(connection, moved) * _MOVE_ORDERS.width != len(moved):
        raise Mismatch
    if told:
        _INSERT_OUTCOMES.run(connection, told)
    write_evidence(connection, conclusions)
    write_repeats(connection, conclusions)


def find_odd(connection: Connection, conclusions: Sequence[Conclusion]) -> set[int]:
    """Find the conclusions, by position, that are not plain: late, of a probe, or against the transitions."""
    asked = [
        (position, conclusion.attempt, change.order)
        for position, conclusion in enumerate(conclusions)
        for change in conclusion.changes
    ]
    held: dict[int, int] = dict(_HELD.fetch(connection, {"rows": encode_rows(asked)}))
    seen: set[int] = set()
    odd: set[int] = set()
    for position, conclusion in enumerate(conclusions):
        lawful = all(change.state in _AFTER_SENDING for change in conclusion.changes)
        if not lawful or held.get(position, 0) != len(conclusion.changes) or conclusion.attempt in seen:
            odd.add(position)
        if not conclusion.changes:
            odd.add(position)
        seen.add(conclusion.attempt)
    return odd


def end_attempts(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Close the attempts of `conclusions`; raise Mismatch if one is not open."""
    values: list[object] = []
    for conclusion in conclusions:
        values += (
            conclusion.attempt,
            to_micros(conclusion.ended_at),
            _TEXTS[conclusion.ending],
            conclusion.http_status,
            _TEXTS[conclusion.error_kind],
            mend_text(conclusion.error),
            conclusion.elapsed_ms,
            mend_text(conclusion.problem),
            encode_json([[anomaly.kind.value, anomaly.value] for anomaly in conclusion.anomalies]),
            encode_pairs(*conclusion.headers.items()),
        )
    if _END_ATTEMPTS.run(connection, values) != len(conclusions):
        raise Mismatch


def move_order(connection: Connection, conclusion: Conclusion, change: OrderChange) -> int:
    """Move an order on that its attempt holds (`sending`, and no other attempt since); count it."""
    moved: list[object] = []
    _add_changes(conclusion, [change], moved, [])
    add_charges(connection, [(conclusion.attempt, change)])
    return _MOVE_ORDERS.run(connection, moved)


def write_outcome(connection: Connection, conclusion: Conclusion, change: OrderChange) -> None:
    """Write what an attempt proved about one of its orders."""
    told: list[object] = []
    _add_changes(conclusion, [change], [], told)
    _INSERT_OUTCOMES.run(connection, told)


def _add_changes(
    conclusion: Conclusion, changes: Sequence[OrderChange], moved: list[object], told: list[object]
) -> None:
    """Append the rows of `changes`; raise Mismatch for one that no order under way may make."""
    attempt_id, ended_at = conclusion.attempt, to_micros(conclusion.ended_at)
    for change in changes:
        if change.state not in _AFTER_SENDING:
            raise Mismatch
        order, reference, message = change.order, mend_text(change.reference), mend_text(change.message)
        price = None if change.price is None else str(change.price)
        moved += (
            order,
            attempt_id,
            _TEXTS[change.state],
            int(change.spends_attempt),
            reference,
            _TEXTS[change.status],
            _IS_FINAL[change.status],
            _TEXTS[change.kind],
            message,
            int(change.state is OrderState.UNCONFIRMED and change.outcome in _UNHEARD),
            price,
            change.charges,
            ended_at,
            _choose_due(change, ended_at),
        )
        told += (order, attempt_id, _TEXTS[change.outcome], reference, message, price, change.charges)


def _choose_due(change: OrderChange, ended_at: int | None) -> int | None:
    """Say when an order is asked for: one that was accepted is followed, whatever status the placing call named."""
    if change.state is not OrderState.ACCEPTED or change.reference is None:
        return None
    return ended_at if change.due_at is None else to_micros(change.due_at)


def write_evidence(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Keep requests and replies."""
    values: list[object] = []
    for conclusion in conclusions:
        if not conclusion.request and not conclusion.reply:
            continue
        request, reply = _pack(conclusion.request), _pack(conclusion.reply)
        packed = (request is not conclusion.request) | (reply is not conclusion.reply) << 1
        values += (conclusion.attempt, packed, request, reply)
    if values:
        _INSERT_EVIDENCE.run(connection, values)


def _pack(content: bytes) -> bytes:
    return zlib.compress(content, _PACK_LEVEL) if len(content) > _PACKED_ABOVE_BYTES else content


def write_repeats(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Remember what was seen of repeats, with the account and the service of the attempt."""
    values: list[object] = []
    for conclusion in conclusions:
        for seen in conclusion.seen:
            age_us = round(seen.age.total_seconds() * 1_000_000)
            told = age_us, int(seen.is_refusal), int(seen.of_completed)
            values += (conclusion.attempt, to_micros(seen.observed_at), *told)
    if values:
        _INSERT_REPEATS.run(connection, values)
