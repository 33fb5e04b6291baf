"""What people decide about orders: each change guarded and logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Text, and_, case, func, literal, or_, select, update

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.order import JobState, OrderState, may_follow
from imeiflow.domain.outcome import Outcome
from imeiflow.errors import GuardError, TakenReferenceError
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import Instant, encode_rows
from imeiflow.ledger.change import Again
from imeiflow.ledger.charge import add_placed
from imeiflow.ledger.dialect import json_rows
from imeiflow.ledger.log import MARKED_NOT_PLACED, ORDERS_RETRIED, write_event
from imeiflow.ledger.rival import last_elsewhere, stands_elsewhere
from imeiflow.ledger.schema import Id, attempt_order, job, orders
from imeiflow.ledger.standing import forget_doubts

_CANCELLED: Final = "orders_cancelled"
_named = json_rows(order_id=Id)
_job_price = select(job.c.unit_price).where(job.c.id == orders.c.job_id).correlate(orders).scalar_subquery()


class Actions(Access):
    """The part of the ledger that carries out what people decide."""

    def cancel_queued(
        self,
        job_id: JobId,
        *,
        chosen: Sequence[OrderId] | None = None,
        is_at_rest: bool = False,
        note: str = "",
        actor: str = "",
    ) -> int:
        """Cancel the orders of a job that still wait, or those of them that were chosen, and count them.

        Those under way go on. Raises GuardError for a job that runs, where `is_at_rest` was taken for granted.
        """
        query = _move(OrderState.QUEUED, OrderState.CANCELLED).where(orders.c.job_id == job_id)
        told = {"note": note, "actor": actor}

        def cancel(connection: Connection) -> int:
            return self._move_of_job(
                connection, job_id, _CANCELLED, [query], told, chosen=chosen, is_at_rest=is_at_rest
            )

        return self._write(cancel)

    def retry(
        self,
        job_id: JobId,
        states: AbstractSet[OrderState],
        *,
        is_again: bool = False,
        chosen: Sequence[OrderId] | None = None,
        most: int | None = None,
        note: str = "",
        actor: str = "",
    ) -> int:
        """Queue a job's failed or refused orders again with fresh attempts, and count them; `chosen`: only of those.

        Those stay whose IMEI, file or fields another job has ordered since, or is about to, unless `is_again`. Raises
        GuardError for any other state: what may have been placed is not retried; and where there are more than `most`.
        """
        again = Again(states=frozenset(states), is_again=is_again, chosen=chosen, most=most)
        return self._write(lambda connection: self._retry(connection, job_id, again, note=note, actor=actor))

    def _retry(self, connection: Connection, job_id: JobId, again: Again, *, note: str = "", actor: str = "") -> int:
        for state in again.states:
            is_retried = state in {OrderState.FAILED, OrderState.REFUSED}
            self._guard(is_met=is_retried, problem=f"orders that are {state} cannot be retried")
        queries = [
            _move(state, OrderState.QUEUED, attempts=0, error=None, error_kind=None).where(
                orders.c.job_id == job_id, *(() if again.is_again else (~stands_elsewhere(),))
            )
            for state in sorted(again.states)
        ]
        told = {"note": note, "actor": actor}
        return self._move_of_job(
            connection, job_id, ORDERS_RETRIED, queries, told, chosen=again.chosen, most=again.most
        )

    def ordered_since(
        self, job_id: JobId, states: AbstractSet[OrderState], *, chosen: Sequence[OrderId] | None = None
    ) -> dict[tuple[OrderState, JobId], int]:
        """Count a job's orders in `states` that another job has ordered as well since, by state and by that job.

        `chosen`: only of those.
        """
        only, rows = _only(chosen)
        wanted = (orders.c.job_id == job_id, orders.c.state.in_(sorted(states)), *only)
        found = select(orders.c.state, last_elsewhere().label("job_id")).where(*wanted).subquery()
        query = (
            select(found.c.state, found.c.job_id, func.count())
            .where(found.c.job_id.is_not(None))
            .group_by(found.c.state, found.c.job_id)
        )
        with self._read() as connection:
            return {(OrderState(state), JobId(id_)): count for state, id_, count in connection.execute(query, rows)}

    def count_chosen(self, job_id: JobId, chosen: Sequence[OrderId]) -> dict[OrderState, int]:
        """Count orders of a job that were chosen, by state; those of other jobs are none."""
        only, rows = _only(chosen)
        query = select(orders.c.state, func.count()).where(orders.c.job_id + 0 == job_id, *only)
        with self._read() as connection:
            found = connection.execute(query.group_by(orders.c.state), rows)
            return {OrderState(state): count for state, count in found}

    def mark_placed(
        self,
        placed: Sequence[OrderId],
        reference: Reference | None = None,
        *,
        references: Mapping[OrderId, Reference] | None = None,
        attempts: Mapping[OrderId, AttemptId] | None = None,
        is_at_rest: bool = False,
        note: str = "",
        actor: str = "",
    ) -> None:
        """Settle unconfirmed orders as placed, by the user's word or proof, charged once each, all or none.

        `reference` is that of the only one, `references` are those of single ones. Raises GuardError unless all of them
        are unconfirmed, the last attempt of each is that of `attempts`, and no job of them runs where `is_at_rest` was
        taken for granted; and for a reference that is another order's.
        """
        self._guard(is_met=reference is None or len(set(placed)) == 1, problem="a reference belongs to one order")
        told = dict(references or {})
        if reference is not None:
            told[placed[0]] = reference
        settlement = self._as_placed(told, note, actor)
        self._settle([self._plan(settlement, placed, attempts=attempts, is_at_rest=is_at_rest)])

    def _as_placed(self, told: Mapping[OrderId, Reference], note: str, actor: str) -> _Settlement:
        now = self.clock()
        its_reference = func.coalesce(_settled.c.reference, orders.c.reference)
        values = {
            "reference": its_reference,
            "charges": case((orders.c.charges > 0, orders.c.charges), else_=1),
            "price": func.coalesce(orders.c.price, _job_price),
            "accepted_at": now,
            "due_at": case((its_reference.is_not(None), literal(now, Instant())), else_=None),
            "error": None,
            "error_kind": None,
        }
        return _Settlement("marked_placed", OrderState.ACCEPTED, note, actor, values, references=told)

    def mark_not_placed(
        self,
        not_placed: Sequence[OrderId],
        *,
        attempts: Mapping[OrderId, AttemptId] | None = None,
        is_at_rest: bool = False,
        note: str,
        actor: str = "",
    ) -> None:
        """Queue unconfirmed orders again, by the user's word that they were not placed, all or none.

        Those of a cancelled job are cancelled in the same transaction: nobody will send them. Raises GuardError unless
        all of them are unconfirmed, the last attempt of each is that of `attempts`, and no job of them runs where
        `is_at_rest` was taken for granted.
        """
        settlement = _Settlement(MARKED_NOT_PLACED, OrderState.QUEUED, note, actor, {}, references={})
        queue = self._plan(settlement, not_placed, attempts=attempts, is_at_rest=is_at_rest)
        self._settle([queue, self._cancel_idle(not_placed, note, actor)])

    def mark_apart(
        self,
        placed: Sequence[OrderId],
        not_placed: Sequence[OrderId],
        *,
        references: Mapping[OrderId, Reference],
        attempts: Mapping[OrderId, AttemptId],
        notes: tuple[str, str],
        actor: str = "",
    ) -> None:
        """Settle some unconfirmed orders of jobs at rest as placed, and others as not placed: all of them, or none.

        `notes` are those of the ones and of the others. Raises as `mark_placed` and `mark_not_placed` do.
        """
        chosen, (note, other_note) = set(placed), notes
        told = {id_: known for id_, known in references.items() if id_ in chosen}
        there = self._as_placed(told, note, actor)
        missing = _Settlement(MARKED_NOT_PLACED, OrderState.QUEUED, other_note, actor, {}, references={})
        plans = [(there, placed), (missing, not_placed)]
        steps = [self._plan(one, ids, attempts=attempts, is_at_rest=True) for one, ids in plans]
        self._settle([*steps, self._cancel_idle(not_placed, other_note, actor)])

    def _refuse_taken(self, connection: Connection, told: Mapping[OrderId, Reference]) -> None:
        """Raise TakenReferenceError for a reference that another order has, GuardError for one of two of these."""
        self._guard(is_met=len(set(told.values())) == len(told), problem="a reference belongs to one order")
        if not told:
            return
        rows = {"settled": encode_rows([(order, None, reference) for order, reference in told.items()])}
        taken = connection.execute(_FIND_TAKEN, rows).first()
        if taken is not None:
            reference, job_id, line = taken
            raise TakenReferenceError(reference=reference, job=job_id, line=line)

    def _move_of_job(
        self,
        connection: Connection,
        job_id: JobId,
        kind: str,
        queries: Sequence[Any],
        told: Mapping[str, object],
        *,
        chosen: Sequence[OrderId] | None,
        is_at_rest: bool = False,
        most: int | None = None,
    ) -> int:
        """Move orders of a job within the transaction, log that with what is `told`, and count them."""
        only, rows = _only(chosen)
        runs = select(job.c.id).where(job.c.id == job_id, job.c.state == JobState.RUNNING.value)
        if is_at_rest and connection.execute(runs).first() is not None:
            raise GuardError(path=self.path, problem=f"job {job_id} runs: its orders may be under way")
        count = sum(connection.execute(query.where(*only), rows).rowcount for query in queries)
        if most is not None and count > most:
            raise GuardError(path=self.path, problem=f"{count} orders of job {job_id} are meant, not {most}")
        if count:
            write_event(connection, kind, at=self.clock(), job=job_id, data={"count": count, **told})
        return count

    def _cancel_idle(self, queued: Sequence[OrderId], note: str, actor: str) -> Callable[[Connection], None]:
        """Give what cancels, of orders that were just queued again, those whose job is cancelled."""
        rows = {"settled": encode_rows([(order, None, None) for order in dict.fromkeys(queued)])}
        told = {"note": note, "actor": actor}

        def cancel(connection: Connection) -> None:
            for job_id in connection.scalars(_FIND_CANCELLED, rows).all():
                query = _move(OrderState.QUEUED, OrderState.CANCELLED).where(orders.c.job_id == job_id)
                self._move_of_job(connection, JobId(job_id), _CANCELLED, [query], told, chosen=queued)

        return cancel if queued else lambda _: None

    def _settle(self, steps: Sequence[Callable[[Connection], None]]) -> None:
        def settle(connection: Connection) -> None:
            for step in steps:
                step(connection)

        self._write(settle)

    def _plan(
        self,
        settlement: _Settlement,
        settled: Sequence[OrderId],
        *,
        attempts: Mapping[OrderId, AttemptId] | None,
        is_at_rest: bool,
    ) -> Callable[[Connection], None]:
        """Give what settles some orders within a transaction."""
        now, known, told = self.clock(), attempts or {}, settlement.references
        all_ = list(dict.fromkeys(settled))
        rows = {"settled": encode_rows([(order, known.get(order), told.get(order)) for order in all_])}
        query = _move(OrderState.UNCONFIRMED, settlement.to, **settlement.values).where(
            orders.c.id == _settled.c.order_id,
            or_(_settled.c.attempt_id.is_(None), orders.c.attempt_id == _settled.c.attempt_id),
        )

        def settle(connection: Connection) -> None:
            runs = connection.execute(_FIND_RUNNING, rows).scalar() if is_at_rest else None
            self._guard(is_met=runs is None, problem=f"job {runs} runs: its orders may be under way")
            if settlement.to is OrderState.ACCEPTED:
                self._refuse_taken(connection, told)
                add_placed(connection, all_)
            changed = connection.execute(query, rows).rowcount
            missing = len(all_) - changed
            problem = f"{missing} of {len(all_)} orders are not unconfirmed any more, or were sent again"
            self._guard(is_met=not missing, problem=problem)
            connection.execute(
                update(attempt_order)
                .where(
                    and_(
                        attempt_order.c.order_id == _settled.c.order_id,
                        attempt_order.c.outcome == Outcome.UNCONFIRMED.value,
                        attempt_order.c.settled_at.is_(None),
                    )
                )
                .values(settled_at=now),
                rows,
            )
            named = connection.execute(_NAME_SETTLED, rows).all()
            forget_doubts(connection, {job_id for job_id, _, _ in named})
            for job_id, order, reference in named:
                data = {"note": settlement.note, "actor": settlement.actor}
                if settlement.to is OrderState.ACCEPTED:
                    data["reference"] = reference
                write_event(connection, settlement.kind, at=now, job=job_id, order=order, data=data)

        return settle if all_ else lambda _: None


@dataclass(frozen=True, slots=True)
class _Settlement:
    """What somebody says of orders in doubt, and what they become by it."""

    kind: str
    to: OrderState
    note: str
    actor: str
    values: Mapping[str, Any]
    references: Mapping[OrderId, Reference]


_settled = json_rows("settled", order_id=Id, attempt_id=Id, reference=Text())
_NAME_SETTLED = select(orders.c.job_id, orders.c.id, _settled.c.reference).join(
    _settled, orders.c.id == _settled.c.order_id
)
_jobs_of_settled = (
    select(job.c.id)
    .join(orders, orders.c.job_id == job.c.id)
    .join(_settled, orders.c.id == _settled.c.order_id)
    .distinct()
)
_FIND_RUNNING = _jobs_of_settled.where(job.c.state == JobState.RUNNING.value).limit(1)
_FIND_CANCELLED = _jobs_of_settled.where(job.c.state == JobState.CANCELLED.value).order_by(job.c.id)
_other = orders.alias("other")
_other_job = job.alias("other_job")
#: An order of the same account that has a reference already: one that was found to be a duplicate of this one may.
_FIND_TAKEN = (
    select(_settled.c.reference, _other.c.job_id, _other.c.line)
    .select_from(_settled)
    .join(_other, _other.c.reference == _settled.c.reference)
    .join(_other_job, _other_job.c.id == _other.c.job_id + 0)
    .join(orders, orders.c.id == _settled.c.order_id)
    .join(job, job.c.id == orders.c.job_id)
    .where(
        _other.c.id != orders.c.id,
        _other_job.c.account == job.c.account,
        _other_job.c.kind == job.c.kind,
        or_(_other.c.state != OrderState.DUPLICATE.value, _other.c.charges > 0, _other.c.imei != orders.c.imei),
    )
    .limit(1)
)


def _only(chosen: Sequence[OrderId] | None) -> tuple[list[Any], dict[str, object]]:
    """Give the condition that keeps a statement to the orders that were chosen, and its parameters."""
    if chosen is None:
        return [], {}
    rows = encode_rows([(order,) for order in dict.fromkeys(chosen)])
    return [orders.c.id.in_(select(_named.c.order_id))], {"rows": rows}


def _move(before: OrderState, after: OrderState, **values: Any) -> Any:
    """Give the guarded statement for one of the transitions; there is none for anything else."""
    if not may_follow(before, after):
        raise ValueError(f"{before} is not followed by {after}")
    return update(orders).where(orders.c.state == before.value).values(state=after.value, **values)
