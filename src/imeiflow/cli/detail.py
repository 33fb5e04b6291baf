"""One job in all that is worth knowing: counts, reasons, doubts with their evidence, limits, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from imeiflow.cli.output import count, cut, screen_width, show_seconds, show_time
from imeiflow.cli.report import headline, next_steps, tell_counts, tell_money, tell_steps
from imeiflow.cli.watching import tell_statuses
from imeiflow.dispatch.desk import CHUNK_KIND, LANE_KIND
from imeiflow.dispatch.poll import IDS_KIND
from imeiflow.domain.ident import JobId
from imeiflow.domain.imei import Flaw
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, Policy
from imeiflow.ledger.log import PROBE_CHARGED
from imeiflow.ledger.record import Job, Learned, OrderAttempt, Reason
from imeiflow.operations.json_object import (
    describe_probe,
    find_last_attempt,
    list_costly_probes,
    list_limits,
    say_reason,
)
from imeiflow.operations.json_text import clean
from imeiflow.operations.session import Session
from imeiflow.operations.steering import find_dear_probe
from imeiflow.operations.sync import count_statuses

_SHOWN_DOUBTS = 5
_MOST_REASONS = 50


def tell_job(session: Session, job: JobId) -> Iterator[str]:
    """Tell one job to a person, line by line."""
    found, summary = session.find_job(job), session.ledger.summary(job)
    width = screen_width()
    yield headline(found, summary)
    if found.wanted is not None:
        yield f"It was asked to be {found.wanted}: calls under way end first, and will still be charged."
    if summary.reason:
        yield f"Why: {clean(summary.reason)}."
    yield ""
    yield from _tell_terms(found)
    yield ""
    yield from tell_counts(summary.tally, (), width)
    money = tell_money(found, summary)
    if money:
        yield money
    yield from _tell_reasons(session.ledger.reasons(job))
    yield from _tell_results(session, job)
    yield from _tell_doubts(session, job, summary.tally[OrderState.UNCONFIRMED])
    yield from _tell_probes(session, found)
    yield from _tell_limits(session, found)
    told = next_steps(found, summary.tally, find_dear_probe(session, job), session.ledger.count_open(job))
    steps = [step for step in told if not step.command.startswith("imeiflow show")]
    if steps:
        yield ""
        yield from tell_steps(steps)


def _tell_terms(job: Job) -> Iterator[str]:
    name = f" {clean(job.service_name)}" if job.service_name else ""
    price = f", {job.price} each" if job.price is not None else ", price not known"
    yield f"  list      {clean(job.name)}" + (f" ({clean(job.source)})" if job.source != job.name else "")
    yield f"  service   {job.service}{name}{price}, account {job.account}"
    yield f"  created   {show_time(job.created_at)}" + (f", ended {show_time(job.ended_at)}" if job.ended_at else "")
    terms = [
        f"at most {Money(job.max_spend, job.currency)}" if job.max_spend is not None else "",
        f"{job.chunk_size} IMEIs a call" if job.chunk_size and job.kind is OrderKind.IMEI else "",
        f"at most {job.max_concurrency} calls at once" if job.max_concurrency else "",
        f"at most {job.rate:g} calls a minute" if job.rate else "",
        "unconfirmed orders are held, never repeated" if job.policy is Policy.HOLD else "",
    ]
    if any(terms):
        yield f"  yours     {'; '.join(term for term in terms if term)}"


def _tell_reasons(reasons: list[Reason]) -> Iterator[str]:
    """Group whatever is not accepted by its reason, with what can be done about it and an example."""
    told = [reason for reason in reasons if say_reason(reason)]
    if not told:
        return
    yield ""
    yield "Reasons:"
    for reason in told[:_MOST_REASONS]:
        kind = f" ({reason.kind})" if reason.kind is not None else ""
        yield f"  {reason.count:,} {reason.state}: {say_reason(reason)}{kind}"
        if reason.state is OrderState.INVALID:
            yield f"      {Flaw(reason.message).remedy}"
        yield f"      for example line {reason.line}" + (f": {cut(clean(reason.imei), 40)}" if reason.imei else "")
    if len(told) > _MOST_REASONS:
        rest = sum(reason.count for reason in told[_MOST_REASONS:])
        yield f"  {rest:,} for {len(told) - _MOST_REASONS:,} other reasons: `imeiflow export` has them row by row"


def _tell_results(session: Session, job: JobId) -> Iterator[str]:
    """Say how far the results are, and what in the provider's words about them does not fit."""
    tally = count_statuses(session, (job,))
    if not tally.total:
        return
    yield ""
    yield f"Results: {tally.final:,} of {count(tally.total, 'accepted order')} final"
    yield from tell_statuses(tally)
    kinds = session.ledger.count_anomalies(job)
    if not kinds:
        return
    yield ""
    yield f"Anomalies: {sum(kinds.values()):,}, which changed no result"
    for kind, number in kinds.items():
        yield f"  {number:,} × {kind.sentence}"
    for one in session.ledger.status_anomalies(job_id=job, limit=_SHOWN_DOUBTS):
        often = f", {one.times:,} times" if one.times > 1 else ""
        detail = f": {cut(clean(one.detail), 60)}" if one.detail else ""
        yield f"  order {one.reference}, {one.kind.replace('_', ' ')}, {show_time(one.last_at)}{often}{detail}"


