"""What happens is told: once, signed, in batches, after crashes too; and nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId, Reference
from imeiflow.domain.notice import DeliveryState, Told
from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import GuardError
from imeiflow.jobs.endpoint import Endpoint
from imeiflow.jobs.lock import LaneLock
from imeiflow.jobs.message import LINGER, MOST
from imeiflow.jobs.signature import verify
from imeiflow.jobs.telling import Teller, tell_meanwhile
from imeiflow.ledger.change import AttemptKind, Conclusion, Intent, OrderChange, StatusUpdate
from imeiflow.ledger.delivery import Delivery
from tests.jobs.receiver import SECRET, Receiver, open_receiver
from tests.rig import ACCOUNT, PATIENCE_S, Rig, open_rig

RESULT = "Model: iPhone 13<br>Carrier: Example Mobile<br>SimLock: Locked"


class HandClock:
    """A clock that stands still until it is moved."""

    unsure_before = None

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)

    def monotonic(self) -> float:
        return self.at.timestamp()


class Story:
    """A rig whose events are told to a receiver."""

    def __init__(self, rig: Rig, receiver: Receiver, endpoints: Sequence[Endpoint]) -> None:
        self.rig = rig
        self.ledger = rig.ledger
        self.receiver = receiver
        self.endpoints = {one.name: one for one in endpoints}
        self.ledger.subscribe({one.name: one.events for one in endpoints})

    def teller(self) -> Teller:
        lock = LaneLock(self.rig.path / "webhooks", self.ledger.path)
        return Teller(self.ledger, self.endpoints, lock, chance=lambda: 0.5)

    async def tell(self) -> None:
        """Tell all that can be told now."""
        teller = self.teller()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await teller.drain()
        finally:
            await teller.close()

    async def place(self, count: int, status: ResultStatus) -> JobId:
        """Let orders be accepted in one call whose reply names this status; nobody asks for them yet."""
        job, now = self.rig.add_job(count), self.rig.clock.now()
        orders = self.ledger.queued_orders(job, limit=count)
        attempt = await self.ledger.intend(
            Intent(
                job=job,
                account=ACCOUNT,
                token=self.rig.take_lane("the one who places"),
                kind=AttemptKind.PLACE,
                orders=tuple(order.id for order in orders),
                started_at=now,
            )
        )
        changes = tuple(
            OrderChange(
                order=order.id,
                outcome=Outcome.ACCEPTED,
                state=OrderState.ACCEPTED,
                reference=Reference(f"R{order.id}"),
                status=status,
            )
            for order in orders
        )
        await self.ledger.conclude(Conclusion(attempt=attempt, ending=Ending.ANSWERED, ended_at=now, changes=changes))
        return job

    def complete(self, job: JobId, status: ResultStatus = ResultStatus.COMPLETED, *, text: str | None = RESULT) -> None:
        rows = list(self.ledger.order_rows(job, {OrderState.ACCEPTED}))
        self.ledger.update_statuses(ACCOUNT, [StatusUpdate(order=row.id, status=status, result=text) for row in rows])

    def deliveries(self, **values: Any) -> list[Delivery]:
        return self.ledger.deliveries(limit=1000, **values)


@asynccontextmanager
async def open_told(
    path: Path, *answers: Any, events: Sequence[Told] = tuple(Told), clock: Any = None, **behaviour: Any
) -> AsyncIterator[Story]:
    slow = {"pending_for": "3600", "process_for": "3600", **behaviour}
    values = {} if clock is None else {"clock": clock}
    async with open_receiver(*answers) as receiver, open_rig(path, slow, **values) as rig:
        yield Story(rig, receiver, [receiver.endpoint(*events)])


async def test_a_job_that_finished_is_told_with_its_counts_and_a_signature(tmp_path):
    async with open_told(tmp_path) as told:
        job = told.rig.add_job(3, name="november list")
        await told.rig.run(job)
        await told.tell()
        (got,) = told.receiver.received
        assert got.message["type"] == "job.finished"
        data = got.message["data"]["job"]
        assert (data["job"], data["state"], data["accepted"], data["total"]) == (job, "finished", 3, 3)
        assert (data["name"], data["account"], data["service"]) == ("november list", "gsm-fusion", "1")
        assert data["spent"] == "0.24"
        assert datetime.fromisoformat(got.message["created_at"]).tzinfo is not None
        assert verify(SECRET, got.body, got.signature, int(datetime.now(UTC).timestamp()))


async def test_nothing_is_told_twice(tmp_path):
    async with open_told(tmp_path) as told:
        await told.rig.run(told.rig.add_job(3))
        await told.tell()
        await told.tell()
        assert told.receiver.types == ["job.finished"]


async def test_a_pause_is_told_with_its_reason(tmp_path):
    async with open_told(tmp_path) as told:
        job = told.rig.add_job(3)
        told.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "credit has been finished")
        await told.tell()
        data = told.receiver.received[0].message["data"]["job"]
        assert (told.receiver.types, data["state"], data["reason"]) == (
            ["job.paused"],
            "paused",
            "credit has been finished",
        )


async def test_completed_orders_are_told_many_in_a_message_with_their_results(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED]) as told:
        job = told.rig.add_job(2 * MOST + 50)
        await told.rig.run(job)
        told.complete(job)
        await told.tell()
        messages = [one.message for one in told.receiver.received]
        assert [len(message["data"]["orders"]) for message in messages].count(MOST) == 2
        orders = [order for message in messages for order in message["data"]["orders"]]
        assert sorted(order["imei"] for order in orders) == sorted(row.imei for row in told.rig.rows(job))
        first = orders[0]
        assert (first["status"], first["result"], first["price"]) == ("completed", RESULT, "0.08")
        assert first["fields"]["carrier"] == "Example Mobile"
        assert first["reference"]


async def test_a_result_about_another_phone_is_told_with_a_note(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED]) as told:
        job = told.rig.add_job(2)
        await told.rig.run(job)
        own, other = (row.imei for row in told.rig.rows(job))
        told.complete(job, text=f"IMEI: {own}")
        await told.tell()
        (got,) = told.receiver.received
        notes = {order["imei"]: order["notes"] for order in got.message["data"]["orders"]}
        assert notes == {own: [], other: ["foreign_imei"]}


async def test_a_rejected_order_is_told_as_such(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED, Told.ORDER_REJECTED]) as told:
        job = told.rig.add_job(2)
        await told.rig.run(job)
        told.complete(job, ResultStatus.REJECTED)
        await told.tell()
        assert told.receiver.types == ["order.rejected"]


@pytest.mark.parametrize("end", [ResultStatus.COMPLETED, ResultStatus.REJECTED])
async def test_an_end_that_the_placing_reply_names_is_told_when_its_text_is_there(tmp_path, end):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED, Told.ORDER_REJECTED]) as told:
        job = await told.place(2, end)
        assert {row.status for row in told.rig.rows(job)} == {end}
        await told.tell()
        assert told.receiver.types == []
        told.complete(job, end)
        await told.tell()
        (got,) = told.receiver.received
        assert got.message["type"] == f"order.{end.value}"
        assert [order["result"] for order in got.message["data"]["orders"]] == [RESULT, RESULT]
        told.complete(job, end)
        await told.tell()
        assert len(told.receiver.received) == 1


async def test_an_end_without_a_text_is_told_when_nobody_asks_for_one_and_the_text_that_comes_late_as_well(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED]) as told:
        job = await told.place(1, ResultStatus.COMPLETED)
        for text in (None, RESULT, RESULT):
            told.complete(job, text=text)
            await told.tell()
        orders = [got.message["data"]["orders"] for got in told.receiver.received]
        assert [order["result"] for (order,) in orders] == [None, RESULT]
        assert len({got.message["id"] for got in told.receiver.received}) == 2


async def test_a_note_on_an_order_that_goes_on_is_not_told(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED]) as told:
        job = await told.place(1, ResultStatus.PENDING)
        told.complete(job, ResultStatus.IN_PROCESS, text="in the queue")
        await told.tell()
        assert told.receiver.types == []
        told.complete(job)
        await told.tell()
        assert told.receiver.types == ["order.completed"]


async def test_a_doubt_is_told_when_its_job_has_ended_and_only_if_it_is_still_one(tmp_path):
    async with open_told(tmp_path, events=[Told.ORDER_UNCONFIRMED]) as told:
        job = told.rig.add_job(4, chunk_size=4, policy=Policy.HOLD)
        ledger = told.ledger
        token = told.rig.take_lane()
        ids = [order.id for order in ledger.queued_orders(job)]
        await leave_in_doubt(told.rig, job, ids, token)
        await told.tell()
        assert told.receiver.received == []
        ledger.mark_placed([ids[0]], note="seen on the provider's page")
        ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "doubts")
        await told.tell()
        (got,) = told.receiver.received
        assert [order["order"] for order in got.message["data"]["orders"]] == ids[1:]
        assert {order["state"] for order in got.message["data"]["orders"]} == {"unconfirmed"}


async def leave_in_doubt(rig: Rig, job: JobId, ids: list, token: Any) -> None:
    """Let a process die while a call with these orders is under way."""
    await rig.ledger.intend(
        Intent(
            job=job,
            account=ACCOUNT,
            token=token,
            kind=AttemptKind.PLACE,
            orders=tuple(ids),
            started_at=rig.clock.now(),
        )
    )
    rig.take_lane("whoever comes next")


async def test_a_receiver_that_fails_is_asked_again_later_with_the_same_message(tmp_path):
    clock = HandClock()
    async with open_told(tmp_path, 500, 503, clock=clock) as told:
        job = told.rig.add_job(1)
        told.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
        await told.tell()
        (waiting,) = told.deliveries(state=DeliveryState.PENDING)
        assert waiting.attempts == 1
        assert waiting.next_at == clock.now() + timedelta(seconds=10)
        await told.tell()
        assert len(told.receiver.received) == 1
        clock.move(seconds=11)
        await told.tell()
        clock.move(seconds=31)
        await told.tell()
        assert [one.attempts for one in told.deliveries(state=DeliveryState.DELIVERED)] == [3]
        assert len({one.body for one in told.receiver.received}) == 1
        assert [one.http_status for one in told.ledger.delivery_attempts(waiting.id)] == [500, 503, 200]
        assert SECRET not in str(told.ledger.delivery_attempts(waiting.id))


async def test_after_a_day_it_is_given_up_until_somebody_retries(tmp_path):
    clock = HandClock()
    async with open_told(tmp_path, *[500] * 50, clock=clock) as told:
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        for _ in range(40):
            await told.tell()
            clock.move(hours=1)
        (failed,) = told.deliveries()
        assert failed.state is DeliveryState.FAILED
        told.receiver.answers.clear()
        assert told.ledger.retry_deliveries([failed.id]) == 1
        await told.tell()
        assert told.deliveries()[0].state is DeliveryState.DELIVERED
        assert len({one.id for one in told.receiver.received}) == 1


async def test_a_receiver_that_is_down_is_not_hammered_with_all_that_waits(tmp_path):
    clock = HandClock()
    async with open_told(tmp_path, *[500] * 50, clock=clock) as told:
        for _ in range(12):
            told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        teller = told.teller()
        await teller.drain()
        tried = len(told.receiver.received)
        assert tried <= 12
        for _ in range(5):
            clock.move(seconds=11 * 3**_)
            await teller.drain()
        assert len(told.receiver.received) - tried <= 5
        told.receiver.answers.clear()
        clock.move(hours=1)
        await teller.drain()
        clock.move(seconds=1)
        await teller.drain()
        await teller.close()
        assert {one.state for one in told.deliveries()} == {DeliveryState.DELIVERED}


async def leave_alone(told: Story) -> tuple[Teller, Delivery]:
    """Let a webhook fail, so that it is left alone; give its teller, and what waits behind that."""
    teller = told.teller()
    for _ in range(2):
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        await teller.drain()
    assert len(told.receiver.received) == 1
    return teller, told.deliveries()[0]


async def test_what_somebody_asks_for_is_sent_at_once_though_its_webhook_is_left_alone(tmp_path):
    async with open_told(tmp_path, 500, clock=HandClock()) as told, asyncio.timeout(PATIENCE_S):
        teller, behind = await leave_alone(told)
        await asyncio.gather(teller.send_now(behind.id), teller.drain())
        await teller.close()
        assert [one.state for one in told.deliveries()] == [DeliveryState.DELIVERED, DeliveryState.PENDING]
        assert told.receiver.received[1].id == behind.event_id


async def test_what_somebody_asks_for_waits_for_no_turn(tmp_path):
    async with open_told(tmp_path, 500, clock=HandClock()) as told, asyncio.timeout(PATIENCE_S):
        teller, behind = await leave_alone(told)
        told.receiver.may_answer.clear()
        teller.hold_nothing()
        assert await teller.look() == 1
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        assert await teller.look(is_urgent=True) == 0  # one at a time, after it has failed
        asked = told.deliveries()[0]
        assert asked.id > behind.id

        async def look() -> None:
            assert await teller.look() == 1
            told.receiver.may_answer.set()
            await teller.drain()

        await asyncio.gather(teller.send_now(asked.id), look())
        await teller.close()
        assert {one.id for one in told.receiver.received[1:]} == {behind.event_id, asked.event_id}


async def test_whoever_asks_for_what_is_delivered_or_forgotten_does_not_wait(tmp_path):
    async with open_told(tmp_path, clock=HandClock()) as told, asyncio.timeout(PATIENCE_S):
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        teller = told.teller()
        await teller.drain()
        await asyncio.gather(teller.send_now(told.deliveries()[0].id), teller.send_now(99), teller.drain())
        await teller.close()
        assert len(told.receiver.received) == 1


async def test_what_is_delivered_while_it_is_looked_for_what_is_due_is_not_sent_again(tmp_path):
    async with open_told(tmp_path) as told, asyncio.timeout(PATIENCE_S):
        ledger, is_slow, is_read, is_delivered = told.ledger, threading.Event(), threading.Event(), threading.Event()

        class SlowLedger:
            def due_deliveries(self, *args: Any, **values: Any) -> Any:
                found = ledger.due_deliveries(*args, **values)
                if is_slow.is_set():
                    is_read.set()
                    is_delivered.wait()
                return found

            def __getattr__(self, name: str) -> Any:
                return getattr(ledger, name)

        ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        told.ledger = SlowLedger()  # type: ignore[assignment]
        told.receiver.may_answer.clear()
        teller = told.teller()
        assert await teller.look() == 1
        is_slow.set()
        looking = asyncio.create_task(teller.look())
        await asyncio.to_thread(is_read.wait)
        told.receiver.may_answer.set()
        while teller._sending:
            await asyncio.wait(list(teller._sending.values()))
        is_delivered.set()
        assert await looking == 0
        await teller.drain()
        await teller.close()
        assert len(told.receiver.received) == 1


async def test_a_webhook_that_is_held_no_more_gets_what_is_due(tmp_path):
    async with open_told(tmp_path, 500, clock=HandClock()) as told, asyncio.timeout(PATIENCE_S):
        teller, behind = await leave_alone(told)
        teller.hold_nothing()
        await teller.drain()
        await teller.close()
        assert [one.id for one in told.receiver.received[1:]] == [behind.event_id]


async def test_whoever_is_killed_while_sending_sends_the_same_message_again(tmp_path):
    async with open_told(tmp_path) as told:
        told.receiver.may_answer.clear()
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        killed = told.teller()
        await killed.look(is_urgent=True)
        await told.receiver.has_come.wait()
        await killed.close()
        told.receiver.may_answer.set()
        await told.tell()
        assert [one.id for one in told.receiver.received] == [told.deliveries()[0].event_id] * 2
        assert told.deliveries()[0].state is DeliveryState.DELIVERED


async def test_a_message_is_made_of_notices_once_or_not_at_all(tmp_path):
    async with open_told(tmp_path) as told:
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        notices = told.ledger.notices(10)
        told.ledger.put_into_deliveries(notices, [])
        with pytest.raises(GuardError):
            told.ledger.put_into_deliveries(notices, [])
        assert told.ledger.notices(10) == []


async def test_one_process_tells_at_a_time(tmp_path):
    async with open_told(tmp_path) as told:
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        first, second = told.teller(), told.teller()
        assert first.take_turn()
        assert await second.look(is_urgent=True) == 0
        await first.close()
        assert await second.look(is_urgent=True) == 1
        await second.drain()
        await second.close()


async def test_without_webhooks_nothing_is_noted(tmp_path):
    async with open_told(tmp_path) as told:
        told.ledger.subscribe({})
        job = told.rig.add_job(3)
        await told.rig.run(job)
        told.complete(job)
        with told.ledger._read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM notice").scalar() == 0


async def test_only_what_was_asked_for_is_told_to_each(tmp_path):
    async with open_receiver() as receiver, open_rig(tmp_path, {"pending_for": "3600"}) as rig:
        endpoints = [
            receiver.endpoint(Told.JOB_FINISHED, name="a"),
            receiver.endpoint(Told.JOB_FINISHED, Told.ORDER_COMPLETED, name="b"),
        ]
        told = Story(rig, receiver, endpoints)
        job = rig.add_job(1)
        await rig.run(job)
        told.complete(job)
        await told.tell()
        assert sorted(told.receiver.types) == ["job.finished", "job.finished", "order.completed"]
        finished = [one for one in told.deliveries() if one.event == "job.finished"]
        assert len({one.event_id for one in finished}) == 1
        assert {one.webhook for one in finished} == {"a", "b"}


async def test_a_webhook_that_is_configured_no_more_gets_nothing(tmp_path):
    async with open_told(tmp_path, 500) as told:
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        await told.tell()
        told.endpoints.clear()
        told.ledger._write(lambda connection: connection.exec_driver_sql("UPDATE delivery SET next_at = 0"))
        await told.tell()
        assert len(told.receiver.received) == 1
        (failed,) = told.deliveries()
        assert failed.state is DeliveryState.FAILED
        assert "no webhook of this name" in told.ledger.delivery_attempts(failed.id)[-1].problem


async def test_telling_goes_on_beside_the_work_and_ends_with_its_end(tmp_path):
    async with open_told(tmp_path) as told:
        job = told.rig.add_job(3)
        async with tell_meanwhile(told.teller()):
            await told.rig.run(job)
        assert told.receiver.types == ["job.finished"]


async def test_a_receiver_that_never_answers_holds_nobody_up(tmp_path):
    async with open_told(tmp_path) as told:
        told.receiver.may_answer.clear()
        job = told.rig.add_job(3)
        async with asyncio.timeout(PATIENCE_S):
            async with tell_meanwhile(told.teller(), patience_s=0.2):
                await told.rig.run(job)
        assert told.rig.state(job) is JobState.FINISHED
        assert [one.state for one in told.deliveries()] == [DeliveryState.PENDING]


async def test_a_few_orders_wait_a_moment_for_company(tmp_path):
    clock = HandClock()
    async with open_told(tmp_path, events=[Told.ORDER_COMPLETED], clock=clock) as told:
        job = told.rig.add_job(1)
        token = told.rig.take_lane()
        ids = [order.id for order in told.ledger.queued_orders(job)]
        await leave_in_doubt(told.rig, job, ids, token)
        told.ledger.mark_placed(ids, note="seen")
        told.complete(job)
        teller = told.teller()
        assert await teller.look() == 0
        clock.move(seconds=LINGER.total_seconds())
        assert await teller.look() == 1
        await teller.drain()
        await teller.close()


async def test_old_deliveries_are_forgotten(tmp_path):
    clock = HandClock()
    async with open_told(tmp_path, clock=clock) as told:
        told.ledger.change_job(told.rig.add_job(1), {JobState.RUNNING}, JobState.PAUSED, None)
        await told.tell()
        teller = told.teller()
        teller.forget_old()
        assert len(told.deliveries()) == 1
        clock.move(days=31)
        teller.forget_old()
        assert told.deliveries() == []
        await teller.close()


async def test_telling_goes_on_after_something_that_nobody_foresaw():
    went_on = asyncio.Event()

    class Lock:
        """Fails once, in a way that nobody foresaw."""

        tries = 0

        def acquire(self) -> bool:
            self.tries += 1
            if self.tries == 1:
                raise RuntimeError("nobody foresaw this")
            went_on.set()
            return False

    class Clocked:
        """No ledger at all: whoever has not the turn looks at none."""

        clock = staticmethod(lambda: datetime.now(UTC))

    telling = asyncio.create_task(Teller(Clocked(), {}, Lock()).run())  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await went_on.wait()
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
