"""Prices that move under a running job: it pauses before anything is sent at a price that nobody agreed to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from imeiflow.dispatch.price import _say_reason
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.price import Quote
from imeiflow.domain.progress import Tally
from imeiflow.ledger.record import PricedService
from imeiflow.simulator.behaviour import Lockout
from tests.rig import ACCOUNT, PATIENCE_S, PRICE, SERVICE, SETTINGS, FastClock, Wire, open_rig, work

WATCHED = replace(SETTINGS, price_max_age_s=300.0, max_concurrency=1)
RISEN = Decimal("0.10")


def know_price(rig, price=PRICE):
    """Let the ledger know a price from a list that was fetched just now."""
    rig.ledger.record_prices(ACCOUNT, [PricedService(id=SERVICE, name="check", price=Money(price, "USD"))])


async def run_through_rise(rig, *, after: int, to: str = "0.20", clock=None):
    """Let an engine work; the price changes after some calls have placed."""

    async def rise(number: int) -> None:
        if number == after:
            rig.behave(price_change=(f"1={to}@0",))
            if clock is not None:
                clock.skip(31.0)

    async with rig.engine(connection=Wire(rig.connect(), after=rise)) as engine:
        await work(engine)


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


@pytest.mark.parametrize(
    ("waiting", "told"),
    [(12, ": the 12 that wait would cost $1.20 instead of $0.96; "), (0, "rose from $0.08 to $0.10")],
)
def test_what_is_under_way_is_no_part_of_what_would_cost_more(waiting, told):
    agreed, quote = Money(PRICE, "USD"), Quote(is_listed=True, price=Money(RISEN, "USD"))
    tally = Tally({OrderState.QUEUED: waiting, OrderState.SENDING: 5})
    said = _say_reason(SimpleNamespace(job=SimpleNamespace(service=SERVICE, price=agreed), tally=tally), quote)
    assert told in said
    assert ("would cost" in said) == (waiting > 0)


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


async def test_a_list_that_is_fresh_enough_is_fetched_only_after_the_last_order(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(5)
        know_price(rig)
        asked: list[int] = []

        async def look(_: int) -> None:
            asked.append(rig.sim.stats.actions["imeiservices"])

        async with rig.engine(connection=Wire(rig.connect(), after=look)) as engine:
            await work(engine)
        assert rig.state(job) is JobState.FINISHED
        assert set(asked) == {0}
        assert rig.sim.stats.actions["imeiservices"] == 1
        assert rig.summary(job).price_rise is None


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
        assert 2 <= rig.sim.stats.actions["imeiservices"] <= 8  # at the start, after each call, at the end
        assert rig.judge().charged == 6 * PRICE


async def test_a_rise_that_is_seen_after_the_last_order_is_told_with_what_may_have_been_charged(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(12, chunk_size=4)
        know_price(rig)
        began_at = rig.ledger.prices_fetched_at(ACCOUNT)
        await run_through_rise(rig, after=1)
        summary, charged = rig.summary(job), sum(entry.price for entry in rig.sim.book)
        assert (summary.state, charged) == (JobState.FINISHED, Decimal("1.92"))
        assert summary.spent == Money(12 * PRICE, "USD")
        rise = summary.price_rise
        assert rise is not None
        assert (rise.before, rise.after) == (Money(PRICE, "USD"), Money(Decimal("0.20"), "USD"))
        assert rise.since == began_at
        assert (rise.orders, rise.more) == (12, Money(Decimal("1.44"), "USD"))
        assert summary.in_doubt == rise.more
        assert charged <= summary.spent.amount + rise.more.amount
        [event] = rig.ledger.events(job=job, kinds=["price_rose_unseen"])
        assert (event.data["from"], event.data["to"], event.data["orders"]) == ("0.08", "0.20", "12")


async def test_a_list_that_was_seen_between_narrows_what_may_have_been_charged(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(12, chunk_size=4)
        know_price(rig)

        async def rise(number: int) -> None:
            if number == 2:
                know_price(rig)
                rig.behave(price_change=("1=0.20@0",))

        async with rig.engine(connection=Wire(rig.connect(), before=rise)) as engine:
            await work(engine)
        rise_ = rig.summary(job).price_rise
        assert rise_ is not None
        assert (rise_.orders, rise_.more) == (8, Money(Decimal("0.96"), "USD"))
        assert sum(entry.price for entry in rig.sim.book) == cost(rig, job) + Decimal("0.96")


async def test_calls_under_way_when_a_rise_is_seen_count_as_charged_at_it_and_the_rest_waits(tmp_path):
    clock = FastClock()
    async with open_rig(tmp_path, settings=WATCHED, clock=clock) as rig:
        job = rig.add_job(12, chunk_size=1)
        know_price(rig)

        async def rise(number: int) -> None:
            if number == 3:
                rig.behave(price_change=("1=0.20@0",))
            if number == 6:
                clock.skip(301.0)

        async with rig.engine(connection=Wire(rig.connect(), after=rise)) as engine:
            await work(engine)
        summary = rig.summary(job)
        assert summary.state is JobState.PAUSED
        assert "rose from $0.08 to $0.20" in rig.reason(job)
        assert summary.price_rise is not None
        assert summary.price_rise.orders == rig.count(job, OrderState.ACCEPTED) < 12
        charged = sum(entry.price for entry in rig.sim.book)
        assert cost(rig, job) < charged <= cost(rig, job) + summary.price_rise.more.amount
        rig.ledger.accept_price(job, Decimal("0.20"))
        rig.resume(job)
        await rig.runner().run(job)
        assert rig.summary(job).price_rise == summary.price_rise, "what is ordered at the accepted price is no rise"


async def test_a_price_that_is_as_it_was_claims_nothing(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(8, chunk_size=4)
        know_price(rig)
        await rig.runner().run(job)
        summary = rig.summary(job)
        assert (summary.price_rise, summary.in_doubt) == (None, Money(Decimal(0), "USD"))
        assert not rig.ledger.events(job=job, kinds=["price_rose_unseen"])


async def test_where_the_list_cannot_be_had_at_the_end_the_job_ends_and_nothing_is_claimed(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(8, chunk_size=4)
        know_price(rig)
        rig.behave(faults=("reset:before@100%",), fault_actions=("imeiservices",), price_change=("1=0.20@0",))
        await rig.runner().run(job)
        assert (rig.state(job), rig.summary(job).price_rise) == (JobState.FINISHED, None)
        know_price(rig, Decimal("0.20"))
        assert rig.summary(job).price_rise is None, "a later list says nothing of what was charged then"


async def test_a_job_that_pauses_for_the_account_asks_for_nothing_more(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(8, chunk_size=4)
        know_price(rig)

        async def lock(_: int) -> None:
            rig.behave(lockout=Lockout.USER, lockout_from=1)

        async with rig.engine(connection=Wire(rig.connect(), after=lock)) as engine:
            await work(engine)
        assert rig.state(job) is JobState.PAUSED
        assert rig.sim.stats.actions["imeiservices"] == 0


async def test_a_stop_does_not_wait_for_the_list_and_the_job_that_was_at_its_end_is_finished(tmp_path):
    async with open_rig(tmp_path, {"read_latency": "600"}, settings=WATCHED) as rig, rig.engine() as engine:
        job = rig.add_job(2)
        know_price(rig)
        running = asyncio.create_task(work(engine))
        async with asyncio.timeout(PATIENCE_S):
            while not rig.sim.stats.actions["imeiservices"]:
                await rig.sim.wait_received(rig.sim.stats.received + 1)
            engine.stop(pause="enough for today")
            await running
        assert (rig.state(job), rig.count(job, OrderState.ACCEPTED)) == (JobState.FINISHED, 2)


async def test_orders_of_a_killed_process_count_where_the_rise_is_seen_by_the_next(tmp_path):
    """All was placed, and nobody had looked at the list since."""
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(4, chunk_size=4)
        know_price(rig)

        async def leave(_: int) -> None:
            rig.behave(price_change=("1=0.20@0",))
            engine.stop()

        async with rig.engine(connection=Wire(rig.connect(), after=leave)) as engine:
            await work(engine)
        assert rig.sim.stats.actions["imeiservices"] == 0
        await rig.runner().run(job)
        rise = rig.summary(job).price_rise
        assert rise is not None
        assert (rise.orders, rise.more) == (4, Money(Decimal("0.48"), "USD"))


async def test_a_cap_counts_what_an_unseen_rise_may_have_cost(tmp_path):
    async with open_rig(tmp_path, settings=WATCHED) as rig:
        job = rig.add_job(10, chunk_size=1, max_spend=5 * PRICE)
        know_price(rig)
        await run_through_rise(rig, after=4, to="0.10")
        assert (rig.state(job), rig.count(job, OrderState.ACCEPTED)) == (JobState.PAUSED, 5)
        assert rig.summary(job).price_rise.more == Money(Decimal("0.10"), "USD")
        rig.behave(price_change=())
        know_price(rig)
        rig.ledger.set_max_spend(job, 6 * PRICE)
        rig.resume(job)
        await rig.runner().run(job)
        assert rig.count(job, OrderState.ACCEPTED) == 5, "six at the old price, and ten cents that may be gone already"


async def test_where_many_calls_place_the_list_is_no_older_than_half_a_minute(tmp_path):
    clock = FastClock()
    async with open_rig(tmp_path, settings=WATCHED, clock=clock) as rig:
        job = rig.add_job(140, chunk_size=1)
        know_price(rig)
        await run_through_rise(rig, after=101, clock=clock)
        assert rig.state(job) is JobState.PAUSED
        assert "rose from $0.08 to $0.20" in rig.reason(job)
        assert rig.count(job, OrderState.ACCEPTED) < 110


async def test_where_few_calls_place_the_list_grows_as_old_as_it_may(tmp_path):
    clock = FastClock()
    async with open_rig(tmp_path, settings=WATCHED, clock=clock) as rig:
        job = rig.add_job(20, chunk_size=1)
        know_price(rig)
        await run_through_rise(rig, after=10, clock=clock)
        assert rig.state(job) is JobState.FINISHED
        assert rig.sim.stats.actions["imeiservices"] == 1
