"""A ledger in a temporary file, a clock that is moved by hand, and a job to work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from imeiflow.domain.ident import AccountName, AttemptId, JobId, OrderId, Reference, ServiceId, Token
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.ledger.change import AttemptKind, Concluded, Conclusion, Intent, OrderChange
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder, QueuedOrder
from tests.mould import cast_ledger

ACCOUNT = AccountName("gsm-fusion")
SERVICE = ServiceId("123")
PRICE = Decimal("0.08")


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = datetime(2025, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_imei(serial: int) -> Imei:
    """Make a Luhn-valid IMEI of the test TAC."""
    body = f"35693803{serial:06d}"
    doubled = sum(sum(divmod(int(digit) * 2, 10)) for digit in body[1::2])
    total = doubled + sum(int(digit) for digit in body[::2])
    return Imei(f"{body}{-total % 10}")


@dataclass
class Desk:
    """A ledger with one running job and its lane."""

    ledger: Ledger
    clock: Clock
    job: JobId
    token: Token
    orders: list[QueuedOrder] = field(default_factory=list)

    def ids(self, *positions: int) -> tuple[OrderId, ...]:
        return tuple(self.orders[position].id for position in positions)

    def intent(self, *positions: int, **values: Any) -> Intent:
        base: dict[str, Any] = {
            "job": self.job,
            "account": ACCOUNT,
            "token": self.token,
            "kind": AttemptKind.PLACE,
            "orders": self.ids(*positions),
            "started_at": self.clock(),
        }
        return Intent(**{**base, **values})

    async def send(self, *positions: int, **values: Any) -> AttemptId:
        return await self.ledger.intend(self.intent(*positions, **values))

    def conclusion(self, attempt: AttemptId, *changes: OrderChange, **values: Any) -> Conclusion:
        base: dict[str, Any] = {"ended_at": self.clock() + timedelta(milliseconds=300), "ending": Ending.ANSWERED}
        return Conclusion(attempt=attempt, changes=changes, **{**base, **values})

    async def end(self, attempt: AttemptId, *changes: OrderChange, **values: Any) -> Concluded:
        return await self.ledger.conclude(self.conclusion(attempt, *changes, **values))

    def change(self, position: int, state: OrderState, **values: Any) -> OrderChange:
        return OrderChange(
            order=self.orders[position].id,
            **{**_BY_STATE.get(state, {"outcome": Outcome.REFUSED}), "state": state, **values},
        )

    def state(self, position: int) -> OrderState:
        return next(row.state for row in self.ledger.order_rows(self.job) if row.id == self.orders[position].id)

    def count(self, state: OrderState) -> int:
        return self.ledger.tally(self.job)[state]


_BY_STATE: dict[OrderState, dict[str, Any]] = {
    OrderState.ACCEPTED: {
        "outcome": Outcome.ACCEPTED,
        "reference": Reference("R1"),
        "price": PRICE,
        "charges": 1,
    },
    OrderState.DUPLICATE: {"outcome": Outcome.DUPLICATE},
    OrderState.REFUSED: {"outcome": Outcome.REFUSED, "message": "Invalid IMEI"},
    OrderState.UNCONFIRMED: {"outcome": Outcome.UNCONFIRMED, "message": "no answer"},
    OrderState.QUEUED: {"outcome": Outcome.THROTTLED, "spends_attempt": False},
    OrderState.FAILED: {"outcome": Outcome.UNSENT},
}


@pytest.fixture(params=["sqlite"])
def engine_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a fresh database of each kind that the ledger supports."""
    return f"{request.param}:///{tmp_path / 'home' / 'ledger.db'}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine_url: str, clock: Clock) -> Iterator[Ledger]:
    cast_ledger(Path(str(make_url(engine_url).database)))
    with Ledger.open(engine_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def add_job(ledger: Ledger) -> Callable[..., JobId]:
    def add(count: int = 6, *, first: int = 0, **values: Any) -> JobId:
        base: dict[str, Any] = {"account": ACCOUNT, "provider": "gsm-fusion", "service": SERVICE}
        job = ledger.create_draft(JobDraft(**{**base, "unit_price": PRICE, "currency": "USD", **values}))
        ledger.add_orders(job, [NewOrder(line=n + 2, imei=make_imei(first + n)) for n in range(count)])
        ledger.start_job(job)
        return job

    return add


@pytest.fixture
def desk(ledger: Ledger, clock: Clock, add_job: Callable[..., JobId]) -> Desk:
    job = add_job()
    token, _ = ledger.take_lane(ACCOUNT, "worker 1")
    return Desk(ledger, clock, job, token, ledger.queued_orders(job))
