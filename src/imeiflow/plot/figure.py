"""What is plotted: panels of bars and lines, one above the other, over the same labels. Values only.

Figure   a title, the labels along the bottom, and panels
Panel    one quantity with its unit; bars of the same panel stand on each other
Series   a name and one value a label; None where there is none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """A colour by what it says; what it looks like differs in light and dark."""

    PAPER = "paper"
    INK = "ink"
    DIM = "dim"
    GRID = "grid"
    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    FIFTH = "fifth"
    SIXTH = "sixth"
    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"


#: The tones of series that mean nothing by themselves, in the order in which they are given.
SERIES_TONES = (Tone.FIRST, Tone.SECOND, Tone.THIRD, Tone.FOURTH, Tone.FIFTH, Tone.SIXTH)


class Mark(StrEnum):
    """How a series is drawn."""

    BAR = "bar"
    LINE = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value a label. `tones` gives single values a tone of their own."""

    name: str
    values: Sequence[float | None]
    mark: Mark = Mark.BAR
    tone: Tone = Tone.FIRST
    tones: Sequence[Tone] | None = None

    def tone_at(self, place: int) -> Tone:
        """Give the tone of one value."""
        return self.tone if self.tones is None else self.tones[place]


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across a panel, such as a recommendation or a cap."""

    value: float
    name: str
    tone: Tone = Tone.DIM


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One quantity. `before` and `after` stand beside its numbers, as in `$12` and `5%`."""

    title: str
    series: Sequence[Series]
    before: str = ""
    after: str = ""
    limits: Sequence[Limit] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """All that is plotted. Raises ValueError where a series has not one value a label."""

    title: str
    labels: Sequence[str]
    panels: Sequence[Panel]
    subtitle: str = ""

    def __post_init__(self) -> None:
        for panel in self.panels:
            for series in panel.series:
                lengths = {len(series.values), len(series.values if series.tones is None else series.tones)}
                if lengths != {len(self.labels)}:
                    raise ValueError(f"{series.name} has not one value for each of {len(self.labels)} labels")
