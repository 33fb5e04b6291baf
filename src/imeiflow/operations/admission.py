"""Letting lists in one after the other: what waits to be ordered in one job is not ordered by another as well.

Sends nothing. Jobs that are drafts are seen by nobody, so a list is looked at again when it starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import islice
from typing import Final

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState
from imeiflow.errors import UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.ledger import Ledger
from imeiflow.operations.session import Session

_BATCH: Final = 10_000
_LOOK_EVERY_S: Final = 0.02


class WaitingElsewhereError(UsageError):
    """IMEI {imei} waits to be ordered under service {service} in job {job}, which is {state}: nothing was ordered."""

    def __init__(self, *, imei: str, service: str, job: int, state: str, remedy: str | None = None) -> None:
        said = remedy or f"Go on with that job (`imeiflow resume {job}`), or give it up (`imeiflow cancel {job}`)."
        super().__init__(imei=imei, service=service, job=job, state=state, remedy=said)


class OrderedMeanwhileError(UsageError):
    """IMEI {imei} was ordered under service {service} by job {job} since this list was read: nothing was ordered."""

    remedy = "Submit the list again to see what is left of it, and what was ordered before."


@contextmanager
def admit_one(session: Session, account: AccountName) -> Iterator[None]:
    """Wait until no list of the account is let in by any process, and hold others off meanwhile."""
    lock = LaneLock(session.locks / "submissions", f"{session.ledger.name}\n{account}")
    while not lock.acquire():
        time.sleep(_LOOK_EVERY_S)
    try:
        yield
    finally:
        lock.release()


def list_rivals(ledger: Ledger, account: AccountName, service: ServiceId) -> frozenset[JobId]:
    """Name the jobs that order the same service with the same account; drafts are not among them."""
    return frozenset(job.id for job in ledger.list_jobs(account=account) if job.service == service)


def refuse_waiting(ledger: Ledger, account: AccountName, service: ServiceId, imeis: Sequence[Imei]) -> None:
    """Raise WaitingElsewhereError where one of the IMEIs is queued in a job under the same service."""
    for order in ledger.search_orders(
        imeis=imeis, states={OrderState.QUEUED}, account=account, service=service, limit=1
    ):
        job = ledger.find_job(order.job)
        state = "gone" if job is None else job.state.value
        raise WaitingElsewhereError(imei=order.imei or "", service=service, job=order.job, state=state)


def refuse_rivals(
    ledger: Ledger, draft: JobId, account: AccountName, service: ServiceId, known: AbstractSet[JobId]
) -> None:
    """Look a draft's IMEIs up in the jobs that started since `known` were listed.

    Raises WaitingElsewhereError, or OrderedMeanwhileError for what was placed by them, or may have been.
    """
    rivals = list_rivals(ledger, account, service) - known
    if not rivals:
        return
    rows = ledger.order_rows(draft, {OrderState.QUEUED})
    while batch := [row.imei for row in islice(rows, _BATCH) if row.imei is not None]:
        refuse_waiting(ledger, account, service, batch)
        for imei, past in ledger.find_ordered_before(account, service, batch, exclude_job=draft).items():
            if past.job in rivals:
                raise OrderedMeanwhileError(imei=imei, service=service, job=past.job)
