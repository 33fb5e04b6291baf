"""`imeiflow settle`: what is unconfirmed, with its evidence, and the user's word about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from imeiflow.cli.frame import confirm, open_session, read_pasted
from imeiflow.cli.option import command, job_argument, json_option, yes_option
from imeiflow.cli.output import count, cut, print_json, print_json_list, print_table, say, show_time, tell
from imeiflow.cli.reconcile import Manner
from imeiflow.cli.server import find_client
from imeiflow.cli.settling import LocalDesk, SettlingDesk, Which, Word
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import UsageError
from imeiflow.operations.json_text import as_values, clean
from imeiflow.operations.order_list import read_wanted
from imeiflow.operations.settlement import DoubtfulOrder, Doubts

#: The status while orders are unconfirmed (design: Command line).
_UNCONFIRMED = 4
_SHOWN = 20
_LONGEST_SUBJECT = 40


@command(
    examples="""
    imeiflow settle 7                   what is unconfirmed, and why
    imeiflow settle 7 --placed --all    all of them are there
    imeiflow settle 7 --placed 4711 --imei 350000000000014
    imeiflow settle 7 --not-placed --imei - < missing.txt
    imeiflow settle 8 --placed 4712 --row 3     of files, or of a server service: by its row
    imeiflow settle 7 --from-export orders.csv --dry-run     what the provider's export would settle
    imeiflow settle 7 --from-export orders.csv --complete    what it leaves out was not placed
    """,
    is_remote=True,
)
@job_argument
@click.option(
    "--placed",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[REFERENCE]",
    help="The provider has them; with its order number if you know it.",
)
@click.option("--not-placed", is_flag=True, help="The provider does not have them: they are queued again.")
@click.option("--from-export", "export", metavar="FILE", help="The provider's own export settles all that it names.")
@click.option("--timezone", "zone", metavar="ZONE", help="Of the export's dates: UTC, +05:30, Europe/Berlin.")
@click.option(
    "--complete", "is_complete", is_flag=True, help="The export has all orders of its time: others were not placed."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what the export would change; change nothing.")
@click.option("--imei", "imeis", multiple=True, metavar="IMEI", help="These: repeat it, use commas, or - for a list.")
@click.option(
    "--row", "rows", multiple=True, type=click.IntRange(min=1), metavar="N", help="The one in this row; repeatable."
)
@click.option("--all", "is_all", is_flag=True, help="All unconfirmed orders of the job.")
@click.option("--note", default="", metavar="TEXT", help="How you know; it is kept in the log.")
@yes_option
@json_option
def settle(
    *,
    job: int,
    placed: str | None,
    not_placed: bool,
    export: str | None,
    zone: str | None,
    is_complete: bool,
    is_dry: bool,
    imeis: tuple[str, ...],
    rows: tuple[int, ...],
    is_all: bool,
    note: str,
    is_sure: bool,
    is_json: bool,
) -> int:
    """List the unconfirmed orders of a job, or say what became of them.

    Without an option it lists them with what is known. Look at the provider's own order page before you settle: your
    word is taken. Ends with 4 while any are unconfirmed.

    With --from-export you are shown first what it would change, what has to be looked at, what the provider has and
    this ledger has not, and prices that differ. That an order is missing from an export proves nothing by itself.
    """
    if export is None and (zone is not None or is_complete or is_dry):
        raise UsageError(problem="--timezone, --complete and --dry-run are about --from-export FILE")
    if export is not None and (placed is not None or not_placed or imeis or rows or is_all):
        raise UsageError(problem="--from-export says itself which orders were placed")
    is_listing = export is None and placed is None and not not_placed
    if is_listing and (imeis or rows or is_all or note):
        raise UsageError(problem="say what became of them: --placed or --not-placed")
    if placed is not None and not_placed:
        raise UsageError(problem="--placed and --not-placed contradict each other")
    with _open_desk(JobId(job)) as desk:
        if is_listing:
            return _list(desk, is_json=is_json)
        if export is not None:
            how = Manner(is_complete=is_complete, is_dry=is_dry, is_sure=is_sure, is_json=is_json)
            desk.settle_by_export(Path(export), how, zone=zone, note=note)
            return _say_status(desk) if is_dry else _report(desk, is_json=is_json)
        word = desk.take_word(_choose(imeis, rows, is_all=is_all), placed, note)
        if not word.number:
            say(f"Nothing of job {job} is unconfirmed.")
        elif not _settle(word, is_sure=is_sure):
            say("Nothing was changed.")
        return _report(desk, is_json=is_json)


@contextmanager
def _open_desk(job: JobId) -> Iterator[SettlingDesk]:
    """Give where the job's doubts are settled: here, or at a server."""
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.settle import RemoteDesk

        yield RemoteDesk(client, job)
        return
    with open_session() as session:
        yield LocalDesk(session, job)


