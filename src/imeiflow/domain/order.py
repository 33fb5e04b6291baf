"""The states of orders, jobs and results, and which change may follow which.

Pure. The ledger's CHECK constraints and guards are tested against these.

                 invalid       never sent
    repeated     stands in the file before, or was ordered by an earlier job; follows that one
    queued ──▶ sending ──▶ accepted | duplicate | refused | unconfirmed
      ▲           │
      └───────────┘ proved not placed; failed once the attempts run out
    queued ──▶ cancelled
    unconfirmed ──▶ sending (covered, alone) | accepted | queued (by the user's word)
"""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    """Where one row of a job stands."""

    INVALID = "invalid"  #: never sent; the user mends the row
    REPEATED = "repeated"  #: its IMEI stood in the file before, or was ordered before; never sent on its own
    QUEUED = "queued"  #: the lane moves it on
    SENDING = "sending"  #: a call with it is under way; the attempt's outcome moves it on
    ACCEPTED = "accepted"  #: the provider has it; final for placing
    DUPLICATE = "duplicate"  #: the provider had it before; final
    REFUSED = "refused"  #: a definite no; final until the user retries
    UNCONFIRMED = "unconfirmed"  #: may have been placed; settled by proof or by the user
    FAILED = "failed"  #: proved not placed, attempts used up; final until the user retries
    CANCELLED = "cancelled"  #: by the user, from queued only


class JobState(StrEnum):
    """Where a job stands. A draft is being read in and is shown to nobody."""

    DRAFT = "draft"
    RUNNING = "running"
    FINISHED = "finished"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class ResultStatus(StrEnum):
    """What the provider makes of an accepted order."""

    PENDING = "pending"
    IN_PROCESS = "in_process"
    COMPLETED = "completed"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Say whether the provider will not change it any more."""
        return self in {ResultStatus.COMPLETED, ResultStatus.REJECTED}


class Policy(StrEnum):
    """What to do about a job's unconfirmed orders (`--unconfirmed`)."""

    SETTLE = "settle"
    HOLD = "hold"


#: Every change of an order's state that the ledger lets through.
TRANSITIONS: frozenset[tuple[OrderState, OrderState]] = frozenset(
    {
        (OrderState.QUEUED, OrderState.SENDING),
        (OrderState.QUEUED, OrderState.CANCELLED),
        (OrderState.SENDING, OrderState.ACCEPTED),
        (OrderState.SENDING, OrderState.DUPLICATE),
        (OrderState.SENDING, OrderState.REFUSED),
        (OrderState.SENDING, OrderState.UNCONFIRMED),
        (OrderState.SENDING, OrderState.QUEUED),
        (OrderState.SENDING, OrderState.FAILED),
        (OrderState.UNCONFIRMED, OrderState.SENDING),
        (OrderState.UNCONFIRMED, OrderState.ACCEPTED),
        (OrderState.UNCONFIRMED, OrderState.QUEUED),
        (OrderState.FAILED, OrderState.QUEUED),
        (OrderState.REFUSED, OrderState.QUEUED),
    }
)

#: States from which nothing goes on by itself.
SETTLED = frozenset(
    {
        OrderState.INVALID,
        OrderState.REPEATED,
        OrderState.ACCEPTED,
        OrderState.DUPLICATE,
        OrderState.REFUSED,
        OrderState.FAILED,
        OrderState.CANCELLED,
    }
)


def may_follow(before: OrderState, after: OrderState) -> bool:
    """Say whether an order may go from `before` to `after`."""
    return (before, after) in TRANSITIONS
