"""The machine's clock jumps, while a job runs and between two runs: no order is paid twice for it, none is lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.order import JobState
from imeiflow.simulator.behaviour import Repeat
from tests.rig import open_rig

JUMPS = [timedelta(hours=-1), timedelta(days=1), timedelta(days=-400)]


class JumpingClock(SteadyClock):
    """A clock that can be set by hand: worse than any that the program uses."""

    offset = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.offset


@pytest.mark.parametrize("chunk", [1, 100])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_jump_while_a_job_runs_changes_nothing(tmp_path: Path, jump: timedelta, repeats: Repeat, chunk: int):
    clock = JumpingClock()
    behaviour = {"faults": ("reset:after@#3,9",) if chunk == 1 else ("reset:after@#2",), "repeats": repeats}
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:

        def set_clock() -> None:
            clock.offset += jump

        rig.sim.site.watch(7 if chunk == 1 else 3, set_clock)
        job = rig.add_job(40 if chunk == 1 else 400, chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("queued") == 0
        assert rig.repeats <= (repeats is Repeat.CHARGE)


@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_jump_between_two_runs_loses_and_repeats_nothing(tmp_path: Path, jump: timedelta, repeats: Repeat):
    clock = JumpingClock()
    async with open_rig(tmp_path, {"faults": ("reset:after@every:4",), "repeats": repeats}, clock=clock) as rig:
        job = rig.add_job(60, chunk_size=1)
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        clock.offset += jump
        rig.behave(faults=())
        rig.resume(job)
        verdict = await rig.run(job)
        assert verdict.count("queued") == 0
        assert rig.repeats <= (repeats is Repeat.CHARGE)


async def test_a_clock_set_back_makes_no_doubt_younger(tmp_path: Path):
    """Orders complete at once; only open ones are refused. The doubt is older than all that is known of repeats."""
    clock = JumpingClock()
    behaviour = {"repeats": Repeat.REFUSE_OPEN, "faults": ("reset:after@#3",)}
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:
        await rig.run(rig.add_job(10, chunk_size=1))  # repeats of open orders are seen to be refused
        rig.behave(pending_for="0", process_for="0", faults=("reset:after@every:2",))
        clock.offset = timedelta(hours=2)
        job = rig.add_job(30, chunk_size=1)
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        clock.offset = timedelta(0)
        rig.behave(faults=())
        rig.resume(job)
        await rig.run(job)
        assert rig.repeats <= 1
