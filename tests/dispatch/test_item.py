"""File orders and server orders: the same ledger, the same promise, one order a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.item import FileItem, Item, OrderKind, ServerItem
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.errors import GuardError
from imeiflow.ledger.record import JobDraft, PricedService
from imeiflow.operations.item_order import name_columns
from tests.rig import ACCOUNT, IMPATIENT, SETTINGS, Rig, open_rig, work

S = OrderState
FILES = [FileItem(f"phone-{number}.ask", f"request {number}".encode()) for number in range(5)]
FIELDS = [ServerItem({"email_951": f"shop{number}@example.com", "quantity_951": "2"}) for number in range(5)]
BOTH = pytest.mark.parametrize(
    ("service", "price", "items"), [("902", "3.75", FILES), ("951", "2.10", FIELDS)], ids=["file", "server"]
)


def add_job(rig: Rig, service: str, price: str, items: Sequence[Item], **values: Any) -> JobId:
    base: dict[str, Any] = {"account": ACCOUNT, "provider": "gsm-fusion", "service": ServiceId(service)}
    base |= {"unit_price": Decimal(price), "currency": "USD", "policy": Policy.HOLD, "chunk_size": 1}
    job = rig.ledger.create_draft(JobDraft(**{**base, "kind": items[0].kind, **values}))
    rig.ledger.add_items(job, dict(enumerate(items, 1)), name_columns(items))
    rig.ledger.start_job(job)
    return job


@BOTH
async def test_each_is_placed_once_and_charged_once(tmp_path: Path, service: str, price: str, items: list[Item]):
    async with open_rig(tmp_path) as rig:
        job = add_job(rig, service, price, items)
        verdict = await rig.run(job)
        assert rig.count(job, S.ACCEPTED) == 5
        assert [row.value for row in rig.rows(job)] == [item.subject for item in items]
        assert verdict.charged == verdict.spent == 5 * Decimal(price)
        assert len({row.reference for row in rig.rows(job)}) == 5


@BOTH
@pytest.mark.parametrize("fault", ["reset:after", "cut-xml:after", "500:after", "empty:before"])
async def test_one_whose_reply_was_lost_is_held_and_never_sent_again(
    tmp_path: Path, service: str, price: str, items: list[Item], fault: str
):
    async with open_rig(tmp_path, {"faults": (f"{fault}@100%",), "fault_actions": ("all",)}, timeouts=IMPATIENT) as rig:
        job = add_job(rig, service, price, items)
        await rig.run_to_the_end(job, resumes=3)
        assert rig.count(job, S.UNCONFIRMED) > 0
        assert rig.count(job, S.UNCONFIRMED) + rig.count(job, S.QUEUED) == 5
        assert rig.repeats == 0
        assert all(row.attempts <= 1 for row in rig.rows(job))


async def test_an_error_of_the_credit_pauses_the_job_and_nothing_more_is_sent(tmp_path: Path):
    async with open_rig(tmp_path, {"credit": Decimal(8)}) as rig:
        job = add_job(rig, "902", "3.75", FILES, max_concurrency=1)
        await rig.run(job)
        assert rig.state(job) is JobState.PAUSED
        assert (rig.count(job, S.ACCEPTED), rig.count(job, S.QUEUED)) == (2, 3)


async def test_the_spending_cap_holds(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        job = add_job(rig, "902", "3.75", FILES, max_spend=Decimal(8))
        verdict = await rig.run(job)
        assert rig.count(job, S.ACCEPTED) == 2
        assert verdict.charged == Decimal("7.50")


async def test_an_item_comes_back_from_the_ledger_as_it_went_in(tmp_path: Path):
    items: list[Item] = [FileItem("ü.ask", bytes(range(256))), FIELDS[0]]
    async with open_rig(tmp_path) as rig:
        jobs = [add_job(rig, "902", "1", [item]) for item in items]
        kept = [rig.ledger.find_item(rig.rows(job)[0].id) for job in jobs]
        assert kept == items
        assert [rig.ledger.find_job(job).kind for job in jobs] == [OrderKind.FILE, OrderKind.SERVER]  # type: ignore[union-attr]


async def test_a_job_takes_items_of_its_own_kind_only(tmp_path: Path):
    async with open_rig(tmp_path) as rig:
        with pytest.raises(GuardError, match="file orders takes no others"):
            add_job(rig, "902", "3.75", [FILES[0], FIELDS[0]])


@BOTH
async def test_a_rise_pauses_the_job_before_anything_is_sent_and_only_a_list_of_its_kind_is_asked_for(
    tmp_path: Path, service: str, price: str, items: list[Item]
):
    watched = replace(SETTINGS, price_max_age_s=300.0)
    async with open_rig(tmp_path, {"price_change": (f"{service}=5.00@0",)}, settings=watched) as rig:
        job = add_job(rig, service, price, items)
        verdict = await rig.run(job)
        assert (rig.state(job), verdict.charged) == (JobState.PAUSED, 0)
        assert f"the price of service {service} rose from ${price} to $5.00: the 5 that wait" in rig.reason(job)
        kind = items[0].kind
        asked = {one: rig.sim.stats.actions[f"{one.value}services"] for one in OrderKind}
        assert asked == {one: int(one is kind) for one in OrderKind}
        rig.ledger.accept_price(job, Decimal("5.00"))
        rig.resume(job)
        verdict = await rig.run(job)
        assert (rig.state(job), verdict.charged) == (JobState.FINISHED, 5 * Decimal("5.00"))
        assert {row.price for row in rig.rows(job)} == {Decimal("5.00")}


async def test_jobs_of_several_kinds_are_each_held_to_the_list_of_their_own(tmp_path: Path):
    """An id that is another kind's too: what it costs there is nobody's price here."""
    watched = replace(SETTINGS, price_max_age_s=300.0)
    async with open_rig(tmp_path, {"price_change": ("902=3.00@0", "951=9.00@0")}, settings=watched) as rig:
        files, fields = add_job(rig, "902", "3.75", FILES), add_job(rig, "951", "2.10", FIELDS)
        dear = [
            PricedService(id=ServiceId(one), name="a check", price=Money(Decimal(99), "USD")) for one in ("902", "951")
        ]
        rig.ledger.record_prices(ACCOUNT, dear)
        async with rig.engine() as engine:
            await work(engine)
        assert (rig.state(files), rig.state(fields)) == (JobState.FINISHED, JobState.PAUSED)
        assert "rose from $2.10 to $9.00" in rig.reason(fields)
        assert {row.price for row in rig.rows(files)} == {Decimal("3.00")}
        assert rig.judge().charged == 5 * Decimal("3.00")
