"""`imeiflow orders`: find orders over all jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from imeiflow.cli.frame import open_session, read_file, read_pasted
from imeiflow.cli.option import account_option, command, json_option
from imeiflow.cli.output import count, print_json_list, print_table, say, screen_width, show_time, tell
from imeiflow.cli.selection import read_filter, selection_options
from imeiflow.cli.server import find_client
from imeiflow.domain.ident import Reference
from imeiflow.domain.imei import Imei, read_imei
from imeiflow.domain.order import ResultStatus
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Cursor, Filter
from imeiflow.ledger.record import FoundOrder
from imeiflow.ledger.search import end_with
from imeiflow.operations.json_text import as_values, clean
from imeiflow.operations.order_list import Wanted, find_orders, read_wanted
from imeiflow.operations.timeline import Happening, read_timeline

_LIMIT = 50
_WIDE = 95  #: columns from which a table has room for more than the essential
_LONGEST_SUBJECT = 24
_NARROW = 76  #: below, there is no room for reference and status beside a reason
_PART = 1_000  #: rows that are laid out together


@command(
    examples="""
    imeiflow orders --imei 356938030000013           what became of one phone
    imeiflow orders --imei 356938030000013 --timeline  and all that happened to it
    imeiflow orders --imei-file phones.txt           of a list of thousands; - reads a pasted one (Ctrl-D ends it)
    imeiflow orders --job 7 --state unconfirmed --state refused
    imeiflow orders --status completed --completed-from yesterday --limit 0 --json
    """,
    is_remote=True,
)
@click.option(
    "--imei", "imeis", multiple=True, metavar="IMEI", help="Only these: repeat it, use commas, or - for a list."
)
@click.option("--imei-file", "imei_files", multiple=True, metavar="FILE", help="Only those that stand in a text file.")
@click.option("--reference", "references", multiple=True, metavar="REF", help="Only with this reference; repeatable.")
@click.option(
    "--job", "jobs", multiple=True, type=click.IntRange(min=1), metavar="JOB", help="Only of this job; repeatable."
)
@selection_options
@account_option
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The most to list; 0 is all. {_LIMIT} unless IMEIs are named.",
)
@click.option("--after", metavar="CURSOR", help="Go on behind a list that ended with this cursor, same options.")
@click.option(
    "--timeline", "is_timeline", is_flag=True, help="Tell all that happened to each order, attempt by attempt."
)
@json_option
def orders(
    *,
    imeis: tuple[str, ...],
    imei_files: tuple[str, ...],
    references: tuple[str, ...],
    limit: int | None,
    after: str | None,
    is_timeline: bool,
    is_json: bool,
    **selection: Any,
) -> None:
    """Find orders by IMEI, reference, state, status, service or time, over all jobs, newest first.

    IMEIs are read as in a list: spaces, dashes and a missing check digit do no harm. With a time, the latest come
    first. What a repeated row repeats is listed with the job that ordered it. An order of a file or of a server
    service has no IMEI: its place shows the file's name, or the fields; --job, --service and --reference find it.
    """
    wanted = _read_imeis(imeis, imei_files) if imeis or imei_files else None
    filter_ = read_filter(**selection)
    is_filtered = filter_ != Filter() or bool(references)
    filter_ = replace(
        filter_,
        imeis=tuple(wanted.imeis) if wanted is not None else None,
        references=tuple(map(Reference, references)) or None,
    )
    limit = limit if limit is not None else (0 if wanted is not None else _LIMIT)
    with _open_orders(filter_, _read_cursor(after), limit) as (found, read_timeline_of):
        listing = _Listing(found, limit, filter_)
        if is_timeline:
            _print_timelines(read_timeline_of, listing, is_json=is_json)
        elif is_json:
            print_json_list(as_values(order) for order in listing)
        else:
            _print_orders(listing)
    if listing.next is not None:
        say(f"There are more: `--after {listing.next}` goes on behind these {limit:,}, `--limit 0` lists all.")
    if wanted is not None and after is None:
        _tell_missing(wanted, listing.seen, is_filtered=is_filtered)


@contextmanager
def _open_orders(
    wanted: Filter, after: Cursor | None, limit: int
) -> Iterator[tuple[Iterator[FoundOrder], Callable[[FoundOrder], list[Happening]]]]:
    """Give the orders that match, here or at a server, and what tells all that happened to one of them."""
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote import look

        yield look.find_orders(client, wanted, after, limit), partial(look.find_timeline, client)
        return
    with open_session(is_listing=True) as session:
        yield find_orders(session, wanted, after), partial(read_timeline, session)


class _Listing:
    """The orders to list; notes which of the IMEIs asked for were among them, and where the rest begins, if any."""

    def __init__(self, found: Iterator[FoundOrder], limit: int, filter_: Filter) -> None:
        self.seen: dict[Imei, None] = {}
        self.next: Cursor | None = None
        self._found = found
        self._limit = limit
        self._filter = filter_

    def __iter__(self) -> Iterator[FoundOrder]:
        last: FoundOrder | None = None
        for number, order in enumerate(self._found, 1):
            is_behind = bool(self._limit) and number > self._limit
            if is_behind and last is not None and self.next is None:
                self.next = end_with(self._filter, last)
                if self._filter.imeis is None:
                    return
            if self._filter.imeis is not None and order.imei is not None:
                self.seen[order.imei] = None  # also of what is not listed: which are missing is said of all
            if not is_behind:
                last = order
                yield order


def _read_cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as error:
        remedy = "Give what the list before said at its end, with the same options."
        raise UsageError(problem=f"--after: {error}", remedy=remedy) from None


def _read_imeis(texts: tuple[str, ...], files: tuple[str, ...]) -> Wanted:
    wanted = read_wanted(chain(map(_read_source, texts), map(_read_file, files)))
    for text in wanted.unreadable[:5]:
        say(f"{clean(text)[:60]!r} is no IMEI: left out. {read_imei(text).sentence}".rstrip())
    if len(wanted.unreadable) > 5:
        say(f"{len(wanted.unreadable) - 5:,} more are no IMEIs either.")
    if not wanted.imeis:
        raise UsageError(problem="there is no IMEI to look for", remedy="Give IMEIs of 15 digits.")
    return wanted


def _read_source(text: str) -> str:
    return read_pasted() if text.strip() == "-" else text


def _read_file(name: str) -> str:
    if name == "-":
        return read_pasted()
    return read_file(Path(name).expanduser())


def _print_orders(listing: _Listing) -> None:
    columns = _choose_columns(screen_width())
    right = {place for place, name in enumerate(columns) if name in {"JOB", "ROW"}}
    is_empty = True
    rows = iter(listing)
    while part := list(islice(rows, _PART)):
        is_empty = False
        print_table(columns, [[_COLUMNS[name](order) for name in columns] for order in part], right=right)
    if is_empty:
        say("No order matches.")


def _print_timelines(
    read_timeline_of: Callable[[FoundOrder], list[Happening]], listing: _Listing, *, is_json: bool
) -> None:
    if is_json:
        print_json_list(
            {**as_values(order), "timeline": [as_values(one) for one in read_timeline_of(order)]} for order in listing
        )
        return
    for order in listing:
        state = order.state.value + (f", {_STATUS[order.status]}" if order.status is not None else "")
        told = f"{_show_subject(order)}  job {order.job}, row {order.line}: {state}"
        tell([f"{told} - {clean(order.error)}" if order.error else told])
        tell(f"  {one.at.astimezone():%Y-%m-%d %H:%M:%S}  {clean(one.sentence)}" for one in read_timeline_of(order))


def _choose_columns(width: int) -> list[str]:
    """Leave out what a narrow screen has no room for."""
    left_out = {"ROW", "TIME"} if width < _WIDE else set()
    if width < _NARROW:
        left_out |= {"REFERENCE", "STATUS"}
    return [name for name in _COLUMNS if name not in left_out]


_STATUS: Mapping[ResultStatus | None, str] = {
    None: "-",
    **{status: status.value.replace("_", " ") for status in ResultStatus},
}


def _show_subject(order: FoundOrder) -> str:
    """Show an IMEI whole, anything else in the room that one takes, and a little more."""
    subject = clean(order.subject)
    return subject if order.imei or len(subject) <= _LONGEST_SUBJECT else subject[: _LONGEST_SUBJECT - 1] + "…"


_COLUMNS: Mapping[str, Callable[[FoundOrder], str]] = {
    "IMEI": _show_subject,
    "JOB": lambda order: str(order.job),
    "ROW": lambda order: str(order.line),
    "TIME": lambda order: show_time(order.completed_at or order.accepted_at),
    "STATE": lambda order: order.state.value,
    "REFERENCE": lambda order: order.reference or "-",
    "STATUS": lambda order: _STATUS[order.status],
    "RESULT OR REASON": lambda order: order.result or order.error or "",
}


def _tell_missing(wanted: Wanted, seen: Mapping[Imei, None], *, is_filtered: bool) -> None:
    missing = [imei for imei in wanted.imeis if imei not in seen]
    if not missing:
        return
    what = "have no such order" if is_filtered else "are in no job of this ledger"
    shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    say(f"{count(len(missing), 'IMEI')} of {len(wanted.imeis):,} {what}: {shown}")
