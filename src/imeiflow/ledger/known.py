"""What the ledger knows of IMEIs that somebody else names: the orders that were placed, or may have been."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Text, bindparam, func, select

from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.access import Access
from imeiflow.ledger.cell import encode_rows, from_micros
from imeiflow.ledger.charge import earliest_doubt
from imeiflow.ledger.dialect import fetch_rows, json_rows
from imeiflow.ledger.price_schema import service_price
from imeiflow.ledger.record import KnownOrder
from imeiflow.ledger.schema import attempt, job, orders

_STATES = [
    state.value for state in (OrderState.ACCEPTED, OrderState.DUPLICATE, OrderState.UNCONFIRMED, OrderState.SENDING)
]
_imeis = json_rows("imeis", imei=Text())
_KNOWN = (
    select(
        orders.c.id,
        orders.c.job_id,
        job.c.service,
        job.c.service_name,
        orders.c.imei,
        orders.c.state,
        orders.c.reference,
        func.coalesce(orders.c.price, job.c.unit_price).label("price"),
        job.c.currency,
        orders.c.charges,
        orders.c.status,
        orders.c.result,
        orders.c.attempt_id,
        func.coalesce(earliest_doubt, attempt.c.started_at, orders.c.accepted_at).label("began_at"),
        func.coalesce(attempt.c.ended_at, orders.c.accepted_at, attempt.c.started_at).label("ended_at"),
    )
    .join(job, job.c.id == orders.c.job_id + 0)  # no index on the job: the IMEIs lead
    .join(attempt, attempt.c.id == orders.c.attempt_id)
    .where(orders.c.imei.in_(select(_imeis.c.imei)), orders.c.state.in_(_STATES))
)
_NAMES = [
    select(table.c.service, name)
    .where(table.c.account == bindparam("account"), table.c.kind == OrderKind.IMEI.value)
    .distinct()
    for table, name in ((job, job.c.service_name), (service_price, service_price.c.name))
]


class Known(Access):
    """The part of the ledger that is compared with what others say."""

    def known_orders(self, account: AccountName, imeis: Sequence[Imei]) -> list[KnownOrder]:
        """List an account's orders of these IMEIs that were placed or may have been, the oldest first."""
        query = _KNOWN.where(job.c.account == account)
        with self._read() as connection:
            rows = fetch_rows(connection, query, {"imeis": encode_rows([(imei,) for imei in imeis])})
        return sorted((_read(row) for row in rows), key=lambda known: known.order)

    def known_services(self, account: AccountName) -> dict[ServiceId, set[str]]:
        """Give every name that an IMEI service of an account was ever seen under, by jobs and price lists."""
        names: dict[ServiceId, set[str]] = {}
        with self._read() as connection:
            for query in _NAMES:
                for id_, name in connection.execute(query, {"account": account}):
                    names.setdefault(ServiceId(id_), set()).update({name} - {""})
        return names


def _read(row: Sequence[Any]) -> KnownOrder:
    values = dict(zip(KnownOrder.__dataclass_fields__, row, strict=True))
    values["state"] = OrderState(values["state"])
    values["status"] = None if values["status"] is None else ResultStatus(values["status"])
    values["price"] = None if values["price"] is None else Decimal(values["price"])
    values["began_at"], values["ended_at"] = from_micros(values["began_at"]), from_micros(values["ended_at"])
    return KnownOrder(**values)
