"""Writing down conclusions: the attempt's evidence, and what became of its orders.

Most conclusions are plain: their attempt is open and holds its orders. All plain ones of a group take one statement
for each table (see `dialect`). The others (`find_odd`) are written one by one by `late`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    Select,
    Text,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from imeiflow.domain.order import OrderState, may_follow
from imeiflow.ledger.change import AttemptKind, Conclusion, OrderChange
from imeiflow.ledger.dialect import (
    Exact,
    Instant,
    Json,
    Prepared,
    encode,
    encode_rows,
    fetch_rows,
    json_rows,
    part_of_blob,
    to_micros,
)
from imeiflow.ledger.fault import Mismatch
from imeiflow.ledger.schema import (
    Id,
    attempt,
    attempt_evidence,
    attempt_order,
    job,
    orders,
    repeat_seen,
)

#: Shorter requests and replies are kept as they are.
_PACKED_ABOVE_BYTES = 512
_PACK_LEVEL = 3

_ended = json_rows(
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
_END_ATTEMPTS = Prepared(
    update(attempt)
    .where(attempt.c.id == _ended.c.id, attempt.c.ended_at.is_(None))
    .values({name: _ended.c[name] for name in _ended.c.keys() if name != "id"})  # noqa: SIM118
)

_moved = json_rows(
    order_id=Id,
    attempt_id=Id,
    state=Text(),
    spent=Integer(),
    reference=Text(),
    status=Text(),
    status_at=Instant(),
    error_kind=Text(),
    error=Text(),
    price=Exact(),
    charges=Integer(),
    accepted_at=Instant(),
    completed_at=Instant(),
)
_MOVE_ORDERS = Prepared(
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
        status_at=func.coalesce(_moved.c.status_at, orders.c.status_at),
        error_kind=_moved.c.error_kind,
        error=_moved.c.error,
        price=func.coalesce(_moved.c.price, orders.c.price),
        charges=orders.c.charges + _moved.c.charges,
        accepted_at=func.coalesce(_moved.c.accepted_at, orders.c.accepted_at),
        completed_at=func.coalesce(_moved.c.completed_at, orders.c.completed_at),
    )
)

_told = json_rows(
    order_id=Id, attempt_id=Id, outcome=Text(), reference=Text(), message=Text(), price=Exact(), charges=Integer()
)
_INSERT_OUTCOMES = Prepared(
    insert(attempt_order).from_select(
        ["order_id", "attempt_id", "outcome", "reference", "message", "price", "charges", "settled_at"],
        select(*_told.c, null()),
    )
)

_kept = json_rows(
    attempt_id=Id,
    packed=Integer(),
    request_at=BigInteger(),
    request_bytes=BigInteger(),
    reply_at=BigInteger(),
    reply_bytes=BigInteger(),
)
_INSERT_EVIDENCE = Prepared(
    insert(attempt_evidence).from_select(
        ["attempt_id", "packed", "request", "reply"],
        select(
            _kept.c.attempt_id,
            _kept.c.packed,
            part_of_blob("blobs", _kept.c.request_at, _kept.c.request_bytes),
            part_of_blob("blobs", _kept.c.reply_at, _kept.c.reply_bytes),
        ),
    )
)

_repeat = json_rows(
    attempt_id=Id, observed_at=Instant(), age_us=BigInteger(), is_refusal=Boolean(), of_completed=Boolean()
)
_INSERT_REPEATS = Prepared(
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
    )
)

_named = json_rows(position=Integer(), attempt_id=Id, order_id=Id)


def write_conclusions(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Write plain conclusions within the transaction; raise Mismatch if one turns out not to be plain."""
    if not conclusions:
        return
    end_attempts(connection, conclusions)
    changed = [(conclusion, change) for conclusion in conclusions for change in conclusion.changes]
    if move_orders(connection, changed) != len(changed):
        raise Mismatch
    write_outcomes(connection, changed)
    write_evidence(connection, conclusions)
    write_repeats(connection, conclusions)


