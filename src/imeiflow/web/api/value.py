"""Types that several operations take or give, with what each field means: the documents are made of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.web.api.problem import ApiError, Flaw

Text = Annotated[str, Meta(max_length=200)]
Number = Annotated[int, Meta(ge=1, le=999_999_999_999_999_999, description="A number of a job, from 1.")]
Limit = Annotated[int, Meta(ge=1, le=1000, description="The most to list: 1 to 1000.")]
CursorText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,18}-[0-9]{1,18}$",
        description="Where the page before ended: its `next`, with the same parameters.",
    ),
]
Account = Annotated[
    str, Meta(min_length=1, max_length=200, description="Name of an account; the only one if left out.")
]
Instant = Annotated[datetime, Meta(tz=True, description="A time with its zone: 2026-11-28T14:30:00Z.")]
#: In answers a number, exact to its last digit; in requests also a text, for whoever's numbers are not exact.
Amount = Decimal
LEAST_AMOUNT: Final = Decimal("0.000001")
_MOST_DIGITS: Final = 40
Count = Annotated[int, Meta(ge=0)]
Finished = Literal["running", "finished", "paused", "cancelled"]


class In(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is taken: what is not known is not ignored."""


class Out(Struct, kw_only=True):
    """What is given."""


class PriceRise(Out):
    """A price that rose between two times, and what the orders that were placed meanwhile may have cost besides."""

    before: Annotated[Amount, Meta(description="The price that they are recorded at.")]
    after: Annotated[Amount, Meta(description="What the list showed then.")]
    since: Annotated[datetime, Meta(description="When the last list was asked for that did not show it.")]
    until: Annotated[datetime, Meta(description="When the list was seen that did.")]
    orders: Annotated[int, Meta(ge=0, description="What was placed, or may have been, since the first.")]
    more: Annotated[Amount, Meta(description="At most; null where it is not known: another currency.")] | None


class JobSummary(Out):
    """A job in sum, as `imeiflow jobs --json` prints it. The counts add up to `total`."""

    job: int
    state: JobState
    total: Annotated[int, Meta(ge=0, description="Rows of the list.")]
    accepted: Count
    duplicate: Count
    refused: Count
    failed: Count
    unconfirmed: Annotated[int, Meta(ge=0, description="Orders that may have been placed; see its doubts.")]
    queued: Count
    invalid: Count
    repeated: Annotated[int, Meta(ge=0, description="Rows whose IMEI stood before, or was ordered before.")]
    cancelled: Count
    sending: Annotated[int, Meta(ge=0, description="Those of `queued` that are under way.")]
    attempts: Annotated[int, Meta(ge=0, description="Calls that were made.")]
    spent: Annotated[Amount, Meta(description="Null where a price is not known.")] | None
    refunded: Amount | None
    in_doubt: Annotated[Amount, Meta(description="What may have been charged besides.")] | None
    probed: (
        Annotated[
            Amount,
            Meta(description="Part of `spent` beyond what the list costs: orders repeated to learn how repeats fare."),
        ]
        | None
    )
    price_rise: (
        Annotated[
            PriceRise,
            Meta(description="A rise that was seen only after orders were placed; what it may add is in `in_doubt`."),
        ]
        | None
    )
    currency: str
    seconds: float
    reason: Annotated[str, Meta(description="Why it is paused.")] | None


class Order(Out):
    """One row of a job with what became of it."""

    id: int
    job: int
    account: str
    service: str
    line: int
    imei: str | None
    value: Annotated[str, Meta(description="What stands in its row, where that is no IMEI.")] | None
    state: OrderState
    attempts: int
    reference: Annotated[str, Meta(description="The provider's own id.")] | None
    status: ResultStatus | None
    status_at: datetime | None
    result: str | None
    error_kind: str | None
    error: str | None
    price: Amount | None
    charges: int
    accepted_at: datetime | None
    completed_at: datetime | None


def read_amount(amount: Decimal | UnsetType | None, field: str) -> Decimal | None:
    """Give an amount of money that is above 0 and not absurd; None where none was given. Raises ApiError 422."""
    if amount is None or amount is UNSET:
        return None
    is_sane = amount.is_finite() and len(amount.as_tuple().digits) <= _MOST_DIGITS
    if not is_sane or not LEAST_AMOUNT <= amount < Decimal(10) ** 15:
        remedy = "Give a number above 0, such as 25 or 12.50."
        flaw = Flaw(field=field, problem="it is no amount of money above 0", value=str(amount)[:200], remedy=remedy)
        raise ApiError(422, f"{field}: {flaw.problem}.", remedy=remedy, flaws=[flaw])
    return amount


def contradict(field: str, problem: str, remedy: str, value: Any = None) -> ApiError:
    """Make the error of a field that does not go with another."""
    return refuse(field, problem, remedy, value, status=409, code="contradiction")


def refuse(
    field: str,
    problem: str,
    remedy: str,
    value: Any = None,
    *,
    status: int = 422,
    code: str = "",
    exit_status: int | None = None,
) -> ApiError:
    """Make the error of a field whose value cannot be taken.

    422 is for what the description does not allow; what it allows, and cannot be done as things stand, is a 409 with
    a `code`, and what names a thing that is not there a 404.
    """
    flaw = Flaw(field=field, problem=problem, value=value, remedy=remedy)
    detail = f"{field}: {problem}."
    return ApiError(status, detail, code=code, remedy=remedy, flaws=[flaw], exit_status=exit_status)
