"""What keeps a job's rows from being accepted, in groups, as a person is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Select, func, or_, select

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import ErrorKind
from imeiflow.ledger.access import Access
from imeiflow.ledger.mask import Masked
from imeiflow.ledger.record import Reason
from imeiflow.ledger.schema import orders


class Reasons(Access):
    """The part of the ledger that says why."""

    def reasons(self, job_id: JobId, limit: int = 200) -> list[Reason]:
        """Group what keeps rows from being accepted, most frequent first, each with an example row.

        Texts are alike that differ only in what looks like an id. Beyond `limit` groups, the rest of a state is one.
        """
        said = _say_why(job_id).subquery()
        key = Masked(said.c.message).label("key")
        number = func.sum(said.c.number).label("number")
        alike = [said.c.state, said.c.error_kind]
        example = func.min(said.c.id)
        query: Select[Any] = select(*alike, key, number, example, func.count(), func.min(said.c.message))
        query = query.group_by(*alike, key).order_by(number.desc(), example).limit(limit)
        totals: Select[Any] = select(*alike, number, example).group_by(*alike)
        with self._read() as connection:
            groups = [
                (state, kind, text if texts == 1 else masked, count, first)
                for state, kind, masked, count, first, texts, text in connection.execute(query)
            ]
            if len(groups) == limit:
                told = Counter[tuple[str, str | None]]()
                for state, kind, _, count, _ in groups:
                    told[state, kind] += count
                for state, kind, count, first in connection.execute(totals).all():
                    if count > told[state, kind]:
                        groups.append((state, kind, "other texts", count - told[state, kind], first))
            rows = select(orders.c.id, orders.c.line, orders.c.imei, orders.c.value)
            rows = rows.where(orders.c.id.in_([group[4] for group in groups]))
            examples = {row.id: row for row in connection.execute(rows)}
        return [
            Reason(
                state=OrderState(state),
                kind=None if kind is None else ErrorKind(kind),
                message=text,
                count=count,
                line=examples[first].line,
                imei=examples[first].imei or examples[first].value or "",
            )
            for state, kind, text, count, first in groups
        ]


def _say_why(job_id: JobId) -> Select[Any]:
    """Count the rows of a job that are not accepted by state, kind and text."""
    message = func.coalesce(orders.c.flaw, orders.c.error, "")
    silent = [OrderState.ACCEPTED, OrderState.DUPLICATE, OrderState.SENDING]
    untold = [OrderState.QUEUED, OrderState.REPEATED]  # they need no reason
    number, first = func.count().label("number"), func.min(orders.c.id).label("id")
    return (
        select(orders.c.state, orders.c.error_kind, message.label("message"), number, first)
        .where(
            orders.c.job_id == job_id,
            orders.c.state.not_in([state.value for state in silent]),
            or_(orders.c.state.not_in([state.value for state in untold]), orders.c.error.is_not(None)),
        )
        .group_by(orders.c.state, orders.c.error_kind, message)
    )