def find_odd(connection: Connection, conclusions: Sequence[Conclusion]) -> set[int]:
    """Find the conclusions, by position, that are not plain: late, of a probe, or against the transitions."""
    asked = [
        (position, conclusion.attempt, change.order)
        for position, conclusion in enumerate(conclusions)
        for change in conclusion.changes
    ]
    held: dict[int, int] = dict(fetch_rows(connection, _count_held(), {"rows": encode_rows(asked)}))
    seen: set[int] = set()
    odd: set[int] = set()
    for position, conclusion in enumerate(conclusions):
        lawful = all(may_follow(OrderState.SENDING, change.state) for change in conclusion.changes)
        if not lawful or held.get(position, 0) != len(conclusion.changes) or conclusion.attempt in seen:
            odd.add(position)
        if not conclusion.changes:
            odd.add(position)
        seen.add(conclusion.attempt)
    return odd


def _count_held() -> Select[tuple[int, int]]:
    return (
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


def end_attempts(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Close the attempts of `conclusions`; raise Mismatch if one is not open."""
    rows = [
        (
            conclusion.attempt,
            to_micros(conclusion.ended_at),
            conclusion.ending.value,
            conclusion.http_status,
            conclusion.error_kind.value if conclusion.error_kind else None,
            conclusion.error or None,
            conclusion.elapsed_ms,
            conclusion.problem or None,
            encode([[anomaly.kind.value, anomaly.value] for anomaly in conclusion.anomalies])
            if conclusion.anomalies
            else None,
            encode(dict(conclusion.headers)) if conclusion.headers else None,
        )
        for conclusion in conclusions
    ]
    if _END_ATTEMPTS.run(connection, rows=encode_rows(rows)).rowcount != len(rows):
        raise Mismatch


def move_orders(connection: Connection, changed: Sequence[tuple[Conclusion, OrderChange]]) -> int:
    """Move orders on that their attempt holds (`sending`, and no other attempt since), and count them."""
    if not changed:
        return 0
    rows = [_moved_row(conclusion, change) for conclusion, change in changed]
    if not all(may_follow(OrderState.SENDING, change.state) for _, change in changed):
        raise Mismatch
    return _MOVE_ORDERS.run(connection, rows=encode_rows(rows)).rowcount


def _moved_row(conclusion: Conclusion, change: OrderChange) -> tuple[object, ...]:
    ended_at = to_micros(conclusion.ended_at)
    return (
        change.order,
        conclusion.attempt,
        change.state.value,
        int(change.spends_attempt),
        change.reference,
        change.status.value if change.status else None,
        ended_at if change.status else None,
        change.kind.value if change.kind else None,
        change.message or None,
        None if change.price is None else str(change.price),
        change.charges,
        ended_at if change.state is OrderState.ACCEPTED else None,
        ended_at if change.status is not None and change.status.is_final else None,
    )


def write_outcomes(connection: Connection, changed: Sequence[tuple[Conclusion, OrderChange]]) -> None:
    """Write what each attempt proved about each of its orders."""
    rows = [
        (
            change.order,
            conclusion.attempt,
            change.outcome.value,
            change.reference,
            change.message or None,
            None if change.price is None else str(change.price),
            change.charges,
        )
        for conclusion, change in changed
    ]
    if rows:
        _INSERT_OUTCOMES.run(connection, rows=encode_rows(rows))


def write_evidence(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Keep requests and replies: all of them travel as one blob, cut apart by the database."""
    parts: list[bytes] = []
    rows: list[tuple[int, ...]] = []
    position = 1
    for conclusion in conclusions:
        if not conclusion.request and not conclusion.reply:
            continue
        request, reply = _pack(conclusion.request), _pack(conclusion.reply)
        packed = (request is not conclusion.request) | (reply is not conclusion.reply) << 1
        rows.append(
            (conclusion.attempt, packed, position, len(request), position + len(request), len(reply)),
        )
        parts += (request, reply)
        position += len(request) + len(reply)
    if rows:
        _INSERT_EVIDENCE.run(connection, rows=encode_rows(rows), blobs=b"".join(parts))


def _pack(content: bytes) -> bytes:
    return zlib.compress(content, _PACK_LEVEL) if len(content) > _PACKED_ABOVE_BYTES else content


def write_repeats(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Remember what was seen of repeats, with the account and the service of the attempt."""
    rows = list(_repeat_rows(conclusions))
    if rows:
        _INSERT_REPEATS.run(connection, rows=encode_rows(rows))


def _repeat_rows(conclusions: Sequence[Conclusion]) -> Iterator[tuple[object, ...]]:
    for conclusion in conclusions:
        for seen in conclusion.seen:
            age_us = round(seen.age.total_seconds() * 1_000_000)
            yield conclusion.attempt, to_micros(seen.observed_at), age_us, seen.is_refusal, seen.of_completed
