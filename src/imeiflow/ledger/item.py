"""Orders that are about a file or a service's own fields: read in with their content, found again by it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Text, func, insert, select

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.item import FileItem, Item, ServerItem
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.dialect import encode, encode_rows, json_rows
from imeiflow.ledger.job import Jobs
from imeiflow.ledger.record import PastItem
from imeiflow.ledger.schema import attempt, job, order_item, orders

_asked = json_rows("digests", digest=Text())
#: What has been ordered, may have been, or is going to be.
_STANDING = (
    OrderState.QUEUED,
    OrderState.SENDING,
    OrderState.ACCEPTED,
    OrderState.DUPLICATE,
    OrderState.UNCONFIRMED,
)


class Items(Jobs):
    """The part of the ledger that keeps what file and server orders are about."""

    def add_items(self, job_id: JobId, items: Sequence[Item], columns: Sequence[str]) -> None:
        """Add an order an item to a draft, in order, the first on line 1, with its cells under `columns`; all or none.

        Raises JobStateError where the job is no draft, GuardError where an item is not of its kind.
        """

        def add(connection: Connection) -> None:
            self._require(connection, job_id, {JobState.DRAFT}, "added to")
            kind = connection.execute(select(job.c.kind).where(job.c.id == job_id)).scalar_one()
            is_met = all(item.kind == kind for item in items)
            self._guard(is_met=is_met, problem=f"a job of {kind} orders takes no others")
            for line, item in enumerate(items, 1):
                key = connection.execute(
                    insert(orders).values(
                        job_id=job_id,
                        line=line,
                        value=item.subject,
                        columns=encode([item.cells.get(name, "") for name in columns]),
                        state=OrderState.QUEUED.value,
                        attempts=0,
                        charges=0,
                    )
                ).inserted_primary_key
                values = {"order_id": key[0], "digest": item.digest}  # type: ignore[index]
                match item:
                    case FileItem():
                        values |= {"file_name": item.name, "content": item.content}
                    case ServerItem():
                        values |= {"fields": dict(item.fields)}
                connection.execute(insert(order_item).values(values))

        self._write(add)

    def find_item(self, order: OrderId) -> Item | None:
        """Give what an order is about; None for one that is about an IMEI."""
        query = select(order_item.c.file_name, order_item.c.content, order_item.c.fields)
        with self._read() as connection:
            row = connection.execute(query.where(order_item.c.order_id == order)).one_or_none()
        if row is None:
            return None
        return ServerItem(row.fields) if row.content is None else FileItem(row.file_name, row.content)

    def find_past_items(self, account: AccountName, service: ServiceId, digests: Sequence[str]) -> dict[str, PastItem]:
        """Find the newest order of each content that stands under a service of an account, whatever its job."""
        query = (
            select(
                order_item.c.digest,
                orders.c.id,
                orders.c.job_id,
                orders.c.state,
                orders.c.reference,
                func.coalesce(attempt.c.started_at, job.c.created_at).label("at"),
            )
            .join(orders, orders.c.id == order_item.c.order_id)
            .join(job, job.c.id == orders.c.job_id)
            .outerjoin(attempt, attempt.c.id == orders.c.attempt_id)
            .where(
                order_item.c.digest.in_(select(_asked.c.digest)),
                job.c.account == account,
                job.c.service == service,
                job.c.state != JobState.DRAFT.value,
                orders.c.state.in_([state.value for state in _STANDING]),
            )
            .order_by(orders.c.id)
        )
        with self._read() as connection:
            rows = connection.execute(query, {"digests": encode_rows([(digest,) for digest in digests])}).all()
        return {
            row.digest: PastItem(
                digest=row.digest,
                order=OrderId(row.id),
                job=JobId(row.job_id),
                state=OrderState(row.state),
                reference=None if row.reference is None else Reference(row.reference),
                at=row.at,
            )
            for row in rows
        }
