"""`imeiflow submit`: read a list, say what it would order and cost, ask, order, follow."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import click

from imeiflow.cli.departure import detach_job
from imeiflow.cli.following import tune_process
from imeiflow.cli.frame import confirm, open_input, open_session
from imeiflow.cli.log import keep_log
from imeiflow.cli.option import AMOUNT, RATE_TYPE, account_option, command, json_option, yes_option
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.cli.preview import describe_cost, tell_change, tell_proposal
from imeiflow.cli.server import find_client
from imeiflow.cli.sync import follow_through
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.order import Policy
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.json_object import describe_proposal
from imeiflow.operations.submit import (
    Draft,
    PriceChangedError,
    Proposal,
    Request,
    check_limit,
    check_service,
    preview_list,
    read_list,
)

_TELL_EVERY = 100_000


@command(
    examples="""
    imeiflow submit phones.xlsx --service 12 --dry-run     what it would order and cost; sends nothing
    imeiflow submit phones.xlsx --service 12               the same, then asks, orders, and follows
    imeiflow submit phones.csv --service 12 --max-spend 500 --detach
    imeiflow submit phones.csv --service 12 --yes --accept-price 0.10
    imeiflow submit phones.csv --service 12 --follow-results     until every result is there
    cut -f2 stock.tsv | imeiflow submit - --service 12 --yes --json
    imeiflow submit phones.csv --service 12 --server https://flow.example.com
    """,
    is_remote=True,
)
@click.argument("file", metavar="FILE")
@click.option("--service", required=True, metavar="ID", help="What to order; `imeiflow services` lists the ids.")
@account_option
@click.option("--name", default="", metavar="TEXT", help="What the job is called; otherwise the file's name.")
@click.option("--column", metavar="NAME", help="Column of the IMEIs: header, letter or number; otherwise it is found.")
@click.option("--max-spend", type=AMOUNT, metavar="AMOUNT", help="Pause before more than this is spent.")
@click.option(
    "--accept-price", type=AMOUNT, metavar="AMOUNT", help="Order only if one costs this or less, even if it has risen."
)
@click.option("--chunk-size", type=click.IntRange(min=1), metavar="N", help="N IMEIs a call work here: no trial.")
@click.option("--max-concurrency", type=click.IntRange(1, 1000), metavar="N", help="Never more calls at once.")
@click.option("--rate", type=RATE_TYPE, metavar="N/min", help="Never more calls in a time: 60/min, 2/s, 1000/h.")
@click.option(
    "--unconfirmed",
    type=click.Choice([policy.value for policy in Policy]),
    default=Policy.SETTLE.value,
    show_default=True,
    help="What to do about orders that may have been placed: settle them as far as can be known, or hold them all.",
)
@click.option(
    "--again", is_flag=True, help="Order also what was ordered before under this service, and pay for it again."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what it would order and cost; send and write nothing.")
@yes_option
@click.option("--follow-results", is_flag=True, help="When all is placed, go on until every result is there.")
@click.option("--detach", "is_detached", is_flag=True, help="Leave it to a runner that survives this terminal.")
@json_option
def submit(
    *,
    file: str,
    service: str,
    account: str | None,
    name: str,
    column: str | None,
    max_spend: Decimal | None,
    accept_price: Decimal | None,
    chunk_size: int | None,
    max_concurrency: int | None,
    rate: float | None,
    unconfirmed: str,
    again: bool,
    is_dry: bool,
    is_sure: bool,
    follow_results: bool,
    is_detached: bool,
    is_json: bool,
) -> int:
    """Order a service for a list of IMEIs: csv, xlsx, txt, or - for standard input.

    The price that you confirm is kept: a price list of some minutes ago is fetched again before anything is sent. A
    changed price is shown and asked about anew; with --yes a higher one ends it before anything is ordered, unless
    --accept-price allows it. While the job runs, a higher price pauses it.

    Each IMEI is ordered once, however often it stands in the list. What this ledger knows as ordered before under the
    service is skipped, unless it was rejected; --again orders it once more. What may have been placed is never ordered
    again before it is settled. You are asked before anything is sent. Ctrl-C lets calls under way end and pauses the
    job; `imeiflow resume` goes on with it, also after a crash.

    \b
    Exit status: 0 all accepted or duplicate; 1 error; 2 wrong usage; 3 some invalid,
    refused or failed; 4 paused or some unconfirmed; 130 interrupted.
    """
    check_service(service)
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.submit import Wanted, submit_remotely

        fields = {
            "service": service,
            "account": account,
            "name": name or None,
            "column": column,
            "max_spend": None if max_spend is None else f"{max_spend:f}",
            "chunk_size": chunk_size,
            "max_concurrency": max_concurrency,
            "rate_per_min": rate,
            "unconfirmed": unconfirmed,
            "again": again,
            "follow_results": follow_results,
        }
        how = {"is_sure": is_sure, "is_dry": is_dry, "is_detached": is_detached, "is_json": is_json}
        return submit_remotely(client, Wanted(file=file, fields=fields, accept_price=accept_price, **how))
    request = Request(
        source=_open_source(file),
        service=ServiceId(service),
        account=account,
        name=name,
        column=column,
        max_spend=max_spend,
        chunk_size=chunk_size,
        max_concurrency=max_concurrency,
        rate=rate,
        policy=Policy(unconfirmed),
        again=again,
        follow_results=follow_results,
    )
    tune_process()
    if is_dry:
        return _preview(request, is_json=is_json)
    return _order(request, accept_price=accept_price, is_sure=is_sure, is_detached=is_detached, is_json=is_json)


def _order(request: Request, *, accept_price: Decimal | None, is_sure: bool, is_detached: bool, is_json: bool) -> int:
    with open_session() as session:
        draft, proposal = read_list(session, request, _tell_rows)
        with draft:
            tell(tell_proposal(proposal), is_aside=True)
            check_limit(proposal, accept_price)
            if not _start(draft, request, proposal, is_sure=is_sure, up_to=accept_price):
                say("Nothing was ordered.")
                return 0
            if is_detached:
                return detach_job(session, draft.job, draft.lock, is_json=is_json)
            return follow_through(session, draft.job, draft.lock, is_json=is_json, may_ask=not is_sure)


def _start(draft: Draft, request: Request, proposal: Proposal, *, is_sure: bool, up_to: Decimal | None) -> bool:
    """Ask, and start the job at the price that was confirmed: anew where it has changed meanwhile. False is a no."""
    while _ask(request, proposal, is_sure=is_sure):
        try:
            started = draft.start(proposal, is_sure=is_sure, up_to=up_to)
        except PriceChangedError as error:
            if is_sure:
                raise
            proposal = error.proposal
            tell(["", f"The price has changed since: {error.change}{error.cost}.", ""], is_aside=True)
            continue
        tell(tell_change(proposal, started), is_aside=True)
        return True
    return False


def _open_source(file: str) -> Path | BinaryIO:
    if file != "-":
        return Path(file)
    return open_input()


def _preview(request: Request, *, is_json: bool) -> int:
    configuration = load_configuration()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, keep_log(configuration, nowhere):
        proposal = preview_list(configuration, request)
    if is_json:
        print_json(describe_proposal(proposal))
        return 0
    tell([*tell_proposal(proposal), "Nothing was sent."])
    return 0


def _ask(request: Request, proposal: Proposal, *, is_sure: bool) -> bool:
    valid = proposal.preview.valid
    if not valid:
        return True  # nothing will be sent: there is only a record to make
    return confirm(
        f"Order {describe_cost(proposal)}? It cannot be undone.",
        action=f"ordering {describe_cost(proposal)}",
        is_sure=is_sure,
        is_input_taken=not isinstance(request.source, Path),
    )


def _tell_rows(rows: int) -> None:
    if rows % _TELL_EVERY == 0:
        say(f"read {count(rows, 'row')} …")
