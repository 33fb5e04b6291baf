"""One line of the report: what was asked for, what is possible, what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement. `ratio` is measured speed / possible speed, or None where only a bound holds."""

    title: str
    measured: str
    possible: str
    target: str
    is_met: bool
    ratio: float | None = None


def write_report(lines: list[Line], path: Path, plot: Path) -> None:
    """Write the page and its plot."""
    _draw(lines, plot)
    rows = [
        f"| {line.title} | {line.measured} | {line.possible} | "
        f"{'' if line.ratio is None else f'{line.ratio:.0%}'} | {line.target} | {'yes' if line.is_met else '**no**'} |"
        for line in lines
    ]
    path.write_text(
        "# Benchmarks\n\n"
        "Everything on this page was measured in one run of `make bench`, against the simulated provider in a process\n"
        "of its own on the same machine. Ratios carry over to other machines, absolute figures do not. *Possible* is\n"
        "what the provider's own limits allow if they were known beforehand.\n\n"
        f"![measured speed as a share of the possible]({plot.name})\n\n"
        "| what | measured | possible | share | target | met |\n|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _draw(lines: list[Line], plot: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    shown = [line for line in lines if line.ratio is not None and math.isfinite(line.ratio)][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 0.34 * len(shown) + 1.2))
    colours = ["#2a7f62" if line.is_met else "#b4541a" for line in shown]
    axes.barh([line.title for line in shown], [min(1.1, line.ratio or 0) for line in shown], color=colours)
    axes.axvline(1.0, color="#555", linewidth=1)
    axes.set_xlabel("measured speed / possible speed")
    axes.set_xlim(0, 1.15)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(plot, metadata={"Date": None})
    pyplot.close(figure)
