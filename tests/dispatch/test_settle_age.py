"""How old orders are when they are repeated: whatever is not sure is taken so that nothing is paid for twice.

The shops here refuse repeats only while the first order is open, for seconds. The judge allows one repeat probe that
was charged, and no doubt that was placed once more.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from imeiflow.domain.order import OrderState
from imeiflow.ledger.change import AttemptKind
from imeiflow.simulator.behaviour import Repeat
from tests.rig import FastClock, Wire, open_rig, work

OPEN = {"repeats": Repeat.REFUSE_OPEN, "process_for": "0"}


async def test_the_time_that_a_probe_takes_is_no_part_of_the_age(tmp_path: Path):
    """Orders are open for 4.5 s, and each call takes 3 s."""
    behaviour = {**OPEN, "faults": ("reset:after@#3,7",), "latency": "3", "pending_for": "4.5"}
    async with open_rig(tmp_path, behaviour, clock=FastClock()) as rig:
        job = rig.add_job(10, chunk_size=1)
        await rig.run(job)
        assert rig.count(job, OrderState.UNCONFIRMED) == 2
        assert rig.repeats <= 1


async def test_the_time_until_an_order_was_placed_is_no_part_of_its_age(tmp_path: Path):
    """Accepted orders reach the shop 3 s after their attempt began, the lost ones at once; they are open for 2 s."""
    behaviour = {**OPEN, "faults": ("reset:after@#1,2",), "pending_for": "2"}
    async with open_rig(tmp_path, behaviour, clock=FastClock()) as rig:
        job = rig.add_job(10, chunk_size=1)

        async def before(number: int) -> None:
            if 3 <= number <= 10:
                await asyncio.sleep(3)

        async with rig.engine(connection=Wire(rig.connect(), before=before)) as engine:
            await work(engine)
        rig.judge()
        assert rig.count(job, OrderState.UNCONFIRMED) == 2
        assert rig.repeats <= 1


async def test_the_refusal_of_an_open_order_does_not_cover_what_completes_at_once(tmp_path: Path):
    """In the morning orders are open for hours, and repeats are seen to be refused; at noon for five seconds."""
    clock = FastClock(10)
    async with open_rig(tmp_path, {**OPEN, "pending_for": "36000"}, clock=clock) as rig:
        await rig.run(rig.add_job(5, chunk_size=1))
        clock.skip(3600)
        rig.behave(faults=("reset:after@#6",))
        morning = rig.add_job(5, chunk_size=1, rate=60.0)
        await rig.run(morning)
        assert rig.count(morning, OrderState.UNCONFIRMED) == 0
        calls = rig.sim.stats.actions["placeorder"]
        rig.behave(faults=(f"reset:after@#{calls + 1},{calls + 2}",), pending_for="5")
        noon = rig.add_job(20, chunk_size=1, rate=60.0)
        await rig.run(noon)
        assert rig.count(noon, OrderState.UNCONFIRMED) == 2
        assert rig.repeats <= 1


async def test_a_doubt_that_waits_for_its_turn_is_looked_at_again_before_it_leaves(tmp_path: Path):
    """Twelve calls a minute; orders are open for 18 s. Four doubts of one call wait in turn, 5 s each."""
    behaviour = {**OPEN, "faults": ("reset:after@#2",), "pending_for": "18"}
    async with open_rig(tmp_path, behaviour, clock=FastClock(10)) as rig:
        await rig.run(rig.add_job(12, chunk_size=4, rate=12.0))
        assert rig.repeats <= 1


async def test_a_doubt_that_outgrows_what_covers_it_while_its_attempt_is_recorded_does_not_leave(tmp_path: Path):
    """A minute passes between the look at what covers the doubt and its leaving: its order is completed by then."""
    clock = FastClock()
    async with open_rig(tmp_path, {**OPEN, "faults": ("reset:after@#3",), "pending_for": "30"}, clock=clock) as rig:
        job = rig.add_job(10, chunk_size=1)
        recorded: list[AttemptKind] = []

        class Slow:
            """A ledger that takes a minute to record that a doubt is sent again."""

            async def intend(self, intent: Any) -> Any:
                recorded.append(intent.kind)
                if intent.kind is AttemptKind.AGAIN:
                    clock.skip(60)
                return await rig.ledger.intend(intent)

            def __getattr__(self, name: str) -> Any:
                return getattr(rig.ledger, name)

        async with rig.engine(ledger=Slow()) as engine:
            await work(engine)
        verdict = rig.judge()
        assert recorded[-3:] == [AttemptKind.PROBE, AttemptKind.AGAIN, AttemptKind.PROBE]
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert rig.repeats == 1  # the last probe, of an order that is completed
        [doubt] = [line for line in verdict.lines if line.state == "unconfirmed"]
        assert [one.outcome for one in doubt.tries] == ["unconfirmed", "unsent"]
