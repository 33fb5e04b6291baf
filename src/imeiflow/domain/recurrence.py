"""What an earlier order of an IMEI means for ordering it again under the same service.

Pure. Whoever makes a job asks, for each IMEI that the ledger knows as placed, or as perhaps placed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, assert_never

from imeiflow.domain.order import OrderState, ResultStatus


class Past(StrEnum):
    """How an earlier order of an IMEI stands, told by what it means for another one."""

    COMPLETED = "completed"  #: its result is there
    OPEN = "open"  #: the provider has it; no result is known yet
    DUPLICATE = "duplicate"  #: the provider had it already then
    UNSETTLED = "unsettled"  #: it may have been placed, or a call with it is under way
    REJECTED = "rejected"  #: the provider took it and could not do it

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Past.COMPLETED: "completed: the result is there",
    Past.OPEN: "accepted, no result yet",
    Past.DUPLICATE: "the provider had them already then",
    Past.UNSETTLED: "under way or unconfirmed: they may have been placed",
    Past.REJECTED: "rejected: the provider could not do them",
}

#: States of an order that was placed, or may have been.
PLACED: Final = frozenset({OrderState.ACCEPTED, OrderState.DUPLICATE, OrderState.UNCONFIRMED, OrderState.SENDING})
UNSETTLED: Final = frozenset({OrderState.UNCONFIRMED, OrderState.SENDING})


def judge_past(state: OrderState, status: ResultStatus | None) -> Past:
    """Say how an earlier order stands. Raises ValueError for one that was certainly not placed."""
    if state in UNSETTLED:
        return Past.UNSETTLED
    if state not in PLACED:
        raise ValueError(f"an order that is {state} was not placed")
    if status is ResultStatus.REJECTED:
        return Past.REJECTED
    if status is ResultStatus.COMPLETED:
        return Past.COMPLETED
    return Past.OPEN if state is OrderState.ACCEPTED else Past.DUPLICATE


def may_order_again(past: Past, *, is_asked: bool) -> bool:
    """Say whether an IMEI may be ordered again; `is_asked`: the user wants what is known as ordered once more.

    What may have been placed never is: only its settling can say whether it has to be. What was rejected always may
    be, since nothing came of it.
    """
    match past:
        case Past.UNSETTLED:
            return False
        case Past.REJECTED:
            return True
        case Past.COMPLETED | Past.OPEN | Past.DUPLICATE:
            return is_asked
        case _:
            assert_never(past)


def explain_skip(past: Past, job: int) -> str:
    """Say why a row was not sent whose IMEI `job` has ordered; alike for all rows of the same reason."""
    if past is Past.UNSETTLED:
        return f"Job {job} may have ordered it under this service: not sent, that has to be settled first."
    return f"Ordered before under this service, by job {job}: not sent again."


def may_be_sent_anew(state: OrderState, status: ResultStatus | None) -> bool:
    """Say whether a row can be mended and sent again: it was never placed, or the provider has rejected it.

    What may have been placed never is, and what was cancelled or waits needs no mending.
    """
    if state is OrderState.ACCEPTED:
        return status is ResultStatus.REJECTED
    return state in {OrderState.INVALID, OrderState.REFUSED, OrderState.FAILED}
