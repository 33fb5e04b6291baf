"""From a list in memory to a running job in the ledger. Sends nothing; blocks.

An IMEI that the ledger knows as ordered under the same service is not ordered again unless the caller asks for it;
one that may have been placed never is, for only its settling can say whether it has to be. Such rows stand in the job
as repeated; what they repeat is the earlier order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, TypedDict

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.imei import Imei, Reading, read_imei
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.recurrence import UNSETTLED, explain_skip, judge_past, may_order_again
from imeiflow.errors import LedgerError, UsageError
from imeiflow.intake.repetition import Deduplicator
from imeiflow.ledger.record import Job, JobDraft, NewOrder, OrderRow, PastOrder, PricedService
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.admission import admit_one, refuse_waiting, start_unrivalled
from imeiflow.operations.session import Session
from imeiflow.operations.steering import Resumed, resume_job
from imeiflow.operations.submit import UnknownPriceError

_BATCH: Final = 5000
_LONGEST_VALUE: Final = 256
_STALE_DRAFT: Final = timedelta(days=2)


class Options(TypedDict, total=False):
    """What may be said about a job beside its list and its service. All of it has a sensible default.

    `max_chunk` is the most IMEIs that a call may carry: how many it really carries is found out. `rate_per_min` is in
    calls, `max_spend` in the account's currency. `policy`: whether unconfirmed orders are settled as far as can be, or
    held. `reorder` sends what is known as ordered once more: the provider may refuse it, or charge it again.
    """

    name: str
    policy: Policy
    max_chunk: int | None
    max_concurrency: int | None
    rate_per_min: float | None
    max_spend: Decimal | None
    reorder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A service and the `Options` of a job. Raises UsageError for what makes no sense."""

    service: ServiceId
    name: str = ""
    policy: Policy = Policy.SETTLE
    max_chunk: int | None = None
    max_concurrency: int | None = None
    rate_per_min: float | None = None
    max_spend: Decimal | None = None
    reorder: bool = False

    def __post_init__(self) -> None:
        if not self.service:
            raise UsageError(problem="the service is empty", remedy="Give the id of a service of the price list.")
        for name in ("max_chunk", "max_concurrency"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(problem=f"{name} must be a whole number, 1 or more, not {value!r}")
        if self.rate_per_min is not None and not 0 < self.rate_per_min < math.inf:
            raise UsageError(problem=f"rate_per_min must be a number of calls above 0, not {self.rate_per_min!r}")
        if self.max_spend is not None and not (isinstance(self.max_spend, Decimal) and self.max_spend >= 0):
            raise UsageError(problem=f"max_spend must be a Decimal, 0 or more, not {self.max_spend!r}")


def read_values(values: object) -> list[str]:
    """Give the texts of one IMEI, or of an iterable of them; a single text is split at commas and line ends."""
    if isinstance(values, str):
        pieces = values.replace(";", ",").replace("\r", ",").replace("\n", ",").split(",")
        return [piece for piece in pieces if piece.strip()] or [values]
    if isinstance(values, int) and not isinstance(values, bool):
        return [str(values)]
    if isinstance(values, Iterable) and not isinstance(values, bytes | bytearray):
        return ["" if value is None else str(value) for value in values]
    raise UsageError(problem=f"a list of IMEIs is expected, not {type(values).__name__}")


def begin_job(
    session: Session,
    account: AccountSettings,
    values: Sequence[str],
    terms: Terms,
    service: PricedService | None,
) -> Resumed:
    """Make a running job of a list, or go on with the unfinished one that was made of the same list.

    `service` is the ordered one as the price list has it, None where that is not known. Raises WaitingElsewhereError,
    OrderedMeanwhileError, UnknownPriceError, and UsageError where the job that goes on has another cap; nothing was
    begun then.
    """
    source = _name_source(values, terms)
    # One at a time, in all processes: of two lists with the same IMEI, the second must find it in the first.
    with admit_one(session, account.name):
        unfinished = _find_unfinished(session, account, source)
        if unfinished is not None:
            _check_cap(unfinished, terms)
            return resume_job(session, unfinished.id)
        if terms.max_spend is not None and (service is None or service.price is None):
            raise UnknownPriceError(service=terms.service)
        return _draft_job(session, values, _describe(account, terms, source, service), reorder=terms.reorder)


def is_in_doubt_before(row: OrderRow) -> bool:
    """Say whether a row was left out because its IMEI may have been placed by an earlier job, as it still stands."""
    return row.earlier is not None and row.first in UNSETTLED


def count_in_doubt(session: Session, job: JobId) -> int:
    """Count a job's rows that were left out because they may have been placed by an earlier one."""
    return sum(map(is_in_doubt_before, session.ledger.order_rows(job, {OrderState.REPEATED})))


def _find_unfinished(session: Session, account: AccountSettings, source: str) -> Job | None:
    for state in (JobState.RUNNING, JobState.PAUSED):
        for job in session.ledger.list_jobs(state=state, account=account.name):
            if job.source == source:
                return job
    return None


def _check_cap(job: Job, terms: Terms) -> None:
    """Raise UsageError where a list goes on as a job that has another spending cap than the one that was given."""
    if terms.max_spend is not None and job.max_spend != terms.max_spend:
        cap = "no spending cap" if job.max_spend is None else f"a spending cap of {job.max_spend:f}"
        raise UsageError(
            problem=f"max_spend is {terms.max_spend:f}, and job {job.id}, which goes on with this list, has {cap}",
            remedy=f"Leave max_spend out, or say it first: `imeiflow resume {job.id} --max-spend {terms.max_spend:f}`.",
        )


def _name_source(values: Sequence[str], terms: Terms) -> str:
    """Name a list by what stands in it, so that the same list is known again."""
    digest = hashlib.sha256(f"{terms.service}\n{terms.reorder}\n".encode())
    for value in values:
        digest.update(value.strip().encode("utf-8", "surrogatepass") + b"\n")
    return f"library:{digest.hexdigest()[:32]}"


def _describe(account: AccountSettings, terms: Terms, source: str, service: PricedService | None) -> JobDraft:
    price = service.price if service is not None else None
    return JobDraft(
        account=account.name,
        provider=account.provider,
        service=terms.service,
        service_name=service.name if service is not None else "",
        name=terms.name,
        source=source,
        policy=terms.policy,
        unit_price=price.amount if price is not None else None,
        currency=price.currency if price is not None else account.currency,
        max_spend=terms.max_spend,
        largest_chunk=terms.max_chunk,
        max_concurrency=terms.max_concurrency,
        rate=terms.rate_per_min,
    )


def _draft_job(session: Session, values: Sequence[str], draft: JobDraft, *, reorder: bool) -> Resumed:
    """Read a list into a draft and start it. Its lock is taken before: a running job that nobody holds is an orphan."""
    ledger = session.ledger
    ledger.discard_stale_drafts(session.clock.now() - _STALE_DRAFT)
    seen = ledger.mark()
    job = ledger.create_draft(draft)
    lock = session.job_lock(job)
    lock.acquire()
    try:
        for rows in _read_rows(session, draft, values, reorder=reorder):
            ledger.add_orders(job, rows)
        start_unrivalled(ledger, job, draft.service, seen, lambda now: ledger.start_job(job, since=now))
    except BaseException:
        with suppress(LedgerError, UsageError):
            ledger.discard_draft(job)
        lock.release()
        raise
    if ledger.tally(job).waiting:
        return Resumed(job, lock, is_to_follow=True, was_running=False)
    ledger.change_job(job, {JobState.RUNNING}, JobState.FINISHED, None)
    lock.release()
    return Resumed(job, lock, is_to_follow=False, was_running=False)


def _read_rows(session: Session, draft: JobDraft, values: Sequence[str], *, reorder: bool) -> Iterator[list[NewOrder]]:
    seen = Deduplicator()
    for start in range(0, len(values), _BATCH):
        batch = [(value, read_imei(value)) for value in values[start : start + _BATCH]]
        imeis = [reading.imei for _, reading in batch if reading.imei is not None]
        left_out = _find_left_out(session, draft, imeis, reorder=reorder)
        rows = []
        for line, (value, reading) in enumerate(batch, start + 1):
            first = None if reading.imei is None else seen.find_first(reading.imei, line)
            rows.append(_make_row(line, value, reading, first, left_out))
        yield rows


def _find_left_out(session: Session, draft: JobDraft, imeis: Sequence[Imei], *, reorder: bool) -> dict[Imei, PastOrder]:
    """Find which of the IMEIs may not be ordered by this job. Raises WaitingElsewhereError."""
    found = session.ledger.find_elsewhere(draft.account, draft.service, imeis)
    refuse_waiting(session.ledger, draft.service, found)
    return {
        Imei(imei): order
        for imei, one in found.items()
        if (order := one.past) and not may_order_again(judge_past(order.state, order.status), is_asked=reorder)
    }


def _make_row(line: int, value: str, reading: Reading, first: int | None, left_out: dict[Imei, PastOrder]) -> NewOrder:
    imei = reading.imei
    raw = None if value == imei else value[:_LONGEST_VALUE]
    if imei is None:
        return NewOrder(line=line, imei=None, state=OrderState.INVALID, value=raw, flaw=reading.flaw)
    repairs = ",".join(reading.repairs) or None
    past = left_out.get(imei) if first is None else None
    return NewOrder(
        line=line,
        imei=imei,
        state=OrderState.QUEUED if first is None and past is None else OrderState.REPEATED,
        value=raw,
        repairs=repairs,
        repeated_of=first,
        earlier=None if past is None else past.order,
        error=None if past is None else explain_skip(judge_past(past.state, past.status), past.job),
    )
