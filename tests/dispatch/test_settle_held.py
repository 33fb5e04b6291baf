"""A call that settles doubt and is held back, for the provider refused another while its intent was written.

Its turn comes again, and what allows it is looked at once more then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imeiflow.dispatch.engine import Engine
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.change import AttemptKind
from imeiflow.simulator.behaviour import Repeat
from tests.rig import FastClock, Rig, open_rig, work

DOUBT = {"repeats": Repeat.REFUSE_OPEN, "process_for": "0", "faults": ("reset:after@#3",)}


class NotingLedger:
    """Notes of which kind each intent is."""

    def __init__(self, inner: Any) -> None:
        self.kinds: list[AttemptKind] = []
        self._inner = inner

    async def intend(self, intent: Any) -> Any:
        attempt = await self._inner.intend(intent)
        self.kinds.append(intent.kind)
        return attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@asynccontextmanager
async def open_engine(
    rig: Rig, held: AttemptKind, meanwhile: Callable[[Engine], None] = lambda _: None
) -> AsyncIterator[tuple[Engine, list[AttemptKind]]]:
    """Give an engine whose lane holds the first call of a kind back, and what it has recorded of settling calls."""
    ledger = NotingLedger(rig.ledger)
    async with rig.engine(ledger=ledger) as engine:
        lane, was_held = engine.desk.lane, False
        leave = lane.leave

        def hold_first(now: float, call: Any) -> bool:
            nonlocal was_held
            if ledger.kinds[-1] is not held or was_held:
                return leave(now, call)
            was_held = True
            meanwhile(engine)
            return False

        lane.leave = hold_first  # type: ignore[method-assign]
        yield engine, ledger.kinds
        assert was_held
        assert lane.in_flight == 0


def outcomes(rig: Rig) -> list[list[str]]:
    """List what came of the attempts of each order that was in doubt."""
    tries = [[one.outcome for one in line.tries] for line in rig.judge().lines]
    return [said for said in tries if "unconfirmed" in said]


@pytest.mark.parametrize("held", [AttemptKind.PROBE])
async def test_its_turn_comes_again(tmp_path: Path, held: AttemptKind):
    async with open_rig(tmp_path, {**DOUBT, "pending_for": "36000"}, clock=FastClock(10)) as rig:
        job = rig.add_job(10, chunk_size=1)
        async with open_engine(rig, held) as (engine, kinds):
            await work(engine)
        assert kinds.count(held) >= 2
        assert rig.count(job, OrderState.UNCONFIRMED) == 0
        assert rig.repeats == 0
        [said] = outcomes(rig)
        # On a slow machine what the probe showed may be too old by the doubt's turn, and it is asked once more.
        assert [one for one in said if one != "unsent"] == ["unconfirmed", "duplicate"]


@pytest.mark.parametrize("held", [AttemptKind.PROBE])
async def test_where_a_stop_comes_meanwhile_it_is_not_made_and_the_job_ends(tmp_path: Path, held: AttemptKind):
    def stop(engine: Engine) -> None:
        engine.stop(pause="the machine goes down")

    async with open_rig(tmp_path, {**DOUBT, "pending_for": "36000"}, clock=FastClock(10)) as rig:
        job = rig.add_job(10, chunk_size=1)
        async with open_engine(rig, held, stop) as (engine, kinds):
            await work(engine)
        assert kinds.count(held) == 1
        assert rig.state(job) is JobState.PAUSED
        assert rig.count(job, OrderState.ACCEPTED) == 9
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert rig.repeats == 0


async def test_a_probe_is_not_made_where_the_cap_leaves_no_room_for_it_any_more(tmp_path: Path):
    """While it is held back, nothing is held back for it."""

    def spend(engine: Engine) -> None:
        [job] = engine.desk.works.values()
        job.capped += Decimal("0.20")

    async with open_rig(tmp_path, {**DOUBT, "pending_for": "36000"}, clock=FastClock(10)) as rig:
        job = rig.add_job(10, chunk_size=1, max_spend=Decimal("1.00"))
        async with open_engine(rig, AttemptKind.PROBE, spend) as (engine, kinds):
            await work(engine)
        assert kinds.count(AttemptKind.PROBE) == 1
        assert rig.count(job, OrderState.UNCONFIRMED) == 1
        assert "the spending cap leaves no room for a repeat probe" in rig.reason(job)


async def test_doubts_that_are_being_settled_count_as_calls_that_are_still_to_be_made(tmp_path: Path):
    """Else their pace would never grow: nothing more is tried near the end."""
    left: list[float] = []

    def note(engine: Engine) -> None:
        engine.desk.tell_lane()
        left.append(engine.desk.lane.pace.growth.calls_left)

    behaviour = {**DOUBT, "faults": ("reset:after@#3,5",), "pending_for": "36000"}
    async with open_rig(tmp_path, behaviour, clock=FastClock(10)) as rig:
        rig.add_job(10, chunk_size=1)
        async with open_engine(rig, AttemptKind.PROBE, note) as (engine, _):
            await work(engine)
    assert left == [2]
