"""Letting orders of files and server services in: the same content is not ordered by two jobs on a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from imeiflow.domain.item import FileItem, Item, ServerItem
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import UsageError
from imeiflow.operations.admission import OrderedMeanwhileError, WaitingItemError
from imeiflow.operations.item_order import order_items
from imeiflow.operations.session import Session
from imeiflow.operations.steering import plan_retry
from tests.operations.stand import (
    add_item_job,
    after_read,
    answer,
    finish,
    hold_call,
    open_session,
    propose,
    retry_orders,
)

S = OrderState
ITEMS: list[Item] = [FileItem("a.bcl", b"abc"), ServerItem({"email_5": "a@example.com"})]


@pytest.fixture
def session(tmp_path: Path):
    with open_session(tmp_path / "home") as opened:
        yield opened


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("state", [S.QUEUED, S.ACCEPTED, S.UNCONFIRMED, S.REFUSED])
def test_a_retry_leaves_an_item_that_another_job_has_ordered_since_or_is_about_to(
    session: Session, item: Item, state: OrderState
):
    first = add_item_job(session, item)
    answer(session, first, {1: S.REFUSED})
    finish(session, first)
    other = add_item_job(session, item)
    if state is not S.QUEUED:
        answer(session, other, {1: state})
    is_left = state is not S.REFUSED
    assert plan_retry(session, first).elsewhere == ({other: 1} if is_left else {})
    assert retry_orders(session, first) == 1 - is_left
    assert session.ledger.tally(first)[S.QUEUED] == 1 - is_left


def test_a_retry_does_not_mind_another_item(session: Session):
    first = add_item_job(session, ITEMS[0])
    answer(session, first, {1: S.REFUSED})
    finish(session, first)
    add_item_job(session, FileItem("a.bcl", b"another content"))
    assert retry_orders(session, first) == 1


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("state", [S.QUEUED, S.UNCONFIRMED])
def test_an_item_that_waits_or_is_in_doubt_is_refused_also_again(session: Session, item: Item, state: OrderState):
    job = add_item_job(session, item)
    if state is not S.QUEUED:
        answer(session, job, {1: state})
    with pytest.raises(WaitingItemError, match=f"job {job}"):
        order_items(session, propose(item), reorder=True)


def test_an_item_in_doubt_matters_more_than_a_newer_one(session: Session):
    first, second = add_item_job(session, ITEMS[0]), None
    answer(session, first, {1: S.REFUSED})
    finish(session, first)
    second = add_item_job(session, ITEMS[0])
    answer(session, second, {1: S.ACCEPTED})
    retry_orders(session, first, is_again=True)
    session.ledger.change_job(first, {JobState.FINISHED}, JobState.RUNNING, None)
    answer(session, first, {1: S.UNCONFIRMED})
    with pytest.raises(WaitingItemError, match=f"job {first}"):
        order_items(session, propose(ITEMS[0]), reorder=True)


@pytest.mark.parametrize("number", range(1, 8))
def test_an_item_whose_order_is_retried_meanwhile_is_not_ordered_by_both(session: Session, number: int):
    first = add_item_job(session, ITEMS[0])
    answer(session, first, {1: S.REFUSED})
    finish(session, first)
    after_read(session, number, lambda: retry_orders(session, first))
    try:
        add_item_job(session, ITEMS[0])
    except (WaitingItemError, OrderedMeanwhileError):
        pass
    finally:
        assert sum(session.ledger.tally(job.id)[S.QUEUED] for job in session.ledger.list_jobs()) == 1


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("goes", ["out", "back"])
def test_an_item_that_leaves_or_comes_back_meanwhile_is_not_ordered_by_both(session: Session, number: int, goes: str):
    first = add_item_job(session, ITEMS[0])
    step = hold_call(session, first) if goes == "back" else lambda: answer(session, first, {1: S.ACCEPTED})
    after_read(session, number, step)
    with pytest.raises(UsageError):
        add_item_job(session, ITEMS[0])
