"""The proof: each way in which a ledger and a provider's book can disagree is seen, and what agrees is not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.proof import Discrepancy, compare
from imeiflow.simulator.book import Entry, Life
from tests.operations.stand import PRICE, SERVICE, add_job, answer, make_imei, open_session

ALL = (OrderState.ACCEPTED, OrderState.DUPLICATE, OrderState.REFUSED, OrderState.UNCONFIRMED)


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path) as opened:
        yield opened


@pytest.fixture
def job(session):
    """Make a job whose line n is in the n-th of the states above, from 1; line 5 waits."""
    made = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(1, 6)])
    answer(session, made, dict(enumerate(ALL, 1)))
    return made


def enter(number: int, reference: str | None = None, price: Decimal = PRICE) -> Entry:
    return Entry(reference or f"R{number}", make_imei(number), SERVICE, price, 0.0, 1, True, False, Life())


EARLIER = enter(2, "before")


def prove(session, job, *entries):
    return compare(session.ledger, job, [EARLIER, *entries], earlier={"before"}, currency="USD")


def test_a_ledger_that_says_what_the_book_says_is_proved(session, job):
    proof = prove(session, job, enter(1))
    assert proof.holds
    assert (proof.ledger_placed, proof.book_placed, proof.references) == (1, 1, 1)
    assert (proof.earlier, proof.unknown) == (1, 1)
    assert proof.ledger_charged == proof.book_charged == PRICE


def test_what_the_ledger_says_it_does_not_know_may_be_placed_or_not(session, job):
    proof = prove(session, job, enter(1), enter(4))
    assert proof.holds
    assert (proof.unknown, proof.unknown_placed, proof.unknown_charged) == (1, 1, PRICE)


@pytest.mark.parametrize(
    ("entries", "discrepancy", "number"),
    [
        ([], Discrepancy.NOT_PLACED, 1),
        ([enter(1), enter(3)], Discrepancy.UNTRACKED, 3),
        ([enter(1), enter(5)], Discrepancy.UNTRACKED, 5),
        ([enter(1), enter(77)], Discrepancy.UNTRACKED, 77),
        ([enter(1), enter(2)], Discrepancy.UNTRACKED, 2),
        ([enter(1), enter(1, "R1b")], Discrepancy.PAID_TWICE, 1),
        ([enter(1), enter(4), enter(4, "R4b")], Discrepancy.PAID_TWICE, 4),
        ([enter(1, "other")], Discrepancy.REFERENCE, 1),
        ([enter(1, price=Decimal("0.09"))], Discrepancy.PRICE, 1),
    ],
)
def test_every_disagreement_about_an_order_is_named_with_its_imei(session, job, entries, discrepancy, number):
    proof = prove(session, job, *entries)
    assert not proof.holds
    assert {kind: group.examples for kind, group in proof.discrepancies.items()} == {discrepancy: [make_imei(number)]}
    assert proof.count(discrepancy) == 1
    assert proof.as_dict()["discrepancies"][discrepancy]["count"] == 1
    assert discrepancy.sentence


def test_a_price_that_differs_shows_in_the_sums_as_well(session, job):
    assert not prove(session, job, enter(1, price=Decimal("0.09"))).is_money_equal


def test_an_order_without_a_reference_is_counted_as_such(session, job):
    plan = [row.id for row in session.ledger.order_rows(job) if row.state is OrderState.UNCONFIRMED]
    session.ledger.mark_placed(plan)
    proof = prove(session, job, enter(1), enter(4))
    assert proof.holds
    assert (proof.references, proof.unnamed, proof.ledger_placed) == (1, 1, 2)


def test_examples_are_few_however_many_disagree(session, job):
    proof = prove(session, job, enter(1), *(enter(number) for number in range(100, 140)))
    assert proof.count(Discrepancy.UNTRACKED) == 40
    assert len(proof.discrepancies[Discrepancy.UNTRACKED].examples) == 5
