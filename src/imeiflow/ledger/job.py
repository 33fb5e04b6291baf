"""Jobs: drafts that are read in, their states, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from imeiflow.domain.ident import AccountName, JobId, OrderId, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.errors import JobStateError, UnknownJobError
from imeiflow.ledger.access import Access
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.draft import arrange, write_rows
from imeiflow.ledger.log import CAP_CHANGED, JOB_STARTED, PRICE_ACCEPTED, write_event
from imeiflow.ledger.record import Confirmed, Job, JobDraft, Mark, NewOrder
from imeiflow.ledger.rival import has_rivals
from imeiflow.ledger.schema import job, order_item, orders
from imeiflow.ledger.standing import say_standing

_ENDED = frozenset({JobState.FINISHED, JobState.PAUSED, JobState.CANCELLED})
_REQUESTS = frozenset({JobState.PAUSED, JobState.CANCELLED})


class Jobs(Access):
    """The part of the ledger that keeps jobs."""

    def create_draft(self, draft: JobDraft) -> JobId:
        """Begin a job that is shown to nobody until `start_job`."""
        now = self.clock()
        values = {
            "account": draft.account,
            "provider": draft.provider,
            "service": draft.service,
            "service_name": draft.service_name,
            "name": draft.name,
            "source": draft.source,
            "priority": draft.priority,
            "policy": draft.policy.value,
            "unit_price": draft.unit_price,
            "currency": draft.currency,
            "max_spend": draft.max_spend,
            "chunk_size": draft.chunk_size,
            "largest_chunk": draft.largest_chunk,
            "max_concurrency": draft.max_concurrency,
            "rate": draft.rate,
            "columns": draft.columns,
            "imei_column": draft.imei_column,
            "has_header": draft.has_header,
            "follow_results": draft.follow_results,
            "submitted_by": draft.submitted_by,
            "kind": draft.kind.value,
            "state": JobState.DRAFT.value,
            "created_at": now,
            "worked_s": 0.0,
        }

        def create(connection: Connection) -> JobId:
            key = connection.execute(insert(job).values(values)).inserted_primary_key
            return JobId(key[0])  # type: ignore[index]

        return self._write(create)

    def add_orders(self, job_id: JobId, rows: Sequence[NewOrder]) -> None:
        """Add rows in file order to a draft: some 10,000 a call. Raises JobStateError where it is no draft."""
        if rows:
            self.start_adding(job_id, rows).result()

    def start_adding(self, job_id: JobId, rows: Sequence[NewOrder]) -> Future[None]:
        """Add rows as `add_orders` does, without waiting: they, or an error, are there when what is given is done."""
        cells = arrange(rows, self.path)

        def add(connection: Connection) -> None:
            self._require(connection, job_id, {JobState.DRAFT}, "added to")
            write_rows(connection, job_id, cells)

        return self._writer.hand_over(add)

    def start_job(
        self,
        job_id: JobId,
        *,
        trial: int | None = None,
        since: Mark | None = None,
        limit_of: str | None = None,
        **confirmed: Unpack[Confirmed],
    ) -> bool:
        """Turn a draft into a running job with what the user confirmed. Raises JobStateError where it is no draft.

        `trial`: so many orders are sent first, then the job pauses. Where other jobs of its account and service had
        orders queued `since`, nothing is changed, and False is given: they may be the same.
        `limit_of`: whose limit of the day the spending cap comes from.
        """
        now = self.clock()
        values: dict[str, Any] = dict(confirmed)

        def start(connection: Connection) -> bool:
            self._require(connection, job_id, {JobState.DRAFT}, "started")
            if since is not None and has_rivals(connection, job_id, since):
                return False
            if trial is not None:
                values["hold_after"] = connection.execute(_nth_queued(job_id, trial)).scalar()
            connection.execute(
                update(job).where(job.c.id == job_id).values(state=JobState.RUNNING.value, started_at=now, **values)
            )
            write_event(connection, JOB_STARTED, at=now, job=job_id, data={"limit_of": limit_of} if limit_of else None)
            return True

        return self._write(start)

    def end_trial(self, job_id: JobId) -> None:
        """Let all orders of a job be sent: the first of them were. Raises UnknownJobError."""
        self._write(lambda c: self._set(c, job_id, {"hold_after": None}))

    def discard_draft(self, job_id: JobId) -> None:
        """Delete a draft and its rows. Raises JobStateError where it is no draft."""

        def discard(connection: Connection) -> None:
            self._require(connection, job_id, {JobState.DRAFT}, "discarded")
            _delete_drafts(connection, [job_id])

        self._write(discard)

    def discard_stale_drafts(self, before: datetime) -> int:
        """Delete the drafts begun before a time, left behind by processes that died, and count them."""

        def discard(connection: Connection) -> int:
            stale = select(job.c.id).where(job.c.state == JobState.DRAFT.value, job.c.created_at < before)
            ids = list(connection.execute(stale).scalars())
            _delete_drafts(connection, ids)
            return len(ids)

        return self._write(discard)

    def find_job(self, job_id: JobId) -> Job | None:
        """Read one job, drafts included; None when there is none."""
        with self._read() as connection:
            row = connection.execute(_one_job, {"wanted": job_id}).one_or_none()
        return None if row is None else _read_job(row)

    def list_jobs(
        self,
        state: JobState | None = None,
        account: AccountName | None = None,
        limit: int | None = None,
        *,
        before: JobId | None = None,
    ) -> list[Job]:
        """List jobs, newest first; `before` is the last id of the page before. Drafts are hidden."""
        given = _give(state=None if state is None else state.value, account=account, before=before, limit=limit)
        with self._read() as connection:
            return [_read_job(row) for row in connection.execute(_listing(frozenset(given)), given)]

    def count_jobs(
        self, state: JobState | None = None, account: AccountName | None = None, *, before: JobId | None = None
    ) -> int:
        """Count what `list_jobs` would list."""
        given = _give(state=None if state is None else state.value, account=account, before=before)
        query = select(func.count()).select_from(job).where(*_listed(given.keys()))
        with self._read() as connection:
            return int(connection.execute(query, given).scalar_one())

    def change_job(
        self,
        job_id: JobId,
        expected: AbstractSet[JobState],
        to: JobState,
        reason: str | None,
        *,
        held: str | None = None,
    ) -> None:
        """Move a job from one of the `expected` states on, and clear what was wanted of it.

        `held` says why its doubts are held: it is part of the job's reason until none is left. Raises UnknownJobError,
        or JobStateError where it is in another state.
        """
        self._guard(is_met=to is not JobState.DRAFT, problem="no job becomes a draft")
        self._write(lambda connection: self._change(connection, job_id, expected, to, reason, held=held))

    def finish_job(self, job_id: JobId, reason: str | None, *, held: str | None = None) -> bool:
        """Finish a running job unless orders of it are queued, be it since a moment; say whether it is finished.

        `held` as in `change_job`. Raises UnknownJobError, or JobStateError where it does not run.
        """
        waiting = (
            select(literal(1)).where(orders.c.job_id == job_id, orders.c.state == OrderState.QUEUED.value).limit(1)
        )

        def finish(connection: Connection) -> bool:
            if connection.execute(waiting).scalar() is not None:
                return False
            self._change(connection, job_id, {JobState.RUNNING}, JobState.FINISHED, reason, held=held)
            return True

        return self._write(finish)

    def request(self, job_id: JobId, wanted: JobState | None) -> None:
        """Ask the process that works on a running job to pause or cancel it; None takes the request back."""
        now = self.clock()
        self._guard(is_met=wanted is None or wanted in _REQUESTS, problem=f"nobody can ask a job to be {wanted}")

        def ask(connection: Connection) -> None:
            self._require(connection, job_id, {JobState.RUNNING}, wanted.value if wanted else "left alone")
            connection.execute(update(job).where(job.c.id == job_id).values(wanted=wanted.value if wanted else None))
            write_event(connection, "job_asked", at=now, job=job_id, data={"wanted": wanted.value if wanted else None})

        self._write(ask)

    def set_max_spend(self, job_id: JobId, amount: Decimal) -> None:
        """Give a job that does not run another spending cap. Raises UnknownJobError, JobStateError."""
        self._write(lambda connection: self._set_cap(connection, job_id, amount))

    def accept_price(self, job_id: JobId, price: Decimal, *, actor: str = "") -> None:
        """Let the rest of a job that does not run cost another price. Raises UnknownJobError, JobStateError.

        What is in doubt without a price of its own was sent at the old one.
        """
        self._write(lambda connection: self._set_price(connection, job_id, price, actor))

    def add_worked(self, job_id: JobId, seconds: float) -> None:
        """Add to the time that was spent working on a job. Raises UnknownJobError."""
        self._write(lambda c: self._set(c, job_id, {"worked_s": job.c.worked_s + seconds}))

    def _set_cap(self, connection: Connection, job_id: JobId, amount: Decimal, limit_of: str | None = None) -> None:
        self._require(connection, job_id, {JobState.PAUSED, JobState.FINISHED}, "given another spending cap")
        self._set(connection, job_id, {"max_spend": amount})
        data = {"max_spend": str(amount)} | ({"limit_of": limit_of} if limit_of else {})
        write_event(connection, CAP_CHANGED, at=self.clock(), job=job_id, data=data)

    def _set_price(self, connection: Connection, job_id: JobId, price: Decimal, actor: str) -> None:
        self._require(connection, job_id, {JobState.PAUSED, JobState.FINISHED}, "given another price")
        before = connection.execute(select(job.c.unit_price).where(job.c.id == job_id)).scalar()
        in_doubt = update(orders).where(
            orders.c.job_id == job_id, orders.c.state == OrderState.UNCONFIRMED.value, orders.c.price.is_(None)
        )
        connection.execute(in_doubt.values(price=before))
        self._set(connection, job_id, {"unit_price": price})
        data = {"from": None if before is None else str(before), "to": str(price)}
        write_event(connection, PRICE_ACCEPTED, at=self.clock(), job=job_id, data=data, actor=actor or None)

    def _change(
        self,
        connection: Connection,
        job_id: JobId,
        expected: AbstractSet[JobState],
        to: JobState,
        reason: str | None,
        *,
        held: str | None = None,
    ) -> None:
        now = self.clock()
        before = self._require(connection, job_id, set(expected) - {JobState.DRAFT}, to.value)
        ended_at = now if to in _ENDED else None
        standing = say_standing(reason, held)
        values = {"state": to.value, **standing, "wanted": None, "ended_at": ended_at}
        connection.execute(update(job).where(job.c.id == job_id).values(values))
        data = {"from": before.value, "to": to.value, "reason": standing["reason"]}
        write_event(connection, "job_changed", at=now, job=job_id, data=data)

    def _require(self, connection: Connection, job_id: JobId, states: AbstractSet[JobState], wanted: str) -> JobState:
        found = connection.execute(select(job.c.state).where(job.c.id == job_id).with_for_update()).scalar()
        if found is None:
            raise UnknownJobError(job=job_id)
        if JobState(found) not in states:
            raise JobStateError(job=job_id, state=found, wanted=wanted)
        return JobState(found)

    def _set(self, connection: Connection, job_id: JobId, values: Mapping[str, Any]) -> None:
        if connection.execute(update(job).where(job.c.id == job_id).values(values)).rowcount != 1:
            raise UnknownJobError(job=job_id)


#: Made once, as listings are: an engine asks for its jobs many times a second.
_one_job: Final = select(job).where(job.c.id == bindparam("wanted"))
_asked: Final[Mapping[str, ColumnElement[bool]]] = {
    "state": job.c.state == bindparam("state"),
    "account": job.c.account == bindparam("account"),
    "before": job.c.id < bindparam("before"),
}


def _give(**wanted: object) -> dict[str, object]:
    """Give the parameters of a listing that were told."""
    return {name: value for name, value in wanted.items() if value is not None}


def _listed(given: AbstractSet[str]) -> list[ColumnElement[bool]]:
    """Give the conditions of a listing that has these parameters: drafts are hidden."""
    return [job.c.state != JobState.DRAFT.value, *(_asked[name] for name in sorted(given & _asked.keys()))]


@cache
def _listing(given: frozenset[str]) -> Select[Any]:
    query = select(job).where(*_listed(given)).order_by(job.c.id.desc())
    return query.limit(bindparam("limit", type_=Integer())) if "limit" in given else query


def _nth_queued(job_id: JobId, number: int) -> Select[Any]:
    """Ask for the last of the first orders to be sent; none where there are fewer."""
    query = select(orders.c.id).where(orders.c.job_id == job_id, orders.c.state == OrderState.QUEUED.value)
    return query.order_by(orders.c.id).offset(number - 1).limit(1)


def _delete_drafts(connection: Connection, ids: Sequence[JobId]) -> None:
    theirs = select(orders.c.id).where(orders.c.job_id.in_(ids))
    connection.execute(delete(order_item).where(order_item.c.order_id.in_(theirs)))
    connection.execute(delete(orders).where(orders.c.job_id.in_(ids)))
    connection.execute(delete(job).where(job.c.id.in_(ids)))


def _read_job(row: AnyRow) -> Job:
    values = row._asdict()
    del values["settled_reason"]
    values["id"] = JobId(row.id)
    values["account"] = AccountName(row.account)
    values["service"] = ServiceId(row.service)
    values["state"] = JobState(row.state)
    values["wanted"] = None if row.wanted is None else JobState(row.wanted)
    values["policy"] = Policy(row.policy)
    values["hold_after"] = None if row.hold_after is None else OrderId(row.hold_after)
    values["kind"] = OrderKind(row.kind)
    values["columns"] = None if row.columns is None else tuple(row.columns)
    return Job(**values)
