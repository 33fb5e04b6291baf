"""A ledger in a temporary home, with a job whose orders have been brought into the states that a test wants."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import AccountName, JobId, Reference, ServiceId
from imeiflow.domain.imei import Imei, check_digit
from imeiflow.domain.item import Item
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.domain.user import Role
from imeiflow.ledger.change import AttemptKind, Concluded, Conclusion, Intent, OrderChange
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.ledger.user import User
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.catalogue import Credit, PriceList
from imeiflow.operations.configuration import Configuration
from imeiflow.operations.identity import _digest, _hash, invite_user
from imeiflow.operations.item_order import ItemProposal, order_items
from imeiflow.operations.session import Session
from tests.mould import cast_ledger, record

ACCOUNT = AccountName("gsm-fusion")
SERVICE = ServiceId("1")
PRICE = Decimal("0.08")
PASSWORD = "seven brass kettles sing"

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


@functools.cache
def _hash_password() -> str:
    """Give the hash of the password, made once: it takes a third of a second. It is checked as any other."""
    return _hash(PASSWORD)


def add_user(session: Session, name: str = "mia", role: Role = Role.ADMIN) -> User:
    """Make somebody who may sign in with `PASSWORD`."""
    secret = invite_user(session, role=role, actor="a test")
    return session.ledger.accept_invitation(_digest(secret), name=name, password_hash=_hash_password())


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
        reference=Reference(f"R{line}") if is_accepted or state is OrderState.DUPLICATE else None,
        message=MESSAGES.get(state, ""),
        price=PRICE if is_accepted else None,
        charges=int(is_accepted),
    )


def retry_orders(session: Session, job: JobId, *, is_again: bool = False) -> int:
    """Queue a job's failed and refused orders again, and leave it at rest; count them."""
    return session.ledger.retry(job, {OrderState.FAILED, OrderState.REFUSED}, is_again=is_again)


def conclude(ledger: Ledger, conclusion: Conclusion) -> Concluded:
    """Write a conclusion where no event loop runs."""

    async def write() -> Concluded:
        return await ledger.conclude(conclusion)

    return asyncio.run(write())


def hold_call(
    session: Session,
    job: JobId,
    state: OrderState = OrderState.QUEUED,
    ending: Ending = Ending.REFUSED_UNREAD,
) -> Callable[[], None]:
    """Send a job's orders in one call, and give what ends it: turned away unread, unless said otherwise."""
    ledger = session.ledger
    token, _ = ledger.take_lane(ACCOUNT, "a test")
    sent = tuple(order.id for order in ledger.queued_orders(job))
    intent = Intent(
        job=job, account=ACCOUNT, token=token, kind=AttemptKind.PLACE, orders=sent, started_at=ledger.clock()
    )
    attempt = asyncio.run(record(ledger, intent))
    changes = tuple(
        OrderChange(order=order, state=state, outcome=OUTCOMES.get(state, Outcome.THROTTLED), spends_attempt=False)
        for order in sent
    )

    def end() -> None:
        conclude(ledger, Conclusion(attempt=attempt, ended_at=ledger.clock(), ending=ending, changes=changes))

    return end


def after_read(session: Session, number: int, step: Callable[[], None]) -> None:
    """Let something happen between two views of the ledger: after that many were taken from now on."""
    read, views = session.ledger._read, itertools.count(1)

    @contextmanager
    def counted() -> Iterator[Connection]:
        with read() as connection:
            yield connection
        if next(views) == number:
            step()

    session.ledger._read = counted  # type: ignore[method-assign]


def propose(*items: Item) -> ItemProposal:
    """Propose to order files, or server orders, under the service."""
    return ItemProposal(
        account=ACCOUNT,
        kind=items[0].kind,
        items=items,
        lines=tuple(range(1, len(items) + 1)),
        service=SERVICE,
        service_name="",
        name="items",
        price=None,
        prices=PriceList(account=ACCOUNT, services=(), is_fresh=False),
        credit=Credit(account=ACCOUNT, balance=None),
        earlier={},
        max_spend=None,
    )


def add_item_job(session: Session, *items: Item) -> JobId:
    """Add a running job that orders items."""
    job, lock, _ = order_items(session, propose(*items))
    lock.release()
    return job


def finish(session: Session, job: JobId) -> None:
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.FINISHED, None)
