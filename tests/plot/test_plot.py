"""A figure becomes shapes that stand within the drawing, a page that asks nobody, and a picture that can be opened."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from imeiflow.errors import UsageError
from imeiflow.plot.figure import SERIES_TONES, Figure, Limit, Mark, Panel, Series, Tone
from imeiflow.plot.layout import Box, Dot, Label, Line, lay_out
from imeiflow.plot.page import save_plot, write_page
from imeiflow.plot.png import _spell, write_png
from imeiflow.plot.scale import choose_scale
from imeiflow.plot.svg import DARK, LIGHT, write_svg

VALUES = st.none() | st.floats(0, 1e9, allow_nan=False)


def make_figure(**changes) -> Figure:
    panels = [
        Panel(
            title="Spent",
            before="$",
            series=[
                Series(name="checks", values=[1.0, 2.0, None], tones=[Tone.GOOD, Tone.FAIR, Tone.BAD]),
                Series(name="unlocks", values=[3.0, 1.0, 6.0], tone=Tone.SECOND),
            ],
            limits=[Limit(5.0, "cap <a day>")],
        ),
        Panel(title="Latency", after=" s", series=[Series(name="median", values=[0.1, None, 0.3], mark=Mark.LINE)]),
    ]
    return Figure(
        **{"title": "A & B", "subtitle": "<read-only>", "labels": ["1", "2", "3"], "panels": panels, **changes}
    )


@given(st.floats(1e-6, 1e12))
def test_a_scale_reaches_the_largest_value_with_a_few_round_ticks(largest):
    scale = choose_scale(largest)
    assert scale.top >= largest * (1 - 1e-9)
    assert 2 <= len(scale.ticks) <= 7
    texts = [scale.write(tick) for tick in scale.ticks]
    assert len(set(texts)) == len(texts) or scale.step < 1e-6


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.lists(VALUES, min_size=n, max_size=n), st.sampled_from(Mark))))
def test_every_shape_stands_within_the_drawing(given_):
    values, mark = given_
    panel = Panel(title="p", series=[Series(name="a", values=values, mark=mark), Series(name="b", values=values)])
    drawing = lay_out(Figure(title="t", labels=[str(n) for n in range(len(values))], panels=[panel]))
    for shape in drawing.shapes:
        match shape:
            case Box(x=x, y=y, width=width, height=height):
                assert -0.01 <= x <= x + width <= drawing.width + 0.01
                assert -0.01 <= y <= y + height + 0.01 <= drawing.height + 0.02
            case Dot(x=x, y=y) | Label(x=x, y=y):
                assert 0 <= x <= drawing.width
                assert 0 <= y <= drawing.height
            case Line(points=points):
                assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)


def test_bars_of_a_panel_stand_on_each_other():
    bars = [shape for shape in lay_out(make_figure()).shapes if isinstance(shape, Box) and ":" in shape.says]
    first, upper = bars[0], next(bar for bar in bars if bar.says.startswith("unlocks"))
    assert upper.y + upper.height == pytest.approx(first.y)
    assert upper.height == pytest.approx(3 * first.height)
    assert first.says == "checks: $1"


def test_a_line_is_broken_where_a_value_is_missing():
    shapes = lay_out(make_figure()).shapes
    assert not [shape for shape in shapes if isinstance(shape, Line) and shape.width == 2.0]
    assert len([shape for shape in shapes if isinstance(shape, Dot)]) == 2


def test_a_series_needs_a_value_for_every_label():
    with pytest.raises(ValueError, match="median has not one value"):
        make_figure(labels=["1", "2"], panels=[Panel(title="p", series=[Series(name="median", values=[1.0])])])


def test_labels_do_not_run_into_each_other():
    labels = [f"2026-11-{day:02}" for day in range(1, 61)]
    figure = make_figure(labels=labels, panels=[Panel(title="p", series=[Series(name="a", values=[1.0] * 60)])])
    shown = [s for s in lay_out(figure).shapes if isinstance(s, Label) and s.text in labels]
    assert 2 <= len(shown) <= 13


def test_the_svg_is_well_formed_and_quotes_what_it_is_given():
    svg = write_svg(make_figure())
    texts = "".join(etree.fromstring(svg).itertext())
    assert "A & B" in texts
    assert "cap <a day>" in texts


def test_light_and_dark_have_a_colour_for_every_tone_and_the_svg_carries_both():
    assert set(LIGHT) == set(DARK) == set(Tone)
    assert len({LIGHT[tone] for tone in SERIES_TONES}) == len(SERIES_TONES)
    svg = write_svg(make_figure())
    assert "prefers-color-scheme:dark" in svg
    for tone in set(re.findall(r"var\(--([a-z]+)\)", svg)):
        assert f"--{tone}:{LIGHT[Tone(tone)]};" in svg
        assert f"--{tone}:{DARK[Tone(tone)]};" in svg


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in {"src", "href", "xlink:href", "srcset", "action"}]


def test_the_page_asks_nobody_for_anything():
    page = write_page(make_figure(), headings=["step", "calls/s"], rows=[["<1>", "2"]], notes=["a & b"])
    reader = _Addresses()
    reader.feed(page)
    assert reader.found == []
    assert "script" not in reader.tags
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "<td>&lt;1&gt;</td>" in page


@pytest.mark.parametrize("is_dark", [False, True])
def test_the_png_shows_the_colours_of_its_bars(is_dark):
    content = write_png(make_figure(), is_dark=is_dark)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    drawing = lay_out(make_figure())
    assert image.size == (2 * drawing.width, 2 * drawing.height)
    colours = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(1 << 24)}
    palette = DARK if is_dark else LIGHT
    assert {palette[tone] for tone in (Tone.PAPER, Tone.GOOD, Tone.SECOND, Tone.FIRST)} <= colours


def test_a_machine_without_fonts_still_writes_money():
    assert _spell("€12.50 – ü") == "EUR 12.50 - ?"


@pytest.mark.parametrize("name", ["plot.png", "plot.html", "plot.SVG"])
def test_a_plot_is_kept_by_the_end_of_its_name(tmp_path, name):
    save_plot(tmp_path / name, make_figure())
    head = (tmp_path / name).read_bytes()[:15].lower()
    assert head.startswith(
        {".png": b"\x89png", ".html": b"<!doctype html>", ".svg": b"<svg "}[(tmp_path / name).suffix.lower()]
    )


def test_another_name_is_refused_with_those_that_are_not(tmp_path):
    with pytest.raises(UsageError) as caught:
        save_plot(tmp_path / "plot.pdf", make_figure())
    assert ".png, .html, .svg" in caught.value.remedy
    with pytest.raises(UsageError, match="there is no directory"):
        save_plot(tmp_path / "nowhere" / "plot.png", make_figure())
