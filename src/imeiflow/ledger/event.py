"""The log of what happened and who did it, as others read it and add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId
from imeiflow.ledger.access import Access
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.log import CAP_CHANGED, JOB_STARTED, write_event
from imeiflow.ledger.record import Event
from imeiflow.ledger.schema import event


class Events(Access):
    """The part of the ledger that keeps the log of events."""

    def log_event(
        self,
        kind: str,
        *,
        job: JobId | None = None,
        order: OrderId | None = None,
        account: AccountName | None = None,
        data: Mapping[str, object] | None = None,
        actor: str | None = None,
    ) -> None:
        """Add an event; `data` is a JSON object, `actor` who did it."""
        now = self.clock()
        self._write(
            lambda c: write_event(c, kind, at=now, account=account, job=job, order=order, data=data, actor=actor)
        )

    def last_event(self, job: JobId | None = None) -> int:
        """Give the id of the newest event (of a job), 0 where there is none: it grows whenever anything is logged."""
        query = select(func.max(event.c.id))
        if job is not None:
            query = query.where(event.c.job_id == job)
        with self._read() as connection:
            return connection.execute(query).scalar() or 0

    def events(
        self,
        *,
        job: JobId | None = None,
        order: OrderId | None = None,
        account: AccountName | None = None,
        kinds: Sequence[str] | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[Event]:
        """List events in the order in which they happened, those with an id above `after`."""
        query = select(event).where(event.c.id > after).order_by(event.c.id).limit(limit)
        if kinds is not None:
            query = query.where(event.c.kind.in_(kinds))
        if job is not None:
            query = query.where(event.c.job_id == job)
        if order is not None:
            query = query.where(event.c.order_id == order)
        if account is not None:
            query = query.where(event.c.account == account)
        with self._read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def recent_events(
        self,
        *,
        job: JobId | None = None,
        kinds: Sequence[str] | None = None,
        actor: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Event]:
        """List events, the newest first, those with an id below `before`."""
        query = select(event).order_by(event.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(event.c.id < before)
        if kinds is not None:
            query = query.where(event.c.kind.in_(kinds))
        if job is not None:
            query = query.where(event.c.job_id == job)
        if actor is not None:
            query = query.where(event.c.actor == actor)
        with self._read() as connection:
            return [_read(row) for row in connection.execute(query)]

    def find_cap_limit(self, job: JobId) -> str | None:
        """Give whose limit of the day a job's spending cap comes from; None where somebody chose it, or it has none."""
        last = self.recent_events(job=job, kinds=[JOB_STARTED, CAP_CHANGED], limit=1)
        found = last[0].data.get("limit_of") if last else None
        return None if found is None else str(found)

    def event_kinds(self) -> list[str]:
        """List the kinds of events that have happened."""
        with self._read() as connection:
            return sorted(connection.execute(select(event.c.kind).distinct()).scalars())


def _read(row: AnyRow) -> Event:
    return Event(
        id=row.id,
        at=row.at,
        kind=row.kind,
        account=None if row.account is None else AccountName(row.account),
        job=None if row.job_id is None else JobId(row.job_id),
        order=None if row.order_id is None else OrderId(row.order_id),
        attempt=None if row.attempt_id is None else AttemptId(row.attempt_id),
        data=row.data,
        actor=row.actor,
    )
