"""An account's price lists with their history: a row is added only when something changed.

Each kind of services has a list of its own, in which ids may be those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.ledger.access import Access
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.price_schema import price_list, service_price
from imeiflow.ledger.record import PricedService


class Prices(Access):
    """The part of the ledger that keeps price lists."""

    def record_prices(
        self,
        account: AccountName,
        services: Sequence[PricedService],
        kind: OrderKind = OrderKind.IMEI,
        *,
        asked_at: datetime | None = None,
    ) -> int:
        """Store a freshly fetched price list and count what changed; services not named in it are no longer listed.

        `asked_at` is when it was asked for, without which that is now: its prices may have changed since.
        """
        now = self.clock()
        good_at = now if asked_at is None else min(asked_at, now)

        def record(connection: Connection) -> int:
            latest = {row.service: row for row in connection.execute(_latest(account, kind))}
            before = connection.execute(_of(select(price_list.c.fetched_at), price_list, account, kind)).scalar()
            known_at = None if before is None else min(before, good_at)
            fresh = {service.id: _values(service) for service in services}
            changed = [
                {"service": id_, "is_listed": True, **values}
                for id_, values in fresh.items()
                if id_ not in latest or not latest[id_].is_listed or _differ(latest[id_], values)
            ]
            gone = [
                {"service": row.service, "is_listed": False, **{name: getattr(row, name) for name in _TOLD}}
                for row in latest.values()
                if row.is_listed and row.service not in fresh
            ]
            told = {"account": account, "kind": kind.value, "seen_at": now, "known_at": known_at}
            rows = [{**told, **row} for row in changed + gone]
            if rows:
                connection.execute(insert(service_price), rows)
            if not connection.execute(
                _of(update(price_list), price_list, account, kind).values(fetched_at=good_at)
            ).rowcount:
                connection.execute(insert(price_list).values(account=account, kind=kind.value, fetched_at=good_at))
            return len(rows)

        return self._write(record)

    def price_list(self, account: AccountName, kind: OrderKind = OrderKind.IMEI) -> list[PricedService]:
        """List the services of the newest price list in the order of their ids, each as it was last seen to change."""
        with self._read() as connection:
            rows = connection.execute(_latest(account, kind)).all()
        return sorted((_read(row) for row in rows if row.is_listed), key=lambda one: _by_number(one.id))

    def price_history(
        self, account: AccountName, service: ServiceId, kind: OrderKind = OrderKind.IMEI
    ) -> list[PricedService]:
        """List how a service stood in the price list over time, oldest first."""
        query = _of(select(service_price), service_price, account, kind).where(
            service_price.c.service == service, service_price.c.is_listed
        )
        with self._read() as connection:
            return [_read(row) for row in connection.execute(query.order_by(service_price.c.id))]

    def delivery(self, account: AccountName, service: ServiceId, kind: OrderKind = OrderKind.IMEI) -> str:
        """Say how long a service takes, in the words of the newest price list that named it; empty if none did."""
        query = (
            _of(select(service_price.c.delivery), service_price, account, kind)
            .where(service_price.c.service == service)
            .order_by(service_price.c.id.desc())
            .limit(1)
        )
        with self._read() as connection:
            return connection.execute(query).scalar() or ""

    def prices_fetched_at(self, account: AccountName, kind: OrderKind = OrderKind.IMEI) -> datetime | None:
        """Say when the price list that was fetched last was asked for, changed or not; None where none ever was."""
        with self._read() as connection:
            return connection.execute(_of(select(price_list.c.fetched_at), price_list, account, kind)).scalar()

    def priced_at(self, account: AccountName, kind: OrderKind = OrderKind.IMEI) -> datetime | None:
        """Say when the price list last changed; None where none was ever stored."""
        query = _of(select(service_price.c.seen_at), service_price, account, kind)
        with self._read() as connection:
            return connection.execute(query.order_by(service_price.c.id.desc()).limit(1)).scalar()


def _by_number(service: str) -> tuple[int, str]:
    """Order ids as people count, where they are numbers; others come last."""
    is_number = service.isascii() and service.isdigit()
    return (int(service), "") if is_number and len(service) < 20 else (10**20, service)


_TOLD = ("name", "category", "price", "currency", "delivery", "note")


def _of(statement: Any, table: Table, account: str, kind: OrderKind) -> Any:
    """Restrict a statement to one kind of an account's services."""
    return statement.where(table.c.account == account, table.c.kind == kind.value)


def _latest(account: str, kind: OrderKind) -> Any:
    last = _of(select(func.max(service_price.c.id)), service_price, account, kind).group_by(service_price.c.service)
    return select(service_price).where(service_price.c.id.in_(last)).order_by(service_price.c.service)


def _values(service: PricedService) -> dict[str, Any]:
    return {
        "name": service.name,
        "category": service.category,
        "price": service.price.amount if service.price else None,
        "currency": service.price.currency if service.price else "",
        "delivery": service.delivery,
        "note": service.note,
    }


def _differ(row: AnyRow, values: dict[str, Any]) -> bool:
    return any(getattr(row, name) != values[name] for name in _TOLD)


def _read(row: AnyRow) -> PricedService:
    return PricedService(
        id=ServiceId(row.service),
        name=row.name,
        category=row.category,
        price=None if row.price is None else Money(row.price, row.currency),
        delivery=row.delivery,
        note=row.note,
        seen_at=row.seen_at,
    )
