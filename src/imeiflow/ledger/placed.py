"""Which accepted orders could be repeated to learn whether the provider refuses repeats.

The refusal of a repeat proves something of an order's age only where it is about that order. Where the same IMEI may
have been placed later, under the same service of the account, it may be about the younger one: such are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, bindparam, exists, func, or_, select

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import from_micros
from imeiflow.ledger.dialect import Listing
from imeiflow.ledger.record import PlacedOrder
from imeiflow.ledger.schema import attempt, attempt_order, job, orders

#: So many are looked at for those that are the newest of their IMEI: a list may have been ordered again as a whole.
_LOOKED_AT: Final = 2000
_ABOUT_TO_BE: Final = (OrderState.QUEUED.value, OrderState.SENDING.value)
_MAY_HAVE_PLACED: Final = (Outcome.ACCEPTED.value, Outcome.UNCONFIRMED.value)

_other = orders.alias("other")
_other_job = job.alias("other_job")
_other_call = attempt.alias("other_call")
_told = attempt_order.alias("told")
_account: BindParameter[str] = bindparam("account")
_service: BindParameter[str] = bindparam("service")


class Placed(Access):
    """The part of the ledger that knows accepted orders by their age."""

    def oldest_accepted(
        self, account: AccountName, service: ServiceId, *, job_id: JobId | None = None, limit: int = 50
    ) -> list[PlacedOrder]:
        """List the orders accepted longest ago under a service of an account, oldest first.

        Only those that are the newest of their IMEI there, of a few thousand.
        """
        if job_id is None:
            return self._read_newest(select_oldest, account, service, most=limit)
        return self._read_newest(select_oldest_of_job, account, service, most=limit, job_id=job_id)

    def accepted_before(
        self, account: AccountName, service: ServiceId, moment: datetime, *, limit: int = 50
    ) -> list[PlacedOrder]:
        """List the orders accepted under a service whose attempts began before a moment, the youngest first.

        Only those that are the newest of their IMEI there, of a few thousand.
        """
        return self._read_newest(select_before, account, service, most=limit, moment=moment)

    def is_newest(self, order: OrderId, *, besides: AttemptId) -> bool:
        """Say whether an accepted order is the newest of its IMEI under its service, an attempt left aside."""
        with self._read() as connection:
            return connection.execute(select_newest(), {"order": order, "besides": besides}).first() is not None

    def _read_newest(
        self, select_: Callable[[], Select[Any]], account: AccountName, service: ServiceId, **values: object
    ) -> list[PlacedOrder]:
        with self._read() as connection:
            rows = _list(select_).fetch(connection, {"account": account, "service": service, **values})
        return [_make_order(row) for row in rows]


@cache
def _list(select_: Callable[[], Select[Any]]) -> Listing:
    return Listing(select_())


def select_oldest(*of_job: ColumnElement[bool]) -> Select[Any]:
    """Select accepted orders that are the newest of their IMEI, those accepted longest ago first."""
    query = _accepted().where(*of_job)
    found = query.order_by(orders.c.accepted_at, orders.c.id).limit(_LOOKED_AT).subquery("found")
    return _keep_newest(found).order_by(found.c.accepted_at, found.c.id)


def select_oldest_of_job() -> Select[Any]:
    """Select the same of one job."""
    return select_oldest(orders.c.job_id == bindparam("job_id"))


def select_before() -> Select[Any]:
    """Select accepted orders that are the newest of their IMEI, of calls before a moment, the youngest first."""
    query = _accepted().where(attempt.c.started_at < bindparam("moment"))
    found = query.order_by(attempt.c.started_at.desc(), orders.c.id).limit(_LOOKED_AT).subquery("found")
    return _keep_newest(found).order_by(found.c.started_at.desc(), found.c.id)


@cache
def select_newest() -> Select[Any]:
    """Select an order's id where it is accepted, and the newest of its IMEI; `besides`: an attempt left aside."""
    found = (
        select(orders.c.id, orders.c.imei, orders.c.attempt_id, attempt.c.started_at, job.c.account, job.c.service)
        .join(job, job.c.id == orders.c.job_id)
        .join(attempt, attempt.c.id == orders.c.attempt_id)
        .where(orders.c.id == bindparam("order"), orders.c.state == OrderState.ACCEPTED.value)
        .subquery("found")
    )
    is_newer = _is_newer(found, found.c.account, found.c.service, _other_call.c.id != bindparam("besides"))
    return select(found.c.id).where(~is_newer)


def _accepted() -> Select[Any]:
    return (
        select(
            orders.c.id,
            orders.c.imei,
            orders.c.reference,
            attempt.c.started_at,
            func.coalesce(orders.c.accepted_at, attempt.c.ended_at).label("placed_by"),
            orders.c.status,
            orders.c.price,
            orders.c.job_id,
            orders.c.accepted_at,
            orders.c.attempt_id,
        )
        .join(job, job.c.id == orders.c.job_id)
        .join(attempt, attempt.c.id == orders.c.attempt_id)
        .where(job.c.account == _account, job.c.service == _service, orders.c.state == OrderState.ACCEPTED.value)
        .where(func.coalesce(orders.c.accepted_at, attempt.c.ended_at).is_not(None))
        .where(orders.c.imei.is_not(None))  # a repeat of another kind teaches nothing of IMEIs
    )


def _keep_newest(found: FromClause) -> Select[Any]:
    columns = [found.c[name] for name in ("id", "imei", "reference", "started_at", "placed_by", "status", "price")]
    is_newer = _is_newer(found, _account, _service)
    return select(*columns, found.c.job_id).where(~is_newer).limit(bindparam("most"))


def _is_newer(found: FromClause, account: Any, service: Any, *also: ColumnElement[bool]) -> ColumnElement[bool]:
    """Say of a found order that its IMEI may have been placed later, or is about to be, under the same service.

    By any order, and by any call: one that repeated the order itself, and whose reply was lost, is one of them. A call
    that was under way beside the order's own may have been later at the provider.
    """
    same = (
        select(_other.c.id)
        .join(_other_job, _other_job.c.id == _other.c.job_id + 0)  # no index on the job: the IMEIs lead
        .where(
            _other.c.imei == found.c.imei,
            _other_job.c.account == account,
            _other_job.c.service == service,
            _other_job.c.state != JobState.DRAFT.value,
        )
        .correlate(found)
    )
    is_late = or_(
        _other_call.c.id > found.c.attempt_id,
        _other_call.c.ended_at.is_(None),
        _other_call.c.ended_at > found.c.started_at,
    )
    placed = (
        same.join(_told, _told.c.order_id == _other.c.id)
        .join(_other_call, _other_call.c.id == _told.c.attempt_id)
        .where(_told.c.outcome.in_(_MAY_HAVE_PLACED), _other_call.c.id != found.c.attempt_id, is_late, *also)
    )
    return or_(exists(same.where(_other.c.state.in_(_ABOUT_TO_BE))), exists(placed))


def _make_order(row: Sequence[Any]) -> PlacedOrder:
    id_, imei, reference, began_at, placed_by, status, price, its_job = row
    return PlacedOrder(
        order=OrderId(id_),
        imei=Imei(imei),
        reference=None if reference is None else Reference(reference),
        began_at=_at(began_at),
        placed_by=_at(placed_by),
        status=None if status is None else ResultStatus(status),
        price=None if price is None else Decimal(price),
        job=JobId(its_job),
    )


def _at(micros: int) -> Any:
    return from_micros(micros)
