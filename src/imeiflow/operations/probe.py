"""The probe: a few IMEIs, ordered as a normal job, show whether a server takes chunks and refuses repeats.

Everything passes the ledger and the lane; what is judged here is what stands in the ledger afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import ErrorKind, Outcome
from imeiflow.errors import UsageError
from imeiflow.intake.preview import Preview
from imeiflow.ledger.attempt_record import OrderAttempt
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import OrderRow
from imeiflow.operations.session import Session
from imeiflow.operations.submit import Request

FEWEST: Final = 2
MOST: Final = 10


class ChunkVerdict(StrEnum):
    """What one call of several IMEIs showed."""

    WHOLE = "whole"  #: every IMEI was accounted for
    CUT = "cut"  #: some were not named in the reply
    REFUSED = "refused"  #: the provider said no to so many at once
    UNKNOWN = "unknown"  #: there was no answer that says anything


class RepeatVerdict(StrEnum):
    """What an IMEI that was ordered a second time showed."""

    REFUSED = "refused"  #: free of charge
    CHARGED = "charged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCost:
    """What a probe costs: `usual` if repeats are refused, `most` if the repeat is charged too."""

    usual: Money
    most: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFinding:
    """What the first call came to: of `size` IMEIs the reply named `named`.

    Of those not named, `placed` turned out to have been placed all the same, `not_placed` not, and the rest is open.
    """

    verdict: ChunkVerdict
    size: int
    named: int
    placed: int = 0
    not_placed: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class RepeatFinding:
    """What a repeat came to, in the provider's words where it gave any."""

    verdict: RepeatVerdict
    message: str = ""


_TAKE: Final = "Each of them is ordered and charged: take phones that you want to have ordered anyway."


def check_size(preview: Preview) -> None:
    """Raise UsageError unless a list has as many IMEIs as make a probe."""
    if not FEWEST <= preview.valid <= MOST:
        examples = [example for group in preview.flaws.values() for example in group.examples]
        flawed = " ".join(f"{example.value}: {example.sentence}" for example in examples)
        raise UsageError(
            problem=f"a probe takes {FEWEST} to {MOST} valid IMEIs, these are {preview.valid}",
            remedy=f"{flawed} {_TAKE}".strip(),
        )


def plan_chunk(request: Request, valid: int) -> Request:
    """Give the request that sends all of a probe's IMEIs in one call."""
    return replace(request, chunk_size=valid, name=request.name or "probe: several IMEIs in one call")


def plan_repeat(request: Request) -> Request:
    """Give the request that orders one IMEI of a probe again."""
    return replace(request, chunk_size=1, again=True, name="probe: one IMEI once more")


def count_cost(price: Money, valid: int) -> ProbeCost:
    """Count what a probe of so many IMEIs costs."""
    return ProbeCost(usual=price * valid, most=price * (valid + 1))


def judge_chunk(session: Session, job: JobId) -> ChunkFinding:
    """Say what a probe's call showed, from what the ledger kept of it."""
    rows = [row for row in session.ledger.order_rows(job) if row.state not in _UNSENT]
    calls = {row.id: session.ledger.attempts_of(row.id) for row in rows}
    told = {id_: _find_placing(attempts) for id_, attempts in calls.items()}
    refusal = _find_refusal(calls.values(), len(rows))
    if refusal is not None:
        return ChunkFinding(verdict=ChunkVerdict.REFUSED, size=len(rows), named=0, message=refusal)
    outcomes = Counter(one.outcome for one in told.values() if one is not None and one.attempt.size == len(rows))
    named = outcomes[Outcome.ACCEPTED] + outcomes[Outcome.DUPLICATE]
    if named == len(rows):
        return ChunkFinding(verdict=ChunkVerdict.WHOLE, size=len(rows), named=named)
    unnamed = [row for row in rows if (one := told[row.id]) is not None and one.outcome is Outcome.UNCONFIRMED]
    if not named or not unnamed:
        message = next((_message(one) for one in told.values() if one is not None and _message(one)), "")
        return ChunkFinding(verdict=ChunkVerdict.UNKNOWN, size=len(rows), named=named, message=message)
    return ChunkFinding(
        verdict=ChunkVerdict.CUT,
        size=len(rows),
        named=named,
        placed=sum(row.state is OrderState.DUPLICATE for row in unnamed),
        not_placed=sum(row.state is OrderState.ACCEPTED for row in unnamed),
    )


