"""What the provider says of orders now, fetched in portions, and kept in the ledger for those that it knows."""

from __future__ import annotations

from collections.abc import Iterable

from imeiflow.domain.ident import AccountName, Reference
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.status import Asked, account_for_statuses
from imeiflow.errors import ProviderError
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.ledger import Ledger
from imeiflow.providers.contract import Connection, Listing, OrderStatus

_PORTION = 100
_ABOUT_ORDERS = frozenset({ErrorKind.ORDER, ErrorKind.CHUNK, ErrorKind.UNKNOWN})


async def fetch_statuses(
    connection: Connection, references: Iterable[Reference], *, account: AccountName
) -> list[OrderStatus]:
    """Fetch the status of orders, in the order of `references`; those that the provider does not name are left out.

    How many a call may ask for is not known: where a reply names fewer, the rest is asked for in smaller portions.
    Raises ProviderError where a call is not answered, or answered with an error alone.
    """
    wanted = list(dict.fromkeys(references))
    found: dict[Reference, OrderStatus] = {}
    pending, size = wanted, _PORTION
    while pending:
        asked, rest = pending[:size], pending[size:]
        listing = await connection.fetch_statuses(asked)
        named = {item.reference: item for item in listing.items if item.reference in asked}
        found.update(named)
        missing = [reference for reference in asked if reference not in named]
        if named:
            size = min(size, len(named)) if missing else size
            pending = missing + rest
        elif not _may_be_about_orders(listing):
            raise ProviderError(account=account, problem=listing.error.message if listing.error else "no answer")
        elif len(asked) > 1:
            size = len(asked) // 2 if listing.error is not None else 1
        else:
            pending = rest  # asked for alone: it is not known there
    return [found[reference] for reference in wanted if reference in found]


def keep_statuses(ledger: Ledger, account: AccountName, found: Iterable[OrderStatus]) -> int:
    """Store statuses with the accepted orders that they belong to, and count those stored. Blocks."""
    statuses = {status.reference: status for status in found}
    references = list(statuses)
    stored = 0
    for start in range(0, len(references), _PORTION):
        portion = references[start : start + _PORTION]
        orders = ledger.search_orders(
            references=portion, states={OrderState.ACCEPTED}, account=account, limit=10 * _PORTION
        )
        asked = [Asked(one.id, one.reference, one.imei or "") for one in orders if one.reference is not None]
        told = account_for_statuses(asked, [statuses[one.reference] for one in asked])
        updates = [StatusUpdate(order=one.order, status=one.status, result=one.code) for one in told.said]
        stored += ledger.update_statuses(account, updates, anomalies=told.anomalies).stored
    return stored


def _may_be_about_orders(listing: Listing[OrderStatus]) -> bool:
    """Say whether an answer without orders may be about those asked for, or their number, and nothing else."""
    if listing.exchange.ending is not Ending.ANSWERED:
        return False
    return listing.error is None or listing.error.kind in _ABOUT_ORDERS
