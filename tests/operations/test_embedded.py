"""The runner inside a server: it follows whatever is accepted to its result, and tells webhooks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.notice import Told
from imeiflow.domain.order import JobState, ResultStatus
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.detachment import LaneKeeper
from imeiflow.operations.embedded import SERVER_STOPPED, EmbeddedRunner
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session
from imeiflow.operations.steering import resume_job
from imeiflow.operations.webhook import WebhookSettings
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.process import SimulatorProcess
from tests.jobs.receiver import SECRET, Receiver, open_receiver
from tests.operations.stand import ACCOUNT, add_draft, add_job, make_configuration, make_imei, open_session
from tests.rig import PATIENCE_S, FastClock
from tests.simulator.warm import start_simulator

COUNT = 12


@pytest.fixture
def simulator():
    with start_simulator(Behaviour.parse({"pending_for": "0.5", "process_for": "0"})) as started:
        yield started


@pytest.fixture
def session(tmp_path: Path):
    """Give a session whose provider nobody can reach."""
    with open_session(tmp_path / "home") as opened:
        yield opened


def open_server(tmp_path: Path, simulator: SimulatorProcess, receiver: Receiver | None = None) -> Session:
    """Open a session whose time runs fast, so that statuses are due again soon."""
    configuration = make_configuration(tmp_path / "home", simulator.base_url)
    if receiver is not None:
        webhook = WebhookSettings(
            name="shop",
            url=receiver.url,
            secret_env="SHOP_SECRET",
            events=frozenset({Told.JOB_FINISHED, Told.ORDER_COMPLETED}),
        )
        configuration = replace(configuration, webhooks=(webhook,), environ={"SHOP_SECRET": SECRET})
    session = Session.open(configuration)
    return Session(session.configuration, session.ledger, FastClock(20.0))


def order(session: Session, runner: EmbeddedRunner) -> JobId:
    """Add a running job whose results nobody asked to be waited for."""
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(1, COUNT + 1)])
    lock = session.job_lock(job)
    assert lock.acquire()
    runner.adopt(job, lock)
    return job


class Leaving:
    """A lane that is left, as its last job has ended, while somebody looks at it."""

    def __init__(self, keepers: dict[AccountName, Any]) -> None:
        self._keepers = keepers

    def view(self, _: JobId) -> None:
        """Show nothing."""
        self._keepers.clear()


def test_a_page_may_look_at_a_job_while_lanes_come_and_go(session):
    runner = EmbeddedRunner(session)
    keepers: dict[AccountName, Any] = runner._keepers  # type: ignore[assignment]
    keepers |= {AccountName(name): Leaving(keepers) for name in ("north", "south")}
    assert runner.view(JobId(1)) is None


async def serve_until(runner: EmbeddedRunner, is_so: Callable[[], bool]) -> None:
    """Run until something is so, then stop well."""
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - the ledger tells nobody
                await asyncio.sleep(0.05)
    finally:
        runner.stop()
        await running


def completed(session: Session, job: JobId) -> int:
    return session.ledger.status_counts(job).get(ResultStatus.COMPLETED, 0)


async def test_a_server_follows_every_accepted_order_also_of_jobs_whose_results_nobody_waits_for(tmp_path, simulator):
    with open_server(tmp_path, simulator) as session:
        changed: set[JobId] = set()
        runner = EmbeddedRunner(session, changed.update)
        job = order(session, runner)
        assert not session.find_job(job).follow_results
        await serve_until(runner, lambda: completed(session, job) == COUNT)
        assert session.find_job(job).state is JobState.FINISHED
        assert job in changed


async def test_a_job_of_one_call_is_counted_as_worked_on_from_its_begin(tmp_path):
    with start_simulator(Behaviour.parse({"latency": "1.2"})) as slow, open_server(tmp_path, slow) as session:
        runner = EmbeddedRunner(session)
        jobs: list[JobId] = []

        def has_ended() -> bool:
            if not jobs and runner.has_begun:
                jobs.append(order(session, runner))
            return bool(jobs) and session.find_job(jobs[0]).state is JobState.FINISHED

        await serve_until(runner, has_ended)
        assert session.find_job(jobs[0]).worked_s >= 0.5


async def test_a_server_that_starts_later_goes_on_where_another_process_has_left_the_orders(tmp_path, simulator):
    with open_server(tmp_path, simulator) as session:
        runner = EmbeddedRunner(session)
        job = order(session, runner)
        await serve_until(runner, lambda: session.find_job(job).state is JobState.FINISHED)
    with open_server(tmp_path, simulator) as session:
        changed: set[JobId] = set()
        await serve_until(EmbeddedRunner(session, changed.update), lambda: completed(session, job) == COUNT)
        assert session.ledger.count_open(job) == 0


async def test_a_server_tells_webhooks_of_jobs_and_of_results(tmp_path, simulator):
    async with open_receiver() as receiver:
        with open_server(tmp_path, simulator, receiver) as session:
            runner = EmbeddedRunner(session)
            order(session, runner)

            def told() -> bool:
                orders = [one for got in receiver.received for one in got.message["data"].get("orders", ())]
                return len(orders) == COUNT and "job.finished" in receiver.types

            await serve_until(runner, told)
        orders = [one for got in receiver.received for one in got.message["data"].get("orders", ())]
        assert {one["status"] for one in orders} == {"completed"}
        assert all(one["result"] for one in orders)


async def test_of_a_server_nobody_tells_webhooks_but_whom_people_can_ask_to(tmp_path, simulator):
    async with open_receiver() as receiver:
        with open_server(tmp_path, simulator, receiver) as session:
            runner = EmbeddedRunner(session)
            runner.run = runner._run  # type: ignore[method-assign] - it works, and its teller does not
            job = order(session, runner)
            await serve_until(runner, lambda: completed(session, job) == COUNT)
            assert session.ledger.deliveries() == []
        assert receiver.received == []


async def test_an_account_that_is_turned_away_is_asked_no_more_for_a_while(tmp_path, simulator):
    with open_server(tmp_path, simulator) as session:
        runner = EmbeddedRunner(session)
        job = order(session, runner)
        await serve_until(runner, lambda: session.find_job(job).state is JobState.FINISHED)
        names = dict(session.configuration.accounts)
        wrong = {name: replace(one, key="wrong-key") for name, one in names.items()}
        refused = Session(replace(session.configuration, accounts=wrong), session.ledger, session.clock)
        before = simulator.stats()["received"]
        runner = EmbeddedRunner(refused)
        seen: list[int] = []

        def is_left_alone() -> bool:
            seen.append(simulator.stats()["received"] - before)
            return seen[-1] > 0 and seen[-40:].count(seen[-1]) == 40

        await serve_until(runner, is_left_alone)
        assert seen[-1] <= 2
        assert completed(session, job) < COUNT


async def test_a_job_that_came_just_before_an_orderly_stop_goes_on_at_the_next_start(tmp_path: Path, simulator):
    session = open_server(tmp_path, simulator)
    with session.ledger:
        stopping = EmbeddedRunner(session)
        job = order(session, stopping)
        stopping.stop()
        await stopping.run()
        found = session.find_job(job)
        assert (found.state, found.reason) == (JobState.PAUSED, SERVER_STOPPED)
        await serve_until(EmbeddedRunner(session), lambda: session.find_job(job).state is JobState.FINISHED)


async def test_a_job_that_is_adopted_while_the_runner_looks_stays_held(session: Session):
    runner, loop = EmbeddedRunner(session), asyncio.get_running_loop()
    job = add_draft(session, [NewOrder(line=2, imei=make_imei(2))])
    lock = session.job_lock(job)
    assert lock.acquire()
    find = runner._find_due

    def find_while_it_starts():
        session.ledger.start_job(job)  # confirmed in a request's thread
        asyncio.run_coroutine_threadsafe(call(runner.adopt, job, lock), loop).result()
        return find()

    runner._find_due = find_while_it_starts  # type: ignore[method-assign]
    await runner._look()
    assert lock.is_held
    assert await asyncio.to_thread(recover_orphans, session) == []


async def test_a_job_that_a_lane_is_given_to_hold_while_it_looks_stays_held(session: Session):
    keeper, loop = LaneKeeper(session, session.configuration.accounts[ACCOUNT]), asyncio.get_running_loop()
    job = add_draft(session, [NewOrder(line=2, imei=make_imei(2))])
    lock = session.job_lock(job)
    assert lock.acquire()
    read = session.ledger.list_jobs

    def read_while_it_starts(**wanted):
        found = read(**wanted)
        session.ledger.start_job(job)
        asyncio.run_coroutine_threadsafe(call(keeper.hold, job, lock), loop).result()
        return found

    session.ledger.list_jobs = read_while_it_starts  # type: ignore[method-assign]
    await asyncio.to_thread(keeper._hold_jobs)
    assert lock.is_held


async def test_a_job_that_is_let_go_on_twice_stays_held(session: Session):
    """The second time its lock is not to be had: who has it keeps it."""
    keeper = LaneKeeper(session, session.configuration.accounts[ACCOUNT])
    job = add_job(session, [NewOrder(line=2, imei=make_imei(2))])
    lock = session.job_lock(job)
    assert lock.acquire()
    keeper.hold(job, lock)
    second = await asyncio.to_thread(resume_job, session, job)
    assert (second.was_running, second.lock.is_held) == (True, False)
    keeper.hold(job, second.lock)
    del lock
    assert not session.job_lock(job).is_free()
    runner = EmbeddedRunner(session)
    runner.adopt(job, second.lock)
    assert runner._adopted == {}


async def call(function: Callable[..., object], *values: object) -> None:
    function(*values)
