"""Settling doubt by the user's word: what is unconfirmed, with its evidence, then placed or not placed.

Only orders that are unconfirmed can be settled; the ledger guards that, and keeps who said so and why. Sends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import JobStateError, UsageError
from imeiflow.ledger.attempt_record import OrderAttempt
from imeiflow.ledger.record import Doubt, Job
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulOrder:
    """An unconfirmed order and its evidence: the call that may have placed it, and what came back."""

    imei: Imei | None
    attempt: AttemptId
    began_at: datetime
    size: int  #: how many orders the call carried
    ending: Ending | None
    http_status: int | None
    message: str  #: what came back, in words
    attempts_in_doubt: int
    line: int
    value: str | None  #: the file, or the fields, that it is about where that is no IMEI

    @property
    def subject(self) -> str:
        """Say what it is about: its IMEI, or a file, the fields of a server service."""
        return self.imei or self.value or f"row {self.line}"


@dataclass(slots=True)
class Doubts:
    """A job's unconfirmed orders in sum: how many, the first few, and the calls that may have placed them."""

    total: int = 0
    orders: list[DoubtfulOrder] = field(default_factory=list)
    calls: dict[AttemptId, DoubtfulOrder] = field(default_factory=dict)  #: by its first order in doubt
    counts: Counter[AttemptId] = field(default_factory=Counter)  #: orders in doubt of each call


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementPlan:
    """What would be settled. `cost` is what the orders cost, once each; None where the price is not known.

    Placed, it counts as spent. Not placed, it is what ordering them again costs, and lost if the user errs.
    """

    job: Job
    orders: tuple[OrderId, ...]
    attempts: tuple[AttemptId, ...]  #: the last call of each that may have placed it
    imeis: tuple[Imei, ...]
    cost: Money | None


def list_doubtful(session: Session, job: JobId) -> Iterator[DoubtfulOrder]:
    """Give a job's unconfirmed orders in file order, each with its evidence. Raises UnknownJobError."""
    session.find_job(job)
    for doubt in read_doubts(session, job):
        told = [one for one in session.ledger.attempts_of(doubt.order) if _is_in_doubt(one)]
        if told:
            yield _describe(doubt, told)


def page_doubtful(
    session: Session, job: JobId, *, after: OrderId, limit: int
) -> tuple[list[tuple[OrderId, DoubtfulOrder]], OrderId | None]:
    """Give some unconfirmed orders in file order, those with an id above `after`, and where the rest begins."""
    session.find_job(job)
    doubts = session.ledger.doubts(job, after=after, limit=limit + 1)
    found = []
    for doubt in doubts[:limit]:
        told = [one for one in session.ledger.attempts_of(doubt.order) if _is_in_doubt(one)]
        if told:
            found.append((doubt.order, _describe(doubt, told)))
    return found, doubts[limit - 1].order if len(doubts) > limit else None


def sum_up_doubts(session: Session, job: JobId, *, most: int) -> Doubts:
    """Sum a job's unconfirmed orders up, the first `most` in full. Raises UnknownJobError.

    The evidence is read once a call where that says it all: a million orders have some ten thousand calls.
    """
    session.find_job(job)
    summed = Doubts()
    for doubt in read_doubts(session, job):
        is_one_call = doubt.began_at == doubt.last_began_at
        call = doubt.attempt
        if not is_one_call or call not in summed.calls or len(summed.orders) < most:
            told = [one for one in session.ledger.attempts_of(doubt.order) if _is_in_doubt(one)]
            if not told:
                continue
            described = _describe(doubt, told)
            call = described.attempt
            summed.calls.setdefault(call, described)
            if len(summed.orders) < most:
                summed.orders.append(described)
        summed.counts[call] += 1
        summed.total += 1
    return summed


def find_last_attempt(session: Session, job: JobId) -> AttemptId:
    """Give the newest attempt of a job; 0 where it has none, or runs: whoever looks now may not see all of them."""
    if session.find_job(job).state is JobState.RUNNING:
        return AttemptId(0)
    newest = session.ledger.list_attempts(job, limit=1)
    return newest[0].id if newest else AttemptId(0)


def plan_settlement(
    session: Session,
    job: JobId,
    imeis: Collection[Imei] | None,
    *,
    lines: Collection[int] | None = None,
    seen: AttemptId | None = None,
) -> SettlementPlan:
    """Find the unconfirmed orders of some IMEIs, on some lines of the list, or all (both None).

    `seen` is the newest attempt that whoever gives their word knew of, None where nothing was shown before. Raises
    UnknownJobError, JobStateError for a job that is being worked on, UsageError for an IMEI or a line that is not
    unconfirmed in it, or where orders came into doubt by a later attempt.
    """
    recover_orphans(session)
    found = _find_at_rest(session, job)
    doubts = list(read_doubts(session, job))
    if imeis is not None:
        wanted = frozenset(imeis)
        doubts = [doubt for doubt in doubts if doubt.imei in wanted]
        _check_found(job, sorted(wanted - {doubt.imei for doubt in doubts}))
    if lines is not None:
        rows = frozenset(lines)
        doubts = [doubt for doubt in doubts if doubt.line in rows]
        _check_found(job, [f"row {line}" for line in sorted(rows - {doubt.line for doubt in doubts})])
    if seen is not None and any(doubt.attempt > seen for doubt in doubts):
        raise _sent_again(job)
    return SettlementPlan(
        job=found,
        orders=tuple(doubt.order for doubt in doubts),
        attempts=tuple(doubt.attempt for doubt in doubts),
        imeis=tuple(doubt.imei for doubt in doubts),
        cost=None if found.price is None else found.price * len(doubts),
    )


