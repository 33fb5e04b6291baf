"""Orders that are about a file or a service's own fields: read in with their content, found again by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.item import FileItem, Item, ServerItem
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.cell import encode
from imeiflow.ledger.job import Jobs
from imeiflow.ledger.schema import job, order_item, orders


class Items(Jobs):
    """The part of the ledger that keeps what file and server orders are about."""

    def add_items(self, job_id: JobId, items: Mapping[int, Item], columns: Sequence[str]) -> None:
        """Add an order an item to a draft, each by its line, with its cells under `columns`; all or none.

        Raises JobStateError where the job is no draft, GuardError where an item is not of its kind.
        """

        def add(connection: Connection) -> None:
            self._require(connection, job_id, {JobState.DRAFT}, "added to")
            kind = connection.execute(select(job.c.kind).where(job.c.id == job_id)).scalar_one()
            is_met = all(item.kind == kind for item in items.values())
            self._guard(is_met=is_met, problem=f"a job of {kind} orders takes no others")
            for line, item in items.items():
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
