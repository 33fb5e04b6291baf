"""A ledger with something of everything, made before its server starts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.delivery import NewDelivery
from imeiflow.ledger.record import NewOrder, PricedService
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei, open_session

ACCEPTED, UNCONFIRMED, REFUSED = OrderState.ACCEPTED, OrderState.UNCONFIRMED, OrderState.REFUSED
STATES = {2: ACCEPTED, 3: ACCEPTED, 4: ACCEPTED, 5: REFUSED, 6: UNCONFIRMED}
RESULTS = {2: ResultStatus.COMPLETED, 3: ResultStatus.REJECTED, 4: ResultStatus.IN_PROCESS}
REASON = "the provider says: insufficient credit"


def seed(home: Path, fill: Callable[[Session], Any]) -> Any:
    """Fill a ledger; in a thread of its own, for Playwright has an event loop in that of the tests."""

    def run() -> Any:
        with open_session(home) as session:
            return fill(session)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def add_paused(session: Session) -> JobId:
    """Add a paused job whose five orders stand in several states: $0.24 spent, $0.08 of it rejected, $0.08 in doubt."""
    rows = [NewOrder(line=line, imei=make_imei(line)) for line in STATES]
    job = add_job(session, rows, name="stock.csv", service_name="SimLock check", submitted_by="mia")
    answer(session, job, STATES)
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, REASON)
    ids = {row.line: row.id for row in session.ledger.order_rows(job)}
    updates = [StatusUpdate(order=ids[line], status=status) for line, status in RESULTS.items()]
    session.ledger.update_statuses(ACCOUNT, updates)
    return job


def add_prices(session: Session, count: int = 300) -> None:
    """Add price lists of so many services; that of the service 5 rose once."""
    for rise in ("0.00", "0.05"):
        services = [
            PricedService(
                id=ServiceId(str(number)),
                name=f"Check {number}",
                category="Apple" if number % 2 else "Samsung",
                price=Money(Decimal("0.08") * number + (Decimal(rise) if number == 5 else 0), "USD"),
                delivery="1-3 days",
                note="No refund." if number == 5 else "",
            )
            for number in range(1, count + 1)
        ]
        session.ledger.record_prices(ACCOUNT, services)


def add_much(session: Session) -> None:
    """Add something of everything: what the examples of the API's description name is there, as job 7, order 41."""
    add_prices(session, count=20)
    add_learned(session)
    for _ in range(9):
        job = add_paused(session)
    for number in range(3):
        delivery = NewDelivery(
            event_id=f"msg_{number}",
            webhook="shop.example",
            event="job.paused",
            job=job,
            count=1,
            body=b"{}",
            at=session.clock.now(),
        )
        session.ledger.add_delivery(delivery)


def add_learned(session: Session) -> None:
    """Add what a lane has learned."""
    value = {"concurrency": 24, "pace": {"calls": 60, "period_s": 60.0}}
    session.ledger.learn(ACCOUNT, ServiceId(""), "lane", value, "the 61st call of a minute was refused")
    session.ledger.learn(ACCOUNT, ServiceId("1"), "chunk_size", {"size": 50}, "of 100 only 50 were accounted for")
