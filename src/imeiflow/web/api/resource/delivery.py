"""What was told to webhooks, and what is still to be. Shows no address and no secret."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.notice import DeliveryState
from imeiflow.domain.user import Scope
from imeiflow.operations.json_text import as_values
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.problem import ApiError
from imeiflow.web.api.value import In, Limit, Number, Out, Text


class DeliveryQuery(In):
    """Which deliveries."""

    state: Annotated[DeliveryState, Meta(description="Only in this state.")] | None = None
    webhook: Annotated[Text, Meta(description="Only of this webhook.")] | None = None
    limit: Limit = 50
    cursor: Annotated[Number, Meta(description="The `next` of the page before.")] | None = None


class Delivery(Out):
    """A message for one webhook, and how far it is."""

    id: int
    event_id: str
    webhook: str
    event: str
    job: int | None
    count: int
    state: DeliveryState
    attempts: int
    created_at: str
    since: str
    next_at: str
    ended_at: str | None


class DeliveryPage(Out):
    """Some deliveries, newest first."""

    deliveries: list[Delivery]
    next: int | None


class ShownDelivery(Delivery):
    """A delivery with every attempt."""

    tries: list[dict[str, Any]]


def list_deliveries(call: Call) -> dict[str, Any]:
    """List what was told to webhooks, newest first."""
    query: DeliveryQuery = call.query
    found = call.session.ledger.deliveries(
        state=query.state, webhook=query.webhook, before=query.cursor, limit=query.limit + 1
    )
    shown = found[: query.limit]
    return {
        "deliveries": [as_values(one) for one in shown],
        "next": shown[-1].id if len(found) > query.limit else None,
    }


def show_delivery(call: Call) -> dict[str, Any]:
    """Show a delivery with every attempt."""
    ledger, id_ = call.session.ledger, call.path["delivery"]
    found = ledger.find_delivery(id_)
    if found is None:
        raise ApiError(404, f"There is no delivery {id_}.", remedy="/deliveries lists them.")
    return {**as_values(found[0]), "tries": [as_values(one) for one in ledger.delivery_attempts(id_)]}


_EXAMPLE: Final = {
    "id": 3,
    "event_id": "msg_1",
    "webhook": "shop.example",
    "event": "job.finished",
    "job": 7,
    "count": 1,
    "state": "delivered",
    "attempts": 1,
    "created_at": "2026-11-28T14:40:00+00:00",
    "since": "2026-11-28T14:40:00+00:00",
    "next_at": "2026-11-28T14:40:00+00:00",
    "ended_at": "2026-11-28T14:40:01+00:00",
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/deliveries",
        tag="Webhooks",
        scope=Scope.ADMIN,
        handle=list_deliveries,
        query=DeliveryQuery,
        answer=DeliveryPage,
        errors=(422,),
        example={"deliveries": [_EXAMPLE], "next": None},
    ),
    Operation(
        method="GET",
        path="/deliveries/{delivery}",
        tag="Webhooks",
        scope=Scope.ADMIN,
        handle=show_delivery,
        answer=ShownDelivery,
        errors=(404,),
        path_example={"delivery": 3},
        example={**_EXAMPLE, "tries": []},
    ),
)
