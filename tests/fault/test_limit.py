"""Rate limits said in every way, bans, and capacity that queues, refuses or resets: a matter of time, not of doubt.

Engine and server live in a time of their own that runs faster, so that waiting takes none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from imeiflow.domain.order import JobState
from imeiflow.simulator.answer import Refusal
from imeiflow.simulator.behaviour import Repeat
from imeiflow.simulator.limiter import RateKind
from tests.rig import FastClock, open_rig

TOTALS = {1: 40, 100: 400}
#: Ways of saying no that do not prove that nothing was placed, or that ask for a person first.
UNCLEAR = {Refusal.RESET, Refusal.JSON_BODY, Refusal.BUSY_BODY}


@pytest.mark.parametrize("chunk", TOTALS)
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("refusal", Refusal)
async def test_a_rate_limit_costs_time_only(tmp_path: Path, refusal: Refusal, repeats: Repeat, chunk: int):
    admits = 10 if chunk == 1 else 2
    behaviour = {
        "rate": "10/5s" if chunk == 1 else "2/10s",
        "rate_kind": RateKind.SLIDING,
        "rate_actions": ("placeorder",),
        "rate_refusal": refusal,
        "repeats": repeats,
    }
    clock = FastClock(0.5)  # until the first refusal: it has to come on a slow machine as well
    async with open_rig(tmp_path, behaviour, clock=clock) as rig:
        job = rig.add_job(TOTALS[chunk], chunk_size=chunk)
        rig.sim.site.watch(admits + 1, lambda: clock.run_at(80))
        if refusal in UNCLEAR and chunk == 100:  # what was refused is settled one by one, which takes long enough
            rig.sim.site.watch(5, lambda: rig.behave(rate=""))
        verdict = await rig.run_to_the_end(job)
        assert rig.sim.stats.refused["rate"] > 0
        if refusal not in UNCLEAR:
            assert rig.runs == 1
            assert verdict.count("accepted") == TOTALS[chunk]
        elif repeats is not Repeat.CHARGE:
            assert rig.repeats == 0


@pytest.mark.parametrize("kind", RateKind)
@pytest.mark.parametrize("refusal", [Refusal.CLOUDFLARE_403, Refusal.CLOUDFLARE_429, Refusal.RETRY_429])
async def test_a_ban_is_waited_for(tmp_path: Path, refusal: Refusal, kind: RateKind):
    behaviour = {
        "rate": "20/s",
        "rate_kind": kind,
        "ban_after": 3,
        "ban_within": 10.0,
        "ban_lasts": 5.0,
        "ban_refusal": refusal,
        "repeats": Repeat.CHARGE,
    }
    async with open_rig(tmp_path, behaviour, clock=FastClock(100)) as rig:
        job = rig.add_job(80, chunk_size=1)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("accepted") == 80


@pytest.mark.parametrize("chunk", TOTALS)
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize(
    "refusal", [Refusal.PLAIN_503, Refusal.RETRY_503, Refusal.BUSY_BODY, Refusal.CONNECTIONS_BODY, Refusal.RESET]
)
async def test_a_full_server_that_refuses_costs_no_order(tmp_path: Path, refusal: Refusal, repeats: Repeat, chunk: int):
    behaviour = {
        "capacity": 2,
        "capacity_queues": False,
        "capacity_refusal": refusal,
        "latency": "0.1",
        "repeats": repeats,
    }
    async with open_rig(tmp_path, behaviour, clock=FastClock(30)) as rig:
        job = rig.add_job(TOTALS[chunk], chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert verdict.count("refused", "failed", "cancelled") == 0
        if repeats is not Repeat.CHARGE:
            assert rig.repeats == 0
        if refusal in {Refusal.PLAIN_503, Refusal.RETRY_503}:
            assert verdict.count("accepted") == TOTALS[chunk]


@pytest.mark.parametrize("chunk", TOTALS)
@pytest.mark.parametrize("queue", [0, 4])
async def test_a_full_server_that_lets_wait_costs_no_order(tmp_path: Path, queue: int, chunk: int):
    behaviour = {"capacity": 2, "capacity_queue": queue, "latency": "0.1"}
    async with open_rig(tmp_path, behaviour, clock=FastClock(30)) as rig:
        job = rig.add_job(TOTALS[chunk], chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert verdict.count("accepted") == TOTALS[chunk]
