"""What the ledger tells: jobs, orders, attempts and what else it holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

from msgspec import Struct

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId, Token
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
from imeiflow.domain.outcome import ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDraft:
    """What is known of a job while its list is being read in. `rate` is in calls a minute."""

    account: AccountName
    provider: str
    service: ServiceId
    service_name: str = ""
    name: str = ""
    source: str = ""
    priority: int = 0
    policy: Policy = Policy.SETTLE
    unit_price: Decimal | None = None
    currency: str = ""
    max_spend: Decimal | None = None
    chunk_size: int | None = None
    largest_chunk: int | None = None
    max_concurrency: int | None = None
    rate: float | None = None
    columns: tuple[str, ...] | None = None
    imei_column: str | None = None
    has_header: bool = False
    follow_results: bool = False  #: runners go on until its results are there
    submitted_by: str | None = None
    kind: OrderKind = OrderKind.IMEI


class Confirmed(TypedDict, total=False):
    """What the user may still settle about a job when confirming it."""

    service_name: str
    name: str
    source: str
    priority: int
    policy: Policy
    unit_price: Decimal | None
    currency: str
    max_spend: Decimal | None
    chunk_size: int | None
    max_concurrency: int | None
    rate: float | None
    columns: tuple[str, ...] | None
    imei_column: str | None
    has_header: bool
    follow_results: bool
    submitted_by: str | None


class NewOrder(NamedTuple):
    """One row of the list: queued, invalid (with `flaw`), or repeated.

    What it repeats is a line of the list (`repeated_of`), or an order of an earlier job (`earlier`, with the `error`
    that says why it is not sent). A tuple, because a million of them are made and taken apart again.
    """

    line: int
    imei: Imei | None
    columns: tuple[str, ...] | None = None
    state: OrderState = OrderState.QUEUED
    value: str | None = None
    repairs: str | None = None
    flaw: str | None = None
    repeated_of: int | None = None
    earlier: OrderId | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stands. `wanted` is a request of another process, not carried out yet."""

    id: JobId
    account: AccountName
    provider: str
    service: ServiceId
    service_name: str
    name: str
    source: str
    state: JobState
    wanted: JobState | None
    reason: str | None
    priority: int
    policy: Policy
    unit_price: Decimal | None
    currency: str
    max_spend: Decimal | None
    chunk_size: int | None
    largest_chunk: int | None
    max_concurrency: int | None
    rate: float | None
    columns: tuple[str, ...] | None
    imei_column: str | None
    has_header: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    worked_s: float
    follow_results: bool = False
    submitted_by: str | None
    hold_after: OrderId | None  #: the last order that may be claimed while a trial is not over
    kind: OrderKind

    @property
    def price(self) -> Money | None:
        """Give the confirmed price of one order."""
        return None if self.unit_price is None else Money(self.unit_price, self.currency)

    @property
    def cap(self) -> Money | None:
        """Give the spending cap."""
        return None if self.max_spend is None else Money(self.max_spend, self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why orders of a job are not accepted: how many share state and message, with an example."""

    state: OrderState
    kind: ErrorKind | None
    message: str
    count: int
    line: int
    imei: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a new owner of a lane found under way: calls whose answer nobody awaits any more."""

    attempts: int
    orders: int


@dataclass(frozen=True, slots=True)
class LaneOwner:
    """Who holds a lane; `owner` is None when it was released."""

    token: Token
    owner: str | None
    taken_at: datetime


class QueuedOrder(Struct, frozen=True):
    """An order that waits to be sent; `attempts` counts those that were spent on it.

    `imei` is what it is about: for a file or server order its subject, which only tells it apart within its call.
    """

    id: OrderId
    imei: Imei
    attempts: int
    line: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """An unconfirmed order, its last attempt, and when the earliest and the last began that may have placed it."""

    order: OrderId
    imei: Imei  #: empty where it is about a file, or the fields of a server service
    attempt: AttemptId
    began_at: datetime
    last_began_at: datetime
    ended_at: datetime | None = None  #: when the last of them did
    line: int = 0
    value: str = ""  #: the file, or the fields, that it is about where that is no IMEI


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An accepted order, when the attempt that placed it began, and by when it was surely placed: it was known then."""

    order: OrderId
    imei: Imei
    reference: Reference | None
    began_at: datetime
    placed_by: datetime
    status: ResultStatus | None
    price: Decimal | None
    job: JobId


@dataclass(frozen=True, slots=True)
class PastOrder:
    """The earlier order of an IMEI, a file or fields that was placed, or may have been, and matters most for another.

    One that is unsettled comes before all others, a rejected one after them; then the newest. `at` is when its job was
    created, for a file or fields when it was sent; `result` the beginning of what the provider sent.
    """

    order: OrderId
    job: JobId
    state: OrderState
    reference: Reference | None
    status: ResultStatus | None
    at: datetime
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """How something stands in other jobs under the same service: what was or may have been placed, what is queued."""

    past: PastOrder | None
    waiting: PastOrder | None


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the ledger was at a moment: its newest event, and its newest attempt."""

    event: int
    attempt: AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """An order that another job has queued or placed as well; `is_item`: it is about a file or fields."""

    subject: str
    is_item: bool
    job: JobId
    state: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOrder:
    """An order that was placed or may have been, and the time within which a call did it, or may have."""

    order: OrderId
    job: JobId
    service: ServiceId
    service_name: str
    imei: Imei
    state: OrderState
    reference: Reference | None
    price: Decimal | None
    currency: str
    charges: int
    status: ResultStatus | None
    result: str | None
    attempt: AttemptId
    began_at: datetime
    ended_at: datetime

    @property
    def recorded(self) -> Money | None:
        """Give the price that the ledger has."""
        return None if self.price is None else Money(self.price, self.currency)


@dataclass(frozen=True, slots=True)
class Learned:
    """Something found out about a lane; `pinned` by the user, it is never overwritten."""

    account: AccountName
    service: ServiceId
    service_name: str  #: as the price list has it; empty where it does not
    kind: str
    value: Any
    reason: str
    learned_at: datetime
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One row of a job's list with what became of it. A repeated row carries the result of what it repeats.

    `state` is the row's own; `first` the state of the order that it repeats, be it of an `earlier` job.
    """

    id: OrderId
    job: JobId
    line: int
    imei: Imei | None
    value: str | None
    repairs: str | None
    flaw: str | None
    repeated_of: int | None
    earlier: OrderId | None
    state: OrderState
    first: OrderState | None
    attempts: int
    reference: Reference | None
    status: ResultStatus | None
    status_at: datetime | None
    result: str | None
    error_kind: ErrorKind | None
    error: str | None
    price: Decimal | None
    charges: int
    accepted_at: datetime | None
    completed_at: datetime | None
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOrder:
    """One order of a search over all jobs; `value` is what stands in its row where that is not its IMEI."""

    id: OrderId
    job: JobId
    account: AccountName
    service: ServiceId
    line: int
    imei: Imei | None
    value: str | None
    state: OrderState
    attempts: int
    reference: Reference | None
    status: ResultStatus | None
    status_at: datetime | None
    result: str | None
    error_kind: ErrorKind | None
    error: str | None
    price: Decimal | None
    charges: int
    accepted_at: datetime | None
    completed_at: datetime | None

    @property
    def subject(self) -> str:
        """Say what it is about: its IMEI, or a file, the fields of a server service, a text that is no IMEI."""
        return self.imei or self.value or "-"


@dataclass(frozen=True, slots=True)
class Expense:
    """A price and how often it was due in a job within the quarter of an hour that began `at`; None: not known."""

    job: JobId
    at: datetime
    price: Decimal | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedService:
    """One service of an account's price list. `seen_at` is when the ledger first saw it like this."""

    id: ServiceId
    name: str
    category: str = ""
    price: Money | None = None
    delivery: str = ""
    note: str = ""
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the log."""

    id: int
    at: datetime
    kind: str
    account: AccountName | None
    job: JobId | None
    order: OrderId | None
    attempt: AttemptId | None
    data: Mapping[str, Any]
    actor: str | None = None
