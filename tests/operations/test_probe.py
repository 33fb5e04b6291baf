"""What a probe takes and costs, and what it reads in the ledger; how servers look is in the command's own tests."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.errors import UsageError
from imeiflow.intake.preview import Preview
from imeiflow.ledger.change import AttemptKind, Intent
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.probe import (
    ChunkVerdict,
    RepeatVerdict,
    check_size,
    choose_repeat,
    count_cost,
    judge_chunk,
    judge_repeat,
    judge_settling,
)
from tests.mould import record
from tests.operations.stand import ACCOUNT, SERVICE, add_job, answer, make_imei, open_session


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path) as opened:
        yield opened


def add_orders(session, *states: OrderState):
    job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(1, 1 + len(states))])
    answer(session, job, dict(enumerate(states, 1)))
    return job


@pytest.mark.parametrize("count", [0, 1, 11, 20_000])
def test_a_probe_of_one_or_of_many_is_none(count):
    with pytest.raises(UsageError, match="2 to 10"):
        check_size(Preview(valid=count))


def test_the_cost_says_what_it_is_at_least_and_at_most():
    check_size(Preview(valid=3))
    cost = count_cost(Money(Decimal("0.08"), "USD"), 3)
    assert (str(cost.usual), str(cost.most)) == ("$0.24", "$0.32")


ACCEPTED, DUPLICATE, UNCONFIRMED, REFUSED = (
    OrderState.ACCEPTED,
    OrderState.DUPLICATE,
    OrderState.UNCONFIRMED,
    OrderState.REFUSED,
)


@pytest.mark.parametrize(
    ("states", "verdict", "named"),
    [
        ((ACCEPTED, ACCEPTED, ACCEPTED), ChunkVerdict.WHOLE, 3),
        ((ACCEPTED, DUPLICATE), ChunkVerdict.WHOLE, 2),
        ((UNCONFIRMED, UNCONFIRMED, ACCEPTED), ChunkVerdict.CUT, 1),
        ((UNCONFIRMED, UNCONFIRMED), ChunkVerdict.UNKNOWN, 0),
        ((REFUSED, REFUSED), ChunkVerdict.UNKNOWN, 0),
    ],
)
def test_a_call_is_judged_by_what_its_reply_named(session, states, verdict, named):
    finding = judge_chunk(session, add_orders(session, *states))
    assert (finding.verdict, finding.size, finding.named) == (verdict, len(states), named)


def test_orders_that_never_left_show_nothing(session):
    job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in (1, 2)])
    assert judge_chunk(session, job).verdict is ChunkVerdict.UNKNOWN
    assert choose_repeat(session, job) is None
    assert judge_repeat(session, job).verdict is RepeatVerdict.UNKNOWN
    assert judge_settling(session, job) is None


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (DUPLICATE, RepeatVerdict.REFUSED),
        (ACCEPTED, RepeatVerdict.CHARGED),
        (UNCONFIRMED, RepeatVerdict.UNKNOWN),
        (REFUSED, RepeatVerdict.UNKNOWN),
    ],
)
def test_a_repeat_is_judged_by_its_answer(session, state, verdict):
    assert judge_repeat(session, add_orders(session, state)).verdict is verdict


@pytest.mark.parametrize(("state", "is_refusal"), [(DUPLICATE, True), (ACCEPTED, False)])
def test_what_a_repeat_showed_is_evidence_for_settling_doubts_under_the_service(session, state, is_refusal):
    add_orders(session, ACCEPTED)
    job = add_orders(session, state)
    for _ in range(2):
        judge_repeat(session, job)
    [seen] = session.ledger.repeat_evidence(ACCOUNT, SERVICE)
    assert seen.is_refusal == is_refusal
    assert not seen.of_completed
    assert seen.age >= timedelta(0)


def test_a_repeat_of_an_order_whose_age_is_not_known_is_no_evidence(session):
    judge_repeat(session, add_orders(session, DUPLICATE))
    assert session.ledger.repeat_evidence(ACCOUNT, SERVICE) == []


def test_a_repeat_whose_answer_was_lost_is_a_finding_so_that_no_other_is_made(session):
    job = add_orders(session, ACCEPTED, ACCEPTED)
    (first, _) = session.ledger.order_rows(job)
    token, _ = session.ledger.take_lane(ACCOUNT, "a test")
    asyncio.run(
        record(
            session.ledger,
            Intent(
                job=job,
                account=ACCOUNT,
                token=token,
                kind=AttemptKind.PROBE,
                orders=(first.id,),
                started_at=session.ledger.clock(),
                expected=OrderState.ACCEPTED,
            ),
        )
    )
    session.ledger.take_lane(ACCOUNT, "whoever comes next")
    finding = judge_settling(session, job)
    assert finding is not None
    assert finding.verdict is RepeatVerdict.UNKNOWN
