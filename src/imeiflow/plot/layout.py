"""Where everything of a figure stands, as a list of simple shapes; `svg` and `png` only draw them. Pure.

Units are pixels of a drawing that is `WIDTH` wide; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imeiflow.plot.figure import Figure, Mark, Panel, Series, Tone
from imeiflow.plot.scale import Scale, choose_scale

WIDTH = 900
_LEFT = 78
_RIGHT = 24
_PANEL = 168
_GAP = 58
_HEAD = 64
_FOOT = 40
_LETTER = 0.56  #: the width of a letter, as a share of its size
_SMALL = 12
_MAX_BAR = 46.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    tone: Tone
    width: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A filled box; `says` is what a pointer above it is told."""

    x: float
    y: float
    width: float
    height: float
    tone: Tone
    says: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled dot."""

    x: float
    y: float
    radius: float
    tone: Tone
    says: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text; `anchor` is the part of it that stands at x: start, middle or end. y is its base line."""

    x: float
    y: float
    text: str
    tone: Tone = Tone.INK
    size: int = _SMALL
    anchor: str = "start"
    is_bold: bool = False


Shape = Line | Box | Dot | Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as shapes, painted in their order."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def lay_out(figure: Figure) -> Drawing:
    """Lay a figure out."""
    head = _HEAD if figure.subtitle else _HEAD - 20
    height = head + len(figure.panels) * (_PANEL + _GAP) + _FOOT - _GAP + 24
    shapes: list[Shape] = [Box(0, 0, WIDTH, height, Tone.PAPER)]
    shapes.append(Label(_LEFT, 30, _cut(figure.title, 17, WIDTH - _LEFT - _RIGHT), size=17, is_bold=True))
    if figure.subtitle:
        shapes.append(Label(_LEFT, 50, _cut(figure.subtitle, 13, WIDTH - _LEFT - _RIGHT), Tone.DIM, 13))
    for number, panel in enumerate(figure.panels):
        top = head + 24 + number * (_PANEL + _GAP)
        shapes.extend(_lay_out_panel(panel, len(figure.labels), top))
        shapes.extend(_lay_out_labels(figure.labels, top + _PANEL + 18))
    return Drawing(WIDTH, height, tuple(shapes))


def _lay_out_panel(panel: Panel, count: int, top: float) -> Iterator[Shape]:
    scale = choose_scale(_largest(panel, count))
    yield from _lay_out_head(panel, top - 12)
    widest = max(len(f"{panel.before}{scale.write(tick)}{panel.after}") for tick in scale.ticks)
    after = panel.after if widest * _SMALL * _LETTER < _LEFT - 10 else ""  # else the title says the unit
    for tick in scale.ticks:
        y = _height_of(scale, tick, top)
        yield Line(((_LEFT, y), (WIDTH - _RIGHT, y)), Tone.GRID)
        yield Label(_LEFT - 8, y + 4, f"{panel.before}{scale.write(tick)}{after}", Tone.DIM, anchor="end")
    below = [0.0] * count
    for series in panel.series:
        if series.mark is Mark.BAR:
            yield from _lay_out_bars(panel, series, scale, top, below)
    for series in panel.series:
        if series.mark is Mark.LINE:
            yield from _lay_out_line(panel, series, scale, top)
    for limit in panel.limits:
        y = _height_of(scale, limit.value, top)
        yield Line(((_LEFT, y), (WIDTH - _RIGHT, y)), limit.tone, 1.5, is_dashed=True)
        room = len(limit.name) * _SMALL * _LETTER + 8
        above = y - 7 if y - 24 > top else y + 16
        yield Box(_LEFT + 4, above - 13, room, 16, Tone.PAPER)
        yield Label(_LEFT + 8, above, limit.name, limit.tone)


def _lay_out_head(panel: Panel, y: float) -> Iterator[Shape]:
    """Write what a panel shows, and the legend where it needs one."""
    yield Label(_LEFT, y, panel.title, size=13, is_bold=True)
    if len(panel.series) < 2:
        return
    x = float(WIDTH - _RIGHT)
    for series in reversed(panel.series):
        x -= len(series.name) * _SMALL * _LETTER + 4
        yield Label(x, y, series.name, Tone.DIM)
        x -= 16
        if series.mark is Mark.BAR:
            yield Box(x, y - 9, 10, 10, series.tone)
        else:
            yield Line(((x - 2, y - 4), (x + 10, y - 4)), series.tone, 2.5)
        x -= 16


def _lay_out_bars(panel: Panel, series: Series, scale: Scale, top: float, below: list[float]) -> Iterator[Shape]:
    """Stand bars on those that stand there already."""
    width = min(_MAX_BAR, 0.7 * _room(len(below)))
    for place, value in enumerate(series.values):
        if not value or value < 0:
            continue
        bottom, upper = _height_of(scale, below[place], top), _height_of(scale, below[place] + value, top)
        below[place] += value
        x = _middle_of(place, len(below)) - width / 2
        yield Box(x, upper, width, bottom - upper, series.tone_at(place), _say(panel, series, value, scale))


def _lay_out_line(panel: Panel, series: Series, scale: Scale, top: float) -> Iterator[Shape]:
    """Draw a line, broken where a value is missing, with a dot a value."""
    count = len(series.values)
    run: list[tuple[float, float]] = []
    dots: list[Dot] = []
    for place, value in enumerate([*series.values, None]):
        if value is None:
            if len(run) > 1:
                yield Line(tuple(run), series.tone, 2.0)
            run = []
            continue
        x, y = _middle_of(place, count), _height_of(scale, value, top)
        run.append((x, y))
        dots.append(Dot(x, y, 3.2, series.tone_at(place), _say(panel, series, value, scale)))
    yield from dots


def _lay_out_labels(labels: Sequence[str], y: float) -> Iterator[Shape]:
    """Write the labels, or every second, third … one where they would run into each other."""
    if not labels:
        return
    widest = max(len(label) for label in labels) * _SMALL * _LETTER + 10
    every = max(1, -int(-widest // _room(len(labels))))
    for place in range(0, len(labels), every):
        yield Label(_middle_of(place, len(labels)), y, labels[place], Tone.DIM, anchor="middle")


def _largest(panel: Panel, count: int) -> float:
    stacked = [
        sum(max(0.0, series.values[place] or 0.0) for series in panel.series if series.mark is Mark.BAR)
        for place in range(count)
    ]
    lines = [value for series in panel.series if series.mark is Mark.LINE for value in series.values if value]
    return max([0.0, *stacked, *lines, *(limit.value for limit in panel.limits)])


def _say(panel: Panel, series: Series, value: float, scale: Scale) -> str:
    number = f"{value:,.3g}" if scale.top < 1000 else f"{value:,.0f}"
    return f"{series.name}: {panel.before}{number}{panel.after}"


def _room(count: int) -> float:
    return (WIDTH - _LEFT - _RIGHT) / max(1, count)


def _middle_of(place: int, count: int) -> float:
    return _LEFT + _room(count) * (place + 0.5)


def _height_of(scale: Scale, value: float, top: float) -> float:
    return top + _PANEL * (1 - scale.share(value))


def _cut(text: str, size: int, room: float) -> str:
    letters = int(room / (size * _LETTER))
    return text if len(text) <= letters else f"{text[: letters - 3]}..."
