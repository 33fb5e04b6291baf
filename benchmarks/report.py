"""One line of the report: what was asked for, what is possible, what was measured."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement. `ratio` is measured speed / possible speed, or None where only a bound holds."""

    title: str
    measured: str
    possible: str
    target: str
    is_met: bool
    ratio: float | None = None


def keep_report(name: str, lines: list[Line], *, order: list[str], folder: Path) -> None:
    """Keep the lines of one benchmark in `folder`, and write the page and the plot of all that are kept."""
    kept_in = folder / "benchmarks.json"
    kept: dict[str, list[dict[str, Any]]] = json.loads(kept_in.read_text()) if kept_in.exists() else {}
    kept[name] = [asdict(line) for line in lines]
    kept_in.write_text(json.dumps({one: kept[one] for one in order if one in kept}, indent=1) + "\n")
    _write_page([Line(**values) for one in order for values in kept.get(one, [])], folder)


def _write_page(lines: list[Line], folder: Path) -> None:
    plot = folder / "benchmarks.svg"
    _draw(lines, plot)
    rows = [
        f"| {line.title} | {line.measured} | {line.possible} | "
        f"{'' if line.ratio is None else f'{line.ratio:.0%}'} | {line.target} | {'yes' if line.is_met else '**no**'} |"
        for line in lines
    ]
    (folder / "benchmarks.md").write_text(
        "# Benchmarks\n\n"
        "Measured by `make bench`, against the simulated provider in a process of its own on the same machine of\n"
        "two cores; `make bench ARGS=regimes` renews one part. Each share compares two figures of the same run:\n"
        "shares carry over to other machines, absolute figures do not. *Possible* is what the provider's own limits\n"
        "allow to whoever knows them beforehand; the length of a first ban, which nobody foresees, is added to it.\n"
        "A run that lost or doubled an order is not reported, but stops the benchmark.\n\n"
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
