"""A figure as PNG, drawn three times as large and made smaller: Pillow smooths texts, but no lines.

Pillow is imported only here, and only when a PNG is drawn.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any, assert_never

from imeiflow.plot.figure import Figure, Tone
from imeiflow.plot.layout import Box, Dot, Label, Line, Shape, lay_out
from imeiflow.plot.svg import DARK, LIGHT

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_SCALE = 2  #: pixels of the picture for one of the drawing
_SMOOTH = 2
_ZOOM = _SCALE * _SMOOTH
_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "arial.ttf", "Arial.ttf")
#: What Pillow's own font cannot show, where no other font is found.
_SPELT = {"€": "EUR ", "£": "GBP ", "¥": "JPY ", "₹": "INR ", "–": "-", "—": "-", "×": "x", "’": "'", "≤": "<="}


def write_png(figure: Figure, *, is_dark: bool = False) -> bytes:
    """Draw a figure as a PNG, twice as large as its drawing so that it is sharp on any screen."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - not cheap

    drawing = lay_out(figure)
    colours = DARK if is_dark else LIGHT
    size = drawing.width * _ZOOM, drawing.height * _ZOOM
    image = Image.new("RGB", size, colours[Tone.PAPER])
    canvas = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _draw(canvas, shape, colours[shape.tone])
    smaller = image.resize((drawing.width * _SCALE, drawing.height * _SCALE), Image.Resampling.BOX)
    stream = io.BytesIO()
    smaller.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _draw(canvas: ImageDraw.ImageDraw, shape: Shape, colour: str) -> None:
    match shape:
        case Line(points=points, width=width, is_dashed=is_dashed):
            scaled = [(x * _ZOOM, y * _ZOOM) for x, y in points]
            if is_dashed:
                _draw_dashes(canvas, scaled[0], scaled[-1], colour, round(width * _ZOOM))
            else:
                canvas.line(scaled, fill=colour, width=max(1, round(width * _ZOOM)), joint="curve")
        case Box(x=x, y=y, width=width, height=height):
            right, bottom = (x + width) * _ZOOM - 1, (y + height) * _ZOOM - 1
            canvas.rectangle((x * _ZOOM, y * _ZOOM, max(x * _ZOOM, right), max(y * _ZOOM, bottom)), fill=colour)
        case Dot(x=x, y=y, radius=radius):
            canvas.circle((x * _ZOOM, y * _ZOOM), radius * _ZOOM, fill=colour)
        case Label(x=x, y=y, text=text, size=size, anchor=anchor, is_bold=is_bold):
            at = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
            font, is_own = _open_font(size * _ZOOM)
            stroke = _ZOOM / 5 if is_bold else 0
            shown = _spell(text) if is_own else text
            canvas.text((x * _ZOOM, y * _ZOOM), shown, fill=colour, font=font, anchor=at, stroke_width=stroke)
        case _:
            assert_never(shape)


def _draw_dashes(
    canvas: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: str, width: int
) -> None:
    """Draw a dashed line from left to right."""
    (x, y), (right, _) = start, end
    while x < right:
        canvas.line([(x, y), (min(right, x + 5 * _ZOOM), y)], fill=colour, width=width)
        x += 9 * _ZOOM


@cache
def _open_font(size: int) -> tuple[ImageFont.FreeTypeFont | Any, bool]:
    """Give a font of the machine's, or Pillow's own, of which it is said so."""
    from PIL import ImageFont  # noqa: PLC0415 - not cheap

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), False
        except OSError:
            continue
    return ImageFont.load_default(size), True


def _spell(text: str) -> str:
    """Write a text in letters that Pillow's own font has."""
    spelt = "".join(_SPELT.get(letter, letter) for letter in text)
    return spelt.encode("ascii", "replace").decode("ascii")
