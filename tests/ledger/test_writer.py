"""The writer in trouble: a locked database, a full disk, closing, and a process that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending
from imeiflow.errors import LedgerBusyError, LedgerError, LedgerFullError
from imeiflow.ledger import store
from imeiflow.ledger.ledger import Ledger
from tests.ledger.conftest import ACCOUNT, Clock, Desk

S = OrderState


@pytest.fixture
def other(desk: Desk) -> Iterator[sqlite3.Connection]:
    """Another program with the same file open, and a ledger that soon gives up waiting for it."""
    desk.ledger._write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20"))
    connection = sqlite3.connect(desk.ledger.path, isolation_level=None)
    yield connection
    connection.close()


async def wait_for_trouble(ledger: Ledger) -> LedgerError:
    """Wait until the writer has run into trouble with what waits: an empty call shares its transaction."""
    await asyncio.sleep(0)
    with pytest.raises(LedgerError):
        ledger._write(lambda _: None)
    assert ledger.trouble is not None
    return ledger.trouble


async def test_while_the_ledger_is_locked_nothing_is_sent(desk: Desk, other: sqlite3.Connection):
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerBusyError):
        await desk.send(0)
    assert isinstance(desk.ledger.trouble, LedgerBusyError)
    other.execute("ROLLBACK")
    await desk.send(0)
    assert desk.ledger.trouble is None


class Gate:
    """Holds the writer up, when it has just written an intent, until it is opened."""

    def __init__(self) -> None:
        self.is_reached, self.opened = threading.Event(), threading.Event()

    def committed(self, _seconds: float, begun: Sequence[Any], _ended: Sequence[Any]) -> None:
        if begun:
            self.is_reached.set()
            self.opened.wait()

    def failed(self) -> None: ...


async def give_up(waiting: asyncio.Task[Any]) -> None:
    """Cancel a wait, as whoever leaves at once does."""
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_an_intent_that_nobody_waits_for_any_more_is_not_written(desk: Desk):
    is_reached, opened = threading.Event(), threading.Event()

    def be_slow(_: object) -> None:
        is_reached.set()
        opened.wait()

    slow = asyncio.create_task(asyncio.to_thread(desk.ledger._write, be_slow))
    await asyncio.to_thread(is_reached.wait)
    waiting = asyncio.create_task(desk.send(0))
    await asyncio.sleep(0)
    await give_up(waiting)
    opened.set()
    await slow
    _, recovered = await asyncio.to_thread(desk.ledger.take_lane, ACCOUNT, "leaving")
    assert recovered.orders == 0
    assert desk.state(0) is S.QUEUED
    assert desk.ledger.list_attempts(desk.job) == []


async def test_an_intent_is_withdrawn_before_whoever_gives_it_up_leaves_the_lane(desk: Desk):
    """Else its orders would be in doubt, though nothing was sent."""
    gate = Gate()
    desk.ledger.observe(gate)
    waiting = asyncio.create_task(desk.send(0))
    await asyncio.to_thread(gate.is_reached.wait)
    await give_up(waiting)
    leaving = asyncio.create_task(asyncio.to_thread(desk.ledger.take_lane, ACCOUNT, "leaving"))
    while not desk.ledger._writer._inbox._waiting:  # noqa: ASYNC110 - the inbox tells nobody
        await asyncio.sleep(0)
    gate.opened.set()
    _, recovered = await leaving
    assert recovered.orders == 0
    assert desk.state(0) is S.QUEUED
    assert [one.ending for one in desk.ledger.list_attempts(desk.job)] == [Ending.NOT_SENT]


async def test_a_conclusion_waits_for_a_locked_ledger_and_is_not_lost(desk: Desk, other: sqlite3.Connection):
    attempt = await desk.send(0)
    other.execute("BEGIN EXCLUSIVE")
    ending = asyncio.create_task(desk.end(attempt, desk.change(0, S.ACCEPTED)))
    assert isinstance(await wait_for_trouble(desk.ledger), LedgerBusyError)
    with pytest.raises(LedgerBusyError):
        await desk.send(1)
    assert not ending.done()
    other.execute("ROLLBACK")
    assert (await ending).applied == 1
    assert desk.state(0) is S.ACCEPTED
    assert desk.ledger.trouble is None


async def test_a_conclusion_waits_for_room_on_the_disk(desk: Desk):
    attempt = await desk.send(0)
    pages = desk.ledger._write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    desk.ledger._write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one())
    reply = os.urandom(100_000)
    ending = asyncio.create_task(desk.end(attempt, desk.change(0, S.ACCEPTED), reply=reply))
    assert isinstance(await wait_for_trouble(desk.ledger), LedgerFullError)
    assert desk.state(0) is S.SENDING
    with pytest.raises(LedgerFullError):
        desk.ledger._write(
            lambda c: c.exec_driver_sql("INSERT INTO lane VALUES (hex(randomblob(200000)), 1, '', 0, 0)")
        )
    desk.ledger._writer._engine.pool.dispose()
    desk.ledger._writer._engine.pool = desk.ledger._writer._engine.pool.recreate()
    assert (await ending).applied == 1
    evidence = desk.ledger.attempt_evidence(attempt)
    assert evidence is not None
    assert evidence.reply == reply


async def test_closing_gives_up_what_cannot_be_written_and_says_so(desk: Desk, other: sqlite3.Connection):
    attempt = await desk.send(0)
    other.execute("BEGIN EXCLUSIVE")
    ending = asyncio.create_task(desk.end(attempt, desk.change(0, S.ACCEPTED)))
    await wait_for_trouble(desk.ledger)
    desk.ledger.close(timeout_s=0)
    with pytest.raises(LedgerBusyError):
        await ending
    with pytest.raises(LedgerError, match="closed"):
        await desk.send(1)
    other.execute("ROLLBACK")
    with Ledger.open(desk.ledger.path, clock=desk.clock) as again:
        again.take_lane(ACCOUNT, "worker 2")
        assert again.tally(desk.job)[S.UNCONFIRMED] == 1


async def test_closing_writes_what_waits(desk: Desk):
    attempt = await desk.send(0)
    ending = asyncio.create_task(desk.end(attempt, desk.change(0, S.ACCEPTED)))
    await asyncio.sleep(0)
    desk.ledger.close()
    assert (await ending).applied == 1
    with Ledger.open(desk.ledger.path, clock=desk.clock) as again:
        assert again.tally(desk.job)[S.ACCEPTED] == 1


async def keep_busy(ledger: Ledger) -> tuple[list[tuple[int, int]], threading.Event, asyncio.Task[Any]]:
    """Hold the writer at work until told to go on; note how many intents and conclusions each transaction has."""
    written: list[tuple[int, int]] = []
    write = ledger._writer._write

    def note(group: Any) -> Any:
        written.append((len(group.intents), len(group.conclusions)))
        return write(group)

    ledger._writer._write = note  # type: ignore[method-assign]
    is_busy, go_on = threading.Event(), threading.Event()
    busy = asyncio.create_task(asyncio.to_thread(ledger._write, lambda _: is_busy.set() or go_on.wait(30)))
    await asyncio.to_thread(is_busy.wait, 30)
    return written, go_on, busy


@pytest.mark.parametrize(
    ("sizes", "transactions"),
    [
        pytest.param([60, 70, 80], [(1, 1), (0, 2)], id="most wait"),
        pytest.param([1200, 1300, 1400], [(1, 3)], id="too many wait"),
    ],
)
async def test_an_intent_does_not_wait_for_the_conclusions_of_large_calls(ledger, clock, add_job, sizes, transactions):
    count = sum(sizes)
    job = add_job(count + 20)
    token, _ = ledger.take_lane(ACCOUNT, "worker 1")
    desk = Desk(ledger, clock, job, token, ledger.queued_orders(job, limit=count + 20))
    conclusions, first = [], 0
    for size in sizes:
        places = range(first, first + size)
        attempt = await desk.send(*places)
        conclusions.append(desk.conclusion(attempt, *(desk.change(place, S.ACCEPTED) for place in places)))
        first += size
    written, go_on, busy = await keep_busy(ledger)
    ending = [ledger.conclude(conclusion) for conclusion in conclusions]
    sending = asyncio.create_task(desk.send(*range(count, count + 20)))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, sending, *ending)
    assert written == [(0, 0), *transactions]
    assert desk.count(S.ACCEPTED) == count
    assert desk.count(S.SENDING) == 20


def test_a_call_that_fails_undoes_itself_and_nothing_else(ledger: Ledger):
    def fail(connection):
        connection.exec_driver_sql("INSERT INTO lane VALUES ('x', 1, '', 0, NULL)")
        raise KeyError("x")

    with pytest.raises(KeyError):
        ledger._write(fail)
    assert ledger.lane_owner("x") is None
    assert ledger.trouble is None
    ledger.log_event("alive")


#: Imports once; then forks a worker for each line that it reads, and says when that has gone.
NURSERY = """
import asyncio, json, os, sys
from datetime import UTC, datetime
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.ledger.change import AttemptKind, Conclusion, Intent, OrderChange
from imeiflow.ledger.ledger import Ledger