def choose_repeat(session: Session, job: JobId) -> OrderRow | None:
    """Choose the accepted order of a probe that is ordered once more; None where none was accepted."""
    return next((row for row in session.ledger.order_rows(job) if row.state is OrderState.ACCEPTED), None)


def judge_settling(session: Session, job: JobId) -> RepeatFinding | None:
    """Say what the settling of a probe's doubts showed of repeats; None where no order was repeated for it.

    A repeat whose answer was lost may have been charged: it is a finding too, so that none is repeated on top of it.
    """
    lost: RepeatFinding | None = None
    for row in session.ledger.order_rows(job):
        for one in session.ledger.attempts_of(row.id):
            if one.attempt.kind is AttemptKind.PROBE and one.outcome in _REPEATS:
                return RepeatFinding(_REPEATS[one.outcome], _message(one))
            if one.attempt.kind is AttemptKind.PROBE and one.outcome not in _NOTHING:
                lost = RepeatFinding(RepeatVerdict.UNKNOWN, _message(one))
    return lost


def judge_repeat(session: Session, job: JobId) -> RepeatFinding:
    """Say what ordering an IMEI again showed."""
    for row in session.ledger.order_rows(job):
        one = _find_placing(session.ledger.attempts_of(row.id))
        if one is not None and one.outcome in _REPEATS:
            _remember(session, job, row, one)
            return RepeatFinding(_REPEATS[one.outcome], _message(one))
        if one is not None:
            return RepeatFinding(RepeatVerdict.UNKNOWN, _message(one))
    return RepeatFinding(RepeatVerdict.UNKNOWN)


def _remember(session: Session, job: JobId, row: OrderRow, repeat: OrderAttempt) -> None:
    """Keep what a repeat showed for whoever settles doubts under the service: as old as the order before it."""
    found, ended_at = session.find_job(job), repeat.attempt.ended_at
    if row.imei is None or ended_at is None:
        return
    past = session.ledger.find_ordered_before(found.account, found.service, [row.imei], exclude_job=job)
    first = past.get(row.imei)
    placed = None if first is None else _find_placing(session.ledger.attempts_of(first.order))
    placed_by = None if placed is None or placed.outcome is not Outcome.ACCEPTED else placed.attempt.ended_at
    if first is None or placed_by is None:
        return  # how old the order is that was repeated is not known
    age = repeat.attempt.started_at - placed_by
    seen = RepeatEvidence(ended_at, age, repeat.outcome is Outcome.DUPLICATE, first.status is ResultStatus.COMPLETED)
    session.ledger.add_repeat(repeat.attempt.id, seen)


_UNSENT: Final = frozenset({OrderState.INVALID, OrderState.REPEATED})
_REPEATS: Final = {Outcome.DUPLICATE: RepeatVerdict.REFUSED, Outcome.ACCEPTED: RepeatVerdict.CHARGED}
_PLACING: Final = frozenset({AttemptKind.PLACE, AttemptKind.CANARY})
_NOTHING: Final = frozenset({Outcome.UNSENT, Outcome.THROTTLED})


def _find_placing(attempts: Sequence[OrderAttempt]) -> OrderAttempt | None:
    """Find the first call that was read and meant to place the order."""
    return next((one for one in attempts if one.attempt.kind in _PLACING and one.outcome not in _NOTHING), None)


def _find_refusal(calls: Iterable[Sequence[OrderAttempt]], size: int) -> str | None:
    """Give the words in which a call of the whole size was refused for its size; None where none was."""
    for attempts in calls:
        for one in attempts:
            if one.attempt.size == size and one.attempt.error_kind is ErrorKind.CHUNK:
                return _message(one)
    return None


def _message(one: OrderAttempt) -> str:
    return one.message or one.attempt.error or one.attempt.problem
