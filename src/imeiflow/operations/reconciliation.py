"""A provider's own export against the ledger: what it settles, what it cannot, and in what both differ.

Comparing changes nothing; `settle_by_export` carries out what was shown. The export is held in memory, the ledger is
asked for its IMEIs, a page at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import KnownOrder
from imeiflow.operations.absence import Coverage, Silence, explain_silence
from imeiflow.operations.claim import Claims, Obscurity, claim_rows, is_doubt, is_placed
from imeiflow.operations.session import Session
from imeiflow.operations.settlement import (
    SettlementPlan,
    choose_orders,
    plan_settlement,
    read_doubts,
    settle_apart,
    settle_not_placed,
    settle_placed,
)
from imeiflow.operations.statement import ExportedOrder, Statement, read_statement, simplify_name
from imeiflow.operations.time_zone import ExportClock, choose_clock

_PAGE: Final = 1000
_MOST_CERTAIN: Final = 2000  #: orders that tell the time zone
_PLACED: Final = frozenset({OrderState.ACCEPTED, OrderState.DUPLICATE})
_LEAST_PREFIX: Final = 10  #: letters of a service's name that was cut


@dataclass(frozen=True, slots=True)
class Difference:
    """An order whose price the export gives otherwise than the ledger."""

    order: KnownOrder
    row: ExportedOrder

    @property
    def recorded(self) -> Money | None:
        """Give what the ledger has."""
        return self.order.recorded


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """What an export says of a job's doubts, and of all orders of its account."""

    plan: SettlementPlan  #: of all doubts of the job
    statement: Statement
    clock: ExportClock | None = None
    settled: dict[OrderId, ExportedOrder] = field(default_factory=dict)
    obscure: list[tuple[KnownOrder, Obscurity]] = field(default_factory=list)
    elsewhere: Counter[JobId] = field(default_factory=Counter)  #: doubts of other jobs that it would settle
    unknown: list[ExportedOrder] = field(default_factory=list)  #: the provider has it, the ledger does not
    unclear: list[ExportedOrder] = field(default_factory=list)  #: of orders that the ledger may have, or may not
    other_services: Counter[str] = field(default_factory=Counter)  #: rows of services that the ledger never ordered
    dearer: list[Difference] = field(default_factory=list)  #: prices that differ
    updates: list[StatusUpdate] = field(default_factory=list)  #: statuses that are news
    confirmed: int = 0  #: rows of orders that the ledger has as placed
    unnamed: tuple[OrderId, ...] = ()  #: doubts of the job that were not placed, if it is complete: no row names them
    held: Counter[Silence] = field(default_factory=Counter)  #: doubts that no row names either, which proves nothing
    matched: set[OrderId] = field(default_factory=set)  #: placed orders that have a row of their own
    absent: list[KnownOrder] = field(default_factory=list)  #: placed orders of its time without one, if it is complete

    @property
    def placed(self) -> SettlementPlan:
        """Give the plan of what is settled as placed."""
        return choose_orders(self.plan, self.settled)

    @property
    def missing(self) -> SettlementPlan:
        """Give the plan of what is not placed, if the export is complete for its time."""
        return choose_orders(self.plan, self.unnamed)


def reconcile(
    session: Session,
    job: JobId,
    source: Path | BinaryIO,
    *,
    zone: tzinfo | None = None,
    name: str | None = None,
    is_complete: bool = False,
) -> Reconciliation:
    """Compare an export, called `name`, with the ledger. Raises InputError, UnknownJobError, JobStateError.

    Whoever says that it `is_complete` for its time is also told which accepted orders of that time it leaves out.
    """
    plan = plan_settlement(session, job, None)
    statement = read_statement(source, currency=plan.job.currency, name=name)
    ledger, account = session.ledger, plan.job.account
    services = _Services(ledger, account)
    clock = choose_clock(statement, _find_certain(ledger, account, statement, services), zone)
    found = Reconciliation(plan=plan, statement=statement, clock=clock)
    named: set[OrderId] = set()
    for imei, known in _pages(ledger, account, statement):
        _compare(found, statement.orders[imei], known, services)
        named.update(one.order for one in known if is_doubt(one))
    fits = lambda service, name: _fits(service, services.find(name))  # noqa: E731
    coverage = Coverage(plan.job, statement, clock, fits)
    _find_unnamed(session, found, named, coverage)
    if is_complete:
        found.absent = _find_absent(ledger, account, found, coverage.span)
    return found