def _choose(texts: tuple[str, ...], rows: tuple[int, ...], *, is_all: bool) -> Which:
    """Give which orders were named. Raises UsageError unless it was said in exactly one way."""
    if [is_all, bool(texts), bool(rows)].count(True) != 1:
        raise UsageError(problem="say which: --row or --imei for some of them, or --all")
    if is_all:
        return Which()
    if rows:
        return Which(rows=tuple(dict.fromkeys(rows)))
    wanted = read_wanted(read_pasted() if text.strip() == "-" else text for text in texts)
    if wanted.unreadable or not wanted.imeis:
        shown = ", ".join(clean(text)[:40] for text in wanted.unreadable[:3]) or "the list is empty"
        remedy = "Nothing was changed. Give IMEIs of 15 digits, or name what has none by --row."
        raise UsageError(problem=f"no IMEI: {shown}", remedy=remedy)
    return Which(imeis=tuple(wanted.imeis))


def _settle(word: Word, *, is_sure: bool) -> bool:
    if not word.is_placed:
        tell(_warn_not_placed(word), is_aside=True)
        if not confirm("Are they really not there?", action="settling as not placed", is_sure=is_sure):
            return False
    else:
        say(_tell_placed(word))
        if not confirm("Settle them so?", action="settling as placed", is_sure=is_sure):
            return False
    word.give()
    return True


def _warn_not_placed(word: Word) -> list[str]:
    orders = count(word.number, "order")
    cost = f", for {word.cost}" if word.cost is not None else ""
    if word.job.state is JobState.CANCELLED:
        return [f"{orders} of job {word.job.id} will be marked as not placed, and not sent again: it is cancelled."]
    return [
        f"{orders} of job {word.job.id} will be marked as not placed, and ordered again{cost}.",
        "Any that the provider does have after all may then be paid for twice.",
    ]


def _tell_placed(word: Word) -> str:
    orders = count(word.number, "order")
    known = f" with reference {clean(word.reference)}" if word.reference is not None else ""
    cost = f", and {word.cost} counted as spent" if word.cost is not None else ""
    are = "It is" if word.number == 1 else "They are"
    return f"{orders} of job {word.job.id} will be marked as placed{known}{cost}. {are} not sent again."


def _say_status(desk: SettlingDesk) -> int:
    return _UNCONFIRMED if desk.find_summary().tally[OrderState.UNCONFIRMED] else 0


def _report(desk: SettlingDesk, *, is_json: bool) -> int:
    summary = desk.find_summary()
    left = summary.tally[OrderState.UNCONFIRMED]
    if is_json:
        print_json(summary.as_dict())
    else:
        tally = summary.tally
        say(
            f"Job {summary.job}: {tally[OrderState.ACCEPTED]:,} accepted, {tally[OrderState.DUPLICATE]:,} duplicate, "
            f"{tally.waiting:,} queued, {left:,} unconfirmed."
        )
        if tally.waiting and summary.state is not JobState.CANCELLED:
            say(f"`imeiflow resume {summary.job}` sends what is queued.")
    return _UNCONFIRMED if left else 0


def _list(desk: SettlingDesk, *, is_json: bool) -> int:
    job = desk.job
    if is_json:
        print_json_list(as_values(one) for one in desk.list_doubts())
        return _say_status(desk)
    found = desk.sum_up_doubts(_SHOWN)
    if not found.total:
        say(f"Nothing of job {job} is unconfirmed.")
        return 0
    click.echo(f"{count(found.total, 'order')} of job {job} may or may not have been placed.\n")
    _print_calls(found)
    click.echo()
    is_of_imeis = all(one.imei is not None for one in found.orders)
    rows = [
        [cut(clean(one.subject), _LONGEST_SUBJECT), str(one.line), str(one.attempt), show_time(one.began_at)]
        for one in found.orders
    ]
    print_table(["IMEI" if is_of_imeis else "ORDER", "ROW", "ATTEMPT", "SENT"], rows, right={1, 2})
    if found.total > _SHOWN:
        click.echo(f"… and {found.total - _SHOWN:,} more: `imeiflow orders --job {job} --state unconfirmed --limit 0`")
    some = "--imei …" if is_of_imeis else "--row N "
    lines = [
        "",
        "Look them up on the provider's order page, then:",
        f"  imeiflow settle {job} --placed --all           all of them are there",
        f"  imeiflow settle {job} --not-placed {some}    these are not: order them again",
    ]
    if is_of_imeis:
        lines += [
            "Or save the provider's own list of orders, and let it settle what it names:",
            f"  imeiflow settle {job} --from-export FILE --dry-run",
        ]
    tell(lines, is_aside=True)
    return _UNCONFIRMED


def _print_calls(found: Doubts) -> None:
    """Show the calls that left doubt: when each was sent, how many of its orders are in doubt, what came back."""
    rows = [
        [str(attempt), show_time(one.began_at), f"{found.counts[attempt]:,} of {one.size:,}", _tell(one)]
        for attempt, one in sorted(found.calls.items())[:_SHOWN]
    ]
    print_table(["ATTEMPT", "SENT", "IN DOUBT", "WHAT CAME BACK"], rows, right={0, 2})
    if len(found.calls) > _SHOWN:
        click.echo(f"… and {count(len(found.calls) - _SHOWN, 'call')} more")


def _tell(one: DoubtfulOrder) -> str:
    if one.http_status is None or "HTTP" in one.message:
        return one.message
    return f"HTTP {one.http_status}: {one.message}"
