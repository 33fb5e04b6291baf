"""The rows of a job's list as a stream, each with what became of it. Its memory does not grow with the list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import and_, bindparam, case, func, literal, or_, select, union_all

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import ErrorKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import from_micros
from imeiflow.ledger.dialect import fetch_rows
from imeiflow.ledger.record import OrderRow
from imeiflow.ledger.schema import orders

_first = orders.alias("first")

#: What a repeated row takes over from the order that it repeats.
_TAKEN_OVER = frozenset(
    {
        "attempts",
        "reference",
        "status",
        "status_at",
        "result",
        "error_kind",
        "error",
        "accepted_at",
        "completed_at",
    }
)
_is_own = or_(orders.c.state != OrderState.REPEATED.value, _first.c.id.is_(None))
#: The order of a row's IMEI that stands in the list before, or the one of an earlier job that this one repeats itself.
_before = orders.alias("before")
_in_list = (
    select(func.coalesce(_before.c.earlier_id, _before.c.id))
    .where(_before.c.imei == orders.c.imei, _before.c.job_id == orders.c.job_id, _before.c.line == orders.c.repeated_of)
    .correlate(orders)
    .scalar_subquery()
)
_is_first = and_(
    orders.c.state == OrderState.REPEATED.value, _first.c.id == func.coalesce(orders.c.earlier_id, _in_list)
)


def _take(name: str) -> Any:
    """Give a column of a row: its own, or that of the order that it repeats."""
    if name == "earlier":
        return orders.c.earlier_id
    if name not in _TAKEN_OVER:
        return orders.c[name]
    other = func.coalesce(orders.c.error, _first.c.error) if name == "error" else _first.c[name]
    return case((_is_own, orders.c[name]), else_=other).label(name)


#: A batch of rows. By the order's id alone: a job's index has them by state, to be sorted anew for each batch.
_BATCH = (
    select(
        *(_take(name) for name in OrderRow.__dataclass_fields__ if name not in {"job", "first"}),
        _first.c.state.label("first_state"),
    )
    .select_from(orders.outerjoin(_first, _is_first))
    .where(
        orders.c.job_id + 0 == bindparam("job_id"), orders.c.id > bindparam("after"), orders.c.id <= bindparam("last")
    )
    .order_by(orders.c.id)
)


def _end_of(state: OrderState, place: Any) -> Any:
    """Look up the first or the last id of a job's rows in a state. Smallest and largest in one query would read all."""
    of_state = (orders.c.job_id == bindparam("job_id"), orders.c.state == state.value)
    return select(orders.c.id).where(*of_state).order_by(place).limit(1).scalar_subquery()


#: The first and the last id of a job's rows in each state: two looks into an index, however many rows there are.
_extreme = union_all(
    *(
        select(
            literal(state.value).label("state"),
            _end_of(state, orders.c.id.asc()).label("first"),
            _end_of(state, orders.c.id.desc()).label("last"),
        )
        for state in OrderState
    )
).subquery()
EXTREMES = select(func.min(_extreme.c.first), func.max(_extreme.c.last))


class Rows(Access):
    """The part of the ledger that gives a list back."""

    def span_rows(self, job_id: JobId) -> int:
        """Say how many rows a job has at most, without counting them: its first to its last."""
        with self._read() as connection:
            first, last = connection.execute(EXTREMES, {"job_id": job_id}).one()
        return 0 if last is None else int(last - first + 1)

    def order_rows(
        self, job_id: JobId, states: AbstractSet[OrderState] | None = None, batch: int = 1000
    ) -> Iterator[OrderRow]:
        """Stream a job's rows in file order, `batch` at a time, a repeated row with the result of the first.

        Each batch is a view of its own: rows of a job that is being worked on may be younger than those before.
        """
        query = _BATCH.limit(batch)
        extremes = EXTREMES
        if states is not None:
            wanted = sorted(state.value for state in states)
            query = query.where(orders.c.state.in_(wanted))
            extremes = extremes.where(_extreme.c.state.in_(wanted))
        with self._read() as connection:
            first, last = connection.execute(extremes, {"job_id": job_id}).one()
        after = 0 if last is None else first - 1
        while last is not None and after < last:
            with self._read() as connection:
                rows = fetch_rows(connection, query, {"job_id": job_id, "after": after, "last": last})
            rows.sort(key=itemgetter(0))
            yield from (_read_row(job_id, row) for row in rows)
            if len(rows) < batch:
                return
            after = rows[-1][0]


_STATES = {state.value: state for state in OrderState}
_STATUSES = {status.value: status for status in ResultStatus}
_KINDS = {kind.value: kind for kind in ErrorKind}
_read_json = json.JSONDecoder().raw_decode


@lru_cache(maxsize=1024)
def _amount(price: str) -> Decimal:
    return Decimal(price)


def _read_row(job_id: JobId, row: Sequence[Any]) -> OrderRow:
    (
        id_,
        line,
        imei,
        value,
        repairs,
        flaw,
        repeated_of,
        earlier,
        state,
        attempts,
        reference,
        status,
        status_at,
        result,
        error_kind,
        error,
        price,
        charges,
        accepted_at,
        completed_at,
        columns,
        first,
    ) = row
    return OrderRow(
        id=id_,
        job=job_id,
        line=line,
        imei=imei,
        value=value,
        repairs=repairs,
        flaw=flaw,
        repeated_of=repeated_of,
        earlier=earlier,
        state=_STATES[state],
        first=None if first is None else _STATES[first],
        attempts=attempts,
        reference=reference,
        status=None if status is None else _STATUSES[status],
        status_at=from_micros(status_at),
        result=result,
        error_kind=None if error_kind is None else _KINDS[error_kind],
        error=error,
        price=None if price is None else _amount(price),
        charges=charges,
        accepted_at=from_micros(accepted_at),
        completed_at=from_micros(completed_at),
        columns=None if columns is None else tuple(_read_json(columns)[0]),
    )
