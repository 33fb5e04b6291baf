"""The disk is full, or another program locks the ledger: nothing leaves that could not be recorded, nothing is lost.

The full disk is a real one: a small file system in memory. Where none may be mounted, SQLite's own limit on the size
of a database stands in for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.order import JobState
from imeiflow.errors import LedgerBusyError, LedgerError, LedgerFullError
from imeiflow.ledger.ledger import Ledger
from tests.rig import PATIENCE_S, Rig, open_rig

MOUNT, UMOUNT = shutil.which("mount") or "mount", shutil.which("umount") or "umount"
ROOM = 48 * 1024 * 1024  #: more than the write-ahead log takes before it is copied back


class TellingLedger:
    """A ledger that says when an intent could not be written."""

    def __init__(self, inner: Ledger) -> None:
        self.inner = inner
        self.refused = asyncio.Event()

    async def intend(self, intent: Any) -> Any:
        try:
            return await self.inner.intend(intent)
        except LedgerError:
            self.refused.set()
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Disk:
    """A directory on a disk of its own, which can be filled to the last byte."""

    path: Path
    is_real: bool

    def fill(self, rig: Rig) -> None:
        """Leave no room."""
        if self.is_real:
            self._write_ballast()
        else:
            pages = rig.ledger._write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
            rig.ledger._write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one())

    def _write_ballast(self) -> None:
        with suppress(OSError), (self.path / "ballast").open("ab", buffering=0) as ballast:
            for size in (1024 * 1024, 4096, 1):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def free(self, rig: Rig) -> None:
        """Make room again."""
        if self.is_real:
            (self.path / "ballast").unlink()
        else:
            rig.ledger._writer._engine.pool.dispose()
            rig.ledger._writer._engine.pool = rig.ledger._writer._engine.pool.recreate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small disk, if that is allowed."""
    command = [MOUNT, "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(tmp_path)]
    is_real = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    yield Disk(tmp_path, is_real)
    if is_real:
        subprocess.run([UMOUNT, "--lazy", str(tmp_path)], check=True)


def test_a_full_disk_is_full(disk: Disk):
    """The other tests would prove nothing on a disk that still takes a byte."""
    if disk.is_real:
        disk._write_ballast()
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (disk.path / "more").write_bytes(b"x")


@pytest.mark.parametrize("chunk", [1, 100])
async def test_on_a_full_disk_nothing_more_leaves_and_no_outcome_is_lost(disk: Disk, chunk: int):
    async with open_rig(disk.path, {"latency": "0.01"}) as rig:
        total = 300 * (1 if chunk == 1 else 15)
        job = rig.add_job(total, chunk_size=chunk, max_concurrency=8)
        rig.sim.site.watch(20, lambda: disk.fill(rig))
        ledger = TellingLedger(rig.ledger)
        async with rig.engine(ledger=ledger) as engine:
            running = asyncio.create_task(engine.run())
            async with asyncio.timeout(PATIENCE_S):
                await ledger.refused.wait()
                received = rig.sim.stats.received
                assert isinstance(rig.ledger.trouble, LedgerFullError)
                disk.free(rig)
                with pytest.raises(LedgerFullError, match="no room"):
                    await running
        assert rig.sim.stats.received == received
        verdict = rig.judge()
        assert rig.state(job) is JobState.RUNNING
        assert verdict.count("accepted") == len(rig.sim.book) >= 19
        assert verdict.count("unconfirmed") == 0
        verdict = await rig.run(job)
        assert verdict.count("accepted") == total


async def test_given_up_on_a_full_disk_the_calls_under_way_become_doubt_and_are_settled(disk: Disk):
    async with open_rig(disk.path, {"latency": "0.01"}) as rig:
        job = rig.add_job(200, chunk_size=1, max_concurrency=8)
        rig.sim.site.watch(20, lambda: disk.fill(rig))
        ledger = TellingLedger(rig.ledger)
        async with rig.engine(ledger=ledger) as engine:
            running = asyncio.create_task(engine.run())
            await ledger.refused.wait()
            await engine.abandon()
            with pytest.raises(LedgerFullError):
                await running
        rig.ledger.close(timeout_s=0.1)  # as a process does that is told to leave
        disk.free(rig)
        with Ledger.open(rig.ledger.path, clock=rig.clock.now) as rig.ledger:
            rig.take_lane()
            assert 0 < rig.judge().count("unconfirmed") <= 16
            verdict = await rig.run(job)
            assert verdict.count("accepted", "duplicate") == 200
            assert rig.repeats == 0


# another program holds the ledger


@pytest.fixture
def make_rival() -> Iterator[Callable[[Rig], sqlite3.Connection]]:
    """Give another program's connection to the ledger, which from then on waits only shortly for it."""
    opened: list[sqlite3.Connection] = []

    def make(rig: Rig) -> sqlite3.Connection:
        rig.ledger._write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20"))
        opened.append(sqlite3.connect(rig.ledger.path, isolation_level=None, check_same_thread=False, timeout=5))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("chunk", [1, 100])
async def test_while_the_ledger_is_locked_nothing_leaves_and_then_all_goes_on(
    tmp_path: Path, make_rival: Callable[[Rig], sqlite3.Connection], chunk: int, how: str
):
    async with open_rig(tmp_path, {"latency": "0.01"}) as rig:
        total = 300 * (1 if chunk == 1 else 15)
        job = rig.add_job(total, chunk_size=chunk, max_concurrency=8)
        rival = make_rival(rig)
        rig.sim.site.watch(20, lambda: rival.execute(f"BEGIN {how}"))
        ledger = TellingLedger(rig.ledger)
        async with rig.engine(ledger=ledger) as engine:
            running = asyncio.create_task(engine.run())
            async with asyncio.timeout(PATIENCE_S):
                await ledger.refused.wait()
                received = rig.sim.stats.received
                assert isinstance(rig.ledger.trouble, LedgerBusyError)
                ledger.refused.clear()
                await ledger.refused.wait()  # it asks again, and again in vain
                assert rig.sim.stats.received == received
                view = engine.view(job)
                assert view is not None
                assert isinstance(view.trouble, LedgerBusyError)
                rival.execute("ROLLBACK")
                await running
        verdict = rig.judge()
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("accepted") == total
        assert {len(line.tries) for line in verdict.lines} == {1}


async def test_a_ledger_that_is_locked_when_a_job_ends_is_waited_for(
    tmp_path: Path, make_rival: Callable[[Rig], sqlite3.Connection]
):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(10, chunk_size=1)
        rival = make_rival(rig)

        class LockingLedger(TellingLedger):
            """Is locked for a moment when a job is to be ended."""

            tries = 0

            def finish_job(self, *args: Any, **kwargs: Any) -> Any:
                self.tries += 1
                if self.tries == 1:
                    rival.execute("BEGIN IMMEDIATE")
                elif rival.in_transaction:
                    rival.execute("ROLLBACK")
                return self.inner.finish_job(*args, **kwargs)

        ledger = LockingLedger(rig.ledger)
        async with rig.engine(ledger=ledger) as engine, asyncio.timeout(PATIENCE_S):
            await engine.run()
        assert ledger.tries == 2
        assert rig.state(job) is JobState.FINISHED
        assert rig.judge().count("accepted") == 10


async def test_a_lane_that_cannot_be_taken_for_a_locked_ledger_is_free_for_the_next(
    tmp_path: Path, make_rival: Callable[[Rig], sqlite3.Connection]
):
    async with open_rig(tmp_path) as rig:
        job = rig.add_job(10)
        with closing(make_rival(rig)) as rival:
            rival.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerBusyError):
                await rig.runner().run(job)
            assert rig.sim.stats.received == 0
            rival.execute("ROLLBACK")
        assert (await rig.run(job)).count("accepted") == 10
