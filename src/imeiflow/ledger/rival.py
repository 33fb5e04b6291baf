"""Whether what a job orders is ordered elsewhere, or waits to be: the one answer, by IMEI or by an item's content.

A list is compared batch by batch while it is read. From then on the ledger's `Mark` tells whether anything was queued
under its service since: it starts only where nothing was (`Jobs.start_job`), or where nothing of it is the same.
Each answer is one view of the ledger: what moves meanwhile from waiting to placed, or back, is found as one of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, and_, exists, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.recurrence import PLACED, UNSETTLED
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import encode_rows, from_micros
from imeiflow.ledger.dialect import fetch_rows, json_rows
from imeiflow.ledger.log import QUEUEING
from imeiflow.ledger.record import Conflict, Elsewhere, Mark, PastOrder
from imeiflow.ledger.schema import attempt, event, job, order_item, orders

_SHOWN: Final = 500  #: characters of an earlier result
_STATUSES: dict[str | None, ResultStatus | None] = {None: None, **{status.value: status for status in ResultStatus}}
_PLACED: Final = sorted(state.value for state in PLACED)
_STATES: Final = {state.value: state for state in (*PLACED, OrderState.QUEUED)}
#: What comes before and after all else, by state or status.
_RANKS: Final = {**{state.value: 2 for state in UNSETTLED}, ResultStatus.REJECTED.value: 0}
_MOST_AT_ONCE: Final = 10_000

_asked = json_rows("asked", key=Text())

_other = orders.alias("other")
_other_item = order_item.alias("other_item")
_own_job = job.alias("own_job")
_other_job = job.alias("other_job")


class Rivals(Access):
    """The part of the ledger that knows what other jobs order."""

    def mark(self) -> Mark:
        """Say how far the ledger is, before something is compared with it."""
        with self._read() as connection:
            events, attempts = connection.execute(
                select(select(func.max(event.c.id)).scalar_subquery(), select(func.max(attempt.c.id)).scalar_subquery())
            ).one()
        return Mark(events or 0, AttemptId(attempts or 0))

    def find_elsewhere(
        self,
        account: AccountName,
        service: ServiceId,
        keys: Sequence[str],
        *,
        is_item: bool = False,
        exclude_job: JobId | None = None,
    ) -> dict[str, Elsewhere]:
        """Find where IMEIs, or items by their digests, stand under a service of an account; only those that do."""
        query = _select_standing(account, service, is_item=is_item)
        if exclude_job is not None:
            query = query.where(job.c.id != exclude_job)
        rows: list[list[Any]] = []
        with self._read() as connection:
            if connection.execute(_any_job(account, service, exclude_job)).scalar() is None:
                return {}  # a first list needs no search at all
            for start in range(0, len(keys), _MOST_AT_ONCE):
                asked = encode_rows([(key,) for key in keys[start : start + _MOST_AT_ONCE]])
                rows += fetch_rows(connection, query, {"asked": asked})
        return _sort(rows)

    def find_ordered_before(
        self,
        account: AccountName,
        service: ServiceId,
        imeis: Sequence[Imei],
        *,
        exclude_job: JobId | None = None,
    ) -> dict[Imei, PastOrder]:
        """Find for each IMEI the earlier order under the same service that matters most (see `PastOrder`)."""
        found = self.find_elsewhere(account, service, imeis, exclude_job=exclude_job)
        return {Imei(imei): one.past for imei, one in found.items() if one.past is not None}

    def find_conflict(self, draft: JobId, since: Mark) -> Conflict | None:
        """Find an order of a draft that another job has queued or placed since a mark; None where there is none."""
        with self._read() as connection:
            rivals = list(connection.execute(_select_rivals(draft, since)).scalars())
            if not rivals:
                return None
            is_since = or_(_waits(), and_(_is_placed(), _other.c.attempt_id > since.attempt))
            for is_item in (False, True):
                found = _select_same(is_since, is_item=is_item).where((_other.c.job_id + 0).in_(rivals))
                columns = func.coalesce(orders.c.imei, orders.c.value), _other.c.job_id, _other.c.state
                query = found.with_only_columns(*columns).where(
                    orders.c.job_id == draft, orders.c.state == OrderState.QUEUED.value
                )
                row = connection.execute(query.limit(1)).one_or_none()
                if row is not None:
                    return Conflict(subject=row[0], is_item=is_item, job=JobId(row[1]), state=_STATES[row[2]])
        return None


def has_rivals(connection: Connection, draft: JobId, since: Mark) -> bool:
    """Say whether another job of a draft's account and service had orders queued since a mark."""
    return connection.execute(_select_rivals(draft, since).limit(1)).first() is not None


def stands_elsewhere() -> ColumnElement[bool]:
    """Say of orders that other jobs of their account and service have ordered the same since, or are about to."""
    return or_(*(exists(_select_later(is_item=is_item).correlate(orders)) for is_item in (False, True)))


