"""One job in all that is worth knowing: counts, reasons, doubts with their evidence, limits, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imeiflow.cli.output import count, cut, end_sentence, screen_width, show_seconds, show_time
from imeiflow.cli.report import find_steps, headline, tell_counts, tell_money, tell_rise, tell_steps
from imeiflow.cli.watching import tell_statuses
from imeiflow.dispatch.kind import CHUNK_KIND, LANE_KIND
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.ledger.record import Job, Learned
from imeiflow.operations.account_view import name_learned, say_learned
from imeiflow.operations.finding import Findings
from imeiflow.operations.job_detail import JobDetail, ShownDoubt, ShownReason
from imeiflow.operations.json_text import clean
from imeiflow.results.result import Note

_SHOWN_DOUBTS = 5
_MOST_REASONS = 50
_LONGEST_VALUE = 28
_VALUES = 8  #: values of a field that are told apart


def tell_job(detail: JobDetail) -> Iterator[str]:
    """Tell one job to a person, line by line."""
    found, summary = detail.job, detail.summary
    width = screen_width()
    yield headline(found, summary)
    if found.wanted is not None:
        yield f"It was asked to be {found.wanted}: calls under way end first, and will still be charged."
    if summary.reason:
        yield f"Why: {end_sentence(summary.reason)}"
    yield ""
    yield from _tell_terms(found)
    yield ""
    yield from tell_counts(summary.tally, (), width)
    money = tell_money(found, summary)
    yield from (line for line in (money, tell_rise(found, summary)) if line)
    yield from _tell_reasons(detail.reasons)
    yield from _tell_odd_replies(detail)
    yield from _tell_results(detail)
    if detail.findings is not None:
        yield from tell_findings(detail.findings, width)
    yield from _tell_doubts(detail)
    yield from _tell_probes(detail)
    yield from _tell_limits(detail)
    steps = [step for step in find_steps(detail, summary.tally) if not step.command.startswith("imeiflow show")]
    if steps:
        yield ""
        yield from tell_steps(steps)


def _tell_terms(job: Job) -> Iterator[str]:
    name = f" {clean(job.service_name)}" if job.service_name else ""
    price = f", {job.price} each" if job.price is not None else ", price not known"
    yield f"  list      {clean(job.name)}" + (f" ({clean(job.source)})" if job.source != job.name else "")
    yield f"  service   {job.service}{name}{price}, account {job.account}"
    ended = "paused" if job.state is JobState.PAUSED else "ended"
    yield f"  created   {show_time(job.created_at)}" + (f", {ended} {show_time(job.ended_at)}" if job.ended_at else "")
    terms = [
        f"at most {Money(job.max_spend, job.currency)}" if job.max_spend is not None else "",
        f"{job.chunk_size} IMEIs a call" if job.chunk_size and job.kind is OrderKind.IMEI else "",
        f"at most {job.max_concurrency} calls at once" if job.max_concurrency else "",
        f"at most {job.rate:g} calls a minute" if job.rate else "",
        "unconfirmed orders are held, never repeated"
        if job.policy is Policy.HOLD and job.kind is OrderKind.IMEI
        else "",
    ]
    if any(terms):
        yield f"  yours     {'; '.join(term for term in terms if term)}"


def _tell_reasons(reasons: Iterable[ShownReason]) -> Iterator[str]:
    """Group whatever is not accepted by its reason, with what can be done about it and an example."""
    told = [reason for reason in reasons if reason.message]
    if not told:
        return
    yield ""
    yield "Reasons:"
    for reason in told[:_MOST_REASONS]:
        kind = f" ({reason.kind})" if reason.kind is not None else ""
        yield f"  {reason.count:,} {reason.state}: {reason.message}{kind}"
        if reason.remedy:
            yield f"      {reason.remedy}"
        yield f"      for example line {reason.line}" + (f": {cut(clean(reason.imei), 40)}" if reason.imei else "")
    if len(told) > _MOST_REASONS:
        rest = sum(reason.count for reason in told[_MOST_REASONS:])
        yield f"  {rest:,} for {len(told) - _MOST_REASONS:,} other reasons: `imeiflow export` has them row by row"


def _tell_odd_replies(detail: JobDetail) -> Iterator[str]:
    """Say what in the replies to placing calls does not fit to what was sent."""
    if not detail.odd_counts:
        return
    yield ""
    yield "Odd replies: what the provider named does not fit to what was sent"
    for kind, number in detail.odd_counts.items():
        yield f"  {number:,} × {kind.sentence}"
    for one in detail.odd_replies[:_SHOWN_DOUBTS]:
        yield f"  attempt {one.attempt}, {show_time(one.at)}: {one.kind.replace('_', ' ')}, {cut(clean(one.value), 60)}"
    yield from _tell_more(detail, sum(detail.odd_counts.values()), len(detail.odd_replies))


def _tell_results(detail: JobDetail) -> Iterator[str]:
    """Say how far the results are, and what in the provider's words about them does not fit."""
    tally = detail.statuses
    if not tally.total:
        return
    yield ""
    yield f"Results: {tally.final:,} of {count(tally.total, 'accepted order')} final"
    yield from tell_statuses(tally)
    kinds = detail.anomaly_counts
    if not kinds:
        return
    yield ""
    yield f"Anomalies: {sum(kinds.values()):,}, which changed no result"
    for kind, number in kinds.items():
        yield f"  {number:,} × {kind.sentence}"
    for one in detail.anomalies[:_SHOWN_DOUBTS]:
        often = f", {one.times:,} times" if one.times > 1 else ""
        said = f": {cut(clean(one.detail), 60)}" if one.detail else ""
        yield f"  reference {one.reference}, {one.kind.replace('_', ' ')}, {show_time(one.last_at)}{often}{said}"
    yield from _tell_more(detail, sum(kinds.values()), len(detail.anomalies))


