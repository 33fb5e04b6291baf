"""One job with all that is worth knowing about it, as one value: for pages of text, for JSON, and over the network.

Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from imeiflow.dispatch.kind import WHOLE_ACCOUNT
from imeiflow.domain.ident import AttemptId, JobId, Reference
from imeiflow.domain.imei import Flaw, Imei
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.progress import Summary
from imeiflow.domain.reply import AnomalyKind
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.ledger.attempt_record import OrderAttempt
from imeiflow.ledger.log import PROBE_CHARGED, PROBE_IN_DOUBT
from imeiflow.ledger.record import Doubt, Event, Job, Learned, Reason
from imeiflow.ledger.status_record import KeptAnomaly
from imeiflow.operations.finding import Findings, count_findings
from imeiflow.operations.json_text import as_values, clean
from imeiflow.operations.prospect import explain_no_repeat
from imeiflow.operations.session import Session
from imeiflow.operations.status_tally import StatusTally, count_statuses
from imeiflow.operations.steering import find_dear_probe

_LISTED: Final = 100  #: doubts and anomalies
_MOST_ODD: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownReason:
    """Why orders are not accepted, in words; `remedy` is what can be done about it, where that is known."""

    state: OrderState
    kind: ErrorKind | None
    message: str
    count: int
    line: int
    imei: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDoubt:
    """An unconfirmed order with the last call that may have placed it, and what came back."""

    imei: Imei | None
    attempt: AttemptId
    began_at: datetime
    last_began_at: datetime
    http_status: int | None
    elapsed_ms: int | None
    message: str
    line: int
    value: str | None  #: the file, or the fields, that it is about where that is no IMEI

    @property
    def subject(self) -> str:
        """Say what it is about: its IMEI, or a file, the fields of a server service."""
        return self.imei or self.value or f"row {self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OddReply:
    """Something in the reply to a call that does not fit to what was sent."""

    attempt: AttemptId
    at: datetime
    kind: AnomalyKind
    value: str

    @property
    def sentence(self) -> str:
        """Say to a person what it means."""
        return self.kind.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownProbe:
    """A repeat probe that was not free, or may not have been."""

    at: datetime
    attempt: AttemptId | None
    is_charged: bool
    price: Decimal | None
    reference: Reference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """A job, its sum, and why it stands as it stands.

    `dear_probe` is what repeat probes may cost in all, where one needs the user's word.
    `no_repeat` says why going on would send none of its doubts again; empty where it may, or there are none.
    """

    job: Job
    summary: Summary
    reasons: tuple[ShownReason, ...]
    doubts: tuple[ShownDoubt, ...]
    probes: tuple[ShownProbe, ...]
    statuses: StatusTally
    anomaly_counts: Mapping[StatusAnomalyKind, int]
    anomalies: tuple[KeptAnomaly, ...]
    odd_counts: Mapping[AnomalyKind, int]
    odd_replies: tuple[OddReply, ...]
    limits: tuple[Learned, ...]
    dear_probe: Money | None
    no_repeat: str = ""
    findings: Findings | None = None


def read_job_detail(session: Session, job: JobId, *, has_findings: bool = False) -> JobDetail:
    """Gather all about a job; what its results say only where that `has_findings`: it takes a moment.

    Raises UnknownJobError.
    """
    ledger, found = session.ledger, session.find_job(job)
    events = ledger.events(job=job, kinds=(PROBE_CHARGED, PROBE_IN_DOUBT))
    odd, summary = list_odd_replies(session, job), ledger.summary(job)
    return JobDetail(
        job=found,
        summary=summary,
        reasons=tuple(map(show_reason, ledger.reasons(job))),
        doubts=tuple(_show_doubt(session, doubt) for doubt in ledger.doubts(job, limit=_LISTED)),
        probes=tuple(_show_probe(found, event) for event in events),
        statuses=count_statuses(session, (job,)),
        anomaly_counts=ledger.count_anomalies(job),
        anomalies=tuple(ledger.status_anomalies(job_id=job, limit=_LISTED)),
        odd_counts=count_odd(odd),
        odd_replies=odd[:_LISTED],
        limits=tuple(one for one in ledger.learned(found.account) if one.service in {WHOLE_ACCOUNT, found.service}),
        dear_probe=find_dear_probe(session, job),
        no_repeat=explain_no_repeat(session, found) if summary.tally[OrderState.UNCONFIRMED] else "",
        findings=count_findings(session, job) if has_findings else None,
    )


def list_odd_replies(session: Session, job: JobId) -> tuple[OddReply, ...]:
    """List what does not fit in the replies to a job's calls, newest first; of the newest 1,000 such replies."""
    return tuple(
        OddReply(attempt=one.id, at=one.ended_at or one.started_at, kind=odd.kind, value=clean(odd.value))
        for one in session.ledger.list_odd_attempts(job, limit=_MOST_ODD)
        for odd in one.anomalies
    )


