"""A figure as SVG: one text, its colours for light and dark inside, no script and no request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import assert_never

from imeiflow.plot.figure import Figure, Tone
from imeiflow.plot.layout import Box, Dot, Drawing, Label, Line, Shape, lay_out

LIGHT: Mapping[Tone, str] = {
    Tone.PAPER: "#ffffff",
    Tone.INK: "#1b1f24",
    Tone.DIM: "#59636e",
    Tone.GRID: "#e3e6ea",
    Tone.FIRST: "#2f6fdb",
    Tone.SECOND: "#d9730d",
    Tone.THIRD: "#0f8f8a",
    Tone.FOURTH: "#8a4fd0",
    Tone.FIFTH: "#b83a6b",
    Tone.SIXTH: "#6d7780",
    Tone.GOOD: "#2c8a4b",
    Tone.FAIR: "#b98900",
    Tone.BAD: "#c93a32",
}
DARK: Mapping[Tone, str] = {
    Tone.PAPER: "#14171b",
    Tone.INK: "#e8eaed",
    Tone.DIM: "#9aa4ae",
    Tone.GRID: "#2a2f36",
    Tone.FIRST: "#6ea3f7",
    Tone.SECOND: "#f0a35a",
    Tone.THIRD: "#4fc4be",
    Tone.FOURTH: "#b894ee",
    Tone.FIFTH: "#e884ab",
    Tone.SIXTH: "#a3adb6",
    Tone.GOOD: "#5fc283",
    Tone.FAIR: "#e0bb4a",
    Tone.BAD: "#f07d74",
}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def write_svg(figure: Figure, *, is_styled: bool = True) -> str:
    """Write a figure as an `<svg>` element, to be put into a page or a file of its own.

    Without its style, for a page that allows none inside it, the page's own says what `--paper` and the others are.
    """
    drawing = lay_out(figure)
    body = "\n".join(_write_shape(shape) for shape in drawing.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" class="plot" role="img" aria-label="{_title(figure)}">\n'
        f"{_write_style(drawing) if is_styled else ''}\n{body}\n</svg>\n"
    )


def _title(figure: Figure) -> str:
    return escape(". ".join(part for part in (figure.title, figure.subtitle) if part))


def _write_style(drawing: Drawing) -> str:
    used = sorted({shape.tone for shape in drawing.shapes})
    light = "".join(f"--{tone}:{LIGHT[tone]};" for tone in used)
    dark = "".join(f"--{tone}:{DARK[tone]};" for tone in used)
    return (
        f"<style>.plot{{{light}max-width:100%;height:auto}}"
        f"@media (prefers-color-scheme:dark){{.plot{{{dark}}}}}"
        f".plot text{{font-family:{_FONT}}}</style>"
    )


def _write_shape(shape: Shape) -> str:
    match shape:
        case Line(points=points, tone=tone, width=width, is_dashed=is_dashed):
            path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
            dash = ' stroke-dasharray="5 4"' if is_dashed else ""
            stroke = f'stroke="var(--{tone})" stroke-width="{_number(width)}" stroke-linejoin="round"{dash}'
            return f'<polyline points="{path}" fill="none" {stroke}/>'
        case Box(x=x, y=y, width=width, height=height, tone=tone, says=says):
            size = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
            return _close("rect", f'{size} fill="var(--{tone})"', says)
        case Dot(x=x, y=y, radius=radius, tone=tone, says=says):
            size = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"'
            return _close("circle", f'{size} fill="var(--{tone})"', says)
        case Label(x=x, y=y, text=text, tone=tone, size=size_px, anchor=anchor, is_bold=is_bold):
            weight = ' font-weight="600"' if is_bold else ""
            place = f'x="{_number(x)}" y="{_number(y)}" font-size="{size_px}" text-anchor="{anchor}"{weight}'
            return f'<text {place} fill="var(--{tone})">{escape(text)}</text>'
        case _:
            assert_never(shape)


def _close(name: str, attributes: str, says: str) -> str:
    return f"<{name} {attributes}><title>{escape(says)}</title></{name}>" if says else f"<{name} {attributes}/>"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
