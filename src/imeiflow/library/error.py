"""What can be wrong with how the library is used. Values only."""

from __future__ import annotations

from imeiflow.errors import ProviderError, UsageError


class ForkedError(UsageError):
    """This process was forked from one that had opened the ledger {path}, which must not be used across a fork."""

    remedy = "Start workers with the multiprocessing method `spawn`, or use a client only after the fork."


class ClosedError(UsageError):
    """The client was closed, or its program ended, before the work was done."""

    remedy = "Make a new one. Jobs are in the ledger: the same call, or `resume`, goes on with them."


class WaitingElsewhereError(UsageError):
    """IMEI {imei} waits to be ordered under service {service} in job {job}, which is {state}: nothing was ordered."""

    def __init__(self, *, imei: str, service: str, job: int, state: str, remedy: str | None = None) -> None:
        said = remedy or f"Go on with that job (`imeiflow resume {job}`), or give it up (`imeiflow cancel {job}`)."
        super().__init__(imei=imei, service=service, job=job, state=state, remedy=said)


class ExtraFieldsError(UsageError):
    """Orders with fields of their own ({fields}) are not supported by this version: nothing was ordered."""


class NotCompletedError(ProviderError):
    """Order {reference} of account {account}: {problem}"""
