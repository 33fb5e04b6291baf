"""A scene of crime: a ledger with one job, a simulated provider in a process of its own, workers to be killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.doubt import MOMENT
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.simulator import SimulatorProcess
from tests.crash.nursery import Errand, Nursery
from tests.judge import Verdict, judge
from tests.mould import cast_ledger
from tests.rig import ACCOUNT, PRICE, SERVICE, SETTINGS, make_behaviour, make_imei
from tests.simulator.warm import start_simulator

#: When the earliest and the latest of the orders of a state were first sent, in microseconds.
_FIRST_ATTEMPTS = """
    SELECT CASE state WHEN 'duplicate' THEN 'accepted' ELSE state END AS kind, min(first), max(first) FROM (
        SELECT orders.state AS state, min(attempt.started_at) AS first FROM orders
        JOIN attempt_order ON attempt_order.order_id = orders.id JOIN attempt ON attempt.id = attempt_order.attempt_id
        GROUP BY orders.id
    ) GROUP BY kind
"""


@dataclass
class Scene:
    """One job that is worked on by one worker after another. No ledger is open here while one works."""

    home: Path
    sim: SimulatorProcess
    nursery: Nursery
    job: JobId
    total: int
    kills: int = 0
    patience_s: float = SETTINGS.settle_patience_s  #: of its workers; where doubt may be held, less will do

    def errand(self, **ending: Any) -> Errand:
        """Make the errand of a worker with the ending that it takes."""
        return Errand(str(self.home), self.sim.base_url, patience_s=self.patience_s, **ending)

    def kill(self, **ending: Any) -> bool:
        """Run a worker that is to be killed, and compare; False when it ended by itself before."""
        status = self.nursery.run(self.errand(**ending))
        assert status in {0, -9}
        self.judge(is_abandoned=True)
        self.kills += status == -9
        return status == -9

    def finish(self) -> Verdict:
        """Run workers undisturbed, resuming the job as a user would, until nothing more changes."""
        for _ in range(20):
            assert self.nursery.run(self.errand()) == 0
            verdict = self.judge()
            if self.state is JobState.FINISHED:
                return verdict
            self.resume()
        raise AssertionError(f"the job does not end: {self.state}")

    def judge(self, *, is_abandoned: bool = False) -> Verdict:
        """Compare ledger and book, order by order."""
        ledger = self.home / "ledger.db"
        calls = self.sim.stats()["actions"].get("placeorder", 0)
        return judge(ledger, self.sim.book(), placing_calls=calls, is_abandoned=is_abandoned)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Open the ledger, as another process would."""
        with Ledger.open(self.home / "ledger.db", clock=SteadyClock().now) as ledger:
            yield ledger

    @property
    def state(self) -> JobState:
        """Give the state of the job."""
        with self.ledger() as ledger:
            return ledger.summary(self.job).state

    def holds_only_what_nothing_covers(self) -> bool:
        """Say whether each doubt is older than what the refusal of any accepted order could reach at its earliest."""
        with closing(sqlite3.connect(self.home / "ledger.db")) as connection:
            begun = {state: (first, last) for state, first, last in connection.execute(_FIRST_ATTEMPTS)}
        reach_us = MOMENT / timedelta(microseconds=1)
        return begun["unconfirmed"][1] < begun["accepted"][0] - reach_us

    def resume(self) -> None:
        """Resume the job where it is paused or finished with something left to do."""
        with self.ledger() as ledger:
            ledger.change_job(self.job, {JobState.PAUSED, JobState.FINISHED}, JobState.RUNNING, None)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where all workers of a test process come from."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def make_scene(tmp_path: Path, nursery: Nursery) -> Iterator[Callable[..., Scene]]:
    """Make a scene of `total` orders; `values` go to the job's draft, `behaviour` to the simulated provider."""
    sims: list[SimulatorProcess] = []

    def make(total: int, behaviour: dict[str, Any] | None = None, **values: Any) -> Scene:
        sims.append(start_simulator(make_behaviour(behaviour)))
        base: dict[str, Any] = {"account": ACCOUNT, "provider": "gsm-fusion", "service": SERVICE, "currency": "USD"}
        with Ledger.open(cast_ledger(tmp_path / "ledger.db"), clock=SteadyClock().now) as ledger:
            job = ledger.create_draft(JobDraft(**{**base, "unit_price": PRICE, **values}))
            ledger.add_orders(job, [NewOrder(line=line, imei=make_imei(line)) for line in range(total)])
            ledger.start_job(job)
        return Scene(tmp_path, sims[-1], nursery, job, total)

    yield make
    for sim in sims:
        sim.stop()