def _tell_doubts(session: Session, job: JobId, total: int) -> Iterator[str]:
    """Show what is known of the first doubts: when they left, and what came back."""
    if not total:
        return
    yield ""
    yield f"In doubt: {count(total, 'order')}, which may have been placed and charged"
    for doubt in session.ledger.doubts(job, limit=_SHOWN_DOUBTS):
        attempt = find_last_attempt(session, doubt)
        what = "" if attempt is None else f": {_describe_attempt(attempt)}"
        yield f"  {doubt.imei}  {doubt.last_began_at.astimezone():%Y-%m-%d %H:%M:%S}, attempt {doubt.attempt}{what}"
    if total > _SHOWN_DOUBTS:
        yield f"  and {total - _SHOWN_DOUBTS:,} more: `imeiflow settle {job}` lists them"


def _describe_attempt(one: OrderAttempt) -> str:
    """Say what came back of a call that left an order in doubt."""
    attempt = one.attempt
    status = f"HTTP {attempt.http_status}" if attempt.http_status is not None else "no answer"
    took = f" after {show_seconds(attempt.elapsed_ms / 1000)}" if attempt.elapsed_ms is not None else ""
    said = next((text for text in (one.message, attempt.error, attempt.problem) if text), "")
    return f"{status}{took}" + (f", {clean(said)}" if said else "")


def _tell_probes(session: Session, job: Job) -> Iterator[str]:
    """Show what the repeat probes cost that were made for the job's doubts, or may have cost."""
    probes = list_costly_probes(session, job.id)
    if probes:
        yield ""
        yield "Repeat probes that were not free:"
    for probe in probes:
        told = describe_probe(job, probe)
        cost = "its price" if told["price"] is None else str(Money(Decimal(str(told["price"])), job.currency))
        says = f"cost {cost}" if probe.kind == PROBE_CHARGED else f"may have cost {cost}: its reply was lost"
        reference = f", reference {clean(str(told['reference']))}" if told["reference"] else ""
        where = f"attempt {probe.attempt}{reference}"
        yield f"  {show_time(probe.at)}  one accepted order was repeated and {says} ({where})"


def _tell_limits(session: Session, job: Job) -> Iterator[str]:
    limits = list_limits(session, job)
    if limits:
        yield ""
        yield f"Learned about account {job.account}:"
    for learned in limits:
        pinned = ", pinned by you" if learned.pinned else ""
        yield f"  {_describe_limit(learned)} ({show_time(learned.learned_at)}{pinned})"


def _describe_limit(learned: Learned) -> str:
    match learned.kind, learned.value:
        case kind, {"size": int(size)} if kind == CHUNK_KIND:
            return f"{count(size, 'order')} a call: {clean(learned.reason)}"
        case kind, {"size": int(size)} if kind == IDS_KIND:
            return f"{count(size, 'order')} a call when statuses are asked for: {clean(learned.reason)}"
        case kind, Mapping() if kind == LANE_KIND:
            return clean(learned.reason)
        case kind, value:
            shown: Any = value
            return f"{kind} {shown}: {clean(learned.reason)}"
