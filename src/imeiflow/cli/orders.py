"""`imeiflow orders`: find orders over all jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import click

from imeiflow.cli.frame import open_session, read_pasted
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import as_values, clean, count, print_json_list, print_table, say, screen_width, show_time
from imeiflow.domain.ident import JobId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import UsageError
from imeiflow.ledger.record import FoundOrder
from imeiflow.operations.order_list import OrderFilter, Wanted, find_orders, read_wanted

_LIMIT = 50
_WIDE = 95  #: columns from which a table has room for more than the essential
_NARROW = 76  #: below, there is no room for reference and status beside a reason
_PART = 1_000  #: rows that are laid out together
_STATES = [state.value for state in OrderState]
_STATUSES = [status.value for status in ResultStatus]


@command(
    examples="""
    imeiflow orders --imei 350000000000014       what became of one phone
    imeiflow orders --imei - < phones.txt        of a pasted list (Ctrl-D ends it)
    imeiflow orders --job 7 --state unconfirmed --state refused
    imeiflow orders --status completed --limit 0 --json
    """
)
@click.option(
    "--imei", "imeis", multiple=True, metavar="IMEI", help="Only these: repeat it, use commas, or - for a list."
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    metavar="STATE",
    help=f"Only in this state; may be repeated: {', '.join(_STATES)}.",
)
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only with this status.")
@click.option("--job", type=click.IntRange(min=1), metavar="JOB", help="Only of this job.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help=f"The most to list; 0 is all. {_LIMIT} unless --imei."
)
@json_option
def orders(
    *,
    imeis: tuple[str, ...],
    states: tuple[str, ...],
    statuses: tuple[str, ...],
    job: int | None,
    limit: int | None,
    is_json: bool,
) -> None:
    """Find orders by IMEI, state or status, over all jobs, newest first.

    IMEIs are read as in a list: spaces, dashes and a missing check digit do no harm.
    """
    wanted = _read_imeis(imeis) if imeis else None
    limit = limit if limit is not None else (0 if wanted is not None else _LIMIT)
    filter_ = OrderFilter(
        imeis=tuple(wanted.imeis) if wanted is not None else None,
        states=frozenset(map(OrderState, states)) or None,
        statuses=frozenset(map(ResultStatus, statuses)) or None,
        job=None if job is None else JobId(job),
        limit=limit + 1 if limit else None,
    )
    with open_session() as session:
        listing = _Listing(find_orders(session, filter_), limit, wanted)
        if is_json:
            print_json_list(as_values(order) for order in listing)
        else:
            _print_orders(listing)
    if listing.has_more:
        say(f"There are more: these are the newest {limit:,}. `--limit 0` lists all.")
    if wanted is not None:
        _tell_missing(wanted, listing.seen, is_filtered=bool(states or statuses or job))


class _Listing:
    """The orders to list; notes which of the IMEIs asked for were among them, and whether there are more."""

    def __init__(self, found: Iterator[FoundOrder], limit: int, wanted: Wanted | None) -> None:
        self.seen: dict[Imei, None] = {}
        self.has_more = False
        self._found = found
        self._limit = limit
        self._notes = wanted is not None

    def __iter__(self) -> Iterator[FoundOrder]:
        for number, order in enumerate(self._found, 1):
            if self._limit and number > self._limit:
                self.has_more = True
                return
            if self._notes and order.imei is not None:
                self.seen[order.imei] = None
            yield order


def _read_imeis(texts: tuple[str, ...]) -> Wanted:
    wanted = read_wanted(read_pasted() if text.strip() == "-" else text for text in texts)
    for text in wanted.unreadable[:5]:
        say(f"{clean(text)[:60]!r} is no IMEI: left out.")
    if len(wanted.unreadable) > 5:
        say(f"{len(wanted.unreadable) - 5:,} more are no IMEIs either.")
    if not wanted.imeis:
        raise UsageError(problem="there is no IMEI to look for", remedy="Give IMEIs of 15 digits.")
    return wanted


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


_COLUMNS: Mapping[str, Callable[[FoundOrder], str]] = {
    "IMEI": lambda order: order.imei or "-",
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
