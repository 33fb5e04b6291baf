"""Which accepted orders can be repeated to learn something: those that are the newest of their IMEI."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.placed import select_before, select_newest, select_oldest, select_oldest_of_job
from imeiflow.ledger.record import JobDraft, NewOrder
from tests.ledger.conftest import ACCOUNT, SERVICE, Clock, Desk, make_imei

S = OrderState
NOBODY = AttemptId(0)


@pytest.fixture
async def placed(desk: Desk) -> Desk:
    """Give a desk whose first two orders are accepted, an hour ago."""
    for position in (0, 1):
        reference = Reference(f"R{position}")
        await desk.end(await desk.send(position), desk.change(position, S.ACCEPTED, reference=reference))
    desk.clock.move(hours=1)
    return desk


def order_again(desk: Desk, add_job: Callable[..., JobId], **values: object) -> Desk:
    """Order the same IMEIs in another job, and give the desk of that."""
    job = add_job(**values)
    return Desk(desk.ledger, desk.clock, job, desk.token, desk.ledger.queued_orders(job))


def candidates(desk: Desk) -> set[OrderId]:
    """List the orders of the desk's job that could be repeated; the ledger must say one thing whatever it is asked."""
    ledger, soon = desk.ledger, desk.clock() + timedelta(days=1)
    newest = {order.id for order in desk.orders if ledger.is_newest(order.id, besides=NOBODY)}
    assert {one.order for one in ledger.oldest_accepted(ACCOUNT, SERVICE, job_id=desk.job)} == newest
    for every in (ledger.oldest_accepted(ACCOUNT, SERVICE), ledger.accepted_before(ACCOUNT, SERVICE, soon)):
        assert {one.order for one in every if one.job == desk.job} == newest
    return newest


async def test_accepted_orders_that_nobody_ordered_again_can_be_repeated(placed: Desk):
    assert candidates(placed) == set(placed.ids(0, 1))


@pytest.mark.parametrize("state", [S.ACCEPTED, S.UNCONFIRMED, S.SENDING, S.QUEUED])
async def test_an_order_whose_imei_was_ordered_again_or_is_about_to_be_is_left_out(
    placed: Desk, add_job: Callable[..., JobId], state: OrderState
):
    later = order_again(placed, add_job, count=1)
    if state is not S.QUEUED:
        attempt = await later.send(0)
        if state is not S.SENDING:
            await later.end(attempt, later.change(0, state, reference=Reference("R9")))
    assert candidates(placed) == set(placed.ids(1))
    assert candidates(later) == (set(later.ids(0)) if state is S.ACCEPTED else set())


@pytest.mark.parametrize("state", [S.DUPLICATE, S.REFUSED, S.FAILED])
async def test_a_later_order_that_placed_nothing_does_not_matter(
    placed: Desk, add_job: Callable[..., JobId], state: OrderState
):
    later = order_again(placed, add_job, count=1)
    await later.end(await later.send(0), later.change(0, state))
    assert candidates(placed) == set(placed.ids(0, 1))


@pytest.mark.parametrize("what", ["service", "account", "draft", "cancelled"])
async def test_what_is_ordered_elsewhere_or_never_does_not_matter(
    placed: Desk, add_job: Callable[..., JobId], what: str
):
    ledger = placed.ledger
    service = ServiceId("9") if what == "service" else SERVICE
    account = AccountName("another") if what == "account" else ACCOUNT
    job = ledger.create_draft(JobDraft(account=account, provider="gsm-fusion", service=service))
    ledger.add_orders(job, [NewOrder(line=2, imei=make_imei(0))])
    if what != "draft":
        ledger.start_job(job)
    if what == "cancelled":
        ledger.cancel_queued(job)
    assert candidates(placed) == set(placed.ids(0, 1))


async def test_a_doubt_that_a_repeat_found_or_the_user_settled_may_have_been_the_later_one(
    placed: Desk, add_job: Callable[..., JobId]
):
    later = order_again(placed, add_job, count=2)
    await later.end(await later.send(0, 1), later.change(0, S.UNCONFIRMED), later.change(1, S.UNCONFIRMED))
    placed.clock.move(minutes=1)
    again = await later.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    await later.end(again, later.change(0, S.DUPLICATE))
    placed.ledger.change_job(later.job, {JobState.RUNNING}, JobState.PAUSED, None)
    placed.ledger.mark_not_placed(later.ids(1), note="not on the site")
    placed.ledger.cancel_queued(later.job)
    assert candidates(placed) == set()


@pytest.mark.parametrize(
    ("outcome", "is_left_out"),
    [
        (Outcome.DUPLICATE, False),
        (Outcome.THROTTLED, False),
        (Outcome.REFUSED, False),
        (Outcome.ACCEPTED, True),
        (Outcome.UNCONFIRMED, True),
    ],
)
async def test_a_repeat_of_the_order_itself_that_may_have_been_charged_is_a_later_one(
    placed: Desk, outcome: Outcome, is_left_out: bool
):
    probe = await placed.send(0, kind=AttemptKind.PROBE, expected=S.ACCEPTED)
    assert candidates(placed) == set(placed.ids(1))  # while it is under way
    assert placed.ledger.is_newest(*placed.ids(0), besides=probe)
    charges = int(outcome is Outcome.ACCEPTED)
    await placed.end(probe, placed.change(0, S.ACCEPTED, outcome=outcome, reference=None, charges=charges))
    assert candidates(placed) == set(placed.ids(1)) | (set() if is_left_out else set(placed.ids(0)))


async def test_a_call_that_was_under_way_beside_the_order_s_own_may_have_been_later(
    desk: Desk, clock: Clock, add_job: Callable[..., JobId]
):
    beside = order_again(desk, add_job, count=1)
    first = await beside.send(0)
    clock.move(seconds=1)
    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED), ended_at=clock() + timedelta(seconds=1))
    await beside.end(first, beside.change(0, S.UNCONFIRMED), ended_at=clock() + timedelta(seconds=2))
    assert candidates(desk) == set()


async def test_an_order_that_was_in_doubt_before_it_was_accepted_is_as_young_as_the_call_that_placed_it(
    desk: Desk, clock: Clock
):
    await desk.end(await desk.send(0), desk.change(0, S.UNCONFIRMED))
    clock.move(minutes=1)
    again = await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    await desk.end(again, desk.change(0, S.ACCEPTED))
    [found] = desk.ledger.oldest_accepted(ACCOUNT, SERVICE)
    assert found.placed_by >= clock()


@pytest.mark.parametrize("select_", [select_oldest, select_oldest_of_job, select_before, select_newest])
def test_what_was_ordered_again_is_looked_up_by_imei_and_no_table_is_read_whole(
    ledger: Ledger, select_: Callable[[], Select[Any]]
):
    values = dict.fromkeys(("account", "service", "job_id", "moment", "most", "order", "besides"))
    sql = str(select_().params(values).compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}))
    with ledger._read() as connection:
        cursor = connection.connection.cursor()
        plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    assert plan.count("SEARCH other USING INDEX ix_orders_imei (imei=?)") == 2, plan
    assert "SEARCH told USING PRIMARY KEY (order_id=?)" in plan, plan
    assert not [step for step in plan if step.startswith("SCAN") and step != "SCAN found"], plan
