"""What settling asks the provider passes the lane, and is given up with the job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imeiflow.domain.order import JobState, OrderState
from imeiflow.providers.contract import Placement
from tests.rig import PATIENCE_S, Wire, open_rig, work


class Counted(Wire):
    """Notes every call that is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made: list[str] = []

    async def place(self, *args: Any, **kwargs: Any) -> Placement:
        self.made.append("place")
        return await super().place(*args, **kwargs)

    async def fetch_statuses(self, references: Sequence[Any]) -> Any:
        self.made.append("statuses" if references else "list")
        return await self.inner.fetch_statuses(references)


async def test_what_settling_asks_passes_through_the_lane(tmp_path: Path):
    """Every call to an account is begun in its lane, so that its pace and a ban's silence hold for all of them."""
    async with open_rig(tmp_path, {"faults": ("reset:after@#3,7",)}) as rig:
        rig.add_job(10, chunk_size=1)
        connection = Counted(rig.connect())
        begun: list[Any] = []
        async with rig.engine(connection=connection) as engine:
            claim = engine.desk.lane.claim
            engine.desk.lane.claim = lambda *args: (begun.append(args), claim(*args))[1]  # type: ignore[method-assign]
            await work(engine)
            assert engine.desk.lane.in_flight == 0
        assert {"list", "statuses", "place"} == set(connection.made)
        assert len(begun) == len(connection.made)


async def test_a_pause_gives_up_a_question_that_waits_for_its_turn(tmp_path: Path):
    """One call an hour: the question about statuses would have to wait for that long."""
    async with open_rig(tmp_path, {"faults": ("reset:after@#2",)}) as rig:
        job = rig.add_job(2, chunk_size=1)
        connection = Counted(rig.connect())
        async with rig.engine(connection=connection) as engine:
            ready_at = engine.desk.lane.ready_at

            def hold(now: float) -> float:
                if engine.inquiry.has_turn:
                    asyncio.get_running_loop().call_soon(rig.ledger.request, job, JobState.PAUSED)
                    return now + 3600
                return ready_at(now)

            engine.desk.lane.ready_at = hold  # type: ignore[method-assign]
            await work(engine)
        assert rig.state(job) is JobState.PAUSED
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert set(connection.made) == {"place"}


async def test_a_stop_gives_up_a_question_that_is_under_way_and_concludes_nothing_from_it(tmp_path: Path):
    async with open_rig(tmp_path, {"faults": ("reset:after@#2",), "read_latency": "600"}) as rig:
        job = rig.add_job(2, chunk_size=1)
        connection = Counted(rig.connect())
        async with rig.engine(connection=connection) as engine:
            running = asyncio.create_task(work(engine))
            async with asyncio.timeout(PATIENCE_S):
                while "list" not in connection.made:  # noqa: ASYNC110 - the engine tells nobody
                    await asyncio.sleep(0.01)
                engine.stop(pause="enough for today")
                await running
            assert engine.desk.lane.in_flight == 0
        assert (rig.state(job), rig.reason(job)) == (JobState.PAUSED, "enough for today")
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert set(connection.made) == {"place", "list"}