def settle_by_export(session: Session, found: Reconciliation, *, note: str, actor: str = "") -> int:
    """Mark as placed what the export names, and store the statuses that it tells; count what was settled.

    Raises UsageError, JobStateError, GuardError; nothing has been settled then.
    """
    plan = found.placed
    if plan.orders:
        settle_placed(session, plan, references=_find_references(found), note=note, actor=actor)
    _store_statuses(session, found)
    return len(plan.orders)


def settle_wholly(
    session: Session,
    found: Reconciliation,
    *,
    is_complete: bool,
    notes: tuple[str, str],
    actor: str,
    log: Callable[[int, int], object],
) -> tuple[int, int]:
    """Mark as placed what an export names, and where it `is_complete` queue again what it does not: both, or none.

    `notes` are those of the ones and of the others. Counts both, and tells `log` of it as soon as it is done: the
    statuses that the export tells are stored after that. Raises as `settle_by_export`.
    """
    placed, missing = found.placed, choose_orders(found.plan, found.unnamed if is_complete else ())
    settle_apart(session, placed, missing, references=_find_references(found), notes=notes, actor=actor)
    counts = len(placed.orders), len(missing.orders)
    log(*counts)
    _store_statuses(session, found)
    return counts


def _store_statuses(session: Session, found: Reconciliation) -> None:
    told = [
        StatusUpdate(order=order, status=row.status, result=row.code or None)
        for order, row in found.settled.items()
        if row.status is not None
    ]
    updates = iter([*found.updates, *told])
    while page := list(islice(updates, _PAGE)):
        session.ledger.update_statuses(found.plan.job.account, page)


def settle_missing(session: Session, found: Reconciliation, *, note: str, actor: str = "") -> int:
    """Queue again what a complete export does not name; count it. Raises as `settle_by_export`."""
    plan = found.missing
    if plan.orders:
        settle_not_placed(session, plan, note=note, actor=actor)
    return len(plan.orders)


def _find_references(found: Reconciliation) -> dict[OrderId, Reference]:
    """Give the references that the export tells; a number that several rows share is not that of an order."""
    times = Counter(row.reference for row in found.statement)
    return {
        order: row.reference
        for order, row in found.settled.items()
        if row.reference is not None and times[row.reference] == 1
    }


class _Services:
    """Knows services by the names that exports write, which may be cut, or differ in case and punctuation."""

    def __init__(self, ledger: Ledger, account: AccountName) -> None:
        self._by_name: dict[str, set[ServiceId]] = defaultdict(set)
        for id_, names in ledger.known_services(account).items():
            for name in {*names, id_}:
                self._by_name[simplify_name(name)].add(id_)
        self._found: dict[str, frozenset[ServiceId] | None] = {}

    def find(self, name: str) -> frozenset[ServiceId] | None:
        """Give the services that a name can mean; None where the export does not say, or none is known by name."""
        if name not in self._found:
            self._found[name] = self._look(simplify_name(name))
        return self._found[name]

    def _look(self, plain: str) -> frozenset[ServiceId] | None:
        if not plain:
            return None
        if plain in self._by_name:
            return frozenset(self._by_name[plain])
        cut = [ids for known, ids in self._by_name.items() if _is_cut(plain, known)]
        return frozenset().union(*cut)


def _is_cut(plain: str, known: str) -> bool:
    short, long = sorted((plain, known), key=len)
    return len(short) >= _LEAST_PREFIX and long.startswith(short)


def _fits(service: ServiceId, services: frozenset[ServiceId] | None) -> bool:
    return services is None or service in services


def _pages(ledger: Ledger, account: AccountName, statement: Statement) -> Iterator[tuple[Imei, list[KnownOrder]]]:
    """Give each IMEI of the export with the orders that the ledger knows of it."""
    imeis = iter(statement.orders)
    while page := list(islice(imeis, _PAGE)):
        known: dict[Imei, list[KnownOrder]] = {imei: [] for imei in page}
        for order in ledger.known_orders(account, page):
            known[order.imei].append(order)
        yield from known.items()


