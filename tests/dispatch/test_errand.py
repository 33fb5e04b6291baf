"""What people ask of a provider while its lane is worked on waits its turn there, and hears in every case."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from imeiflow.dispatch.errand import LeftLaneError
from imeiflow.domain.order import JobState
from tests.rig import SETTINGS, open_rig, work

ALONE = replace(SETTINGS, max_concurrency=1)


async def test_a_question_is_asked_in_the_lane_and_beside_no_call_that_leaves_no_room(tmp_path):
    async with open_rig(tmp_path, settings=ALONE) as rig, rig.engine() as engine:
        job = rig.add_job(30)
        beside = []

        async def question(connection):
            beside.append(engine.desk.lane.view().in_flight)
            return await connection.fetch_credit()

        asking = [asyncio.create_task(engine.errands.ask(question)) for _ in range(3)]
        await asyncio.sleep(0)
        await work(engine)
        listings = await asyncio.gather(*asking)
        assert [len(listing.items) for listing in listings] == [1, 1, 1]
        assert beside == [1, 1, 1]  # itself
        assert rig.state(job) is JobState.FINISHED


async def test_whoever_waits_when_the_lane_is_given_up_is_told(tmp_path):
    async with open_rig(tmp_path, settings=ALONE) as rig, rig.engine() as engine:
        engine.stop()
        asking = asyncio.create_task(engine.errands.ask(lambda connection: connection.fetch_credit()))
        await asyncio.sleep(0)
        await work(engine)
        with pytest.raises(LeftLaneError):
            await asking
        with pytest.raises(LeftLaneError):
            await engine.errands.ask(lambda connection: connection.fetch_credit())


async def test_a_question_that_breaks_breaks_no_job(tmp_path):
    async with open_rig(tmp_path, settings=ALONE) as rig, rig.engine() as engine:
        job = rig.add_job(5)

        async def question(connection):
            raise RuntimeError("broken")

        asking = asyncio.create_task(engine.errands.ask(question))
        await asyncio.sleep(0)
        await work(engine)
        with pytest.raises(RuntimeError, match="broken"):
            await asking
        assert rig.state(job) is JobState.FINISHED
