"""Replies that are lost in every way, before and after the work: whatever happens, ledger and book agree.

Where repeats are refused, every doubt is settled in the end; where they are charged, one repeat is the whole loss.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.providers.contract import Timeouts
from imeiflow.simulator.behaviour import Repeat
from imeiflow.simulator.fault import FaultKind, Moment
from tests.rig import IMPATIENT, PRICE, TIMEOUTS, Rig, open_rig

ONE_BY_ONE, BY_HUNDREDS = 1, 100
SIZES = {ONE_BY_ONE: 40, BY_HUNDREDS: 120}  #: orders of a job, by its chunk size
HIT = {ONE_BY_ONE: "#2,9,17", BY_HUNDREDS: "#2"}  #: the calls whose replies are lost: fewer than trip the breaker
STORM = {ONE_BY_ONE: 100, 7: 180, BY_HUNDREDS: 700, None: 500}
REFUSING = (Repeat.REFUSE, Repeat.REFUSE_OPEN)

#: A page that says "busy" is taken for a refusal at the door: it is no lost reply, unless the server lies.
LOSSES = [
    (kind, moment) for kind in FaultKind for moment in Moment if (kind, moment) != (FaultKind.HTML_503, Moment.AFTER)
]


@pytest.mark.parametrize("chunk", SIZES)
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize(("kind", "moment"), LOSSES)
async def test_a_lost_reply_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path, kind: FaultKind, moment: Moment, repeats: Repeat, chunk: int
):
    behaviour = {"faults": (f"{kind}:{moment}@{HIT[chunk]}",), "repeats": repeats}
    async with open_rig(tmp_path, behaviour, timeouts=choose_timeouts(kind)) as rig:
        job = rig.add_job(SIZES[chunk], chunk_size=chunk)
        verdict = await rig.run(job)
        assert sum(rig.sim.stats.faults.values()) == HIT[chunk].count(",") + 1
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("queued", "refused", "failed", "cancelled") == 0
        if repeats in REFUSING or kind is FaultKind.HTML_503:
            check_all_placed(rig, job)
        else:
            check_doubt_is_held(rig, job, sum(line.tries[0].outcome == "unconfirmed" for line in verdict.lines))


def choose_timeouts(kind: FaultKind) -> Timeouts:
    """Wait shortly for what never comes, and long for everything else, however busy the machine is."""
    return IMPATIENT if kind is FaultKind.HANG else TIMEOUTS


def check_all_placed(rig: Rig, job: JobId) -> None:
    """Every order is placed once, and every doubt is settled."""
    total = rig.summary(job).tally.total
    assert rig.count(job, OrderState.ACCEPTED) + rig.count(job, OrderState.DUPLICATE) == total
    assert len(rig.sim.book) == total
    assert rig.repeats == 0
    assert rig.ledger.spending(job).amount == total * PRICE


def check_doubt_is_held(rig: Rig, job: JobId, lost: int) -> None:
    """What the lost calls carried is held, and one probe was charged and reported."""
    summary = rig.summary(job)
    assert rig.count(job, OrderState.UNCONFIRMED) == lost > 0
    assert "repeats are charged here" in (summary.reason or "")
    assert str(PRICE) in (summary.reason or "")
    assert rig.repeats == 1
    assert summary.spent is not None
    assert summary.spent.amount == (summary.tally.total - lost + 1) * PRICE


@pytest.mark.parametrize("chunk", SIZES)
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("moment", Moment)
async def test_a_doubt_that_is_to_be_held_is_never_sent_again(
    tmp_path: Path, moment: Moment, repeats: Repeat, chunk: int
):
    behaviour = {"faults": (f"reset:{moment}@{HIT[chunk]}",), "repeats": repeats}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(SIZES[chunk], chunk_size=chunk, policy=Policy.HOLD)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert rig.count(job, OrderState.UNCONFIRMED) > 0
        assert all(len(line.tries) == 1 for line in verdict.lines)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("chunk", STORM)
@pytest.mark.parametrize("repeats", Repeat)
async def test_a_storm_of_all_faults_at_once_ends_true(tmp_path: Path, repeats: Repeat, chunk: int | None, seed: int):
    """Every kind hits one call in a hundred or more, the probes and what is sent again among them."""
    faults = tuple(f"{kind}:{moment}@1%" for kind, moment in LOSSES if kind is not FaultKind.HANG)
    behaviour = {"faults": faults, "repeats": repeats, "seed": seed}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(STORM[chunk], chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert sum(rig.sim.stats.faults.values()) > 0
        if rig.state(job) is JobState.FINISHED:
            assert verdict.count("queued") == 0
        if repeats in REFUSING:
            assert rig.repeats == 0


@pytest.mark.parametrize("chunk", SIZES)
@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.HANG, FaultKind.EMPTY, FaultKind.HTML_502])
async def test_when_every_reply_is_lost_the_job_pauses_and_holds(tmp_path: Path, kind: FaultKind, chunk: int):
    async with open_rig(tmp_path, {"faults": (f"{kind}:after@100%",)}, timeouts=choose_timeouts(kind)) as rig:
        job = rig.add_job(chunk * 20, chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "no clear answer" in rig.reason(job)
        assert verdict.count("unconfirmed") == len(rig.sim.book)
        assert rig.repeats == 0


async def test_a_bare_503_after_the_work_is_not_paid_twice(tmp_path: Path):
    behaviour = {"faults": (f"{FaultKind.HTML_503}:after@#5",), "repeats": Repeat.CHARGE, "latency": "0.3"}
    async with open_rig(tmp_path, behaviour, timeouts=Timeouts(read_s=5)) as rig:
        await rig.run(rig.add_job(30, chunk_size=1))
