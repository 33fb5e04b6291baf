"""What is counted over all jobs: what waits for a person, and what came of the orders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, func, select

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.ledger.access import Access
from imeiflow.ledger.schema import job, orders


class Overview(Access):
    """The part of the ledger that counts over all jobs."""

    def count_in_state(self, state: OrderState) -> dict[JobId, int]:
        """Count the orders of a state in each job that has any, newest job first."""
        of_job = (orders.c.job_id == job.c.id, orders.c.state == state.value)
        number = select(func.count()).select_from(orders).where(*of_job).correlate(job).scalar_subquery()
        query: Select[Any] = (
            select(job.c.id, number)
            .where(job.c.state != JobState.DRAFT.value, exists().where(*of_job).correlate(job))
            .order_by(job.c.id.desc())
        )
        with self._read() as connection:
            return {JobId(id_): count for id_, count in connection.execute(query)}

    def count_statuses(self, since: datetime) -> dict[ResultStatus, int]:
        """Count the orders of jobs that were created since a time by what the provider made of them."""
        query: Select[Any] = (
            select(orders.c.status, func.count())
            .select_from(job.join(orders, orders.c.job_id == job.c.id))
            .where(job.c.created_at >= since, job.c.state != JobState.DRAFT.value, orders.c.status.is_not(None))
            .group_by(orders.c.status)
        )
        with self._read() as connection:
            return {ResultStatus(status): count for status, count in connection.execute(query)}