def now():
    return datetime.now(UTC)

def say(*what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()

async def work(ledger, job, token, orders):
    async def one():
        while orders:
            chunk = [orders.pop() for _ in range(min(3, len(orders)))]
            attempt = await ledger.intend(Intent(job=job, account=AccountName("gsm-fusion"), token=token,
                kind=AttemptKind.PLACE, orders=tuple(order.id for order in chunk), started_at=now()))
            say("intent", attempt, [order.id for order in chunk])
            await ledger.conclude(Conclusion(attempt=attempt, ended_at=now(), ending=Ending.ANSWERED, reply=b"x" * 300,
                changes=tuple(OrderChange(order=order.id, state=OrderState.ACCEPTED, outcome=Outcome.ACCEPTED,
                reference=f"R{order.id}") for order in chunk)))
            say("conclusion", attempt, [order.id for order in chunk])
    await asyncio.gather(*(one() for _ in range(8)))

def place_orders():
    ledger = Ledger.open(sys.argv[1], clock=now)
    job = JobId(int(sys.argv[2]))
    token, _ = ledger.take_lane(AccountName("gsm-fusion"), "child")
    asyncio.run(work(ledger, job, token, ledger.queued_orders(job, limit=100000)))

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        place_orders()
        os._exit(0)
    say("child", child, [])
    os.waitpid(child, 0)
    say("gone", child, [])
"""


def kill_a_worker(nursery: subprocess.Popen[str], told: dict[str, dict[int, list[int]]], *, after_lines: int) -> None:
    """Start a worker, take down what it says was acknowledged, and kill it after so many lines."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write("go\n")
    nursery.stdin.flush()
    worker = 0
    for line in nursery.stdout:
        for part in re.findall(r"\[[^\]]*\[[^\]]*\]\]", line):
            kind, number, orders = json.loads(part)
            if kind == "gone":
                return
            if kind == "child":
                worker = number
            else:
                told[kind][number] = orders
        after_lines -= 1
        if after_lines <= 0 and worker:
            os.kill(worker, signal.SIGKILL)
            worker = 0
    raise AssertionError("the nursery ended by itself")


def test_whatever_was_acknowledged_survives_kill_9(tmp_path: Path, clock: Clock, add_job, ledger: Ledger):
    job = add_job(2500)
    dice = random.Random(7)
    told: dict[str, dict[int, list[int]]] = {"intent": {}, "conclusion": {}}
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, ledger.path, str(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        for _ in range(12):
            kill_a_worker(nursery, told, after_lines=dice.randrange(1, 120))
            ledger.take_lane(ACCOUNT, "survivor")
            attempts = {one.id: one for one in ledger.list_attempts(job, limit=10_000)}
            states = {row.id: row.state for row in ledger.order_rows(job)}
            for attempt, orders in told["intent"].items():
                assert attempts[attempt].ended_at is not None
                assert {states[order] for order in orders} <= {S.ACCEPTED, S.UNCONFIRMED}
            for attempt, orders in told["conclusion"].items():
                assert attempts[attempt].ending is Ending.ANSWERED
                assert {states[order] for order in orders} == {S.ACCEPTED}
            assert S.SENDING not in states.values()
    assert len(told["intent"]) > 100
    with sqlite3.connect(ledger.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_the_writer_commits_to_the_disk_every_time(tmp_path: Path):
    engine = store.open_writer(store.read_url(tmp_path / "ledger.db"))
    with engine.begin() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_call_finds_what_was_concluded_before_it_whatever_else_waits(ledger, clock, add_job):
    """Whoever takes the lane would find answered calls under way, and their orders in doubt."""
    job = add_job(140)
    token, _ = ledger.take_lane(ACCOUNT, "worker 1")
    desk = Desk(ledger, clock, job, token, ledger.queued_orders(job, limit=140))
    conclusions = [
        desk.conclusion(await desk.send(*places), *(desk.change(place, S.REFUSED) for place in places))
        for places in (range(60), range(60, 130))
    ]
    is_busy, go_on = threading.Event(), threading.Event()
    busy = asyncio.create_task(asyncio.to_thread(ledger._write, lambda _: is_busy.set() or go_on.wait(30)))
    await asyncio.to_thread(is_busy.wait, 30)
    ending = [ledger.conclude(conclusion) for conclusion in conclusions]
    sending = asyncio.create_task(desk.send(*range(130, 140)))
    await asyncio.sleep(0)
    waits = len(ledger._writer._inbox._waiting)
    taking = asyncio.create_task(asyncio.to_thread(ledger.take_lane, ACCOUNT, "worker 2"))
    async with asyncio.timeout(30):
        while len(ledger._writer._inbox._waiting) == waits:  # noqa: ASYNC110 - the inbox tells nobody
            await asyncio.sleep(0.005)
    go_on.set()
    await asyncio.gather(busy, sending, *ending, taking)
    assert desk.count(S.REFUSED) == 130
    assert desk.count(S.UNCONFIRMED) == 10


async def test_a_conclusion_of_more_orders_than_go_beside_intents_does_not_wait_for_their_end(ledger, clock, add_job):
    job = add_job(170)
    token, _ = ledger.take_lane(ACCOUNT, "worker 1")
    desk = Desk(ledger, clock, job, token, ledger.queued_orders(job, limit=170))
    attempt = await desk.send(*range(150))
    conclusion = desk.conclusion(attempt, *(desk.change(place, S.ACCEPTED) for place in range(150)))
    written, go_on, busy = await keep_busy(ledger)
    ending = ledger.conclude(conclusion)
    sending = asyncio.create_task(desk.send(*range(150, 170)))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, sending, ending)
    assert written == [(0, 0), (1, 1)]
    assert desk.count(S.ACCEPTED) == 150
