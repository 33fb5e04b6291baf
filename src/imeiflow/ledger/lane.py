"""Who owns a lane, and what a new owner finds under way."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, case, insert, literal, null, select, update

from imeiflow.domain.ident import AccountName, Token
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.log import PROBE_IN_DOUBT, write_event
from imeiflow.ledger.record import LaneOwner, Recovered
from imeiflow.ledger.schema import attempt, attempt_order, job, lane, orders

ENDED_BEFORE_ANSWER = "the process ended before the answer"


class Lanes(Access):
    """The part of the ledger that fences lanes."""

    def take_lane(self, account: AccountName, owner: str) -> tuple[Token, Recovered]:
        """Make `owner` the lane's only owner and turn what its predecessor left under way into doubt.

        Every write of an earlier owner is refused from here on. Orders that were `sending` become unconfirmed,
        never queued: their calls may have been read.
        """
        now = self.clock()

        def take(connection: Connection) -> tuple[Token, Recovered]:
            token = _bump_token(connection, account, owner, now)
            recovered = _recover(connection, account, now)
            data = {"owner": owner, "token": token, "attempts": recovered.attempts, "orders": recovered.orders}
            write_event(connection, "lane_taken", at=now, account=account, data=data)
            return token, recovered

        return self._write(take)

    def release_lane(self, account: AccountName, token: Token) -> bool:
        """Give the lane up; False when it belongs to somebody else by now."""
        now = self.clock()

        def release(connection: Connection) -> bool:
            done = connection.execute(
                update(lane)
                .where(lane.c.account == account, lane.c.token == token, lane.c.released_at.is_(None))
                .values(owner=None, released_at=now)
            ).rowcount
            if done:
                write_event(connection, "lane_released", at=now, account=account, data={"token": token})
            return bool(done)

        return self._write(release)

    def lane_owner(self, account: AccountName) -> LaneOwner | None:
        """Say who took the lane last; None when nobody ever did."""
        with self._read() as connection:
            row = connection.execute(select(lane).where(lane.c.account == account)).one_or_none()
        return None if row is None else LaneOwner(Token(row.token), row.owner, row.taken_at)


def _bump_token(connection: Connection, account: str, owner: str, now: datetime) -> Token:
    last: int | None = connection.execute(
        select(lane.c.token).where(lane.c.account == account).with_for_update()
    ).scalar()
    values = {"token": (last or 0) + 1, "owner": owner, "taken_at": now, "released_at": None}
    if last is None:
        connection.execute(insert(lane).values(account=account, **values))
    else:
        connection.execute(update(lane).where(lane.c.account == account).values(values))
    return Token((last or 0) + 1)


def _recover(connection: Connection, account: str, now: datetime) -> Recovered:
    """Close the open attempts of `account` as in doubt, and hold every order that they carry."""
    jobs = select(job.c.id).where(job.c.account == account)
    under_way = and_(orders.c.job_id.in_(jobs), orders.c.state == OrderState.SENDING.value)
    connection.execute(
        insert(attempt_order).from_select(
            ["order_id", "attempt_id", "outcome", "reference", "message", "price", "charges", "settled_at"],
            select(
                orders.c.id,
                orders.c.attempt_id,
                literal(Outcome.UNCONFIRMED.value),
                null(),
                literal(ENDED_BEFORE_ANSWER),
                null(),
                literal(0),
                null(),
            ).where(under_way),
        )
    )
    counts = case((attempt.c.kind == AttemptKind.AGAIN.value, 0), else_=1)
    held = connection.execute(
        update(orders)
        .where(under_way, orders.c.attempt_id == attempt.c.id)
        .values(
            state=OrderState.UNCONFIRMED.value,
            attempts=orders.c.attempts + counts,
            error_kind=None,
            error=ENDED_BEFORE_ANSWER,
        )
    ).rowcount
    is_open = and_(attempt.c.account == account, attempt.c.ended_at.is_(None))
    probes = connection.execute(
        select(attempt.c.id, attempt.c.job_id, attempt_order.c.order_id)
        .join(attempt_order, attempt_order.c.attempt_id == attempt.c.id)
        .where(is_open, attempt.c.kind == AttemptKind.PROBE.value)
    ).all()
    for probe in probes:
        write_event(
            connection,
            PROBE_IN_DOUBT,
            at=now,
            account=account,
            job=probe.job_id,
            order=probe.order_id,
            attempt=probe.id,
            data={"problem": f"{ENDED_BEFORE_ANSWER}: the order may have been charged a second time"},
        )
    closed = connection.execute(
        update(attempt).where(is_open).values(ended_at=now, ending=Ending.IN_DOUBT.value, problem=ENDED_BEFORE_ANSWER)
    ).rowcount
    return Recovered(attempts=closed, orders=held)
