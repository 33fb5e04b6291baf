"""Deliveries to webhooks: what was sent or waits to be, each attempt, and what came back. No address, no secret."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from imeiflow.domain.ident import JobId
from imeiflow.domain.notice import DeliveryState
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import mend_text
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.notice_schema import delivery, delivery_attempt

_FORGET_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A message for one webhook. `event_id` is the message's own: the same to all webhooks and in every attempt."""

    event_id: str
    webhook: str
    event: str
    job: JobId | None
    count: int  #: the orders or jobs that it tells of
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message for one webhook and how far it is. `since` is when trying began, `next_at` when it is tried next."""

    id: int
    event_id: str
    webhook: str
    event: str
    job: JobId | None
    count: int
    state: DeliveryState
    attempts: int
    created_at: datetime
    since: datetime
    next_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One attempt: what the receiver answered, or why there was no answer."""

    started_at: datetime
    elapsed_ms: int
    http_status: int | None
    problem: str
    reply: str


_COLUMNS = [column for column in delivery.c if column.name != "body"]


class Deliveries(Access):
    """The part of the ledger that keeps deliveries."""

    def add_delivery(self, new: NewDelivery) -> int:
        """Add one delivery and give its id."""
        return self._write(lambda c: write_deliveries(c, [new])[0])

    def due_deliveries(
        self, before: datetime, limit: int, *, held: Collection[str] = ()
    ) -> list[tuple[Delivery, bytes]]:
        """List what is due, the oldest first, with the body of each; nothing for the webhooks that are `held`."""
        query = (
            select(delivery)
            .where(delivery.c.ended_at.is_(None), delivery.c.next_at <= before, delivery.c.webhook.not_in(list(held)))
            .order_by(delivery.c.next_at, delivery.c.id)
            .limit(limit)
        )
        with self._read() as connection:
            return [(_read(row), zlib.decompress(row.body)) for row in connection.execute(query)]

    def deliveries(
        self,
        *,
        state: DeliveryState | None = None,
        webhook: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Delivery]:
        """List deliveries, newest first, those with an id below `before`."""
        query = select(*_COLUMNS).order_by(delivery.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(delivery.c.state == state.value)
        if webhook is not None:
            query = query.where(delivery.c.webhook == webhook)
        if before is not None:
            query = query.where(delivery.c.id < before)
        with self._read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def find_delivery(self, id_: int) -> tuple[Delivery, bytes] | None:
        """Give one delivery with its body; None where there is none, or it was forgotten."""
        with self._read() as connection:
            row = connection.execute(select(delivery).where(delivery.c.id == id_)).one_or_none()
        return None if row is None else (_read(row), zlib.decompress(row.body))

    def delivery_attempts(self, id_: int) -> list[DeliveryAttempt]:
        """List the attempts of a delivery, oldest first."""
        query = select(delivery_attempt).where(delivery_attempt.c.delivery_id == id_).order_by(delivery_attempt.c.id)
        with self._read() as connection:
            return [_read_attempt(row) for row in connection.execute(query)]

    def last_attempts(self, ids: Collection[int]) -> dict[int, DeliveryAttempt]:
        """Give the last attempt of each of some deliveries, by their ids; nothing of those that were not sent yet."""
        each = delivery_attempt.c.delivery_id
        last = select(func.max(delivery_attempt.c.id)).where(each.in_(list(ids))).group_by(each)
        query = select(delivery_attempt).where(delivery_attempt.c.id.in_(last))
        with self._read() as connection:
            return {row.delivery_id: _read_attempt(row) for row in connection.execute(query)}

    def count_undelivered(self) -> dict[tuple[str, DeliveryState], int]:
        """Count what waits and what failed, by webhook and state."""
        named = (delivery.c.webhook, delivery.c.state)
        query = select(*named, func.count()).where(delivery.c.state != DeliveryState.DELIVERED.value).group_by(*named)
        with self._read() as connection:
            return {(name, DeliveryState(state)): number for name, state, number in connection.execute(query)}

    def newest_delivery(self) -> tuple[int, int]:
        """Give the newest ids of a delivery and of an attempt, 0 where there is none: they change when either does."""
        with self._read() as connection:
            added, sent = (connection.scalar(select(func.max(one.c.id))) for one in (delivery, delivery_attempt))
        return added or 0, sent or 0

    def record_delivery(
        self, id_: int, attempt: DeliveryAttempt, state: DeliveryState, next_at: datetime | None = None
    ) -> bool:
        """Keep how an attempt ended and what becomes of its delivery; False where it is not pending any more."""
        now = self.clock()
        values: dict[str, Any] = {"state": state.value, "attempts": delivery.c.attempts + 1}
        if state is DeliveryState.PENDING:
            values["next_at"] = next_at or now
        else:
            values["ended_at"] = now

        def record(connection: Connection) -> bool:
            connection.execute(
                insert(delivery_attempt).values(
                    delivery_id=id_,
                    started_at=attempt.started_at,
                    elapsed_ms=attempt.elapsed_ms,
                    http_status=attempt.http_status,
                    problem=mend_text(attempt.problem),
                    reply=mend_text(attempt.reply),
                )
            )
            query = update(delivery).where(delivery.c.id == id_, delivery.c.state == DeliveryState.PENDING.value)
            return bool(connection.execute(query.values(values)).rowcount)

        return self._write(record)

    def retry_deliveries(self, ids: Sequence[int] | None = None, *, webhooks: Collection[str] | None = None) -> int:
        """Let deliveries that have ended be sent again, by their ids or all that failed, and count them.

        `webhooks` names those to which alone they may be.
        """
        now = self.clock()
        values = {"state": DeliveryState.PENDING.value, "since": now, "next_at": now, "ended_at": None}
        query = update(delivery).where(delivery.c.ended_at.is_not(None)).values(values)
        if ids is None:
            query = query.where(delivery.c.state == DeliveryState.FAILED.value)
        else:
            query = query.where(delivery.c.id.in_(list(ids)))
        if webhooks is not None:
            query = query.where(delivery.c.webhook.in_(list(webhooks)))
        return self._write(lambda c: c.execute(query).rowcount)

    def hurry_delivery(self, id_: int) -> bool:
        """Let a delivery that waits be due now, without beginning its time anew; False where none of this id waits."""
        waits = (delivery.c.id == id_, delivery.c.state == DeliveryState.PENDING.value)
        query = update(delivery).where(*waits).values(next_at=self.clock())
        return self._write(lambda c: bool(c.execute(query).rowcount))

    def forget_deliveries(self, before: datetime) -> int:
        """Delete deliveries that ended before a time, some of them at once, and count them."""
        query = select(delivery.c.id).where(delivery.c.ended_at < before).limit(_FORGET_AT_ONCE)

        def forget(connection: Connection) -> int:
            ids = list(connection.execute(query).scalars())
            connection.execute(delete(delivery_attempt).where(delivery_attempt.c.delivery_id.in_(ids)))
            return connection.execute(delete(delivery).where(delivery.c.id.in_(ids))).rowcount

        return self._write(forget)


def write_deliveries(connection: Connection, new: Sequence[NewDelivery]) -> list[int]:
    """Write deliveries within the transaction and give their ids."""
    ids: list[int] = []
    for one in new:
        values = {
            "event_id": one.event_id,
            "webhook": one.webhook,
            "event": one.event,
            "job_id": one.job,
            "count": one.count,
            "state": DeliveryState.PENDING.value,
            "attempts": 0,
            "body": zlib.compress(one.body, 3),
            "created_at": one.at,
            "since": one.at,
            "next_at": one.at,
        }
        key = connection.execute(insert(delivery).values(values)).inserted_primary_key
        ids.append(key[0])  # type: ignore[index]
    return ids


def _read(row: AnyRow) -> Delivery:
    values = row._asdict()
    values.pop("body", None)
    values["state"] = DeliveryState(row.state)
    values["job"] = values.pop("job_id")
    return Delivery(**values)


def _read_attempt(row: AnyRow) -> DeliveryAttempt:
    return DeliveryAttempt(
        started_at=row.started_at,
        elapsed_ms=row.elapsed_ms,
        http_status=row.http_status,
        problem=row.problem or "",
        reply=row.reply or "",
    )
