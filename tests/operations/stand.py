"""A ledger in a temporary home, with a job whose orders have been brought into the states that a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import AccountName, JobId, Reference, ServiceId
from imeiflow.domain.imei import Imei, check_digit
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.ledger.change import AttemptKind, Conclusion, Intent, OrderChange
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.configuration import Configuration
from imeiflow.operations.session import Session
from tests.mould import cast_ledger

ACCOUNT = AccountName("gsm-fusion")
SERVICE = ServiceId("1")
PRICE = Decimal("0.08")

OUTCOMES = {
    OrderState.ACCEPTED: Outcome.ACCEPTED,
    OrderState.DUPLICATE: Outcome.DUPLICATE,
    OrderState.REFUSED: Outcome.REFUSED,
    OrderState.UNCONFIRMED: Outcome.UNCONFIRMED,
}
MESSAGES = {OrderState.REFUSED: "Invalid IMEI!", OrderState.UNCONFIRMED: "not named in the reply"}


def make_imei(number: int) -> Imei:
    """Make the IMEI of a test phone."""
    first14 = f"35000000{number:06}"
    return Imei(first14 + check_digit(first14))


def make_configuration(
    home: Path, base_url: str = "http://127.0.0.1:9", *, has_ledger: bool = True, **account: Any
) -> Configuration:
    """Configure a home with one account; it has an empty ledger already, unless it shall not."""
    settings = AccountSettings(
        name=ACCOUNT, provider="gsm-fusion", base_url=base_url, username="simulated", key="simulated-key"
    )
    settings = replace(settings, **account)
    ledger = home / "ledger.sqlite"
    if has_ledger:
        cast_ledger(ledger)
    return Configuration(home=home, ledger=ledger, accounts={ACCOUNT: settings})


def open_session(home: Path, clock: SteadyClock | None = None) -> Session:
    session = Session.open(make_configuration(home))
    return session if clock is None else Session(session.configuration, session.ledger, clock)


def add_job(session: Session, rows: Sequence[NewOrder], **draft: Any) -> JobId:
    """Add a running job with the rows."""
    job = add_draft(session, rows, **draft)
    session.ledger.start_job(job)
    return job


def add_draft(session: Session, rows: Sequence[NewOrder], **draft: Any) -> JobId:
    """Add a job with the rows that does not run yet."""
    base: dict[str, Any] = {
        "account": ACCOUNT,
        "provider": "gsm-fusion",
        "service": SERVICE,
        "unit_price": PRICE,
        "currency": "USD",
    }
    job = session.ledger.create_draft(JobDraft(**{**base, **draft}))
    session.ledger.add_orders(job, rows)
    return job


def answer(session: Session, job: JobId, states: Mapping[int, OrderState], ending: Ending = Ending.ANSWERED) -> None:
    """Send the orders of some lines in one call, which brings each into the state that is given for its line."""
    ledger = session.ledger
    token, _ = ledger.take_lane(ACCOUNT, "a test")
    chosen = {order.id: (order, states[order.line]) for order in ledger.queued_orders(job) if order.line in states}

    async def send() -> None:
        attempt = await ledger.intend(
            Intent(
                job=job,
                account=ACCOUNT,
                token=token,
                kind=AttemptKind.PLACE,
                orders=tuple(chosen),
                started_at=ledger.clock(),
            )
        )
        changes = tuple(make_change(order.id, order.line, state) for order, state in chosen.values())
        await ledger.conclude(
            Conclusion(attempt=attempt, ended_at=ledger.clock(), ending=ending, changes=changes, http_status=200)
        )

    asyncio.run(send())
    ledger.release_lane(ACCOUNT, token)


def make_change(order: Any, line: int, state: OrderState) -> OrderChange:
    is_accepted = state is OrderState.ACCEPTED
    return OrderChange(
        order=order,
        state=state,
        outcome=OUTCOMES[state],
        reference=Reference(f"R{line}") if is_accepted else None,
        message=MESSAGES.get(state, ""),
        price=PRICE if is_accepted else None,
        charges=int(is_accepted),
    )


def finish(session: Session, job: JobId) -> None:
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.FINISHED, None)