def count_odd(odd: Sequence[OddReply]) -> dict[AnomalyKind, int]:
    """Count what does not fit, by kind, most frequent first."""
    return dict(Counter(one.kind for one in odd).most_common())


def describe_job(detail: JobDetail) -> dict[str, object]:
    """Give what `show --json` prints: the summary, the job's terms, reasons, doubts, limits."""
    statuses: dict[str, object] = {status.value: detail.statuses[status] for status in ResultStatus}
    return {
        **detail.summary.as_dict(),
        **as_values(detail.job, "id", "state", "reason", "unit_price", "currency", "worked_s", "columns"),
        "price": detail.job.unit_price,
        "reasons": [as_values(one) for one in detail.reasons],
        "doubts": [as_values(one) for one in detail.doubts],
        "probes": [as_values(one) for one in detail.probes],
        "dear_probe": None if detail.dear_probe is None else detail.dear_probe.amount,
        "no_repeat": detail.no_repeat,
        "statuses": {
            **statuses,
            "unheard": detail.statuses[None],
            "open": detail.statuses.open,
            "unknown": detail.statuses.unknown,
            "unusable": detail.statuses.unusable,
        },
        "status_anomaly_counts": {kind.value: number for kind, number in detail.anomaly_counts.items()},
        "status_anomalies": [as_values(one, "account", "job") for one in detail.anomalies],
        "reply_anomaly_counts": {kind.value: number for kind, number in detail.odd_counts.items()},
        "reply_anomalies": [{**as_values(one), "sentence": one.sentence} for one in detail.odd_replies],
        "limits": [as_values(one, "account") for one in detail.limits],
        "findings": None if detail.findings is None else as_values(detail.findings),
    }


def show_reason(reason: Reason) -> ShownReason:
    """Put a reason into words; its message is empty where there is nothing to say."""
    message, remedy = clean(reason.message), ""
    if reason.state is OrderState.INVALID:
        flaw = Flaw(reason.message)
        message, remedy = flaw.sentence, flaw.remedy
    return ShownReason(
        state=reason.state,
        kind=reason.kind,
        message=message,
        count=reason.count,
        line=reason.line,
        imei=reason.imei,
        remedy=remedy,
    )


def _show_doubt(session: Session, doubt: Doubt) -> ShownDoubt:
    one = _find_last_attempt(session, doubt)
    return ShownDoubt(
        imei=doubt.imei or None,
        attempt=doubt.attempt,
        began_at=doubt.began_at,
        last_began_at=doubt.last_began_at,
        http_status=None if one is None else one.attempt.http_status,
        elapsed_ms=None if one is None else one.attempt.elapsed_ms,
        message="" if one is None else one.said,
        line=doubt.line,
        value=doubt.value or None,
    )


def _find_last_attempt(session: Session, doubt: Doubt) -> OrderAttempt | None:
    """Find the last attempt that may have placed an order."""
    attempts = session.ledger.attempts_of(doubt.order)
    return next((one for one in reversed(attempts) if one.attempt.id == doubt.attempt), None)


def _show_probe(job: Job, event: Event) -> ShownProbe:
    told = event.data.get("price")
    return ShownProbe(
        at=event.at,
        attempt=event.attempt,
        is_charged=event.kind == PROBE_CHARGED,
        price=job.unit_price if told is None else Decimal(str(told)),
        reference=event.data.get("reference"),
    )
