"""Following a job: what is left behind when the lane breaks, and what progress says of a job worked elsewhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import LedgerFullError
from imeiflow.jobs.runner import Runner
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.follow import Follower
from imeiflow.operations.session import Session
from imeiflow.simulator import Behaviour
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import add_job, make_configuration, make_imei
from tests.simulator.warm import start_simulator


@pytest.fixture(scope="module")
def simulator():
    with start_simulator() as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, simulator: SimulatorProcess):
    with Session.open(make_configuration(tmp_path / "home", simulator.base_url)) as opened:
        yield opened


def make_follower(session: Session, count: int = 20) -> Follower:
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(1, count + 1)])
    lock = session.job_lock(job)
    assert lock.acquire()
    return Follower(session, job, lock=lock)


async def test_a_job_is_followed_to_its_end_and_its_time_is_counted(session: Session):
    follower = make_follower(session)
    assert follower.progress().tally.waiting == 20
    followed = await follower.run()
    assert (followed.summary.state, followed.was_interrupted, followed.is_left_running) == (
        JobState.FINISHED,
        False,
        False,
    )
    assert followed.summary.seconds > 0
    assert session.job_lock(followed.summary.job).is_free()


async def test_whoever_only_looks_on_counts_what_settled_doubts_were_charged(tmp_path: Path):
    behaviour = Behaviour.parse({"faults": "reset:after@#1"})
    with start_simulator(behaviour) as simulator:
        configuration = make_configuration(tmp_path / "home", simulator.base_url)
        with Session.open(configuration) as session:
            follower = make_follower(session)
            summary = (await follower.run()).summary
            assert summary.tally[OrderState.DUPLICATE] > 0
            seen = Follower(session, summary.job, lock=session.job_lock(summary.job)).progress()
            assert seen.view is None
            assert (seen.spent, seen.probed) == (summary.spent, summary.probed)
            assert summary.spent == Money(Decimal("1.60"), "USD")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("secret"), "an error of ours: RuntimeError"),
        (LedgerFullError(path="x"), "There is no room left for the ledger x"),
    ],
)
async def test_when_the_lane_breaks_the_job_is_paused_with_the_reason(session: Session, error, reason):
    class Broken(Runner):
        async def run(self, job=None) -> None:  # noqa: ARG002
            raise error

    follower = make_follower(session)
    follower._runner.__class__ = Broken
    with pytest.raises(type(error)):
        await follower.run()
    found = session.find_job(follower.progress().job.id)
    assert found.state is JobState.PAUSED
    assert found.reason == reason  # a sentence's end is whose words it becomes part of


async def test_interrupted_before_it_works_it_pauses_and_loses_nothing(session: Session):
    follower = make_follower(session)
    assert follower.interrupt() == 1
    followed = await follower.run()
    assert followed.was_interrupted
    assert followed.summary.state is JobState.PAUSED
    tally = followed.summary.tally
    assert tally.total == 20
    assert tally[OrderState.SENDING] == tally[OrderState.UNCONFIRMED] == 0
