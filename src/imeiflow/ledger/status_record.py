"""What the ledger tells of statuses: which are due to be asked for, what changed, and what did not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import StatusAnomalyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class DueOrder:
    """An order whose status is to be asked for; `misses` counts the replies in a row that did not name it."""

    id: OrderId
    job: JobId
    reference: Reference
    imei: Imei | None  #: None for an order about a file or a service's own fields
    due_at: datetime
    accepted_at: datetime
    misses: int


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job with orders that are still followed, and when the first of them is due."""

    id: JobId
    service: ServiceId
    due_at: datetime
    follow_results: bool
    kind: OrderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One change of an order's status. Ids grow with time; `before` is None for the first that was heard of.

    `result` is the raw code that came with it, None where there was none or it was the same as before.
    """

    id: int
    job: JobId
    order: OrderId
    at: datetime
    before: ResultStatus | None
    status: ResultStatus
    result: str | None

    @property
    def is_end(self) -> bool:
        """Say whether the order came to its end here: true once for each order that does."""
        return self.status.is_final and (self.before is None or not self.before.is_final)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnomaly:
    """An anomaly about statuses as the ledger keeps it: seen how often, first and last."""

    account: AccountName
    kind: StatusAnomalyKind
    reference: Reference
    job: JobId | None
    order: OrderId | None
    detail: str
    first_at: datetime
    last_at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckOrder:
    """A followed order that comes to no end by waiting: it was answered so `times` times, the last with `detail`."""

    id: OrderId
    job: JobId
    line: int
    imei: Imei | None  #: None for an order about a file or a service's own fields
    reference: Reference
    kind: StatusAnomalyKind
    times: int
    detail: str


@dataclass(frozen=True, slots=True)
class StatusesKept:
    """What became of what a reply said: orders that were updated, new statuses among them, and what did not fit.

    `changes` counts the orders that came to each status; `anomalies` those that were not known before, by kind.
    """

    stored: int
    changes: Mapping[ResultStatus, int]
    anomalies: Mapping[StatusAnomalyKind, int]
