"""The account's cap for a day: never exceeded, whatever is under way or in doubt, by whichever jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.ledger.spending import SpendingFilter
from tests.rig import IMPATIENT, PRICE, SETTINGS, FastClock, open_rig

CAP = 10 * PRICE
CAPPED = replace(SETTINGS, max_spend_per_day=CAP)


async def test_a_job_pauses_at_the_account_s_cap_and_says_when_it_can_go_on(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.02"}, settings=CAPPED) as rig:
        job = rig.add_job(40, chunk_size=3)
        verdict = await rig.run(job)
        assert (rig.state(job), verdict.charged) == (JobState.PAUSED, CAP)
        assert "spending cap of $0.80 a day is reached" in rig.reason(job)
        tomorrow = rig.clock.now().astimezone().date() + timedelta(days=1)
        assert f"resumed from {tomorrow} 00:00" in rig.reason(job)
        rig.resume(job)
        await rig.run(job)
        assert (rig.state(job), rig.sim.book.charged) == (JobState.PAUSED, CAP)


async def test_jobs_share_the_cap_and_what_an_earlier_one_spent_today_counts(tmp_path: Path):
    async with open_rig(tmp_path, {"latency": "0.02"}, settings=CAPPED) as rig:
        await rig.run(rig.add_job(4))
        first, second = rig.add_job(20, chunk_size=1), rig.add_job(20, chunk_size=1)
        await rig.run()
        assert rig.sim.book.charged == CAP
        assert {rig.state(first), rig.state(second)} == {JobState.PAUSED}


async def test_what_may_have_been_charged_counts_as_charged(tmp_path: Path):
    behaviour = {"faults": ("reset:after@100%",), "repeats": "charge"}
    async with open_rig(tmp_path, behaviour, settings=CAPPED, timeouts=IMPATIENT) as rig:
        held = rig.add_job(6, policy=Policy.HOLD, chunk_size=6)
        await rig.run(held)
        assert rig.count(held, OrderState.UNCONFIRMED) == 6
        rig.behave(faults=())
        job = rig.add_job(20, chunk_size=1)
        verdict = await rig.run(job)
        assert rig.count(job, OrderState.ACCEPTED) == 4
        assert verdict.spent + verdict.doubtful == CAP


async def test_the_next_day_it_goes_on(tmp_path: Path):
    clock = FastClock()
    async with open_rig(tmp_path, settings=CAPPED, clock=clock) as rig:
        job = rig.add_job(25, chunk_size=5)
        await rig.run(job)
        for _ in range(2):
            clock.skip(24 * 3600)
            rig.resume(job)
            await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        days = {one.at.astimezone().date() for one in rig.ledger.charges(SpendingFilter())}
        assert len(days) == 3


async def test_a_price_that_is_not_known_cannot_be_kept_under_a_cap(tmp_path: Path):
    async with open_rig(tmp_path, settings=CAPPED) as rig:
        job = rig.add_job(3, unit_price=None)
        await rig.run(job)
        assert (rig.state(job), rig.sim.book.charged) == (JobState.PAUSED, Decimal(0))
        assert "max_spend_per_day ($0.80) cannot be kept" in rig.reason(job)
