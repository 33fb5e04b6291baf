"""What can be wrong with how the library is used. Values only."""

from __future__ import annotations

from imeiflow.errors import ProviderError, UsageError


class ForkedError(UsageError):
    """This process was forked from one that had opened the ledger {path}, which must not be used across a fork."""

    remedy = "Start workers with the multiprocessing method `spawn`, or use a client only after the fork."


class ClosedError(UsageError):
    """The client was closed, or its program ended, before the work was done."""

    remedy = "Make a new one. Jobs are in the ledger: the same call, or `resume`, goes on with them."


class ExtraFieldsError(UsageError):
    """Orders with fields of their own ({fields}) are not supported by this version: nothing was ordered."""


class NotCompletedError(ProviderError):
    """Order {reference} of account {account}: {problem}"""
