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
    shown = sums[-_MOST_BARS:] if by is Axis.DAY else sums[:_MOST_BARS]
    left_out = f"; {len(sums) - len(shown):,} more not drawn" if len(sums) > len(shown) else ""
    return Figure(
        title=f"Spending by {by.value}",
        subtitle=f"{when}{left_out}".strip("; "),
        labels=[_label(one.name) for one in shown],
        panels=[_panel(shown, total) for total in total_by_currency(sums)],
    )


def _label(name: str) -> str:
    plain = "".join(letter for letter in name if letter.isprintable())
    return plain if len(plain) <= _LONGEST_LABEL else f"{plain[: _LONGEST_LABEL - 1]}…"


def _panel(shown: Sequence[Sum], total: Sum) -> Panel:
    mine = [one if one.currency == total.currency else None for one in shown]
    series = [
        Series(name=name, values=[None if one is None else float(amount(one)) for one in mine], tone=tone, mark=mark)
        for name, amount, tone, mark in _DRAWN
        if amount(total)
    ]
    return Panel(title=f"{total.money(total.spent)} spent", series=series, after=f" {total.currency}".rstrip())
