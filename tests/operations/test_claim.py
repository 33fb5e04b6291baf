"""Which row of an export belongs to which order, where more than one may be meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imeiflow.domain.ident import AttemptId, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import KnownOrder
from imeiflow.operations.claim import Obscurity, claim_rows
from imeiflow.operations.statement import ExportedOrder
from imeiflow.operations.time_zone import ExportClock
from imeiflow.results.moment import DateOrder
from tests.operations.stand import make_imei

IMEI = make_imei(1)
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
ORDER = next(iter(DateOrder))
CLOCK = ExportClock(ORDER, (UTC,), pairs=1)


def make_row(line: int, at: datetime) -> ExportedOrder:
    return ExportedOrder(line, IMEI, "", None, None, "", None, {ORDER: at.replace(tzinfo=None)})


def make_known(number: int, state: OrderState, at: datetime, charges: int = 0) -> KnownOrder:
    values: dict[str, Any] = dict.fromkeys(("reference", "price", "status", "result"))
    return KnownOrder(
        order=OrderId(number),
        job=JobId(1),
        service=ServiceId("1"),
        service_name="",
        imei=IMEI,
        state=state,
        currency="",
        charges=charges,
        attempt=AttemptId(number),
        began_at=at,
        ended_at=at + timedelta(seconds=1),
        **values,
    )


def test_a_row_is_no_doubt_s_while_a_placed_order_of_the_imei_has_none():
    placed = make_known(1, OrderState.ACCEPTED, NOON - timedelta(hours=5), charges=1)
    doubt = make_known(2, OrderState.UNCONFIRMED, NOON)
    claims = claim_rows([make_row(2, NOON)], [placed, doubt], CLOCK, has_dates=True)
    assert claims.obscure == [(doubt, Obscurity.OTHER_ORDER)]
    assert not claims.settled


def test_what_a_probe_placed_a_second_time_takes_no_row_that_a_doubt_may_have():
    placed = make_known(1, OrderState.ACCEPTED, NOON - timedelta(hours=5), charges=2)
    doubt = make_known(2, OrderState.UNCONFIRMED, NOON)
    first, near = make_row(2, NOON - timedelta(hours=5)), make_row(3, NOON + timedelta(seconds=30))
    claims = claim_rows([first, near], [placed, doubt], CLOCK, has_dates=True)
    assert claims.placed == [(placed, first)]
    assert claims.settled == [(doubt, near)]
    later = make_row(4, NOON - timedelta(hours=4))
    claims = claim_rows([first, near, later], [placed, doubt], CLOCK, has_dates=True)
    assert claims.placed == [(placed, first), (placed, later)]
    assert claims.settled == [(doubt, near)]


def test_a_row_is_the_first_order_s_of_two_that_share_its_reference():
    """The ledger has one reference twice where a provider gave it twice: the second has no row, and takes nobody's."""
    shared = Reference("R1")
    first, second = (
        replace(make_known(number, OrderState.ACCEPTED, NOON, charges=1), reference=shared) for number in (1, 2)
    )
    row = replace(make_row(2, NOON), reference=shared)
    claims = claim_rows([row], [first, second], CLOCK, has_dates=True)
    assert (claims.placed, claims.left) == ([(first, row)], [])
    unnamed = make_row(3, NOON + timedelta(seconds=5))
    claims = claim_rows([row, unnamed], [first, second], CLOCK, has_dates=True)
    assert claims.placed == [(first, row), (second, unnamed)]


def test_a_row_two_minutes_from_its_call_is_a_doubt_s_and_one_three_minutes_away_is_not():
    doubt = make_known(2, OrderState.UNCONFIRMED, NOON)
    near = make_row(2, NOON - timedelta(minutes=2))
    assert claim_rows([near], [doubt], CLOCK, has_dates=True).settled == [(doubt, near)]
    far = claim_rows([make_row(2, NOON - timedelta(minutes=3))], [doubt], CLOCK, has_dates=True)
    assert (far.settled, far.obscure) == ([], [(doubt, Obscurity.OTHER_TIME)])