def last_elsewhere() -> ColumnElement[int]:
    """Give of orders the newest of the jobs for which `stands_elsewhere` is true of them, None where none is."""
    by_imei, by_content = (
        _select_later(is_item=is_item).with_only_columns(func.max(_other.c.job_id)).correlate(orders).scalar_subquery()
        for is_item in (False, True)
    )
    return func.coalesce(by_imei, by_content)


def _select_later(*, is_item: bool) -> Select[Any]:
    """Select what other jobs ordered of the same later: what came into the ledger, or was sent, after it."""
    is_later = or_(_other.c.id > orders.c.id, _other.c.attempt_id > orders.c.attempt_id)
    return _select_same(or_(_waits(), and_(_is_placed(), is_later)), is_item=is_item)


def _waits() -> ColumnElement[bool]:
    return _other.c.state == OrderState.QUEUED.value


def _is_placed() -> ColumnElement[bool]:
    return _other.c.state.in_(_PLACED)


def _select_same(condition: ColumnElement[bool], *, is_item: bool) -> Select[Any]:
    """Select the orders that other jobs of the same account and service have of the same IMEI, or content."""
    query = (
        select(_other.c.id)
        .join(_other_job, _other_job.c.id == _other.c.job_id + 0)  # no index on the job: the IMEIs lead
        .join(_own_job, _own_job.c.id == orders.c.job_id)
        .where(
            _other.c.job_id + 0 != orders.c.job_id,
            _other_job.c.account == _own_job.c.account,
            _other_job.c.service == _own_job.c.service,
            _other_job.c.state != JobState.DRAFT.value,
            condition,
        )
    )
    if not is_item:
        return query.where(_other.c.imei == orders.c.imei)
    query = query.join(_other_item, _other_item.c.order_id == _other.c.id)
    return query.join(order_item, order_item.c.digest == _other_item.c.digest).where(
        order_item.c.order_id == orders.c.id
    )


def _select_rivals(draft: JobId, since: Mark) -> Select[Any]:
    """Select the other jobs of a draft's account and service that had orders queued since."""
    return (
        select(job.c.id)
        .distinct()
        .select_from(event)
        .join(job, job.c.id == event.c.job_id + 0)  # the events lead: they are few
        .join(_own_job, and_(_own_job.c.account == job.c.account, _own_job.c.service == job.c.service))
        .where(
            event.c.id > since.event,
            event.c.kind.in_(sorted(QUEUEING)),
            _own_job.c.id == draft,
            job.c.id != draft,
        )
    )


def _select_standing(account: AccountName, service: ServiceId, *, is_item: bool) -> Select[Any]:
    """Select what stands under a service of an account of what is asked for."""
    key = order_item.c.digest if is_item else orders.c.imei
    at = func.coalesce(attempt.c.started_at, job.c.created_at) if is_item else job.c.created_at
    query = select(
        orders.c.id,
        key.label("key"),
        orders.c.job_id,
        orders.c.state,
        orders.c.reference,
        orders.c.status,
        at.label("at"),
        func.substr(orders.c.result, 1, _SHOWN).label("result"),
    )
    if is_item:
        query = query.select_from(order_item.join(orders, orders.c.id == order_item.c.order_id))
        query = query.outerjoin(attempt, attempt.c.id == orders.c.attempt_id)
    return query.join(job, job.c.id == orders.c.job_id + 0).where(  # no index on the job: the IMEIs lead
        key.in_(select(_asked.c.key)),
        job.c.account == account,
        job.c.service == service,
        job.c.state != JobState.DRAFT.value,
        orders.c.state.in_(list(_STATES)),
    )


def _any_job(account: AccountName, service: ServiceId, exclude_job: JobId | None) -> Select[int]:
    """Ask for any earlier job under a service."""
    wanted = (job.c.account == account, job.c.service == service, job.c.state != JobState.DRAFT.value)
    query = select(job.c.id).where(*wanted).limit(1)
    return query if exclude_job is None else query.where(job.c.id != exclude_job)


def _sort(rows: list[list[Any]]) -> dict[str, Elsewhere]:
    """Give for each key what waits of it, the newest, and what was placed that matters most."""
    rows.sort(key=_rank)
    waiting: dict[str, PastOrder] = {}
    past: dict[str, PastOrder] = {}
    for id_, key, its_job, state, reference, status, at, result in rows:
        found = PastOrder(
            OrderId(id_),
            JobId(its_job),
            _STATES[state],
            None if reference is None else Reference(reference),
            _STATUSES[status],
            _instant(at),
            result,
        )
        (waiting if found.state is OrderState.QUEUED else past)[key] = found
    return {key: Elsewhere(past=past.get(key), waiting=waiting.get(key)) for key in {**past, **waiting}}


def _rank(row: Sequence[Any]) -> tuple[int, int]:
    """Rank a found order by how much it matters: the last one counts."""
    return _RANKS.get(row[3], _RANKS.get(row[5], 1)), row[0]


def _instant(micros: int | None) -> Any:
    return from_micros(micros)
