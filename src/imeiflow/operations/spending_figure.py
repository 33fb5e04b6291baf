"""Spending as a figure: bars of what was spent and what is in doubt, each currency in a panel of its own. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from imeiflow.operations.spending import Axis, Sum, total_by_currency
from imeiflow.plot.figure import SERIES_TONES, Figure, Mark, Panel, Series, Tone

_MOST_BARS: Final = 60  #: more cannot be told apart
_LONGEST_LABEL: Final = 24
_DRAWN: Final[Sequence[tuple[str, Callable[[Sum], Decimal], Tone, Mark]]] = (
    ("spent", lambda one: one.spent, SERIES_TONES[0], Mark.BAR),
    ("in doubt", lambda one: one.in_doubt, Tone.FAIR, Mark.BAR),
    ("of rejected orders", lambda one: one.refunded, Tone.BAD, Mark.LINE),
)


def draw_spending(sums: Sequence[Sum], by: Axis, when: str = "") -> Figure:
    """Draw sums, the last days or else the dearest; `when` says in words of which time they are."""
    names = {one.key: one.name for one in sums}  # the same day or account may stand there in several currencies
    keys = list(names)[-_MOST_BARS:] if by is Axis.DAY else list(names)[:_MOST_BARS]
    left_out = f"; {len(names) - len(keys):,} more not drawn" if len(names) > len(keys) else ""
    return Figure(
        title=f"Spending by {by.value}",
        subtitle=f"{when}{left_out}".strip("; "),
        labels=[_label(names[key]) for key in keys],
        panels=[_panel(sums, keys, total) for total in total_by_currency(sums)],
    )


def _label(name: str) -> str:
    plain = "".join(letter for letter in name if letter.isprintable())
    return plain if len(plain) <= _LONGEST_LABEL else f"{plain[: _LONGEST_LABEL - 1]}…"


def _panel(sums: Sequence[Sum], keys: Sequence[str], total: Sum) -> Panel:
    by_key = {one.key: one for one in sums if one.currency == total.currency}
    mine = [by_key.get(key) for key in keys]
    series = [
        Series(name=name, values=[None if one is None else float(amount(one)) for one in mine], tone=tone, mark=mark)
        for name, amount, tone, mark in _DRAWN
        if amount(total)
    ]
    return Panel(title=f"{total.money(total.spent)} spent", series=series, after=f" {total.currency}".rstrip())
