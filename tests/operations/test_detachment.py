"""A runner that survives its terminal: it says when it is ready, or why it is not, and nobody seems orphaned."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from imeiflow.domain.order import JobState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.detachment import STOPPED, DetachError, LaneKeeper, start_detached
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import add_job, make_configuration, make_imei
from tests.simulator.warm import start_simulator


@pytest.fixture
def simulator():
    with start_simulator(Behaviour.parse({"latency": "0.2"})) as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, simulator: SimulatorProcess):
    with Session.open(make_configuration(tmp_path / "home", simulator.base_url)) as opened:
        yield opened


async def test_it_works_until_no_job_runs_and_answers_for_the_jobs_meanwhile(session: Session, tmp_path: Path):
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(1, 301)], chunk_size=10)
    keeper = LaneKeeper(session, session.configuration.choose_account(None))
    ready = asyncio.Event()
    running = asyncio.create_task(keeper.run(ready))
    await ready.wait()
    with Session.open(session.configuration) as other:
        assert not other.job_lock(job).is_free()
        assert await asyncio.to_thread(recover_orphans, other) == []
    await running
    found = session.find_job(job)
    assert found.state is JobState.FINISHED
    assert found.worked_s > 0
    assert session.job_lock(job).is_free()


async def test_told_to_stop_it_lets_calls_end_and_pauses_the_jobs_with_the_reason(session: Session):
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(1, 2001)], chunk_size=10)
    keeper = LaneKeeper(session, session.configuration.choose_account(None))
    ready = asyncio.Event()
    running = asyncio.create_task(keeper.run(ready))
    await ready.wait()
    keeper.stop()
    await running
    found = session.find_job(job)
    assert (found.state, found.reason) == (JobState.PAUSED, STOPPED)
    tally = session.ledger.tally(job)
    assert tally.total == 2000
    assert session.ledger.summary(job).as_dict()["sending"] == 0


def test_a_runner_that_cannot_start_says_why(session: Session, tmp_path: Path, monkeypatch):
    for name in ("GSM_FUSION_BASE_URL", "GSM_FUSION_USERNAME", "GSM_FUSION_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    account = replace(session.configuration.choose_account(None), key="secret-key-1234")
    with pytest.raises(DetachError, match="no account of this name") as caught:
        start_detached(session, account)
    assert "imeiflow resume" in caught.value.remedy
    assert "secret-key-1234" not in str(caught.value)


def test_a_runner_whose_log_cannot_be_opened_says_so(session: Session):
    (session.configuration.home / "log").write_text("in the way")
    with pytest.raises(DetachError, match="File exists"):
        start_detached(session, session.configuration.choose_account(None))
