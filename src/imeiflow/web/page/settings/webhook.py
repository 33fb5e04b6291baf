"""The part of Settings about webhooks: where they send, what became of the latest deliveries, a test, sending again.

Of an address no more is shown than scheme and host; of a secret nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery

from imeiflow.domain.notice import TEST, DeliveryState
from imeiflow.domain.user import Role
from imeiflow.ledger.delivery import Delivery, DeliveryAttempt
from imeiflow.operations.audit import record_action
from imeiflow.operations.session import Session
from imeiflow.operations.telling import (
    UnknownDeliveryError,
    add_test,
    choose_webhook,
    describe_attempt,
    find_delivery,
    retry_delivery,
    show_delivery,
)
from imeiflow.web.access import needs
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread, threaded
from imeiflow.web.wording import say_count

_TEMPLATE: Final = "page/settings/webhook.html"
_SHOWN: Final = 20
_LONGEST_PROBLEM: Final = 240
_LONGEST_MESSAGE: Final = 20_000
_ON_ITS_WAY: Final = "It waits to be sent: the list says what comes of it."

FormData: TypeAlias = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLine:
    """One webhook as it is configured, and how many of its deliveries wait or were given up."""

    name: str
    url: str  #: scheme and host
    events: list[str]
    waiting: int
    given_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """One delivery; `problem` says why its last try failed, and is empty where it did not."""

    delivery: Delivery
    problem: str
    is_known: bool  #: its webhook is configured
    is_due: bool

    @property
    def orders(self) -> int:
        """Count the orders that it tells of; 0 where it tells of a job."""
        return self.delivery.count if self.delivery.event.startswith("order.") else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which deliveries are looked at: all or those in a state, from the newest on or those before one."""

    state: DeliveryState | None = None
    before: int | None = None

    @property
    def query(self) -> str:
        """Give it as the query of an address."""
        pairs = {"deliveries": self.state and self.state.value, "before": self.before}
        return urlencode({name: value for name, value in pairs.items() if value is not None})

    def address(self, path: str = "/settings") -> str:
        """Give the address of a page or a form that shows it."""
        return f"{path}?{self.query}" if self.query else path


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """What the part shows."""

    webhooks: list[WebhookLine]
    deliveries: list[DeliveryLine]
    counts: dict[DeliveryState, int]  #: of what waits and what failed, whatever webhook it is for
    place: Place
    older: Place | None

    @property
    def to_retry(self) -> int:
        """Count what was given up and can be sent again: its webhook is configured."""
        return sum(one.given_up for one in self.webhooks)


def read_place(deliveries: str, before: int | None) -> Place:
    """Read from an address which deliveries are looked at; all, where it names no state."""
    return Place(state=DeliveryState(deliveries) if deliveries in set(DeliveryState) else None, before=before)


def read_webhooks(session: Session, place: Place) -> WebhookView:
    """Read what the part shows. Blocks."""
    ledger, configured = session.ledger, session.configuration.webhooks
    found = ledger.deliveries(state=place.state, before=place.before, limit=_SHOWN + 1)
    counts, last = ledger.count_undelivered(), ledger.last_attempts([one.id for one in found])
    names, now = {one.name for one in configured}, ledger.clock()
    webhooks = [
        WebhookLine(
            name=one.name,
            url=one.shown_url,
            events=[event.value for event in sorted(one.events)],
            waiting=counts.get((one.name, DeliveryState.PENDING), 0),
            given_up=counts.get((one.name, DeliveryState.FAILED), 0),
        )
        for one in configured
    ]
    lines = [
        DeliveryLine(
            delivery=one,
            problem=_say_problem(last.get(one.id)),
            is_known=one.webhook in names,
            is_due=one.next_at <= now,
        )
        for one in found[:_SHOWN]
    ]
    return WebhookView(
        webhooks=webhooks,
        deliveries=lines,
        counts={
            state: sum(number for (_, each), number in counts.items() if each is state)
            for state in (DeliveryState.PENDING, DeliveryState.FAILED)
        },
        place=place,
        older=Place(state=place.state, before=lines[-1].delivery.id) if len(found) > _SHOWN else None,
    )


def draw_webhooks(request: WebRequest, place: Place, block: str = "live", **said: Any) -> Response[str]:
    """Draw the part; `live` is what of it is drawn anew when something changes."""
    view = read_webhooks(office_of(request).session, place)
    return draw(request, _TEMPLATE, block, view=view, **{**WORDS, **said})


