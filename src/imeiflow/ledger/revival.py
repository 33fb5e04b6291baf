"""Letting a job at rest go on: with all that was agreed to for it, in one transaction."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Select, select

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.ledger.action import Actions
from imeiflow.ledger.change import Agreed, Revived
from imeiflow.ledger.job import Jobs
from imeiflow.ledger.schema import job, orders

_WAITING: Final = (OrderState.QUEUED.value, OrderState.SENDING.value)


class Revivals(Actions, Jobs):
    """The part of the ledger that lets jobs go on."""

    def revive_job(self, job_id: JobId, expected: JobState, agreed: Agreed) -> Revived:
        """Let a job that is paused or finished run, with what was agreed to: all of it, or nothing is changed.

        One that has nothing to go on with is left as it is, and finished where it was paused. Raises UnknownJobError,
        JobStateError where it is not in the `expected` state, GuardError where more orders were meant than agreed to.
        """

        def revive(connection: Connection) -> Revived:
            self._require(connection, job_id, {expected} & {JobState.PAUSED, JobState.FINISHED}, "resumed")
            again = agreed.again
            queued = 0 if again is None else self._retry(connection, job_id, again, actor=agreed.actor)
            if not _has_rest(connection, job_id):
                if expected is JobState.PAUSED:
                    self._change(connection, job_id, {expected}, JobState.FINISHED, None)
                return Revived(runs=False, queued=queued)
            if agreed.price is not None:
                self._set_price(connection, job_id, agreed.price, agreed.actor)
            if agreed.max_spend is not None:
                self._set_cap(connection, job_id, agreed.max_spend, agreed.limit_of)
            self._change(connection, job_id, {expected}, JobState.RUNNING, None)
            return Revived(runs=True, queued=queued)

        return self._write(revive)


def _has_rest(connection: Connection, job_id: JobId) -> bool:
    """Say whether orders of a job wait, or are in doubt where it settles those."""
    policy = connection.execute(select(job.c.policy).where(job.c.id == job_id)).scalar_one()
    states = [*_WAITING, *([OrderState.UNCONFIRMED.value] if Policy(policy) is Policy.SETTLE else [])]
    return any(connection.execute(_one_in(job_id, state)).first() is not None for state in states)


def _one_in(job_id: JobId, state: str) -> Select[Any]:
    return select(orders.c.id).where(orders.c.job_id == job_id, orders.c.state == state).limit(1)
