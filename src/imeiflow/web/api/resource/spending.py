"""Spending: exact, each currency by itself."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.ident import AccountName
from imeiflow.domain.user import Scope
from imeiflow.operations.json_object import describe_sum
from imeiflow.operations.spending import Axis, add_up_spending
from imeiflow.operations.time_zone import name_time_zone
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.value import Account, Amount, In, Out, Text, contradict

#: Nothing was spent outside of these, and a time zone cannot lead beyond what dates can say.
_FIRST: Final = date(2000, 1, 1)
_LAST: Final = date(9990, 1, 1)


class SpendingQuery(In, rename={"first": "from", "last": "to"}):
    """What for, and of which days."""

    by: Annotated[Axis, Meta(description="day, service, job or account.")] = Axis.DAY
    account: Account | None = None
    first: Annotated[date, Meta(description="Nothing before this day: 2026-11-01.")] | None = None
    last: Annotated[date, Meta(description="Nothing after this day.")] | None = None
    timezone: (
        Annotated[Text, Meta(description="Of the days: UTC, +05:30, Europe/Berlin; else the server's.")] | None
    ) = None


class Sum(Out):
    """What was spent on one day, service, job or account; its key stands under the name of what it was asked `by`."""

    name: str
    currency: str
    orders: int
    spent: Amount
    refunded: Annotated[Amount, Meta(description="The part of it that rejected orders had cost.")]
    in_doubt: Annotated[Amount, Meta(description="What may have been charged besides.")]
    unpriced: Annotated[int, Meta(description="Charges whose price is not known: in no sum.")]
    day: str = ""
    service: str = ""
    job: str = ""
    account: str = ""


class Sums(Out):
    """Days in their order, all else the dearest first."""

    sums: list[Sum]


def show_spending(call: Call) -> dict[str, Any]:
    """Say what was spent by day, service, job or account."""
    query: SpendingQuery = call.query
    if query.first is not None and query.last is not None and query.last < query.first:
        raise contradict("to", "it lies before `from`", "Change one, or leave it out.", str(query.last))
    sums = add_up_spending(
        call.session,
        query.by,
        account=None if query.account is None else AccountName(query.account),
        first=None if query.first is None else _bring_near(query.first),
        last=None if query.last is None else _bring_near(query.last),
        zone=None if query.timezone is None else name_time_zone(query.timezone),
    )
    return {"sums": [describe_sum(one, query.by) for one in sums]}


def _bring_near(day: date) -> date:
    return min(max(day, _FIRST), _LAST)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/spending",
        tag="Spending",
        scope=Scope.READ,
        handle=show_spending,
        query=SpendingQuery,
        answer=Sums,
        errors=(409, 422),
        query_example={"by": "service", "from": "2026-11-01"},
        example={
            "sums": [
                {
                    "day": "2026-11-28",
                    "name": "2026-11-28",
                    "currency": "USD",
                    "orders": 19990,
                    "spent": Decimal("1599.20"),
                    "refunded": Decimal(0),
                    "in_doubt": Decimal("0.16"),
                    "unpriced": 0,
                }
            ]
        },
    ),
)
