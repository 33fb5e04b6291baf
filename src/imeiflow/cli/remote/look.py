"""`orders`, `export`, `services`, `spending` of a server: what its answers hold, as values of this program."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from imeiflow.cli.export import tell_done
from imeiflow.cli.output import say
from imeiflow.cli.server import name_only_account
from imeiflow.domain.ident import AccountName
from imeiflow.domain.item import OrderKind
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.record import FoundOrder, PricedService
from imeiflow.operations.catalogue import PriceList
from imeiflow.operations.export import EXPORTED_HEADER, Exported, Layout, Wish, needs_mark
from imeiflow.operations.new_file import write_file
from imeiflow.operations.spending import Axis, Sum
from imeiflow.operations.timeline import Happening
from imeiflow.remote.client import Client, page_size
from imeiflow.remote.error import RemoteError, make_misfit
from imeiflow.remote.reading import read_as, read_order, read_service, read_sum, read_timeline

_LOCAL_ZONE: Final = Path("/etc/localtime")


def find_orders(client: Client, wanted: Filter, after: Cursor | None, limit: int) -> Iterator[FoundOrder]:
    """Give the orders of a server that match, newest first; at least one more than `limit`, where there are."""
    body = {**_describe_filter(wanted), "limit": page_size(limit + 1 if limit else 0)}

    def ask_page(cursor: Any) -> Any:
        began = cursor or (None if after is None else str(after))
        return client.search("/orders/search", {**body, **({"cursor": began} if began else {})})

    yield from map(read_order, client.pages("orders", ask_page, most=limit + 1 if limit else 0))


def find_timeline(client: Client, order: FoundOrder) -> list[Happening]:
    """Give what happened to an order."""
    return read_timeline(client.get(f"/orders/{order.id}")["timeline"])


def export_remotely(client: Client, wish: Wish, target: Path | None, *, replaces: bool) -> None:
    """Write an export of a server to a file, or to standard output."""
    query: dict[str, Any] = {**_describe_filter(wish.filter), "layout": wish.layout.value}
    if wish.layout is not Layout.GSM_FUSION:
        query["format"] = wish.format.value
    if wish.jobs is not None:
        query["job"] = list(wish.jobs)
    with client.stream("/export", **query) as stream:
        if target is None:
            for part in stream.parts():
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            return
        done = _read_exported(stream.header(EXPORTED_HEADER))
        with write_file(target, replaces=replaces) as file:
            if needs_mark(wish):
                file.write(codecs.BOM_UTF8)
            for part in stream.parts():
                file.write(part)
    for line in tell_done(done, wish, target):
        say(line)


def _read_exported(said: str | None) -> Exported:
    """Read what a server has written. Raises RemoteError."""
    try:
        return read_as(json.loads(said or ""), Exported)
    except ValueError:
        raise make_misfit(f"its header {EXPORTED_HEADER} says not what was written") from None


def list_services(client: Client, account: str | None, kind: OrderKind) -> PriceList:
    """Fetch the price list of an account of a server."""
    told = client.get("/services", account=account, kind=kind.value, fresh="true")
    return PriceList(
        account=AccountName(told["account"]),
        services=tuple(map(read_service, told["services"])),
        is_fresh=bool(told["is_fresh"]),
        as_of=None if told["as_of"] is None else read_as(told["as_of"], datetime),
        problem=str(told["problem"]),
    )


def list_price_history(client: Client, account: str | None, service: str, kind: OrderKind) -> list[PricedService]:
    """Give how a service of a server stood in its price lists."""
    named = account or name_only_account(client)
    try:
        told = client.get(f"/services/{service}/prices", account=named, kind=kind.value)
    except RemoteError as error:
        if error.status != 404 or error.code == "account":
            raise
        return []
    return [read_service(one, read_as(one["since"], datetime)) for one in told["prices"]]


def add_up_spending(
    client: Client, by: Axis, *, account: str | None, first: date | None, last: date | None
) -> list[Sum]:
    """Add up what a server has spent, in days of this machine's time zone."""
    days = {"from": first and first.isoformat(), "to": last and last.isoformat()}
    told = client.get("/spending", by=by.value, account=account, timezone=name_local_zone(), **days)
    return [read_sum(one, by) for one in told["sums"]]


def name_local_zone() -> str:
    """Name this machine's time zone, such as Europe/Berlin; its offset of today where it has no name."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        with suppress(OSError):
            named = str(_LOCAL_ZONE.resolve()).partition("zoneinfo/")[2]
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(named).key if named else datetime.now().astimezone().strftime("%:z")
    return datetime.now().astimezone().isoformat()[-6:]


def _describe_filter(wanted: Filter) -> dict[str, Any]:
    """Write a filter as the fields of a server's selection."""
    told: dict[str, Any] = {
        "imei": None if wanted.imeis is None else list(wanted.imeis),
        "reference": None if wanted.references is None else list(wanted.references),
        "state": None if wanted.states is None else sorted(wanted.states),
        "status": None if wanted.statuses is None else sorted(wanted.statuses),
        "job": None if wanted.jobs is None else list(wanted.jobs),
        "service": wanted.service,
        "account": wanted.account,
        **_describe_span("accepted", wanted.accepted),
        **_describe_span("completed", wanted.completed),
    }
    return {name: value for name, value in told.items() if value is not None}


def _describe_span(name: str, span: Span | None) -> dict[str, str]:
    ends = {} if span is None else {f"{name}_from": span.start, f"{name}_before": span.end}
    return {field: at.isoformat() for field, at in ends.items() if at is not None}
