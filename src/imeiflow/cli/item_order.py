"""`imeiflow order-file` and `imeiflow order-server`: orders about files, or about a service's own fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, TypeVar, Unpack

import click

from imeiflow.cli.departure import detach_job
from imeiflow.cli.following import follow_job
from imeiflow.cli.frame import confirm, open_input, open_session
from imeiflow.cli.option import AMOUNT, account_option, command, json_option, yes_option
from imeiflow.cli.output import count, print_json, say, show_time, tell
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import Item, ServerItem
from imeiflow.domain.price import Quote, say_move
from imeiflow.errors import UsageError
from imeiflow.operations.item_order import (
    ItemPriceChangedError,
    ItemProposal,
    ItemRequest,
    count_wanted,
    order_items,
    propose_items,
    read_files,
    read_server_items,
)
from imeiflow.operations.json_text import clean

_EXAMPLES = 5

F = TypeVar("F", bound=Callable[..., Any])


class _Options(TypedDict):
    """What both commands take."""

    account: str | None
    name: str
    max_spend: Decimal | None
    accept_price: Decimal | None
    is_again: bool
    is_dry: bool
    is_sure: bool
    is_detached: bool
    is_json: bool


def _order_options(function: F) -> F:
    """Add the options that both commands take."""
    for add in (
        json_option,
        click.option("--detach", "is_detached", is_flag=True, help="Leave it to a runner that survives this terminal."),
        yes_option,
        click.option("--dry-run", "is_dry", is_flag=True, help="Say what it would order and cost; send nothing."),
        click.option("--again", "is_again", is_flag=True, help="Order also what was ordered before under the service."),
        click.option(
            "--accept-price",
            type=AMOUNT,
            metavar="AMOUNT",
            help="Order only if one costs this or less, even if it has risen.",
        ),
        click.option("--max-spend", type=AMOUNT, metavar="AMOUNT", help="Pause before more than this is spent."),
        click.option(
            "--name",
            default="",
            metavar="TEXT",
            help="What the job is called; otherwise by its first order, or by the table.",
        ),
        account_option,
    ):
        function = add(function)
    return function


@command(
    name="order-file",
    examples="""
    imeiflow services --kind file
    imeiflow order-file phone.ask --service 902
    imeiflow order-file requests/*.ask --service 902 --max-spend 50 --yes --json
    """,
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--service", required=True, metavar="ID", help="What to order; `services --kind file` lists the ids.")
@_order_options
def order_file(
    *,
    files: tuple[Path, ...],
    service: str,
    **options: Unpack[_Options],
) -> int:
    """Order a file service, once for each FILE: a calculation, or an unlock from what a phone has written.

    What was ordered before is told by the content of the file, not by its name, and left out unless you say
    --again. One whose reply was lost is held as unconfirmed, and never sent again by itself.
    """
    return _order(dict(enumerate(read_files(files), 1)), service, **options)


@command(
    name="order-server",
    examples="""
    imeiflow services --kind server
    imeiflow order-server --service 951 --field email_951=me@example.com --field quantity_951=2
    imeiflow order-server --service 951 --from orders.csv      a column a field, a row an order
    """,
)
@click.option("--service", required=True, metavar="ID", help="What to order; `services --kind server` lists the ids.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field that the service asks for.")
@click.option("--from", "table", metavar="FILE", help="Several orders: csv or xlsx, or - for standard input.")
@_order_options
def order_server(
    *,
    service: str,
    fields: tuple[str, ...],
    table: str | None,
    **options: Unpack[_Options],
) -> int:
    """Order a server service: credits, a tool's licence, whatever needs no IMEI but fields of its own.

    The names of the fields are the provider's (email_…, username_…, quantity_…, serialno_…). The same fields ordered
    before under the service are left out unless you say --again. One whose reply was lost is held as unconfirmed,
    and never sent again by itself.
    """
    if bool(fields) == (table is not None):
        raise UsageError(problem="say either --field NAME=VALUE, for one order, or --from FILE, for several")
    items = {1: _read_fields(fields)} if table is None else read_server_items(_open_table(table))
    if not options["name"] and table is not None and table != "-":
        options["name"] = Path(table).name
    return _order(items, service, is_input_taken=table == "-", **options)


def _order(
    items: Mapping[int, Item], service: str, *, is_input_taken: bool = False, **options: Unpack[_Options]
) -> int:
    request = ItemRequest(
        items=tuple(items.values()),
        lines=tuple(items),
        service=ServiceId(service),
        account=options["account"],
        name=options["name"],
        max_spend=options["max_spend"],
    )
    is_again, is_json, is_sure = options["is_again"], options["is_json"], options["is_sure"]
    with open_session() as session:
        proposal = propose_items(session, request)
        chosen = count_wanted(proposal, reorder=is_again)
        if options["is_dry"]:
            _preview(proposal, chosen, is_json=is_json)
            return 0
        tell(_tell_proposal(proposal, chosen), is_aside=True)
        while _ask(proposal, chosen, is_sure=is_sure, is_input_taken=is_input_taken):
            try:
                job, lock, started = order_items(
                    session, proposal, reorder=is_again, is_sure=is_sure, up_to=options["accept_price"]
                )
            except ItemPriceChangedError as error:
                if is_sure:
                    raise
                proposal = error.proposal
                tell(["", f"The price has changed since: {error.change}{error.cost}.", ""], is_aside=True)
                continue
            tell(_tell_change(proposal, started, chosen), is_aside=True)
            if options["is_detached"]:
                return detach_job(session, job, lock, is_json=is_json)
            return follow_job(session, job, lock=lock, is_json=is_json)
        say("Nothing was ordered.")
        return 0


def _ask(proposal: ItemProposal, chosen: int, *, is_sure: bool, is_input_taken: bool) -> bool:
    cost = _describe_cost(proposal, chosen)
    return not chosen or confirm(
        f"Order {cost}? It cannot be undone.",
        action=f"ordering {cost}",
        is_sure=is_sure,
        is_input_taken=is_input_taken,
    )


def _preview(proposal: ItemProposal, chosen: int, *, is_json: bool) -> None:
    if is_json:
        print_json(_as_dict(proposal, chosen))
    else:
        tell([*_tell_proposal(proposal, chosen), "Nothing was sent."])


def _read_fields(texts: tuple[str, ...]) -> ServerItem:
    fields: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(problem=f"--field: {text!r} is not NAME=VALUE")
        if name.strip() in fields:
            raise UsageError(problem=f"--field: {name.strip()} is given twice")
        fields[name.strip()] = value
    return ServerItem(fields)


def _open_table(table: str) -> Path | BinaryIO:
    return open_input() if table == "-" else Path(table)


def _tell_proposal(proposal: ItemProposal, chosen: int) -> Iterator[str]:
    yield f"{count(len(proposal.items), f'{proposal.kind.value} order')}:"
    for place, item in enumerate(proposal.items[:_EXAMPLES]):
        past = proposal.earlier.get(place)
        told = f"  (job {past.job} ordered it on {show_time(past.at)}: {past.state.value})" if past else ""
        yield f"  {clean(item.subject)}{told}"
    if len(proposal.items) > _EXAMPLES:
        yield f"  and {len(proposal.items) - _EXAMPLES:,} more"
    if proposal.earlier:
        left = len(proposal.items) - chosen
        yield f"{count(len(proposal.earlier), 'of them was', 'of them were')} ordered before; {left:,} left out."
    yield ""
    yield f"To order: {_describe_cost(proposal, chosen)}"
    if not proposal.prices.is_fresh:
        yield f"  The price list could not be fetched: {clean(proposal.prices.problem)}"
        if proposal.price is not None:
            yield f"  The price is that of {show_time(proposal.prices.as_of)}."
    if proposal.credit.balance is not None:
        yield f"Balance: {proposal.credit.balance}"


def _tell_change(shown: ItemProposal, started: ItemProposal, chosen: int) -> Iterator[str]:
    """Say what is otherwise than it was shown, where that needed no word more: a lower price, a list not to be had."""
    if started.price != shown.price:
        said = say_move(started.service, shown.price, Quote(is_listed=True, price=started.price))
        yield f"Since then {clean(said)}; it costs {started.cost(chosen) or 'what nobody knows'} in all."
    if shown.prices.is_fresh and not started.prices.is_fresh:
        problem = clean(started.prices.problem)
        yield f"The price list could not be fetched again: {problem}. The price is that of the list shown."


def _describe_cost(proposal: ItemProposal, chosen: int) -> str:
    what = clean(proposal.service_name) or f"service {proposal.service}"
    if proposal.price is None:
        return f"{chosen:,} × {what} at a price that is not known, with account {proposal.account}"
    return f"{chosen:,} × {proposal.price} = {proposal.cost(chosen)} ({what}, account {proposal.account})"


def _as_dict(proposal: ItemProposal, chosen: int) -> dict[str, object]:
    cost, balance = proposal.cost(chosen), proposal.credit.balance
    currency = next((one.currency for one in (proposal.price, balance) if one is not None and one.currency), "")
    return {
        "kind": proposal.kind,
        "account": proposal.account,
        "service": proposal.service,
        "service_name": proposal.service_name,
        "total": len(proposal.items),
        "to_order": chosen,
        "price": None if proposal.price is None else proposal.price.amount,
        "cost": None if cost is None else cost.amount,
        "balance": None if balance is None else balance.amount,
        "currency": currency,
        "max_spend": proposal.max_spend,
        "ordered_before": [
            {
                "subject": proposal.items[place].subject,
                "job": past.job,
                "state": past.state,
                "reference": past.reference,
            }
            for place, past in proposal.earlier.items()
        ],
    }
