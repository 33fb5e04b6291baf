"""What jobs may have been charged beyond what is recorded, because a price rose between two looks at the list.

Read from the price lists and the calls of the ledger alone, so that it holds whoever looked, and after any crash.
Only what was seen by the end of a job counts: a later list says nothing of what was charged then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.domain.price_rise import Charged, Excess, PriceRise, Stand, find_excess, sum_up_rise
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import from_micros, to_micros
from imeiflow.ledger.charge import QUARTER_US, earliest_doubt
from imeiflow.ledger.log import PRICE_ROSE, write_event
from imeiflow.ledger.price_schema import service_price
from imeiflow.ledger.record import Expense
from imeiflow.ledger.schema import attempt, event, job, orders

_later = service_price.alias("later")
_until = (
    select(func.min(_later.c.seen_at))
    .where(
        _later.c.account == service_price.c.account,
        _later.c.kind == service_price.c.kind,
        _later.c.service == service_price.c.service,
        _later.c.id > service_price.c.id,
    )
    .correlate(service_price)
    .scalar_subquery()
)
#: The prices that lists came to show while a job was worked on.
_STANDS = (
    select(
        job.c.id,
        service_price.c.price,
        service_price.c.currency,
        service_price.c.known_at,
        service_price.c.seen_at,
        _until.label("until"),
        job.c.currency.label("paid_in"),
    )
    .join(
        service_price,
        and_(
            service_price.c.account == job.c.account,
            service_price.c.kind == job.c.kind,
            service_price.c.service == job.c.service,
        ),
    )
    .where(
        job.c.unit_price.is_not(None),
        service_price.c.is_listed,
        service_price.c.price.is_not(None),
        service_price.c.known_at.is_not(None),
        service_price.c.seen_at > job.c.started_at,
        or_(job.c.ended_at.is_(None), service_price.c.seen_at <= job.c.ended_at),
    )
    .order_by(service_price.c.id)
)
#: What an event calls them, as events do that tell of a change.
_LOGGED = {"before": "from", "after": "to", "more": "more_at_most"}
_IN_DOUBT = [OrderState.UNCONFIRMED.value, OrderState.SENDING.value]
#: What a repeat has found, or may find, was placed by an earlier call.
_began_at = case(
    (
        orders.c.state.in_([OrderState.DUPLICATE.value, OrderState.UNCONFIRMED.value]),
        func.coalesce(earliest_doubt, attempt.c.started_at),
    ),
    else_=attempt.c.started_at,
)
_times = case((orders.c.charges > 0, orders.c.charges), else_=1)
_price = func.coalesce(orders.c.price, job.c.unit_price)
_CHARGED = (
    select(_began_at.label("left_at"), attempt.c.ended_at, _price.label("told"), _times.label("often"), func.count())
    .select_from(orders)
    .join(job, job.c.id == orders.c.job_id)
    .join(attempt, attempt.c.id == orders.c.attempt_id)
    .where(or_(orders.c.charges > 0, orders.c.state.in_(_IN_DOUBT)))
    .group_by("left_at", attempt.c.ended_at, "told", "often")
)


class PriceRises(Access):
    """The part of the ledger that tells of prices that rose unseen."""

    def price_rise(self, job_id: JobId) -> PriceRise | None:
        """Say what a job may have been charged beyond its spending by a rise that was seen too late; None: nothing."""
        with self._read() as connection:
            return read_rises(connection, [job_id]).get(job_id)

    def note_price_rise(self, job_id: JobId) -> PriceRise | None:
        """Give the same, and log it where it was not, or was otherwise."""

        def note(connection: Connection) -> PriceRise | None:
            rise = read_rises(connection, [job_id]).get(job_id)
            if rise is None:
                return None
            told = select(event.c.data).where(event.c.job_id == job_id, event.c.kind == PRICE_ROSE)
            data = {_LOGGED.get(name, name): str(value) for name, value in rise.as_dict().items()}
            if connection.execute(told.order_by(event.c.id.desc()).limit(1)).scalar() != data:
                write_event(connection, PRICE_ROSE, at=self.clock(), job=job_id, data=data)
            return rise

        return self._write(note)


def read_rises(connection: Connection, jobs: Sequence[JobId]) -> dict[JobId, PriceRise]:
    """Say of jobs what they may have been charged besides, those of which it is not sure."""
    found = _read_excess(connection, job.c.id.in_(jobs))
    rises = {its_job: sum_up_rise(excess) for its_job, excess in found.items()}
    return {its_job: rise for its_job, rise in rises.items() if rise is not None}


def list_excess(
    connection: Connection, *whose: ColumnElement[bool], since: datetime | None, until: datetime | None
) -> list[Expense]:
    """List what may have been charged besides, by job and the quarter of an hour in which the calls left.

    `whose` says of which jobs. `until` itself is not part of the time.
    """
    worked = [] if since is None else [or_(job.c.ended_at.is_(None), job.c.ended_at >= since)]
    return [
        Expense(its_job, _quarter(one.charged.began_at), one.each, one.charged.times * one.charged.orders)
        for its_job, found in _read_excess(connection, *whose, *worked).items()
        for one in found
        if (since is None or since <= one.charged.began_at) and (until is None or one.charged.began_at < until)
    ]


def _read_excess(connection: Connection, *whose: ColumnElement[bool]) -> dict[JobId, list[Excess]]:
    stands: dict[tuple[JobId, str], list[Stand]] = defaultdict(list)
    for id_, price, currency, known_at, seen_at, until, paid_in in connection.execute(_STANDS.where(*whose)):
        stands[JobId(id_), paid_in].append(Stand(Money(price, currency), known_at, seen_at, until))
    return {id_: _compare(connection, id_, paid_in, found) for (id_, paid_in), found in stands.items()}


def _compare(connection: Connection, job_id: JobId, currency: str, stands: Sequence[Stand]) -> list[Excess]:
    since = min(stand.known_at for stand in stands)
    query = _CHARGED.where(orders.c.job_id == job_id, or_(attempt.c.ended_at.is_(None), attempt.c.ended_at > since))
    found: list[Excess] = []
    for began_at, ended_at, price, times, number in connection.execute(query):
        charged = Charged(began_at, ended_at, Money(price, currency), number, times)
        excess = find_excess(charged, stands)
        if excess is not None:
            found.append(excess)
    return found


def _quarter(at: datetime) -> datetime:
    micros = to_micros(at) or 0
    begun = from_micros(micros - micros % QUARTER_US)
    return at if begun is None else begun
