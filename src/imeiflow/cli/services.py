"""`imeiflow services`: what an account can order, and its price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, json_option
from imeiflow.cli.output import count, print_json_list, print_table, say, screen_width, show_time
from imeiflow.cli.server import find_client
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.errors import ProviderError
from imeiflow.ledger.record import PricedService
from imeiflow.operations.catalogue import PriceList, list_services
from imeiflow.operations.json_object import describe_service
from imeiflow.operations.json_text import clean

_WIDE = 90  #: columns from which a table has room for the category


@command(
    examples="""
    imeiflow services
    imeiflow services --search "carrier"
    imeiflow services --history 12        its price over time
    imeiflow services --kind file
    imeiflow services --json | jq '.[] | select(.price < 0.2)'
    """,
    is_remote=True,
)
@click.option("--search", metavar="TEXT", help="Only those whose name, category or id has all these words.")
@click.option("--history", metavar="ID", help="How this service stood in the price lists that were fetched.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in OrderKind]),
    default=OrderKind.IMEI.value,
    show_default=True,
    help="Services for IMEIs, for files, or of servers.",
)
@account_option
@json_option
def services(search: str | None, history: str | None, kind: str, account: str | None, is_json: bool) -> None:
    """List the services of an account with their ids, prices and delivery times.

    The list is fetched afresh and kept in the ledger. Without an answer the one of last time is shown, with its date.
    """
    client, chosen_kind = find_client(), OrderKind(kind)
    found_prices: list[PricedService] = []
    if client is not None:
        from imeiflow.cli.remote import look

        prices = look.list_services(client, account, chosen_kind)
        if history is not None:
            found_prices = look.list_price_history(client, account, history, chosen_kind)
    else:
        with open_session() as session:
            chosen = session.configuration.choose_account(account)
            prices = list_services(session.ledger, session.configuration, chosen, chosen_kind)
            if history is not None:
                found_prices = session.ledger.price_history(chosen.name, ServiceId(history), chosen_kind)
    if history is not None:
        _print_history(found_prices, history, is_json=is_json)
        return
    if not prices.services:
        raise ProviderError(account=prices.account, problem=prices.problem, remedy="Nothing was ordered. Try again.")
    found = [one for one in prices.services if _matches(one, search)]
    if is_json:
        print_json_list(describe_service(one) for one in found)
    else:
        _print_services(found)
        matching = f" of {len(prices.services):,}" if search else ""
        say(f"{len(found):,}{matching} {'service' if len(prices.services) == 1 else 'services'}.")
    if not prices.is_fresh:
        say(_tell_age(prices))


def _print_history(found: Sequence[PricedService], service: str, *, is_json: bool) -> None:
    """Show since when a service has had which price, the newest last; nothing is known of the time in between."""
    if is_json:
        print_json_list({"since": one.seen_at, **describe_service(one)} for one in found)
        return
    rows = [[show_time(one.seen_at), "-" if one.price is None else str(one.price), clean(one.name)] for one in found]
    print_table(["SINCE", "PRICE", "NAME"], rows, right=(1,), empty=f"No price list ever had a service {service}.")


def _matches(service: PricedService, search: str | None) -> bool:
    text = f"{service.id} {service.category} {service.name}".casefold()
    return all(word in text for word in (search or "").casefold().split())


def _print_services(found: Iterable[PricedService]) -> None:
    is_wide = screen_width() >= _WIDE
    rows = []
    for one in found:
        cells = [one.id, "-" if one.price is None else str(one.price), clean(one.delivery) or "-", clean(one.name)]
        if is_wide:
            cells.insert(3, clean(one.category))
        rows.append(cells)
    headings = ["ID", "PRICE", "TAKES", "NAME"]
    if is_wide:
        headings.insert(3, "CATEGORY")
    print_table(headings, rows, right=(0, 1), empty="No service matches.")


def _tell_age(prices: PriceList) -> str:
    kept = count(len(prices.services), "service")
    return f"Not fresh: {clean(prices.problem)}. These {kept} are from {show_time(prices.as_of)}."
