"""Orders of a server that are sent again after the price has risen: at today's price, shown and confirmed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Scope
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session
from tests.cli.screen import open_screen
from tests.cli.typed import make_environment
from tests.operations.stand import add_job, answer, make_imei
from tests.web.api.client import check_problem, check_schema, enter
from tests.web.seed import seed
from tests.web.site import Site, open_site

RISE = r"at most \$0\.10 \(the price of service 1 rose from \$0\.08 to \$0\.10\)"


def fill(session: Session) -> None:
    """Add three jobs that a person paused, each with an order that was accepted and one that was refused."""
    for number in range(3):
        job = add_job(session, [NewOrder(line=line, imei=make_imei(10 * number + line)) for line in (2, 3)])
        answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.REFUSED})
        session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "paused by the user")


@pytest.fixture(scope="module")
def site(home: Path) -> Site:
    """Give a server with jobs that a person paused, at a provider whose price has risen since."""
    home.mkdir()
    seed(home, fill)
    with open_site(home, {"price_change": ("1=0.10@0",), "repeats": "refuse"}) as opened:
        yield opened


def test_it_is_asked_about_at_todays_price_and_goes_on_at_that(site: Site, token: str, tmp_path: Path):
    environment = make_environment(tmp_path / "mine", IMEIFLOW_SERVER=site.base_url, IMEIFLOW_TOKEN=token)
    with open_screen("retry", "1", environment=environment, columns=200) as screen:
        screen.wait_for(RISE)
        screen.press("y\n")
        screen.finish()
    site.wait_until(lambda: site.session.find_job(1).state is not JobState.RUNNING, "job 1 does not end")
    assert site.session.ledger.tally(1)[OrderState.REFUSED] == 0
    [row] = [row for row in site.session.ledger.order_rows(1) if row.line == 3]
    assert (row.state, row.price) == (OrderState.ACCEPTED, Decimal("0.10"))


def test_whoever_has_not_seen_the_price_agrees_to_no_higher_one(site: Site, type_remotely):
    done = type_remotely("retry", "2", "--yes", "--json")
    assert done.status == 4
    assert "the price of service 1 rose from $0.08 to $0.10" in done.err
    assert "`imeiflow retry 2` shows what it costs today" in done.err
    assert site.session.ledger.tally(2)[OrderState.REFUSED] == 1
    assert site.session.find_job(2).state is JobState.PAUSED


def test_a_program_sees_the_price_and_accepts_it(site: Site):
    program = enter(site, Scope.ORDER, name="robot")
    plan = program.get("/jobs/3/retry")
    check_schema(plan, "RetryAnswer")
    assert (plan["cost"], plan["price"]) == (Decimal("0.10"), Decimal("0.10"))
    assert plan["price_change"] == "the price of service 1 rose from $0.08 to $0.10"
    for body in ({}, {"max_price": "0.09"}):
        check_problem(program.ask("POST", "/jobs/3/retry", body), 409, "price-rose")
    assert site.session.ledger.tally(3)[OrderState.REFUSED] == 1
    assert program.ask("POST", "/jobs/3/retry", {"max_price": "0.10"}).status == 202
    assert site.session.ledger.tally(3)[OrderState.REFUSED] == 0
