"""The rows that an export reads: complete, in file order, and without sorting the rest of the list each time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.dialects import sqlite

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.order import OrderState
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.ledger.row import _BATCH
from tests.ledger.conftest import ACCOUNT, SERVICE, Desk, make_imei

S = OrderState


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_lists_that_are_read_in_at_the_same_time_are_given_back_apart(ledger: Ledger, batch: int):
    drafts = [
        ledger.create_draft(JobDraft(account=ACCOUNT, provider="p", service=service))
        for service in (SERVICE, ServiceId("9"))
    ]
    for part in range(4):
        for number, job in enumerate(drafts):
            lines = range(part * 3, part * 3 + 3)
            rows = [NewOrder(line=line + 2, imei=make_imei(100 * number + line)) for line in lines]
            ledger.add_orders(job, rows)
    for number, job in enumerate(drafts):
        rows = list(ledger.order_rows(job, batch=batch))
        assert [(row.line, row.imei) for row in rows] == [(n + 2, make_imei(100 * number + n)) for n in range(12)]
        assert {row.job for row in rows} == {job}


@pytest.mark.parametrize("states", [{S.REFUSED}, {S.QUEUED}, {S.REFUSED, S.QUEUED}, {S.ACCEPTED}, set()])
async def test_rows_of_some_states_are_all_of_them(desk: Desk, states: set[OrderState]):
    await desk.end(await desk.send(1, 4), desk.change(1, S.REFUSED), desk.change(4, S.REFUSED))
    given = [row.id for row in desk.ledger.order_rows(desk.job, states, batch=2)]
    assert given == [row.id for row in desk.ledger.order_rows(desk.job) if row.state in states]


def test_a_job_without_rows_gives_none(ledger: Ledger, add_job: Callable[..., JobId]):
    add_job()
    assert list(ledger.order_rows(ledger.create_draft(JobDraft(account=ACCOUNT, provider="p", service=SERVICE)))) == []


def test_a_batch_is_read_in_the_order_of_the_ids_and_not_sorted(ledger: Ledger):
    sql = str(_BATCH.limit(10).compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}))
    with ledger._read() as connection:
        cursor = connection.connection.cursor()
        plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    assert plan[0].startswith("SEARCH orders USING INTEGER PRIMARY KEY")
    assert not [step for step in plan if "TEMP B-TREE" in step]
