"""Servers that do not take the chunks they are sent: cut silently, refused, spoiled by one bad IMEI."""

from __future__ import annotations

from pathlib import Path

import pytest

from imeiflow.domain.order import JobState, OrderState
from imeiflow.simulator.behaviour import BadImei, Cut, Repeat
from tests.rig import PRICE, make_imei, open_rig

TOTAL = 130
#: What a wrong guess may bring into doubt: one call of the full size, the pair before it, the narrowing after it.
RISK = 100 + 2 + 50 + 25


@pytest.mark.parametrize("chunk", [1, 100, None])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("is_placed", [False, True], ids=["lost", "placed-untold"])
@pytest.mark.parametrize(
    ("cut", "limit"), [(Cut.LAST, 1), (Cut.FIRST, 1), (Cut.FIRST, 7), (Cut.LAST, 50), (Cut.FIRST, 99)]
)
async def test_a_chunk_that_is_cut_silently_loses_nothing(
    tmp_path: Path, *, cut: Cut, limit: int, is_placed: bool, repeats: Repeat, chunk: int | None
):
    behaviour = {"chunk_limit": limit, "chunk_cut": cut, "cut_placed": is_placed, "repeats": repeats}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(TOTAL, chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("queued", "refused", "failed") == 0
        if repeats is Repeat.CHARGE:
            assert rig.repeats <= 1
            assert chunk == 100 or rig.count(job, OrderState.UNCONFIRMED) <= RISK
        else:
            assert rig.repeats == 0
            assert verdict.count("accepted", "duplicate") == TOTAL == len(rig.sim.book)
            assert rig.ledger.spending(job).amount == TOTAL * PRICE


@pytest.mark.parametrize("chunk", [1, 100, None])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize(
    "words", ["Maximum IMEI limit exceeded!", "At most 50 IMEIs in one call", "Something went wrong"]
)
@pytest.mark.parametrize("limit", [1, 50])
async def test_a_chunk_that_is_refused_loses_nothing(
    tmp_path: Path, limit: int, words: str, repeats: Repeat, chunk: int | None
):
    behaviour = {"chunk_max": limit, "chunk_max_error": words, "repeats": repeats}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(TOTAL, chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("queued", "refused", "failed") == 0
        assert rig.repeats <= (repeats is Repeat.CHARGE)
        if chunk is None:
            assert rig.count(job, OrderState.UNCONFIRMED) <= (RISK if repeats is Repeat.CHARGE else 0)
            assert verdict.count("accepted", "duplicate") >= TOTAL - RISK


@pytest.mark.parametrize("chunk", [1, 100, None])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("manner", BadImei)
async def test_a_bad_imei_costs_its_neighbours_nothing(
    tmp_path: Path, manner: BadImei, repeats: Repeat, chunk: int | None
):
    bad = [make_imei(serial) for serial in (3, 20, 21)]
    behaviour = {"bad_imei": manner, "bad_imeis": tuple(bad), "repeats": repeats}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(TOTAL, chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        states = {line.imei: line.state for line in verdict.lines}
        assert {states[imei] for imei in bad} <= {"refused", "unconfirmed"}
        if manner is BadImei.EACH or chunk == 1:
            assert verdict.count("refused") == len(bad)
            assert verdict.count("accepted") == TOTAL - len(bad)
        elif repeats is not Repeat.CHARGE:
            assert verdict.count("accepted", "duplicate") == TOTAL - len(bad) == len(rig.sim.book)