def choose_orders(plan: SettlementPlan, chosen: Collection[OrderId]) -> SettlementPlan:
    """Give the part of a plan that is about some of its orders."""
    wanted = frozenset(chosen)
    rows = [row for row in zip(plan.orders, plan.attempts, plan.imeis, strict=True) if row[0] in wanted]
    price = plan.job.price
    return SettlementPlan(
        job=plan.job,
        orders=tuple(order for order, _, _ in rows),
        attempts=tuple(attempt for _, attempt, _ in rows),
        imeis=tuple(imei for _, _, imei in rows),
        cost=None if price is None else price * len(rows),
    )


def settle_placed(
    session: Session,
    plan: SettlementPlan,
    reference: Reference | None = None,
    *,
    references: Mapping[OrderId, Reference] | None = None,
    note: str = "",
    actor: str = "",
) -> None:
    """Mark the plan's orders as placed, charged once each; `references` are those of single orders.

    Raises UsageError, JobStateError, GuardError; nothing has changed then.
    """
    if reference is not None and len(plan.orders) != 1:
        raise UsageError(
            problem="a reference belongs to one order",
            remedy="Name its IMEI with --imei or its row with --row, or leave the reference out.",
        )
    _check_unchanged(session, plan)
    wanted = frozenset(plan.orders)
    session.ledger.mark_placed(
        plan.orders,
        reference,
        references={order: known for order, known in (references or {}).items() if order in wanted},
        attempts=dict(zip(plan.orders, plan.attempts, strict=True)),
        is_at_rest=True,
        note=note,
        actor=actor,
    )


def settle_not_placed(session: Session, plan: SettlementPlan, *, note: str = "", actor: str = "") -> None:
    """Queue the plan's orders again. Raises UsageError, JobStateError, GuardError; nothing has changed then.

    In a job that was cancelled they are cancelled too: nobody will send them.
    """
    _check_unchanged(session, plan)
    attempts = dict(zip(plan.orders, plan.attempts, strict=True))
    session.ledger.mark_not_placed(plan.orders, attempts=attempts, is_at_rest=True, note=note, actor=actor)


def settle_apart(
    session: Session,
    placed: SettlementPlan,
    not_placed: SettlementPlan,
    *,
    references: Mapping[OrderId, Reference],
    notes: tuple[str, str],
    actor: str = "",
) -> None:
    """Mark the orders of one plan as placed, and queue those of another plan of its job again; `notes` are of each.

    Where the job was cancelled these are cancelled too. Raises UsageError, JobStateError, GuardError; nothing has
    changed then.
    """
    _check_unchanged(session, placed)
    _check_unchanged(session, not_placed)
    attempts = {
        order: attempt
        for plan in (placed, not_placed)
        for order, attempt in zip(plan.orders, plan.attempts, strict=True)
    }
    session.ledger.mark_apart(
        placed.orders, not_placed.orders, references=references, attempts=attempts, notes=notes, actor=actor
    )


def _check_unchanged(session: Session, plan: SettlementPlan) -> None:
    """See that the user's word is still about what was shown: a question may have stood there for hours.

    The ledger sees to it once more in the transaction that settles; this says it in the words of the question.
    Raises JobStateError where it runs again, UsageError where orders were sent again since.
    """
    _find_at_rest(session, plan.job.id)
    now = {doubt.order: doubt.attempt for doubt in read_doubts(session, plan.job.id)}
    if any(now.get(order, attempt) != attempt for order, attempt in zip(plan.orders, plan.attempts, strict=True)):
        raise _sent_again(plan.job.id)


def _check_found(job: JobId, missing: Sequence[str]) -> None:
    if missing:
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        problem = f"{shown}: not unconfirmed in job {job}"
        raise UsageError(problem=problem, remedy=f"`imeiflow settle {job}` lists what is.")


def _sent_again(job: JobId) -> UsageError:
    remedy = f"Nothing was changed. Look again: `imeiflow settle {job}`."
    return UsageError(problem="orders were sent or sent again since they were shown", remedy=remedy)


def _find_at_rest(session: Session, job: JobId) -> Job:
    found = session.find_job(job)
    if found.state is JobState.RUNNING:
        raise JobStateError(
            job=job, state=found.state, wanted="settled", remedy=f"Pause it first: `imeiflow pause {job}`."
        )
    return found


def read_doubts(session: Session, job: JobId) -> Iterator[Doubt]:
    """Give a job's unconfirmed orders in file order."""
    after = OrderId(0)
    while page := session.ledger.doubts(job, after=after, limit=_PAGE):
        yield from page
        after = page[-1].order


def _is_in_doubt(one: OrderAttempt) -> bool:
    return one.outcome is Outcome.UNCONFIRMED and one.settled_at is None


def _describe(doubt: Doubt, told: Sequence[OrderAttempt]) -> DoubtfulOrder:
    first = told[0]
    return DoubtfulOrder(
        imei=doubt.imei or None,
        attempt=first.attempt.id,
        began_at=first.attempt.started_at,
        size=first.attempt.size,
        ending=first.attempt.ending,
        http_status=first.attempt.http_status,
        message=first.said or "nothing came back",
        attempts_in_doubt=len(told),
        line=doubt.line,
        value=doubt.value or None,
    )
