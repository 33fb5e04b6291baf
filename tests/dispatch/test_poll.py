"""Whose turn it is: statuses are asked for behind what is placed, and nobody who waits for a job waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from imeiflow.domain.order import JobState
from tests.rig import PATIENCE_S, FastClock, Wire, open_rig


async def test_a_job_ends_without_waiting_for_what_is_due_of_another(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        first = rig.add_job(3, chunk_size=3)
        await rig.run(first)
        later = rig.add_job(20, chunk_size=2)
        await rig.run(later)
        assert rig.ledger.count_open(first) == 3  # due all the time
        assert rig.state(later) is JobState.FINISHED
        assert rig.sim.stats.actions["getimeis"] == 0


async def test_statuses_wait_for_calls_that_place_but_not_for_ever(tmp_path: Path):
    clock = FastClock()
    async with open_rig(tmp_path, clock=clock) as rig:
        await rig.run(rig.add_job(3, chunk_size=3))
        later = rig.add_job(1, chunk_size=1)
        release = asyncio.Event()

        async def hold(_: int) -> None:
            await release.wait()

        async with rig.engine(connection=Wire(rig.connect(), before=hold), polls=True) as engine:
            poller = engine.poller
            assert poller is not None
            running = asyncio.create_task(engine.run())
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: engine.desk.is_under_way and poller.view().waiting == 3)
                assert not poller.has_turn(clock.monotonic(), is_placing=False)
                assert rig.sim.stats.actions["getimeis"] == 0
                clock.skip(61)
                await until(lambda: rig.sim.stats.actions["getimeis"] == 1)
                assert rig.state(later) is JobState.RUNNING
                release.set()
                await running
        rig.judge()


async def test_calls_that_are_to_ask_count_as_calls_that_are_still_to_be_made(tmp_path: Path):
    """Else their pace would never grow: nothing more is tried near the end."""
    async with open_rig(tmp_path) as rig:
        await rig.run(rig.add_job(3, chunk_size=3))
        rig.add_job(1, chunk_size=1)
        release = asyncio.Event()

        async def hold(_: int) -> None:
            await release.wait()

        async with rig.engine(connection=Wire(rig.connect(), before=hold), polls=True) as engine:
            running = asyncio.create_task(engine.run())
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: engine.desk.is_under_way and engine.poller.view().waiting == 3)  # type: ignore[union-attr]
                await until(lambda: engine.desk.lane.pace.growth.calls_left == 0.03)
                release.set()
                await running


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another task does."""
    while not is_so():  # noqa: ASYNC110 - the engine tells nobody
        await asyncio.sleep(0.01)
