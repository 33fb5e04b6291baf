"""Errors of the account and of the service: the job pauses with the reason, and goes on where it stood."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.simulator.behaviour import CreditCheck, Lockout, Repeat
from tests.rig import ACCOUNT, PRICE, SERVICE, open_rig

TOTAL = 220


@pytest.mark.parametrize("chunk", [1, 100, None])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("check", CreditCheck)
async def test_when_the_credit_runs_out_the_job_pauses_and_goes_on_once_it_is_topped_up(
    tmp_path: Path, check: CreditCheck, repeats: Repeat, chunk: int | None
):
    behaviour = {"credit": PRICE * 107, "credit_check": check, "repeats": repeats}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(TOTAL, chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "credit" in rig.reason(job).lower()
        assert verdict.count("refused", "failed") == 0
        doubts = verdict.count("unconfirmed")
        if chunk == 1 or check is not CreditCheck.EACH:  # an error that names no order says nothing of several
            assert (doubts > 0) == (chunk != 1)
        rig.behave(credit=Decimal(1000))
        rig.resume(job)
        verdict = await rig.run_to_the_end(job)
        if repeats is Repeat.CHARGE and doubts:
            assert verdict.count("unconfirmed") == doubts
            assert rig.repeats == 1  # the probe
        else:
            assert verdict.count("accepted", "duplicate") == TOTAL
            assert rig.repeats == 0


async def test_orders_that_were_charged_before_the_credit_ended_within_their_call_are_not_ordered_again(tmp_path: Path):
    behaviour = {"credit": PRICE * 130, "credit_check": CreditCheck.SILENT, "repeats": Repeat.CHARGE}
    async with open_rig(tmp_path, behaviour) as rig:
        job = rig.add_job(200, chunk_size=100, max_concurrency=1, policy=Policy.HOLD)
        await rig.run(job)
        assert len(rig.sim.book) == 130
        assert (rig.count(job, OrderState.ACCEPTED), rig.count(job, OrderState.UNCONFIRMED)) == (100, 100)
        rig.behave(credit=Decimal(1000))
        rig.resume(job)
        await rig.run(job)
        assert rig.repeats == 0
        assert len(rig.sim.book) == 130


async def test_a_credit_error_for_a_single_order_is_a_definite_no(tmp_path: Path):
    async with open_rig(tmp_path, {"credit": PRICE * 3, "credit_check": CreditCheck.SILENT}) as rig:
        job = rig.add_job(10, chunk_size=1, max_concurrency=1)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert (verdict.count("accepted"), verdict.count("queued")) == (3, 7)


async def test_credit_that_ends_says_nothing_about_the_number_of_imeis_a_call(tmp_path: Path):
    async with open_rig(tmp_path, {"credit": PRICE * 101}) as rig:
        job = rig.add_job(300)
        await rig.run(job)
        rig.behave(credit=Decimal(1000))
        rig.resume(job)
        await rig.run_to_the_end(job)
        learned = [one.value for one in rig.ledger.learned(ACCOUNT)]
        assert (100, None) in [(one.get("size"), one.get("failed")) for one in learned]


@pytest.mark.parametrize("chunk", [1, 100])
@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize("lockout", [kind for kind in Lockout if kind is not Lockout.NONE])
async def test_an_error_of_the_account_pauses_at_once_and_costs_nothing(
    tmp_path: Path, lockout: Lockout, repeats: Repeat, chunk: int
):
    async with open_rig(tmp_path, {"lockout": lockout, "lockout_from": 3, "repeats": repeats}) as rig:
        job = rig.add_job(TOTAL * chunk if chunk == 1 else TOTAL * 3, chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert rig.reason(job)
        assert verdict.count("accepted") == 2 * chunk
        total = rig.summary(job).tally.total
        doubts = verdict.count("unconfirmed")
        assert verdict.count("accepted", "queued") == total - doubts
        assert (doubts > 0) == (lockout is Lockout.CREDIT and chunk == 100)  # it may have ended within the call
        rig.behave(lockout=Lockout.NONE)
        rig.resume(job)
        verdict = await rig.run(job)
        held = doubts if repeats is Repeat.CHARGE else 0
        assert (verdict.count("accepted"), verdict.count("unconfirmed")) == (total - held, held)


@pytest.mark.parametrize("chunk", [1, 100, None])
async def test_a_closed_service_pauses_the_job(tmp_path: Path, chunk: int | None):
    async with open_rig(tmp_path, {"closed_services": (SERVICE,)}) as rig:
        job = rig.add_job(TOTAL, chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "network" in rig.reason(job).lower()
        assert not len(rig.sim.book)
        rig.behave(closed_services=())
        rig.resume(job)
        verdict = await rig.run_to_the_end(job)
        if chunk != 1:  # one error for several proves nothing, and no accepted order is old enough to learn from
            assert verdict.count("unconfirmed") + verdict.count("accepted") == TOTAL
        else:
            assert verdict.count("accepted", "duplicate") == TOTAL


async def test_a_closed_service_does_not_stop_the_jobs_of_another(tmp_path: Path):
    closed = ServiceId("2")
    async with open_rig(tmp_path, {"latency": "0.01", "closed_services": (closed,)}) as rig:
        job = rig.add_job(TOTAL, chunk_size=1)
        refused, waiting = (rig.add_job(5, chunk_size=1, service=closed) for _ in range(2))
        await rig.run()
        assert rig.state(job) is JobState.FINISHED
        assert rig.state(refused) is rig.state(waiting) is JobState.PAUSED


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_and_pauses_the_job(tmp_path: Path, status: int):
    async with open_rig(tmp_path, {"redirect": status}) as rig:
        job = rig.add_job(TOTAL)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert "redirect" in rig.reason(job)
        assert verdict.count("queued", "unconfirmed") == TOTAL
        assert (verdict.count("unconfirmed") > 0) == (status == 302)  # it may come after the work
        assert rig.sim.stats.redirects_followed == 0


def test_a_wrong_key_pauses_the_job_and_does_not_stand_in_the_ledger(tmp_path: Path):
    asyncio.run(use_a_wrong_key(tmp_path))
    assert b"what-is-new" not in b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))


async def use_a_wrong_key(tmp_path: Path) -> None:
    async with open_rig(tmp_path, {"api_key": "what-is-right"}) as rig:
        job = rig.add_job(20)
        rig.behave(api_key="what-is-new")
        runner = rig.runner()
        rig.behave(api_key="what-is-right")
        await runner.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert rig.judge().count("queued") == 20
