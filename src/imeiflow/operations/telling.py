"""Telling webhooks: while jobs are worked on, on demand, and what a person does about deliveries."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import datetime

from imeiflow.domain.notice import TEST, Told
from imeiflow.errors import UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.message import write_message
from imeiflow.jobs.telling import Teller
from imeiflow.ledger.delivery import Delivery, DeliveryAttempt, NewDelivery
from imeiflow.operations.json_text import clean
from imeiflow.operations.session import Session

_PATIENCE_S = 60.0


class NoWebhookError(UsageError):
    """No webhook is configured."""

    remedy = "Write a [[webhooks]] into config.toml: docs/how-to/webhooks.md shows how."


class UnknownWebhookError(UsageError):
    """There is no webhook {name}."""


class UnknownDeliveryError(UsageError):
    """There is no delivery {delivery}."""

    remedy = "`imeiflow webhooks` lists them; those that ended 30 days ago are forgotten."


class TellerBusyError(UsageError):
    """Another process of this ledger tells the webhooks at the moment: what is due, it sends."""

    remedy = "`imeiflow webhooks` shows what has been delivered."


def make_teller(session: Session) -> Teller | None:
    """Make what tells the configured webhooks; None where there are none. Raises ConfigurationError."""
    configuration = session.configuration
    if not configuration.webhooks:
        return None
    endpoints = {one.name: one.endpoint(configuration.environ) for one in configuration.webhooks}
    lock = LaneLock(session.locks / "webhooks", session.ledger.name)
    return Teller(session.ledger, endpoints, lock)


async def send_due(session: Session, *, patience_s: float = _PATIENCE_S) -> None:
    """Send all that is due. Raises NoWebhookError, TellerBusyError, ConfigurationError."""
    teller = _require_teller(session)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await teller.drain()
        await asyncio.to_thread(teller.forget_old)
    finally:
        await teller.close()


async def keep_sending(session: Session) -> None:
    """Send what is due, until cancelled. Raises NoWebhookError, TellerBusyError, ConfigurationError."""
    teller = _require_teller(session)
    try:
        await asyncio.to_thread(teller.forget_old)
        await teller.run()
    finally:
        await teller.close()


async def send_test(session: Session, name: str | None) -> tuple[Delivery, list[DeliveryAttempt]]:
    """Send a test message to one webhook, once, and give what came of it.

    Raises NoWebhookError, UnknownWebhookError, TellerBusyError, ConfigurationError.
    """
    id_ = await asyncio.to_thread(add_test, session, name)
    teller = _require_teller(session)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await teller.drain()
    finally:
        await teller.close()
    return await asyncio.to_thread(show_delivery, session, id_)


def add_test(session: Session, name: str | None) -> int:
    """Add a test message to one webhook, for whoever tells, and give its id.

    Raises NoWebhookError, UnknownWebhookError.
    """
    chosen = choose_webhook(session, name)
    return session.ledger.add_delivery(_write_test(chosen, session.ledger.clock()))


def show_delivery(session: Session, id_: int) -> tuple[Delivery, list[DeliveryAttempt]]:
    """Give a delivery and its attempts. Raises UnknownDeliveryError."""
    return find_delivery(session, id_)[0], session.ledger.delivery_attempts(id_)


def find_delivery(session: Session, id_: int) -> tuple[Delivery, bytes]:
    """Give a delivery and its body. Raises UnknownDeliveryError."""
    found = session.ledger.find_delivery(id_)
    if found is None:
        raise UnknownDeliveryError(delivery=id_)
    return found


def retry_delivery(session: Session, id_: int) -> None:
    """Let a delivery be sent once more, with its message id: one that waits to be tried again is due at once.

    Raises UnknownDeliveryError.
    """
    find_delivery(session, id_)
    if not session.ledger.hurry_delivery(id_):
        session.ledger.retry_deliveries([id_])


def describe_attempt(attempt: DeliveryAttempt) -> str:
    """Say in one line what a receiver answered, or why there was no answer."""
    answer = f"HTTP {attempt.http_status}" if attempt.http_status is not None else "no answer"
    parts = [answer, f"{attempt.elapsed_ms:,} ms", clean(attempt.problem), clean(attempt.reply)]
    return ", ".join(part for part in parts if part)


def choose_webhook(session: Session, name: str | None) -> str:
    """Give a webhook's name as it is configured; the only one's where none is given.

    Raises NoWebhookError, UnknownWebhookError, UsageError.
    """
    names = [one.name for one in session.configuration.webhooks]
    if not names:
        raise NoWebhookError
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        remedy = f"Webhooks: {', '.join(names)}."
        if name is None:
            raise UsageError(problem=f"there are {len(names)} webhooks: say which", remedy=remedy)
        raise UnknownWebhookError(name=name, remedy=remedy)
    return name


def _write_test(name: str, at: datetime) -> NewDelivery:
    event_id = f"evt_{uuid.uuid4().hex}"
    data = {"webhook": name, "events": [event.value for event in Told]}
    body = write_message(event_id, TEST, at, data)
    return NewDelivery(event_id=event_id, webhook=name, event=TEST, job=None, count=0, body=body, at=at)


def _require_teller(session: Session) -> Teller:
    teller = make_teller(session)
    if teller is None:
        raise NoWebhookError
    if not teller.take_turn():
        raise TellerBusyError
    return teller
