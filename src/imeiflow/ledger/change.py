"""What the ledger is told: the intent before a call leaves, the conclusion after it, and what is said of statuses.

Values only: `intent`, `conclusion` and `status` write them down. What is made for every call is a msgspec struct: as
frozen as the others, and made in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, Token
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Anomaly


class AttemptKind(StrEnum):
    """Why a call was made."""

    PLACE = "place"  #: queued orders
    CANARY = "canary"  #: queued orders, to learn how many a call may carry
    AGAIN = "again"  #: a covered doubt, sent again alone
    PROBE = "probe"  #: an accepted order, repeated to learn whether repeats are refused


#: Kinds that a pause does not stop by itself: whoever starts them has asked for them.
UNSTOPPED = frozenset({AttemptKind.AGAIN, AttemptKind.PROBE})


class Intent(Struct, frozen=True, kw_only=True):
    """One call that is about to leave. `expected` is the state in which all `orders` must be."""

    job: JobId
    account: AccountName
    token: Token
    kind: AttemptKind
    orders: tuple[OrderId, ...]
    started_at: datetime
    expected: OrderState = OrderState.QUEUED


class OrderChange(Struct, frozen=True, kw_only=True):
    """What an attempt means for one order: the outcome it proves, and the state that was decided on.

    `charges` is how often this attempt charged it (0 or 1), each time `price` in the job's currency.
    """

    order: OrderId
    state: OrderState
    outcome: Outcome
    reference: Reference | None = None
    status: ResultStatus | None = None
    kind: ErrorKind | None = None
    message: str = ""
    spends_attempt: bool = True
    price: Decimal | None = None
    charges: int = 0
    due_at: datetime | None = None  #: when the status of an accepted order is asked for first; None: at once


class Conclusion(Struct, frozen=True, kw_only=True):
    """How an attempt ended, with its evidence, and what it means for each of its orders."""

    attempt: AttemptId
    ended_at: datetime
    ending: Ending
    changes: tuple[OrderChange, ...]
    http_status: int | None = None
    elapsed_ms: int = 0
    error_kind: ErrorKind | None = None
    error: str = ""
    problem: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    request: bytes = b""
    reply: bytes = b""
    seen: tuple[RepeatEvidence, ...] = ()
    asked_by: JobId | None = None  #: the job whose doubts a probe is made for, where it repeats another's order


@dataclass(frozen=True, slots=True)
class Concluded:
    """What became of a conclusion.

    `late`: another owner had taken the attempt's orders meanwhile; the reply was kept, and only proof of a
    placement was applied. `applied` counts the orders that changed.
    """

    late: bool
    applied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """What a reply about its status says of an order; `result` is its raw code.

    `due_at` is when to ask next, unless this is the last word; None leaves it as it is.
    """

    order: OrderId
    status: ResultStatus
    result: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PutOff:
    """When to ask for an order next that a reply said nothing useful of; `is_missing`: it did not even name it."""

    order: OrderId
    due_at: datetime
    is_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Which of a job's orders are queued again: those in `states` (failed, refused), or those `chosen` among them.

    `is_again`: also those that another job has ordered since. `most`: as many as were agreed to.
    """

    states: frozenset[OrderState]
    is_again: bool = False
    chosen: Sequence[OrderId] | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What somebody has agreed to for a job that goes on: None where it stays as it is."""

    price: Decimal | None = None  #: of one order
    max_spend: Decimal | None = None
    limit_of: str | None = None  #: whose limit of the day `max_spend` comes from; None where somebody chose it
    again: Again | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revived:
    """Whether a job runs that was to go on, and how many of its orders were queued again."""

    runs: bool
    queued: int
