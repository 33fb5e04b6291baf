"""What other jobs order: one view of it, by IMEI or content, and the mark that a start is held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.item import FileItem, OrderKind
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Elsewhere, JobDraft, NewOrder
from tests.ledger.conftest import ACCOUNT, SERVICE, Desk, make_imei

S = OrderState
ITEM = FileItem("a.bcl", b"abc")


def add_draft(ledger: Ledger, *serials: int, service: ServiceId = SERVICE, account: AccountName = ACCOUNT) -> JobId:
    job = ledger.create_draft(JobDraft(account=account, provider="gsm-fusion", service=service))
    ledger.add_orders(job, [NewOrder(line=n, imei=make_imei(n)) for n in serials])
    return job


def add_items(ledger: Ledger, *items: FileItem) -> JobId:
    job = ledger.create_draft(
        JobDraft(account=ACCOUNT, provider="gsm-fusion", service=SERVICE, kind=OrderKind.FILE, chunk_size=1)
    )
    ledger.add_items(job, dict(enumerate(items, 1)), ["file"])
    return job


def states(found: dict[str, Elsewhere]) -> dict[str, tuple[OrderState | None, OrderState | None]]:
    return {key: (one.past and one.past.state, one.waiting and one.waiting.state) for key, one in found.items()}


async def refuse_all(desk: Desk) -> None:
    """Let the first order of the job be refused, and the job end."""
    await desk.end(await desk.send(0), desk.change(0, S.REFUSED))
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, None)


async def test_what_waits_and_what_was_placed_is_found_in_one_answer(desk: Desk, add_job: Callable[..., JobId]):
    await desk.end(await desk.send(0, 1), desk.change(0, S.ACCEPTED), desk.change(1, S.REFUSED))
    add_job(2)  # the first two once more, on purpose
    imeis = [order.imei for order in desk.orders]
    found = desk.ledger.find_elsewhere(ACCOUNT, SERVICE, imeis[:3])
    assert states(found) == {
        imeis[0]: (S.ACCEPTED, S.QUEUED),
        imeis[1]: (None, S.QUEUED),
        imeis[2]: (None, S.QUEUED),
    }
    assert desk.ledger.find_elsewhere(ACCOUNT, ServiceId("9"), imeis) == {}
    assert desk.ledger.find_elsewhere(AccountName("another"), SERVICE, imeis) == {}


def test_what_is_only_a_draft_is_found_by_nobody(ledger: Ledger):
    add_draft(ledger, 1)
    assert ledger.find_elsewhere(ACCOUNT, SERVICE, [make_imei(1)]) == {}


def test_an_item_is_found_by_its_content_whatever_it_is_called(ledger: Ledger):
    ledger.start_job(add_items(ledger, ITEM))
    found = ledger.find_elsewhere(ACCOUNT, SERVICE, [FileItem("b", ITEM.content).digest, "0"], is_item=True)
    assert states(found) == {ITEM.digest: (None, S.QUEUED)}
    assert ledger.find_elsewhere(ACCOUNT, SERVICE, [ITEM.digest]) == {}  # it is no IMEI


def test_more_than_one_statement_takes_is_looked_up_in_one_view(ledger: Ledger):
    ledger.start_job(add_draft(ledger, 1, 24_000))
    keys: Sequence[str] = [make_imei(n) for n in range(1, 24_001)]
    assert states(ledger.find_elsewhere(ACCOUNT, SERVICE, keys)).keys() == {make_imei(1), make_imei(24_000)}


def test_a_draft_starts_where_nothing_was_queued_under_its_service_since(ledger: Ledger):
    draft, since = add_draft(ledger, 1), ledger.mark()
    ledger.start_job(add_draft(ledger, 2, service=ServiceId("9")))
    ledger.start_job(add_draft(ledger, 3, account=AccountName("another")))
    assert ledger.start_job(draft, since=since)


def test_a_draft_does_not_start_where_another_job_has_since(ledger: Ledger):
    draft, since = add_draft(ledger, 1), ledger.mark()
    ledger.start_job(add_draft(ledger, 2))
    assert not ledger.start_job(draft, since=since)
    found = ledger.find_job(draft)
    assert found is not None
    assert found.state is JobState.DRAFT
    assert ledger.start_job(draft, since=ledger.mark())


async def test_a_draft_does_not_start_where_orders_of_another_job_were_retried_since(desk: Desk):
    await refuse_all(desk)
    draft, since = add_draft(desk.ledger, 0), desk.ledger.mark()
    desk.ledger.retry(desk.job, {S.REFUSED})
    assert not desk.ledger.start_job(draft, since=since)
    conflict = desk.ledger.find_conflict(draft, since)
    assert conflict is not None
    assert (conflict.job, conflict.subject, conflict.state) == (desk.job, make_imei(0), S.QUEUED)


@pytest.mark.parametrize("state", [S.ACCEPTED, S.UNCONFIRMED, S.SENDING])
async def test_what_was_queued_since_is_a_conflict_also_once_it_has_left(desk: Desk, state: OrderState):
    await refuse_all(desk)
    draft, since = add_draft(desk.ledger, 0), desk.ledger.mark()
    desk.ledger.retry(desk.job, {S.REFUSED})
    desk.ledger.change_job(desk.job, {JobState.PAUSED}, JobState.RUNNING, None)
    attempt = await desk.send(0)
    if state is not S.SENDING:
        await desk.end(attempt, desk.change(0, state))
    conflict = desk.ledger.find_conflict(draft, since)
    assert conflict is not None
    assert conflict.state is state


async def test_what_was_placed_before_is_no_conflict(desk: Desk):
    """Whoever orders it again was shown it."""
    await desk.end(await desk.send(0, 1), desk.change(0, S.ACCEPTED), desk.change(1, S.REFUSED))
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, None)
    draft, since = add_draft(desk.ledger, 0), desk.ledger.mark()
    desk.ledger.retry(desk.job, {S.REFUSED})
    assert not desk.ledger.start_job(draft, since=since)
    assert desk.ledger.find_conflict(draft, since) is None


def test_an_item_that_another_job_has_queued_since_is_a_conflict(ledger: Ledger):
    draft, since = add_items(ledger, ITEM, FileItem("c", b"c")), ledger.mark()
    other = add_items(ledger, FileItem("b", ITEM.content))
    ledger.start_job(other)
    conflict = ledger.find_conflict(draft, since)
    assert conflict is not None
    assert (conflict.is_item, conflict.subject, conflict.job) == (True, "a.bcl", other)
