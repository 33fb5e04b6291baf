"""Why jobs stand as they stand: what is said of their doubts ends with them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, exists, update

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.ledger.schema import job, orders

_IS_UNCONFIRMED = exists().where(orders.c.job_id == job.c.id, orders.c.state == OrderState.UNCONFIRMED.value)


def say_standing(reason: str | None, held: str | None) -> dict[str, str | None]:
    """Give the columns for why a job stands, and why its doubts are held."""
    return {"reason": "; ".join(text for text in (reason, held) if text) or None, "settled_reason": reason}


def forget_doubts(connection: Connection, jobs: Collection[JobId]) -> None:
    """Leave out of the reasons of jobs why their doubts are held, where none is left."""
    settled = update(job).where(job.c.id.in_(jobs), ~_IS_UNCONFIRMED)
    connection.execute(settled.values(reason=job.c.settled_reason))
