"""Tells webhooks what happened, beside whatever else a process does: it never makes anybody wait.

One process tells at a time, by a lock of the operating system; any that works can. Whoever is killed leaves nothing
undone: what happened stands in the ledger until it is part of a delivery, and a delivery until the receiver has said
yes. So a message may arrive twice, with the same id, and never not at all.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from imeiflow.domain.ident import JobId
from imeiflow.domain.notice import DeliveryState
from imeiflow.errors import LedgerError, UnknownJobError
from imeiflow.jobs.backoff import Next, decide, delay_s
from imeiflow.jobs.endpoint import Endpoint
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.message import (
    Batch,
    choose_orders,
    describe_job,
    describe_orders,
    make_batches,
    write_message,
)
from imeiflow.jobs.sender import Sender, Sent
from imeiflow.ledger.delivery import Delivery, DeliveryAttempt, NewDelivery
from imeiflow.ledger.ledger import Ledger

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_NOTICES = 2000
_DUE = 32
_KEEP = timedelta(days=30)
#: So long a webhook that fails is left alone at most, whatever else there is for it.
_LONGEST_HOLD_S = 300.0
_UNKNOWN = "no webhook of this name is configured any more"


class Teller:
    """Turns what happened into deliveries, and sends those that are due. For one event loop."""

    def __init__(
        self,
        ledger: Ledger,
        endpoints: Mapping[str, Endpoint],
        lock: LaneLock,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._endpoints = endpoints
        self._lock = lock
        self._chance = chance
        self._sender = Sender(now=ledger.clock)
        self._failures: dict[str, int] = {}  #: in a row, by webhook
        self._held: dict[str, datetime] = {}
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._sent: set[int] = set()  #: since it was last looked for what is due
        self._asked: dict[int, asyncio.Event] = {}  #: for by a person, until they were tried
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Tell until cancelled; whatever goes wrong is logged, and tried again."""
        while True:
            try:
                await self.look()
            except Exception as error:
                log.error("not_told", problem=type(error).__name__, exc_info=error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LOOK_EVERY_S)
            self._woken.clear()

    async def send_now(self, id_: int) -> None:
        """Have a delivery sent at once, whatever others of its webhook wait for; return when it was tried.

        Where it has ended meanwhile, return as well. While another process tells, that sends it, and nothing is heard
        of it here: the caller bounds how long to wait.
        """
        tried = self._asked.setdefault(id_, asyncio.Event())
        self._woken.set()
        await tried.wait()

    def hold_nothing(self) -> None:
        """Let every webhook be tried again at once, though it failed a moment ago."""
        self._held.clear()
        self._woken.set()

    def take_turn(self) -> bool:
        """Take the turn to tell; say whether it is ours now."""
        return self._lock.acquire()

    async def look(self, *, is_urgent: bool = False) -> int:
        """Form what can be told and begin to send what is due; say how many sends were begun.

        `is_urgent` waits for no company. Does nothing while another process tells.
        """
        if not self.take_turn():
            return 0
        try:
            await asyncio.to_thread(self._form, is_urgent)
            self._sent.clear()
            asked = tuple(self._asked)
            held = [name for name, until in self._held.items() if until > self._ledger.clock()]
            due = await asyncio.to_thread(self._find_due, asked, held)
        except LedgerError as error:
            log.warning("not_told", problem=str(error))
            return 0
        begun = 0
        for delivery, body in due:
            has_turn = delivery.id in self._asked or self._has_turn(delivery.webhook)
            if delivery.id not in self._sending and delivery.id not in self._sent and has_turn:
                task = asyncio.create_task(self._deliver(delivery, body), name=delivery.webhook)
                self._sending[delivery.id] = task
                task.add_done_callback(partial(self._end, delivery.id))
                begun += 1
        for id_ in asked:
            if id_ not in self._sending:  # it has ended: nobody is to wait for it
                self._tell_tried(id_)
        return begun

    async def drain(self) -> None:
        """Send until nothing is due: what is left has to wait. The caller bounds how long it takes."""
        while await self.look(is_urgent=True) or self._sending:
            if self._sending:
                await asyncio.wait(list(self._sending.values()), return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Stop sending: what was under way is sent again by whoever tells next."""
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()
        self._lock.release()

    def forget_old(self) -> None:
        """Forget deliveries that ended long ago. Blocks."""
        while self._ledger.forget_deliveries(self._ledger.clock() - _KEEP):
            pass

    # what happened

    def _form(self, is_urgent: bool) -> None:
        while True:
            notices = self._ledger.notices(_NOTICES)
            batches = list(make_batches(notices, self._ledger.clock(), is_urgent=is_urgent))
            for batch in batches:
                with suppress(UnknownJobError):
                    self._ledger.put_into_deliveries(batch.notices, self._write(batch))
            if len(notices) < _NOTICES or not batches:
                return

    def _write(self, batch: Batch) -> list[NewDelivery]:
        """Write the message of a batch for each webhook that wants it; none where it is not true any more."""
        wanted = [name for name, one in sorted(self._endpoints.items()) if batch.event in one.events]
        job = self._ledger.find_job(batch.job)
        if not wanted or job is None:
            return []
        first = batch.notices[0]
        if batch.event.is_of_orders:
            ids = list(dict.fromkeys(one.order for one in batch.notices if one.order is not None))
            orders = choose_orders(batch.event, self._ledger.told_orders(ids))
            if not orders:
                return []
            data, count = describe_orders(job, orders), len(orders)
        else:
            data, count = {"job": describe_job(job, self._ledger.summary(batch.job), first)}, 1
        return self._address(wanted, batch.event.value, first.at, data, count=count, job=batch.job)

    def _address(
        self, names: list[str], event: str, at: datetime, data: Mapping[str, object], *, count: int, job: JobId | None
    ) -> list[NewDelivery]:
        event_id = f"evt_{uuid.uuid4().hex}"
        body = write_message(event_id, event, at, data)
        now = self._ledger.clock()
        return [
            NewDelivery(event_id=event_id, webhook=name, event=event, job=job, count=count, body=body, at=now)
            for name in names
        ]

    # sending

    def _find_due(self, asked: Iterable[int], held: Collection[str]) -> list[tuple[Delivery, bytes]]:
        """List what is to be sent, first what somebody asked for."""
        found = [one for id_ in asked if (one := self._ledger.find_delivery(id_)) is not None]
        waiting = [one for one in found if one[0].state is DeliveryState.PENDING]
        return waiting + self._ledger.due_deliveries(self._ledger.clock(), _DUE, held=held)

    def _end(self, id_: int, _: asyncio.Task[None]) -> None:
        del self._sending[id_]
        self._sent.add(id_)
        self._tell_tried(id_)

    def _tell_tried(self, id_: int) -> None:
        tried = self._asked.pop(id_, None)
        if tried is not None:
            tried.set()

    def _has_turn(self, webhook: str) -> bool:
        """Let a webhook whose last attempt failed have one message under way, and no more, until one arrives."""
        return not self._failures.get(webhook) or all(task.get_name() != webhook for task in self._sending.values())

    async def _deliver(self, delivery: Delivery, body: bytes) -> None:
        endpoint = self._endpoints.get(delivery.webhook)
        started_at = self._ledger.clock()
        if endpoint is None:
            sent, after = Sent(None, 0.0, _UNKNOWN), Next(DeliveryState.FAILED)
        else:
            sent = await self._sender.send(endpoint, body, event_id=delivery.event_id, event=delivery.event)
            after = self._decide(delivery, sent)
        attempt = DeliveryAttempt(
            started_at=started_at,
            elapsed_ms=round(sent.elapsed_s * 1000),
            http_status=sent.http_status,
            problem=sent.problem,
            reply=sent.reply,
        )
        try:
            await asyncio.to_thread(self._ledger.record_delivery, delivery.id, attempt, after.state, after.at)
        except LedgerError as error:
            log.warning("delivery_not_recorded", delivery=delivery.id, problem=str(error))

    def _decide(self, delivery: Delivery, sent: Sent) -> Next:
        now, name = self._ledger.clock(), delivery.webhook
        after = decide(
            http_status=sent.http_status,
            retry_after_s=sent.retry_after_s,
            failures=delivery.attempts + 1,
            since=delivery.since,
            now=now,
            chance=self._chance(),
        )
        if after.state is DeliveryState.DELIVERED:
            self._failures.pop(name, None)
            self._held.pop(name, None)
        else:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            hold_s = min(_LONGEST_HOLD_S, max(delay_s(failures, self._chance()), sent.retry_after_s or 0.0))
            self._held[name] = now + timedelta(seconds=hold_s)
            log.warning("not_delivered", webhook=name, delivery=delivery.id, status=sent.http_status or sent.problem)
        return after


@asynccontextmanager
async def tell_meanwhile(teller: Teller | None, *, patience_s: float = 5.0) -> AsyncIterator[None]:
    """Tell while the body works; then for a moment more, so that its end is told as well. None tells nobody.

    What is not told within `patience_s` waits in the ledger for whoever tells next.
    """
    if teller is None:
        yield
        return
    running = asyncio.create_task(teller.run())
    try:
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with suppress(TimeoutError, LedgerError):
            async with asyncio.timeout(patience_s):
                await teller.drain()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await teller.close()
