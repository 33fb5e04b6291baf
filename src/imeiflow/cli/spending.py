"""`imeiflow spending`: where the money went, as a table with bars, as JSON, or as a plot in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, json_option
from imeiflow.cli.output import count, cut, print_json_list, print_table, say
from imeiflow.cli.server import find_client
from imeiflow.domain.ident import AccountName
from imeiflow.errors import UsageError
from imeiflow.operations.json_object import describe_sum
from imeiflow.operations.json_text import clean
from imeiflow.operations.spending import Axis, Sum, add_up_spending, total_by_currency
from imeiflow.operations.spending_figure import draw_spending
from imeiflow.plot.page import check_plot_path, save_plot

_WIDEST_BAR = 30
_WIDEST_NAME = 40
_HEADINGS = ("ORDERS", "SPENT", "REJECTED", "IN DOUBT", "")


class _DayType(click.ParamType[date, Any]):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read a day."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day such as 2026-11-01.", param, ctx)


_DAY = _DayType()


@command(
    examples="""
    imeiflow spending                                  by day
    imeiflow spending --by service --from 2026-11-01 --to 2026-11-30
    imeiflow spending --by job --json
    imeiflow spending --plot spending.html             also .png and .svg
    """,
    is_remote=True,
)
@click.option(
    "--by",
    type=click.Choice([axis.value for axis in Axis]),
    default=Axis.DAY.value,
    show_default=True,
    help="What for.",
)
@click.option("--from", "first", type=_DAY, metavar="DAY", help="Nothing before this day: 2026-11-01.")
@click.option("--to", "last", type=_DAY, metavar="DAY", help="Nothing after this day.")
@account_option
@click.option("--plot", "plot", metavar="FILE", help="Draw it, as .png, .html or .svg.")
@json_option
def spending(
    *, by: str, first: date | None, last: date | None, account: str | None, plot: str | None, is_json: bool
) -> None:
    """Say what was spent by day, service, job or account: exact, each currency by itself.

    SPENT is what was charged, at the price that each order had when it was placed. REJECTED is the part of it that
    rejected orders had cost, which the provider gives back. IN DOUBT may have been charged besides: unconfirmed orders
    and those under way. Days are those of your time zone.
    """
    if plot is not None:
        check_plot_path(Path(plot))
    if first is not None and last is not None and first > last:
        raise UsageError(problem=f"--from {first} is after --to {last}", remedy="Name the earlier day with --from.")
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote import look

        sums = look.add_up_spending(client, Axis(by), account=account, first=first, last=last)
    else:
        with open_session(is_listing=True) as session:
            named = None if account is None else AccountName(account)
            sums = add_up_spending(session, Axis(by), account=named, first=first, last=last)
    if is_json:
        print_json_list(describe_sum(one, Axis(by)) for one in sums)
    else:
        _print(sums, Axis(by))
    if plot is not None and sums:
        _save(Path(plot), sums, Axis(by), _say_time(first, last))
        say(f"The plot is in {plot}.")


def _print(sums: Sequence[Sum], by: Axis) -> None:
    largest = {
        total.currency: max(one.spent for one in sums if one.currency == total.currency)
        for total in total_by_currency(sums)
    }
    rows = [[cut(clean(one.name), _WIDEST_NAME), *_cells(one), _draw(one, largest)] for one in sums]
    if len(sums) > 1:
        rows += [["total", *_cells(total), ""] for total in total_by_currency(sums)]
    print_table((by.value.upper(), *_HEADINGS), rows, right=(1, 2, 3, 4), empty="Nothing was spent.")
    unpriced = sum(one.unpriced for one in sums)
    if unpriced:
        say(f"{count(unpriced, 'order')} at a price that is not known: in no sum.")


def _cells(one: Sum) -> list[str]:
    amounts = [str(one.money(amount)) if amount else "-" for amount in (one.refunded, one.in_doubt)]
    return [f"{one.orders:,}", str(one.money(one.spent)), *amounts]


def _draw(one: Sum, largest: Mapping[str, Decimal]) -> str:
    most = largest[one.currency]
    return "█" * round(_WIDEST_BAR * float(one.spent) / float(most)) if one.spent else ""


def _say_time(first: date | None, last: date | None) -> str:
    parts = [f"from {first:%Y-%m-%d}" if first else "", f"to {last:%Y-%m-%d}" if last else ""]
    return " ".join(part for part in parts if part)


def _save(path: Path, sums: Sequence[Sum], by: Axis, when: str) -> None:
    figure = draw_spending(sums, by, when)
    rows = [[clean(one.name), *_cells(one)] for one in [*sums, *total_by_currency(sums)]]
    save_plot(path, figure, headings=(by.value.upper(), *_HEADINGS[:-1]), rows=rows)
