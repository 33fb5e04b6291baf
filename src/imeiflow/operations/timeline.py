"""All that happened to one order, in the order in which it happened. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from imeiflow.domain.ident import AttemptId, OrderId
from imeiflow.domain.money import Money
from imeiflow.ledger.attempt_record import OrderAttempt
from imeiflow.ledger.record import FoundOrder
from imeiflow.ledger.status_record import KeptAnomaly, StatusChange
from imeiflow.operations.session import Session
from imeiflow.results.markup import split_lines

_PAGE: Final = 500
_LONGEST: Final = 200
_DECISIONS: Final = {
    "marked_placed": "marked placed",
    "marked_not_placed": "marked not placed: queued again",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to an order: when, of what kind, and a sentence about it; an attempt with its number."""

    at: datetime
    kind: str
    sentence: str
    attempt: AttemptId | None = None


def read_timeline(session: Session, order: FoundOrder) -> list[Happening]:
    """List what happened to an order: read in, every attempt and what it proved, decisions, statuses.

    What the provider said of its status that does not fit stands where it was said first.
    """
    ledger = session.ledger
    job = session.find_job(order.job)
    service = f"service {job.service} {job.service_name}".rstrip()
    told = [Happening(job.created_at, "read", f"row {order.line} of job {job.id} ({job.name}), {service}")]
    for one in ledger.attempts_of(order.id):
        told.append(Happening(one.attempt.started_at, "attempt", _describe_attempt(one, job.currency), one.attempt.id))
        if one.settled_at is not None:
            told.append(Happening(one.settled_at, "settled", f"the doubt of attempt {one.attempt.id} was settled"))
    told += _read_decisions(session, order)
    told += [Happening(one.at, "status", _describe_change(one)) for one in _read_changes(session, order.id)]
    odd = ledger.status_anomalies(job_id=order.job, order=order.id)
    told += [Happening(one.first_at, "anomaly", _describe_anomaly(one)) for one in odd]
    return sorted(told, key=lambda happening: happening.at)


def _read_decisions(session: Session, order: FoundOrder) -> list[Happening]:
    found = []
    for event in session.ledger.events(job=order.job, order=order.id, limit=_PAGE):
        what = _DECISIONS.get(event.kind, event.kind.replace("_", " "))
        by, note = event.data.get("actor"), event.data.get("note")
        found.append(
            Happening(event.at, "decision", what + (f" by {by}" if by else "") + (f": {note}" if note else ""))
        )
    return found


def _read_changes(session: Session, order: OrderId) -> list[StatusChange]:
    changes = page = session.ledger.status_changes(order=order, limit=_PAGE)
    while len(page) == _PAGE:
        page = session.ledger.status_changes(after=page[-1].id, order=order, limit=_PAGE)
        changes = [*changes, *page]
    return changes


def _describe_attempt(one: OrderAttempt, currency: str) -> str:
    """Say what an attempt was and what it proved about the order."""
    attempt = one.attempt
    others = f", with {attempt.size - 1:,} other{'s' if attempt.size > 2 else ''}" if attempt.size > 1 else ", alone"
    start = f"attempt {attempt.id} ({attempt.kind.value}{others})"
    if one.outcome is None:
        return f"{start}: under way, no answer yet"
    told = [one.outcome.value]
    if one.reference:
        told.append(f"reference {one.reference}")
    if one.charges and one.price is not None:
        told.append(f"charged {Money(one.price, currency)}")
    told.append(f"HTTP {attempt.http_status}" if attempt.http_status is not None else "no HTTP answer")
    if attempt.elapsed_ms is not None:
        told.append(f"after {attempt.elapsed_ms / 1000:.1f} s")
    return f"{start}: {', '.join(told)}" + (f"; {one.said}" if one.said else "")


def _describe_anomaly(one: KeptAnomaly) -> str:
    """Say what did not fit, and how often it was said so far."""
    detail = f" ({_shorten(say_result(one.detail))})" if one.detail else ""
    times = f", {one.times:,} times so far" if one.times > 1 else ""
    return f"{one.kind.sentence}{detail}{times}"


def _shorten(text: str) -> str:
    return f"{text[: _LONGEST - 1]}…" if len(text) > _LONGEST else text


def say_result(text: str) -> str:
    """Give a result text in one line, without markup."""
    return ", ".join(line.strip() for line in split_lines(text) if line.strip())


def _describe_change(change: StatusChange) -> str:
    result = _shorten(say_result(change.result or ""))
    return change.status.value.replace("_", " ") + (f": {result}" if result else "")
