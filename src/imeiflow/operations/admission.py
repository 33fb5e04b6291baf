"""Letting lists in one after the other: what waits to be ordered in one job is not ordered by another as well.

Sends nothing. A draft is seen by nobody, so it is compared once more when it starts, with all that was queued since it
was read; the transaction that starts it sees to it that nothing was queued after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.order import OrderState
from imeiflow.errors import UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Conflict, Elsewhere, Mark
from imeiflow.operations.session import Session

_PATIENCE_S: Final = 30.0


class WaitingElsewhereError(UsageError):
    """IMEI {imei} waits to be ordered under service {service} in job {job}, which is {state}: nothing was ordered."""

    def __init__(self, *, imei: str, service: str, job: int, state: str, remedy: str | None = None) -> None:
        said = remedy or f"Go on with that job (`imeiflow resume {job}`), or give it up (`imeiflow cancel {job}`)."
        super().__init__(imei=imei, service=service, job=job, state=state, remedy=said)


class OrderedMeanwhileError(UsageError):
    """{subject} was ordered under service {service} by job {job}, or may have been, since it was looked up."""

    remedy = "Nothing was ordered. Submit it again to see what is left of it, and what was ordered before."


class WaitingItemError(UsageError):
    """{subject} waits in job {job}, or may have been placed by it: nothing was ordered."""

    def __init__(self, *, subject: str, job: int, state: str) -> None:
        settle = f"Settle it first: `imeiflow show {job}`, then `imeiflow settle {job}`."
        go_on = f"Go on with that job (`imeiflow resume {job}`), or give it up (`imeiflow cancel {job}`)."
        is_waiting = state in {OrderState.QUEUED, OrderState.SENDING}
        super().__init__(subject=subject, job=job, remedy=go_on if is_waiting else settle)


class BusyAdmissionError(UsageError):
    """Another list of account {account} is being let in, and does not come to an end: nothing was ordered."""

    remedy = "Try again in a moment."


@contextmanager
def admit_one(session: Session, account: AccountName, *, within_s: float = _PATIENCE_S) -> Iterator[None]:
    """Wait until no list of the account is let in by any process, and hold others off meanwhile; blocks.

    Raises BusyAdmissionError where that takes longer than `within_s`.
    """
    lock = LaneLock(session.locks / "submissions", f"{session.ledger.name}\n{account}")
    if not lock.acquire_within(within_s):
        raise BusyAdmissionError(account=account)
    try:
        yield
    finally:
        lock.release()


def refuse_waiting(ledger: Ledger, service: ServiceId, found: Mapping[str, Elsewhere]) -> None:
    """Raise WaitingElsewhereError where one of the IMEIs that were found is queued in another job."""
    for imei, one in found.items():
        if one.waiting is not None:
            _raise_waiting(ledger, service, imei, one.waiting.job)


def start_unrivalled(
    ledger: Ledger, draft: JobId, service: ServiceId, seen: Mark, start: Callable[[Mark], bool]
) -> None:
    """Start a draft that was compared with the ledger as it was at `seen`, once nothing of it is queued elsewhere.

    `start` is told how far the ledger was when that was looked at, and says whether nothing was queued since. Raises
    WaitingElsewhereError, WaitingItemError, or OrderedMeanwhileError for what was placed since, or may have been.
    """
    while True:
        now = ledger.mark()
        conflict = ledger.find_conflict(draft, seen)
        if conflict is not None:
            _refuse(ledger, service, conflict)
        if start(now):
            return
        seen = now


def _refuse(ledger: Ledger, service: ServiceId, conflict: Conflict) -> NoReturn:
    subject, job, state = conflict.subject, conflict.job, conflict.state
    if state is not OrderState.QUEUED:
        named = subject if conflict.is_item else f"IMEI {subject}"
        raise OrderedMeanwhileError(subject=named, service=service, job=job)
    if conflict.is_item:
        raise WaitingItemError(subject=subject, job=job, state=state)
    _raise_waiting(ledger, service, subject, job)


def _raise_waiting(ledger: Ledger, service: ServiceId, imei: str, job: JobId) -> NoReturn:
    found = ledger.find_job(job)
    state = "gone" if found is None else found.state.value
    raise WaitingElsewhereError(imei=imei, service=service, job=job, state=state)
