"""Prices that move under a running job: it pauses before anything is sent at a price that nobody agreed to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.record import PricedService
from tests.rig import ACCOUNT, PATIENCE_S, PRICE, SERVICE, SETTINGS, FastClock, Wire, open_rig, work

WATCHED = replace(SETTINGS, price_max_age_s=300.0, max_concurrency=1)
RISEN = Decimal("0.10")


def cost(rig, job):
    summary = rig.summary(job)
    assert summary.spent is not None
    return summary.spent.amount


async def test_a_job_taken_up_with_an_old_list_pauses_before_anything_is_sent(tmp_path):
    async with open_rig(tmp_path, {"price_change": ("1=0.10@0",)}, settings=WATCHED) as rig:
        job = rig.add_job(12)
        verdict = await rig.run(job)
        assert (rig.state(job), verdict.charged) == (JobState.PAUSED, 0)
        assert rig.sim.stats.actions["placeorder"] == 0
        assert rig.reason(job) == (
            "the price of service 1 rose from $0.08 to $0.10: the 12 that wait would cost $1.20 instead of $0.96; "
            "`resume --accept-price 0.10` goes on"
        )


async def test_a_stop_gives_up_a_price_list_that_is_being_fetched(tmp_path):
    async with open_rig(tmp_path, {"read_latency": "600"}, settings=WATCHED) as rig, rig.engine() as engine:
        job = rig.add_job(2)
        running = asyncio.create_task(work(engine))
        async with asyncio.timeout(PATIENCE_S):
            await rig.sim.wait_received(1)
            engine.stop(pause="enough for today")
            await running
        assert engine.desk.lane.in_flight == 0
        assert (rig.state(job), rig.sim.stats.actions["placeorder"]) == (JobState.PAUSED, 0)


async def test_what_was_accepted_anew_is_recorded_and_charged_to_the_cent(tmp_path):
    async with open_rig(tmp_path, {"price_change": ("1=0.10@0",)}, settings=WATCHED) as rig:
        job = rig.add_job(12)
        await rig.run(job)
        rig.ledger.accept_price(job, RISEN, actor="owner")
        rig.resume(job)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert cost(rig, job) == verdict.charged == 12 * RISEN
        [event] = rig.ledger.events(job=job, kinds=["price_accepted"])
        assert (event.data, event.actor) == ({"from": "0.08", "to": "0.10"}, "owner")


async def test_a_price_that_fell_is_what_is_recorded(tmp_path):
    async with open_rig(tmp_path, {"price_change": ("1=0.05@0",)}, settings=WATCHED) as rig:
        job = rig.add_job(9, max_spend=9 * PRICE)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert cost(rig, job) == verdict.charged == 9 * Decimal("0.05")


@pytest.mark.parametrize("day", [False, True], ids=["of the job", "of the account's day"])
async def test_a_cap_holds_where_a_price_that_fell_rises_back_to_what_was_agreed_to(tmp_path, day: bool):
    """The list says 4 cents for another while, and each order is charged 8."""
    cap = Decimal("0.80")
    settings = replace(SETTINGS, price_max_age_s=600.0, max_spend_per_day=cap if day else None)
    behaviour = {"price_change": ("1=0.04@0", "1=0.08@30")}
    async with open_rig(tmp_path, behaviour, clock=FastClock(10), settings=settings) as rig:
        job = rig.add_job(40, chunk_size=1, rate=20.0, max_spend=None if day else cap)
        await rig.runner().run(job)
        assert rig.state(job) is JobState.PAUSED
        assert sum(entry.price for entry in rig.sim.book) <= cap
        if not day:
            assert "each order counted at the $0.08 that you agreed to" in rig.reason(job)


async def test_a_cap_goes_on_from_what_was_agreed_to_when_the_job_is_taken_up_again(tmp_path):
    async with open_rig(tmp_path, {"price_change": ("1=0.05@0",)}, settings=WATCHED) as rig:
        job = rig.add_job(9, chunk_size=1, max_spend=5 * PRICE)
        await rig.run(job)
        assert (rig.count(job, OrderState.ACCEPTED), cost(rig, job)) == (5, 5 * Decimal("0.05"))
        rig.resume(job)
        await rig.run(job)
        assert rig.count(job, OrderState.ACCEPTED) == 5


async def test_a_list_that_is_fresh_enough_is_not_fetched_again(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(5)
        rig.ledger.record_prices(ACCOUNT, [PricedService(id=SERVICE, name="check", price=Money(PRICE, "USD"))])
        await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert rig.sim.stats.actions["imeiservices"] == 0


async def test_a_service_that_has_gone_from_the_list_pauses_its_job(tmp_path):
    async with open_rig(tmp_path, {"price_change": ("1=gone@0",)}, settings=WATCHED) as rig:
        job = rig.add_job(3)
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert rig.reason(job) == "the price list does not have service 1 any more"
        assert rig.sim.stats.actions["placeorder"] == 0


async def test_a_list_that_cannot_be_fetched_stops_nobody(tmp_path):
    lost = {"faults": ("reset:before@100%",), "fault_actions": ("imeiservices",)}
    async with open_rig(tmp_path, lost, settings=WATCHED) as rig:
        job = rig.add_job(5)
        async with rig.engine() as engine:
            await work(engine)
            assert engine.prices is not None
            assert engine.prices.problem
        assert rig.state(job) is JobState.FINISHED
        assert rig.judge().charged == 5 * PRICE


async def test_a_rise_during_a_long_job_pauses_it_and_both_prices_stand_in_the_ledger(tmp_path):
    """The price rises while the list is looked at again: what was placed before it cost the old price, and no more."""
    clock = FastClock()
    async with open_rig(tmp_path, settings=WATCHED, clock=clock) as rig:
        job = rig.add_job(12, chunk_size=4)

        async def rise(number: int) -> None:
            if number == 2:
                rig.behave(price_change=("1=0.10@0",))
                engine.stop()
                clock.skip(600.0)

        async with rig.engine(connection=Wire(rig.connect(), after=rise)) as engine:
            await work(engine)
        sent = rig.count(job, OrderState.ACCEPTED)
        assert 0 < sent < 12
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "rose from $0.08 to $0.10" in rig.reason(job)
        assert cost(rig, job) == rig.judge().charged == sent * PRICE
        rig.ledger.accept_price(job, RISEN)
        rig.resume(job)
        verdict = await rig.run(job)
        assert cost(rig, job) == verdict.charged == sent * PRICE + (12 - sent) * RISEN


async def test_while_a_job_runs_the_list_is_fetched_again_now_and_then(tmp_path):
    clock = FastClock()
    async with open_rig(tmp_path, settings=WATCHED, clock=clock) as rig:
        job = rig.add_job(6, chunk_size=1)

        async def pass_time(_: int) -> None:
            clock.skip(301.0)

        async with rig.engine(connection=Wire(rig.connect(), after=pass_time)) as engine:
            await work(engine)
        assert rig.state(job) is JobState.FINISHED
        assert 2 <= rig.sim.stats.actions["imeiservices"] <= 7
        assert rig.judge().charged == 6 * PRICE
