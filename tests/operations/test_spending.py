"""Spending told apart by day, service, job and account: exact, and never across currencies."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.day import start_of_day
from imeiflow.domain.ident import AccountName
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session
from imeiflow.operations.spending import Axis, add_up_spending, total_by_currency
from imeiflow.operations.spending_figure import draw_spending
from tests.operations.stand import ACCOUNT, add_job, answer, make_configuration, make_imei

LATE = datetime(2025, 6, 1, 22, 50, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))


class Clock:
    """A clock that is moved by hand."""

    at = LATE

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(tmp_path: Path, clock: Clock):
    opened = Session.open(make_configuration(tmp_path / "home"))
    opened.ledger.clock = clock.now
    with opened:
        yield opened


def order(session: Session, count: int, state: OrderState = OrderState.ACCEPTED, **draft: object):
    job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 2 + count)], **draft)
    ending = Ending.IN_DOUBT if state is OrderState.UNCONFIRMED else Ending.ANSWERED
    answer(session, job, dict.fromkeys(range(2, 2 + count), state), ending)
    return job


def told(session: Session, by: Axis, **more: object) -> list[tuple[str, str, Decimal]]:
    return [(one.key, one.currency, one.spent) for one in add_up_spending(session, by, zone=UTC, **more)]


def test_a_day_is_one_of_the_time_zone_that_is_asked_for(session, clock):
    order(session, 2)
    clock.at += timedelta(hours=2)
    order(session, 1)
    assert told(session, Axis.DAY) == [
        ("2025-06-01", "USD", Decimal("0.16")),
        ("2025-06-02", "USD", Decimal("0.08")),
    ]
    (one,) = add_up_spending(session, Axis.DAY, zone=INDIA)
    assert (one.key, one.spent, one.orders) == ("2025-06-02", Decimal("0.24"), 3)


def test_first_and_last_day_are_both_part_of_it(session, clock):
    for _ in range(3):
        order(session, 1)
        clock.at += timedelta(days=1)
    days = told(session, Axis.DAY, first=date(2025, 6, 2), last=date(2025, 6, 3))
    assert [key for key, _, _ in days] == ["2025-06-02", "2025-06-03"]
    assert start_of_day(date(2025, 6, 2), INDIA).astimezone(UTC) == datetime(2025, 6, 1, 18, 30, tzinfo=UTC)


def test_currencies_are_never_added_up(session):
    order(session, 1)
    order(session, 2, currency="EUR")
    assert sorted(told(session, Axis.ACCOUNT)) == [
        (ACCOUNT, "EUR", Decimal("0.16")),
        (ACCOUNT, "USD", Decimal("0.08")),
    ]
    assert {total.currency: total.spent for total in total_by_currency(add_up_spending(session, Axis.JOB))} == {
        "USD": Decimal("0.08"),
        "EUR": Decimal("0.16"),
    }


def test_a_day_with_two_currencies_is_drawn_once_with_a_panel_for_each(session):
    order(session, 2, currency="USD")
    order(session, 3, currency="EUR")
    figure = draw_spending(add_up_spending(session, Axis.DAY, zone=UTC), Axis.DAY)
    assert figure.labels == ["2025-06-01"]
    assert [panel.series[0].values for panel in figure.panels] == [[0.16], [0.24]]


def test_services_and_jobs_come_with_the_dearest_first(session):
    first = order(session, 1, service="7", service_name="Cheap")
    second = order(session, 3, service="8")
    assert [key for key, _, _ in told(session, Axis.JOB)] == [str(second), str(first)]
    assert [one.name for one in add_up_spending(session, Axis.SERVICE)] == ["8", "7 Cheap"]
    assert told(session, Axis.JOB, account=AccountName("other")) == []


def test_what_was_rejected_and_what_is_in_doubt_are_figures_of_their_own(session):
    job = order(session, 2)
    order(session, 3, OrderState.UNCONFIRMED)
    rejected = next(session.ledger.order_rows(job)).id
    session.ledger.update_statuses(ACCOUNT, [StatusUpdate(order=rejected, status=ResultStatus.REJECTED)])
    (one,) = add_up_spending(session, Axis.ACCOUNT)
    assert (one.spent, one.refunded, one.in_doubt) == (Decimal("0.16"), Decimal("0.08"), Decimal("0.24"))
    summary = session.ledger.summary(job)
    assert (str(summary.spent), str(summary.refunded), str(summary.in_doubt)) == ("$0.16", "$0.08", "$0.00")


def test_a_price_that_nobody_knows_is_in_no_sum_and_said(session):
    order(session, 2, OrderState.UNCONFIRMED, unit_price=None)
    (one,) = add_up_spending(session, Axis.DAY)
    assert (one.in_doubt, one.unpriced) == (Decimal(0), 2)
