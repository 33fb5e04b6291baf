"""What a person does to a job while the engine works on it: the engine's own counts are then out of date."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.simulator.behaviour import Repeat
from tests.rig import open_rig


async def test_an_order_marked_not_placed_while_the_job_runs_is_sent_before_the_job_is_finished(tmp_path: Path):
    faults = {"faults": ("reset:before@100%",)}
    async with open_rig(tmp_path, faults) as rig:
        job = rig.add_job(3, chunk_size=1, policy=Policy.HOLD)
        await rig.run_to_the_end(job)
        assert rig.count(job, OrderState.UNCONFIRMED) == 3
        doubts = [doubt.order for doubt in rig.ledger.doubts(job)]
        rig.behave(faults=())
        rig.resume(job)
        finish = rig.ledger.finish_job

        def settle_then_finish(*arguments: Any, **named: Any) -> bool:
            """Do as a person who settles in the very moment in which the engine is about to finish."""
            rig.ledger.finish_job = finish  # type: ignore[method-assign]
            rig.ledger.mark_not_placed(doubts[:2], note="not on the order page")
            return finish(*arguments, **named)

        rig.ledger.finish_job = settle_then_finish  # type: ignore[method-assign]
        await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert rig.count(job, OrderState.ACCEPTED) == 2
        assert rig.count(job, OrderState.UNCONFIRMED) == 1


async def test_an_order_of_an_older_job_is_repeated_where_this_one_has_none_that_is_accepted(tmp_path: Path):
    async with open_rig(tmp_path, {"repeats": Repeat.CHARGE}) as rig:
        older = rig.add_job(1, chunk_size=1)
        await rig.run(older)
        rig.behave(faults=("reset:after@#2",))
        job = rig.add_job(1, chunk_size=1)
        await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert "repeats are charged here (one repeated order cost $0.08)" in rig.reason(job)
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert (str(rig.ledger.spending(older)), rig.repeats) == ("$0.16", 1)


async def test_an_order_settled_by_hand_is_not_sent_again_and_does_not_keep_its_job_from_ending(tmp_path: Path):
    async with open_rig(tmp_path, {"repeats": Repeat.REFUSE}) as rig:
        await rig.run(rig.add_job(10, chunk_size=1))  # each lost reply of a probe leaves one less that can be repeated
        rig.behave(faults=("reset:after@100%",))
        job = rig.add_job(3, chunk_size=1)
        await rig.run_to_the_end(job)
        assert rig.count(job, OrderState.UNCONFIRMED) == 3
        rig.behave(faults=())
        rig.resume(job)
        doubt = rig.ledger.doubts(job)[0]
        intend = rig.ledger.intend

        async def settle_then_intend(intent):
            """Do as a person who settles an order just before it is sent again."""
            if doubt.order in intent.orders and intent.expected is OrderState.UNCONFIRMED:
                rig.ledger.intend = intend
                await asyncio.to_thread(rig.ledger.mark_placed, [doubt.order], None, note="seen on the order page")
            return await intend(intent)

        rig.ledger.intend = settle_then_intend
        await rig.runner().run(job)  # the judge knows nothing of a person's word
        assert rig.state(job) is JobState.FINISHED
        assert rig.count(job, OrderState.UNCONFIRMED) == 0
        assert rig.repeats == 0