def _find_certain(
    ledger: Ledger, account: AccountName, statement: Statement, services: _Services
) -> Iterator[tuple[ExportedOrder, KnownOrder]]:
    """Give the rows that can belong to one order only: they tell how the export writes its dates."""
    count = 0
    for imei, known in _pages(ledger, account, statement):
        rows = statement.orders[imei]
        is_one = len(rows) == 1 and len(known) == 1 and is_placed(known[0])
        if is_one and rows[0].moments and _fits(known[0].service, services.find(rows[0].service)):
            yield rows[0], known[0]
            count += 1
        if count == _MOST_CERTAIN:
            return


def _compare(found: Reconciliation, rows: list[ExportedOrder], known: list[KnownOrder], services: _Services) -> None:
    """Compare all that both sides have of one IMEI, service by service."""
    left = list(rows)
    by_service: dict[ServiceId, list[KnownOrder]] = defaultdict(list)
    for order in known:
        by_service[order.service].append(order)
    for service, orders in by_service.items():
        mine = [row for row in left if _fits(service, services.find(row.service))]
        claims = claim_rows(mine, orders, found.clock, has_dates=found.statement.has_dates)
        left = [row for row in left if row not in mine or row in claims.left]
        _add(found, claims)
        if not mine:
            doubts = [one for one in orders if is_doubt(one) and one.job == found.plan.job.id]
            found.obscure += [(one, Obscurity.OTHER_SERVICE) for one in doubts]
    for row in left:
        found.unknown.append(row)
        if services.find(row.service) == frozenset():
            found.other_services[row.service] += 1


def _add(found: Reconciliation, claims: Claims) -> None:
    mine = found.plan.job.id
    for order, row in claims.settled:
        if order.job == mine:
            found.settled[order.order] = row
        else:
            found.elsewhere[order.job] += 1
    found.obscure += [(order, why) for order, why in claims.obscure if order.job == mine]
    found.unclear += claims.unclear
    found.confirmed += len(claims.placed)
    found.matched.update(order.order for order, _ in claims.placed)
    found.updates += [
        StatusUpdate(order=order.order, status=row.status, result=row.code or None)
        for order, row in claims.placed
        if row.status is not None and _is_news(order, row)
    ]
    found.dearer += [
        Difference(order, row)
        for order, row in [*claims.placed, *claims.settled]
        if row.price is not None and order.price is not None and row.price.amount != order.price
    ]


def _is_news(order: KnownOrder, row: ExportedOrder) -> bool:
    """Say whether a row tells more than is known; some calls place an order, and say that it is completed, not how."""
    if row.status == order.status:
        return bool(row.code) and not order.result
    return order.status is None or not order.status.is_final


def _find_unnamed(session: Session, found: Reconciliation, named: set[OrderId], coverage: Coverage) -> None:
    """Find the doubts that no row names: those that were not placed then, and why it proves nothing of the others."""
    doubts = [one for one in read_doubts(session, found.plan.job.id) if one.order not in named]
    planned = set(found.plan.orders)
    doubts = [one for one in doubts if one.order in planned]
    told = list(zip(doubts, explain_silence(coverage, doubts), strict=True))
    found.unnamed = tuple(doubt.order for doubt, why in told if why is None)
    found.held.update(why for _, why in told if why is not None)


def _find_absent(
    ledger: Ledger, account: AccountName, found: Reconciliation, span: tuple[datetime, datetime] | None
) -> list[KnownOrder]:
    """Find the orders that were placed within the time of the export, and that no row of it belongs to."""
    if span is None:
        return []
    first, last = span
    wanted = Filter(account=account, states=_PLACED, accepted=Span(first, last))
    absent: list[KnownOrder] = []
    after: Cursor | None = None
    while True:
        page = ledger.page_orders(wanted, after=after, limit=_PAGE)
        left = {order.id: order.imei for order in page.orders if order.id not in found.matched and order.imei}
        absent += [
            known
            for known in ledger.known_orders(account, list(dict.fromkeys(left.values())))
            if known.order in left and is_placed(known) and first <= known.began_at and known.ended_at <= last
        ]
        if page.next is None:
            return absent
        after = page.next
