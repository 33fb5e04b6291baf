"""Jobs summed up together say what each says alone, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import event

from imeiflow.domain.ident import JobId, Reference
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import UnknownJobError
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.ledger import Ledger
from tests.ledger.conftest import ACCOUNT, Desk

S = OrderState


@pytest.fixture
async def mixed(desk: Desk) -> JobId:
    """Give a job with something spent, refunded, and in doubt."""
    attempt = await desk.send(0, 1, 2)
    accepted = {"reference": Reference("R1"), "charges": 1, "price": Decimal("0.08")}
    await desk.end(
        attempt,
        desk.change(0, S.ACCEPTED, **accepted),
        desk.change(1, S.REFUSED),
        desk.change(2, S.UNCONFIRMED),
    )
    order = next(desk.ledger.order_rows(desk.job)).id
    desk.ledger.update_statuses(ACCOUNT, [StatusUpdate(order=order, status=ResultStatus.REJECTED)])
    return desk.job


async def test_jobs_summed_up_together_say_what_each_says_alone(
    ledger: Ledger, mixed: JobId, add_job: Callable[..., JobId]
):
    other = add_job(3, first=100, currency="EUR")
    found = ledger.summaries([other, mixed, JobId(999)])
    assert found == {job: ledger.summary(job) for job in (mixed, other)}
    assert (str(found[mixed].spent), str(found[mixed].refunded), str(found[mixed].in_doubt)) == ("$0.08",) * 3
    assert (found[other].tally.waiting, str(found[other].spent)) == (3, "€0.00")


def test_a_job_that_is_not_there_has_no_summary(ledger: Ledger):
    with pytest.raises(UnknownJobError):
        ledger.summary(JobId(7))
    assert ledger.summaries([]) == {}


def test_two_hundred_jobs_take_as_many_statements_as_one(ledger: Ledger, add_job: Callable[..., JobId]):
    jobs = [add_job(1, first=number) for number in range(200)]
    statements: list[str] = []
    event.listen(ledger._readers, "before_cursor_execute", lambda *args: statements.append(args[2]))
    ledger.summary(jobs[0])
    alone = len(statements)
    assert len(ledger.summaries(jobs)) == 200
    assert len(statements) == 2 * alone