@get("/settings/webhooks/{delivery:int}", guards=[needs(Role.ADMIN)])
@threaded
def tries(request: WebRequest, delivery: FromPath[int]) -> Response[str]:
    """Show each try of a delivery, and its message."""
    session = office_of(request).session
    message = json.dumps(json.loads(find_delivery(session, delivery)[1]), ensure_ascii=False, indent=2)
    return draw(
        request,
        "page/settings/delivery.html",
        attempts=[(one.started_at, describe_attempt(one)) for one in session.ledger.delivery_attempts(delivery)],
        message=message[:_LONGEST_MESSAGE],
        is_cut=len(message) > _LONGEST_MESSAGE,
    )


@post("/settings/webhooks/test", guards=[needs(Role.ADMIN)], status_code=200)
async def try_webhook(
    request: WebRequest, data: FormData, deliveries: FromQuery[str] = "", before: FromQuery[int | None] = None
) -> Response[str]:
    """Send a test message to one webhook, and say what it answered."""
    office, name = office_of(request), str(data.get("webhook", ""))

    def begin() -> int:
        id_ = add_test(office.session, name)
        record_action(office.session, request.user.user.name, "test webhook", webhook=name)
        return id_

    return await _send_now(request, await in_thread(begin), read_place(deliveries, before), tried_before=0)


@post("/settings/webhooks/retry", guards=[needs(Role.ADMIN)], status_code=200)
async def retry(
    request: WebRequest, data: FormData, deliveries: FromQuery[str] = "", before: FromQuery[int | None] = None
) -> Response[str]:
    """Send one delivery once more, and say what its webhook answered."""
    office, id_ = office_of(request), _read_id(data)

    def begin() -> int:
        found, attempts = show_delivery(office.session, id_)
        choose_webhook(office.session, found.webhook)
        retry_delivery(office.session, id_)
        about = {"webhook": found.webhook, "delivery": id_}
        record_action(office.session, request.user.user.name, "retry delivery", job=found.job, **about)
        return len(attempts)

    return await _send_now(request, id_, read_place(deliveries, before), tried_before=await in_thread(begin))


@post("/settings/webhooks/retry-failed", guards=[needs(Role.ADMIN)], status_code=200)
async def retry_failed(
    request: WebRequest, deliveries: FromQuery[str] = "", before: FromQuery[int | None] = None
) -> Response[str]:
    """Let all that was given up be sent again, but to webhooks that are not configured any more."""
    office = office_of(request)

    def begin() -> int:
        names = [one.name for one in office.session.configuration.webhooks]
        retried = office.session.ledger.retry_deliveries(webhooks=names)
        record_action(office.session, request.user.user.name, "retry deliveries", deliveries=retried)
        return retried

    retried = await in_thread(begin)
    office.runner.send_all_now()
    said = f"{say_count(retried, 'delivery', 'deliveries')} will be sent again."
    return await in_thread(draw_webhooks, request, read_place(deliveries, before), "webhooks", said=said)


async def _send_now(request: WebRequest, id_: int, place: Place, *, tried_before: int) -> Response[str]:
    office = office_of(request)
    await office.runner.send_now(id_)

    def tell() -> Response[str]:
        delivery, attempts = show_delivery(office.session, id_)
        said = _say_outcome(delivery, attempts[tried_before:])
        is_bad = delivery.state is not DeliveryState.DELIVERED and len(attempts) > tried_before
        return draw_webhooks(request, place, "webhooks", said=said, is_bad=is_bad)

    return await in_thread(tell)


def _say_outcome(delivery: Delivery, attempts: list[DeliveryAttempt]) -> str:
    what = "The test message" if delivery.event == TEST else f"Delivery {delivery.id}"
    if not attempts:
        return f"{what} is for {delivery.webhook}. {_ON_ITS_WAY}"
    is_delivered = delivery.state is DeliveryState.DELIVERED
    return f"{what} was {'' if is_delivered else 'not '}delivered to {delivery.webhook}: {_cut(attempts[-1])}"


def _say_problem(attempt: DeliveryAttempt | None) -> str:
    if attempt is None or (attempt.http_status is not None and 200 <= attempt.http_status < 300):
        return ""
    return _cut(attempt)


def _cut(attempt: DeliveryAttempt) -> str:
    text = describe_attempt(attempt)
    return text if len(text) <= _LONGEST_PROBLEM else f"{text[: _LONGEST_PROBLEM - 1]}…"


def _read_id(data: dict[str, Any]) -> int:
    text = str(data.get("delivery", ""))
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise UnknownDeliveryError(delivery=text[:20])
    return int(text)


#: What the part is drawn with where nobody has just asked for anything.
WORDS: Final[dict[str, Any]] = {"said": "", "is_bad": False, "states": DeliveryState}

HANDLERS: Final = (tries, try_webhook, retry, retry_failed)