def _tell_more(detail: JobDetail, total: int, listed: int) -> Iterator[str]:
    """Say how many others there are, and where they are named."""
    if total > _SHOWN_DOUBTS:
        which = "them" if listed == total else f"the first {listed:,}"
        yield f"  and {total - _SHOWN_DOUBTS:,} more: `imeiflow show {detail.job.id} --json` names {which}"


def tell_findings(findings: Findings, width: int) -> Iterator[str]:
    """Say how often results say what, a line a field."""
    if findings.foreign:
        yield ""
        yield f"Other phones: {count(findings.foreign, 'result')} of {findings.read:,}"
        yield f"  {Note.FOREIGN_IMEI.sentence}"
        yield "  Which ones: `imeiflow export` says it of each row, in the column `notes`."
    if not findings.counts:
        return
    yield ""
    said = f"{count(findings.read, 'result')} {'says' if findings.read == 1 else 'say'}"
    yield f"What {said}:" if findings.is_all else f"What the first {said} (`imeiflow export` has all):"
    for name, counts in findings.counts.items():
        parts = [f"{number:,} {cut(clean(value), _LONGEST_VALUE)}" for value, number in counts.items()]
        others = sum(list(counts.values())[_VALUES:])
        silent = findings.read - sum(counts.values())
        parts = parts[:_VALUES] + ([f"{others:,} others"] if others else [])
        yield from _fold(name.replace("_", " "), [*parts, *([f"{silent:,} do not say"] if silent else [])], width)


def _fold(label: str, parts: Iterable[str], width: int) -> Iterator[str]:
    """Set parts beside a label, in as many lines as they need."""
    line = ""
    for part in parts:
        if line and len(line) + len(part) + 20 > width:
            yield f"  {label:<12} {line} ·"
            label, line = "", part
        else:
            line = f"{line} · {part}" if line else part
    yield f"  {label:<12} {line}"


def _tell_doubts(detail: JobDetail) -> Iterator[str]:
    """Show what is known of the first doubts: when they left, and what came back."""
    total = detail.summary.tally[OrderState.UNCONFIRMED]
    if not total:
        return
    yield ""
    yield f"In doubt: {count(total, 'order')}, which may have been placed and charged"
    for one in detail.doubts[:_SHOWN_DOUBTS]:
        at = f"{one.last_began_at.astimezone():%Y-%m-%d %H:%M:%S}"
        subject = cut(clean(one.subject), _LONGEST_VALUE)
        yield f"  {subject}  {at}, attempt {one.attempt}: {_describe_attempt(one)}"
    if total > _SHOWN_DOUBTS:
        yield f"  and {total - _SHOWN_DOUBTS:,} more: `imeiflow settle {detail.job.id}` lists them"


def _describe_attempt(one: ShownDoubt) -> str:
    """Say what came back of a call that left an order in doubt."""
    status = f"HTTP {one.http_status}" if one.http_status is not None else "no answer"
    took = f" after {show_seconds(one.elapsed_ms / 1000)}" if one.elapsed_ms is not None else ""
    return f"{status}{took}" + (f", {clean(one.message)}" if one.message else "")


def _tell_probes(detail: JobDetail) -> Iterator[str]:
    """Show what the repeat probes cost that were made for the job's doubts, or may have cost."""
    if detail.probes:
        yield ""
        yield "Repeat probes that were not free:"
    for probe in detail.probes:
        cost = "its price" if probe.price is None else str(Money(probe.price, detail.job.currency))
        says = f"cost {cost}" if probe.is_charged else f"may have cost {cost}: its reply was lost"
        reference = f", reference {clean(str(probe.reference))}" if probe.reference else ""
        where = f"attempt {probe.attempt}{reference}"
        yield f"  {show_time(probe.at)}  one accepted order was repeated and {says} ({where})"


def _tell_limits(detail: JobDetail) -> Iterator[str]:
    if detail.limits:
        yield ""
        yield f"Learned about account {detail.job.account}:"
    for learned in detail.limits:
        pinned = ", pinned by you" if learned.pinned else ""
        yield f"  {_describe_limit(learned)} ({show_time(learned.learned_at)}{pinned})"


def _describe_limit(learned: Learned) -> str:
    if learned.kind == LANE_KIND:
        return clean(learned.reason)  # it says what was learned as well
    about = "" if learned.kind == CHUNK_KIND else f"{name_learned(learned)} "
    return clean(f"{about}{say_learned(learned)}: {learned.reason}")
