"""Settling doubt by the user's word: what is unconfirmed, with its evidence, then placed or not placed.

Only orders that are unconfirmed can be settled; the ledger guards that, and keeps who said so and why. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import JobStateError, UsageError
from imeiflow.ledger.record import Attempt, Doubt, Job, OrderAttempt
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulOrder:
    """An unconfirmed order and its evidence: the call that may have placed it, and what came back."""

    imei: Imei
    attempt: AttemptId
    began_at: datetime
    size: int  #: how many orders the call carried
    ending: Ending | None
    http_status: int | None
    message: str  #: what came back, in words
    attempts_in_doubt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementPlan:
    """What would be settled. `cost` is what the orders cost, once each; None where the price is not known.

    Placed, it counts as spent. Not placed, it is what ordering them again costs, and lost if the user errs.
    """

    job: Job
    orders: tuple[OrderId, ...]
    imeis: tuple[Imei, ...]
    cost: Money | None


def list_doubtful(session: Session, job: JobId) -> Iterator[DoubtfulOrder]:
    """Give a job's unconfirmed orders in file order, each with its evidence. Raises UnknownJobError."""
    session.find_job(job)
    for doubt in _read_doubts(session, job):
        told = [one for one in session.ledger.attempts_of(doubt.order) if _is_in_doubt(one)]
        if told:
            yield _describe(doubt, told)


def plan_settlement(session: Session, job: JobId, imeis: Collection[Imei] | None) -> SettlementPlan:
    """Find the unconfirmed orders of some IMEIs, or all (None).

    Raises UnknownJobError, JobStateError for a job that is being worked on, UsageError for an IMEI that is not
    unconfirmed in it.
    """
    recover_orphans(session)
    found = session.find_job(job)
    if found.state is JobState.RUNNING:
        raise JobStateError(
            job=job, state=found.state, wanted="settled", remedy=f"Pause it first: `imeiflow pause {job}`."
        )
    wanted = None if imeis is None else frozenset(imeis)
    doubts = [doubt for doubt in _read_doubts(session, job) if wanted is None or doubt.imei in wanted]
    if wanted is not None:
        missing = sorted(wanted - {doubt.imei for doubt in doubts})
        if missing:
            shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            problem = f"{shown}: not unconfirmed in job {job}"
            raise UsageError(problem=problem, remedy=f"`imeiflow settle {job}` lists what is.")
    return SettlementPlan(
        job=found,
        orders=tuple(doubt.order for doubt in doubts),
        imeis=tuple(doubt.imei for doubt in doubts),
        cost=None if found.price is None else found.price * len(doubts),
    )


def settle_placed(
    session: Session, plan: SettlementPlan, reference: Reference | None = None, *, note: str = "", actor: str = ""
) -> None:
    """Mark the plan's orders as placed, charged once each. Raises UsageError, GuardError; nothing has changed then."""
    if reference is not None and len(plan.orders) != 1:
        raise UsageError(
            problem="a reference belongs to one order", remedy="Name its IMEI with --imei, or leave the reference out."
        )
    session.ledger.mark_placed(plan.orders, reference, note=note, actor=actor)


def settle_not_placed(session: Session, plan: SettlementPlan, *, note: str = "", actor: str = "") -> None:
    """Queue the plan's orders again. Raises GuardError; nothing has changed then.

    In a job that was cancelled they are cancelled too: nobody will send them.
    """
    session.ledger.mark_not_placed(plan.orders, note=note, actor=actor)
    if plan.job.state is JobState.CANCELLED:
        session.ledger.cancel_queued(plan.job.id, note=note, actor=actor)


def _read_doubts(session: Session, job: JobId) -> Iterator[Doubt]:
    after = OrderId(0)
    while page := session.ledger.doubts(job, after=after, limit=_PAGE):
        yield from page
        after = page[-1].order


def _is_in_doubt(one: OrderAttempt) -> bool:
    return one.outcome is Outcome.UNCONFIRMED and one.settled_at is None


def _describe(doubt: Doubt, told: Sequence[OrderAttempt]) -> DoubtfulOrder:
    first = told[0]
    return DoubtfulOrder(
        imei=doubt.imei,
        attempt=first.attempt.id,
        began_at=first.attempt.started_at,
        size=first.attempt.size,
        ending=first.attempt.ending,
        http_status=first.attempt.http_status,
        message=_tell(first.attempt, first.message),
        attempts_in_doubt=len(told),
    )


def _tell(attempt: Attempt, message: str) -> str:
    """Say what came back: the order's own message, or the call's error or trouble."""
    return message or attempt.error or attempt.problem or "nothing came back"
