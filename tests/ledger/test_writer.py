"""The writer in trouble: a locked database, a full disk, closing, and a process that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def test_a_call_that_fails_undoes_itself_and_nothing_else(ledger: Ledger):
    def fail(connection):
        connection.exec_driver_sql("INSERT INTO lane VALUES ('x', 1, '', 0, NULL)")
        raise KeyError("x")

    with pytest.raises(KeyError):
        ledger._write(fail)
    assert ledger.lane_owner("x") is None
    ledger.log_event("alive")


WORKER = """
import asyncio, json, sys
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

ledger = Ledger.open(sys.argv[1], clock=now)
job = JobId(int(sys.argv[2]))
token, _ = ledger.take_lane(AccountName("gsm-fusion"), "child")
asyncio.run(work(ledger, job, token, ledger.queued_orders(job, limit=100000)))
"""


def test_whatever_was_acknowledged_survives_kill_9(tmp_path: Path, clock: Clock, add_job, ledger: Ledger):
    job = add_job(2500)
    dice = random.Random(7)
    told: dict[str, dict[int, list[int]]] = {"intent": {}, "conclusion": {}}
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", WORKER, ledger.path, str(job)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines_left = dice.randrange(1, 100)
        for line in child.stdout:
            if line.endswith("\n"):
                kind, attempt, orders = json.loads(line)
                told[kind][attempt] = orders
            lines_left -= 1
            if lines_left == 0:
                child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
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
