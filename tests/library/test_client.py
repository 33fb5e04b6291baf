"""The clients of today, blocking and asynchronous: reports, streams, steering, cancellation."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from imeiflow import AsyncClient, Client, JobState, OrderState, Policy
from imeiflow.errors import JobStateError, UnknownJobError, UsageError
from imeiflow.library.error import ClosedError
from imeiflow.operations.price import PriceRoseError
from tests.library.shop import SERVICE, make_imeis


def test_a_report_says_what_became_of_a_list_and_what_it_cost(open_shop):
    shop, imeis = open_shop(), make_imeis(50)
    with Client() as client:
        report = client.submit([*imeis, imeis[0], "12"], SERVICE, name="Tuesday's phones")
        rows = list(client.rows(report.job))
        assert client.report(report.job) == report
        assert client.jobs()[0].name == "Tuesday's phones"
    counts = report.counts
    assert (counts.total, counts.accepted, counts.duplicate, counts.not_ordered) == (52, 50, 1, 1)
    assert (counts.unconfirmed, counts.waiting, counts.processed) == (0, 0, 52)
    assert (report.state, report.reason) == (JobState.FINISHED, None)
    assert report.spent.amount == sum(entry.price for entry in shop.book()) == Decimal("4.00")
    assert [row.imei for row in rows[:50]] == imeis
    assert {row.reference for row in rows[:50]} == {entry.reference for entry in shop.book()}


def test_a_stream_yields_moments_and_gives_the_report(open_shop):
    open_shop(latency="0.3")
    with Client() as client:
        stream, moments = client.stream(make_imeis(20), SERVICE, max_chunk=5), []
        try:
            while True:
                moments.append(next(stream))
        except StopIteration as end:
            report = end.value
    assert report.counts.accepted == 20
    assert moments
    assert all(moment.counts.total == 20 and moment.job == report.job for moment in moments)
    assert any(moment.view is not None for moment in moments)


def test_closing_a_stream_pauses_its_job_and_leaves_the_client_open(open_shop):
    shop = open_shop(latency="0.2")
    with Client() as client:
        stream = client.stream(make_imeis(60), SERVICE, max_chunk=2, max_concurrency=2)
        job = next(stream).job
        stream.close()
        report = client.report(job)
        assert (report.state, report.counts.unconfirmed) == (JobState.PAUSED, 0)
        assert report.counts.accepted == len(shop.book()) < 60
        assert client.resume(job).counts.accepted == 60


def test_a_job_goes_on_at_a_dearer_price_only_where_that_was_accepted(open_shop):
    shop = open_shop(latency="0.2")
    with Client() as client:
        stream = client.stream(make_imeis(40), SERVICE, max_chunk=2, max_concurrency=2)
        job = next(stream).job
        stream.close()
        placed = len(shop.book())
        shop.simulator.set_behaviour(price_change="1=0.12@0", latency="0")
        client.services()
        for accepted in (None, Decimal("0.11")):
            with pytest.raises(PriceRoseError, match=r"0\.12"):
                client.resume(job, accept_price=accepted)
        assert len(shop.book()) == placed < 40
        report = client.resume(job, accept_price=Decimal("0.12"))
        assert report.counts.accepted == 40
        assert report.spent.amount == sum(entry.price for entry in shop.book())


def test_prices_and_credit_are_told(open_shop):
    shop = open_shop(credit="12.50")
    with Client() as client:
        prices = client.services()
        assert (prices.is_fresh, prices.find(SERVICE).name) == (True, "Apple Basic Info")
        assert client.credit().balance.amount == Decimal("12.50")
        shop.simulator.set_behaviour(lockout="maintenance")
        prices = client.services()
    assert (prices.is_fresh, prices.find(SERVICE).name) == (False, "Apple Basic Info")
    assert "maintenance" in prices.problem


def test_a_spending_cap_is_kept(open_shop):
    shop = open_shop()
    with Client() as client:
        report = client.submit(make_imeis(50), SERVICE, max_spend=Decimal("1.00"))
    assert report.state is JobState.PAUSED
    assert "spending cap" in report.reason
    assert report.counts.accepted == len(shop.book()) == 12


def test_held_doubt_is_left_alone(open_shop):
    shop = open_shop(faults="reset:after@#1")
    with Client() as client:
        report = client.submit(make_imeis(2), SERVICE, policy=Policy.HOLD, max_chunk=1)
        assert report.counts.unconfirmed == 1
        assert [row.state for row in client.rows(report.job, {OrderState.UNCONFIRMED})] == [OrderState.UNCONFIRMED]
    assert len(shop.book()) == 2


@pytest.mark.parametrize(
    ("service", "options", "problem"),
    [
        ("", {}, "service"),
        (SERVICE, {"max_chunk": 0}, "max_chunk"),
        (SERVICE, {"max_concurrency": 2.5}, "max_concurrency"),
        (SERVICE, {"rate_per_min": 0}, "rate_per_min"),
        (SERVICE, {"max_spend": 5.0}, "max_spend"),
        (SERVICE, {"max_spend": Decimal(-1)}, "max_spend"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_sent(open_shop, service, options, problem):
    shop = open_shop()
    with Client() as client, pytest.raises(UsageError, match=problem):
        client.submit(make_imeis(1), service, **options)
    assert shop.simulator.stats()["received"] == 0


def test_a_job_is_steered_from_elsewhere_and_resumed(open_shop):
    shop, imeis = open_shop(latency="0.2"), make_imeis(60)
    with Client() as client, Client() as other:
        stream = client.stream(imeis, SERVICE, max_chunk=2, max_concurrency=2)
        job = next(stream).job
        other.pause(job)
        assert [moment.job for moment in stream if moment.job != job] == []
        assert other.report(job).state is JobState.PAUSED
        assert len(shop.book()) < 60
        assert other.resume(job).counts.accepted == 60
        with pytest.raises(JobStateError):
            other.pause(job)
        with pytest.raises(UnknownJobError):
            other.report(99)


def test_a_cancelled_job_keeps_what_was_accepted_and_cannot_be_resumed(open_shop):
    shop = open_shop(latency="0.2")
    with Client() as client:
        stream = client.stream(make_imeis(60), SERVICE, max_chunk=2, max_concurrency=2)
        job = next(stream).job
        client.cancel(job)
        list(stream)
        report = client.report(job)
        assert report.state is JobState.CANCELLED
        assert report.counts.accepted == len(shop.book())
        assert report.counts.accepted + report.counts.not_ordered == 60
        with pytest.raises(JobStateError):
            client.resume(job)


def test_closing_a_client_ends_its_work_well(open_shop):
    shop, client = open_shop(latency="0.2"), Client()
    stream = client.stream(make_imeis(60), SERVICE, max_chunk=2, max_concurrency=2)
    job = next(stream).job
    client.close()
    with pytest.raises(ClosedError):
        list(stream)
    with Client() as other:
        report = other.report(job)
    assert report.state is JobState.PAUSED
    assert (report.counts.accepted, report.counts.unconfirmed) == (len(shop.book()), 0)


async def test_the_asynchronous_client_does_the_same(open_shop):
    shop, imeis, moments = open_shop(latency="0.3", pending_for="0", process_for="0"), make_imeis(20), []
    async with AsyncClient() as client:
        report = await client.submit(imeis, SERVICE, max_chunk=5, on_progress=moments.append)
        rows = [row async for row in client.rows(report.job)]
        found = await client.statuses([row.reference for row in rows])
        completed = [row async for row in client.rows(report.job) if row.result]
        assert await client.report(report.job) == report
        assert [job.id for job in await client.jobs()] == [report.job]
        assert (await client.services()).is_fresh
        assert (await client.credit()).balance is not None
    assert report.counts.accepted == len(shop.book()) == 20
    assert {moment.counts.total for moment in moments} == {20}
    assert [status.imei for status in found] == [row.imei for row in rows] == imeis
    assert len(completed) == 20


async def test_what_on_progress_raises_does_not_end_the_work(open_shop):
    open_shop(latency="0.3")

    def fail(moment):
        raise ValueError

    async with AsyncClient() as client:
        report = await client.submit(make_imeis(5), SERVICE, on_progress=fail)
    assert report.counts.accepted == 5


async def test_a_cancellation_lets_calls_under_way_end_and_pauses_the_job(open_shop):
    shop, begun = open_shop(latency="0.3"), asyncio.Event()

    def look(moment):
        if moment.counts.accepted:
            begun.set()

    async with AsyncClient() as client:
        work = asyncio.create_task(
            client.submit(make_imeis(60), SERVICE, max_chunk=2, max_concurrency=2, on_progress=look)
        )
        await begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        report = await client.report(1)
        assert report.state is JobState.PAUSED
        assert (report.counts.accepted, report.counts.unconfirmed) == (len(shop.book()), 0)
        assert (await client.resume(1)).counts.accepted == 60


async def test_a_cancellation_before_the_job_runs_leaves_none_that_seems_to_run(open_shop):
    shop = open_shop()
    async with AsyncClient() as client:
        await client.services()
        work = asyncio.create_task(client.submit(make_imeis(60), SERVICE))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert all(job.state is not JobState.RUNNING for job in await client.jobs())
    assert len(shop.book()) < 60


async def test_a_second_cancellation_leaves_at_once_and_says_what_is_in_doubt(open_shop):
    shop, sent = open_shop(latency="600"), asyncio.Event()

    def look(moment):
        if shop.simulator.stats()["under_way"]:
            sent.set()

    async with AsyncClient() as client:
        work = asyncio.create_task(client.submit(make_imeis(1), SERVICE, on_progress=look))
        await sent.wait()
        work.cancel()
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        report = await client.report(1)
    assert (report.state, report.counts.unconfirmed) == (JobState.PAUSED, 1)


async def test_closing_the_asynchronous_client_ends_its_work_well(open_shop):
    shop, begun = open_shop(latency="0.2"), asyncio.Event()
    client = AsyncClient()
    work = asyncio.create_task(
        client.submit(make_imeis(60), SERVICE, max_chunk=2, max_concurrency=2, on_progress=lambda _: begun.set())
    )
    await begun.wait()
    await client.close()
    await client.close()
    with pytest.raises(ClosedError):
        await work
    with pytest.raises(ClosedError):
        await client.jobs()
    async with AsyncClient() as other:
        report = await other.report(1)
    assert (report.state, report.counts.unconfirmed) == (JobState.PAUSED, 0)
    assert report.counts.accepted == len(shop.book())
