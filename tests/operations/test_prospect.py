"""What going on would do about doubts is foretold as the engine would do it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState, Policy
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.prospect import explain_no_repeat
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, PRICE, add_job, answer, finish, make_imei, open_session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def add_doubt(session: Session, **draft: object) -> JobId:
    """Add a finished job of two orders: one is accepted, one unconfirmed."""
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in (2, 3)], **draft)
    answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED})
    finish(session, job)
    return job


def explain(session: Session, job: JobId) -> str:
    return explain_no_repeat(session, session.find_job(job))


def show_repeat(session: Session, job: JobId, *, is_refusal: bool, of_completed: bool = True) -> None:
    """Let a call of the job have shown how a repeat is treated."""
    attempt = session.ledger.list_attempts(job)[0].id
    seen = RepeatEvidence(session.clock.now(), timedelta(minutes=5), is_refusal=is_refusal, of_completed=of_completed)
    session.ledger.add_repeat(attempt, seen)


def test_where_nothing_is_known_and_a_probe_is_allowed_some_may_be_sent_again(session: Session):
    assert explain(session, add_doubt(session)) == ""


def test_where_repeats_are_charged_none_is_sent_again_before_a_newer_refusal_is_seen(session: Session):
    job = add_doubt(session)
    show_repeat(session, job, is_refusal=False)
    assert explain(session, job) == "repeats are charged here"
    show_repeat(session, add_doubt(session), is_refusal=True, of_completed=False)  # of an open order: not for long
    assert explain(session, job) == "repeats are charged here"
    show_repeat(session, add_doubt(session), is_refusal=True)
    assert explain(session, job) == ""


def test_a_probe_that_may_not_be_made_is_not_promised(session: Session):
    assert explain(session, add_doubt(session, policy=Policy.HOLD)) == "they are held, as you asked"
    assert "the price is not known" in explain(session, add_doubt(session, unit_price=None))
    session.configuration = session.configuration.allow_probe(ACCOUNT, Decimal("0.07"))
    assert explain(session, add_doubt(session)) == (
        "a repeat probe costs $0.08, more than repeat_probe_max_price ($0.07) allows"
    )


def test_a_probe_is_not_promised_where_those_whose_reply_was_lost_leave_it_no_room(session: Session):
    job = add_doubt(session)
    session.ledger.lost_probes = {job: 12}.__getitem__  # type: ignore[method-assign]
    assert explain(session, job) == (
        "a repeat probe costs $0.08, and up to $0.96 more for 12 whose reply was lost, more than "
        "repeat_probe_max_price ($1.00) allows"
    )


@pytest.mark.parametrize(("room", "said"), [(2, "the spending cap leaves no room for a repeat probe"), (3, "")])
def test_a_cap_that_leaves_no_room_for_a_probe_is_said(session: Session, room: int, said: str):
    assert explain(session, add_doubt(session, max_spend=PRICE * room)) == said
