"""What the ledger tells of attempts: the call, what it proved for each order, and what went over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imeiflow.domain.ident import AccountName, AttemptId, JobId, Reference, Token
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Anomaly, say_anomalies
from imeiflow.ledger.change import AttemptKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call that was made or was about to be; `ended_at` is None while its end is not known."""

    id: AttemptId
    job: JobId
    account: AccountName
    kind: AttemptKind
    size: int
    token: Token
    started_at: datetime
    ended_at: datetime | None
    ending: Ending | None
    http_status: int | None
    error_kind: ErrorKind | None
    error: str
    elapsed_ms: int | None
    problem: str
    anomalies: tuple[Anomaly, ...]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OrderAttempt:
    """One attempt on one order and what it proved; `outcome` is None while the call is under way."""

    attempt: Attempt
    outcome: Outcome | None
    reference: Reference | None
    message: str
    price: Decimal | None
    charges: int
    settled_at: datetime | None

    @property
    def said(self) -> str:
        """Say what came back about the order, and what in the reply does not fit; empty where nothing is known."""
        told = self.message or self.attempt.error or self.attempt.problem
        return "; ".join(text for text in (told, say_anomalies(self.attempt.anomalies)) if text)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What went over the wire, keys blanked."""

    request: bytes
    reply: bytes
