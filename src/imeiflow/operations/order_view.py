"""What a person sees of orders: a page of those that match, and all that is known of one. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imeiflow.domain.ident import AttemptId, OrderId
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.ledger.attempt_record import Evidence
from imeiflow.ledger.filter import Cursor, Filter
from imeiflow.ledger.record import FoundOrder, Job
from imeiflow.operations.order_list import find_orders
from imeiflow.operations.session import Session
from imeiflow.operations.timeline import Happening, read_timeline, say_result
from imeiflow.results.anomaly import read_order_result
from imeiflow.results.result import Result

_MOST_SHOWN: Final = 20_000  #: characters of a request or a reply
_LONGEST_LINE: Final = 600


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order with the job that it belongs to."""

    order: FoundOrder
    job: Job

    @property
    def cost(self) -> Money | None:
        """Give what it was charged, all charges together; None where nothing was, or the price is not known."""
        if not self.order.charges or self.order.price is None:
            return None
        return Money(self.order.price * self.order.charges, self.job.currency)

    @property
    def said(self) -> str:
        """Give what the provider found out, in one line."""
        return say_result((self.order.result or "")[:_LONGEST_LINE])


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some of the orders that match; `next` is where the rest begins."""

    lines: list[OrderLine]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """All that is known of one order. `result` is None where the provider has sent none."""

    line: OrderLine
    happenings: list[Happening]
    result: Result | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the wire in one attempt, as text, keys blanked; `is_cut`: there is more of it."""

    request: str
    reply: str
    is_cut: bool


def list_order_lines(session: Session, wanted: Filter, *, after: Cursor | None = None, limit: int) -> OrderPage:
    """List a page of the orders that match, newest first."""
    page = session.ledger.page_orders(wanted, after=after, limit=limit)
    jobs = {job: session.find_job(job) for job in {order.job for order in page.orders}}
    return OrderPage([OrderLine(order, jobs[order.job]) for order in page.orders], page.next)


def read_order(session: Session, order: OrderId) -> OrderView | None:
    """Read all that is known of one order; None where there is none."""
    found = session.ledger.find_order(order)
    if found is None:
        return None
    return OrderView(
        line=OrderLine(found, session.find_job(found.job)),
        happenings=read_timeline(session, found),
        result=None if not found.result else read_order_result(found.result, found.imei),
    )


def read_exchange(session: Session, order: OrderId, attempt: AttemptId) -> Exchange | None:
    """Give what an attempt on an order sent and received; None where nothing is kept, or the attempt was on others."""
    if all(one.attempt.id != attempt for one in session.ledger.attempts_of(order)):
        return None
    evidence = session.ledger.attempt_evidence(attempt)
    return None if evidence is None else _as_text(evidence)


def find_missing(session: Session, imeis: tuple[Imei, ...]) -> list[Imei]:
    """List those of the IMEIs, in their order, that no job contains."""
    seen = {order.imei for order in find_orders(session, Filter(imeis=imeis))}
    return [imei for imei in imeis if imei not in seen]


def _as_text(evidence: Evidence) -> Exchange:
    request, reply = (part.decode("utf-8", "replace") for part in (evidence.request, evidence.reply))
    is_cut = max(len(request), len(reply)) > _MOST_SHOWN
    return Exchange(request[:_MOST_SHOWN], reply[:_MOST_SHOWN], is_cut)
