"""A search for limits as it is shown."""

from __future__ import annotations

import pytest

from imeiflow.dispatch.step import Fate, Sample, Step, StepKind, measure_step
from imeiflow.operations.limit_figure import HEADINGS, draw_limits, list_cells
from imeiflow.plot.svg import write_svg


@pytest.mark.parametrize(
    ("took_s", "shown"),
    [
        (0.00004, "0.04 ms"),
        (0.0012, "1.2 ms"),
        (0.0456, "45.6 ms"),
        (0.38, "380 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (3.5, "3.50 s"),
    ],
)
def test_a_call_of_any_length_has_a_figure_that_says_something(took_s: float, shown: str):
    found = measure_step(Step(StepKind.CONCURRENCY, 1, 1), [Sample(0.0, took_s, 0, Fate.SERVED)])
    cells = dict(zip(HEADINGS, list_cells(found), strict=True))
    assert (cells["MEDIAN"], cells["95%"]) == (shown, shown)


def test_a_step_in_which_nothing_was_served_has_none():
    found = measure_step(Step(StepKind.CONCURRENCY, 1, 1), [Sample(0.0, 1.0, 0, Fate.FAILED)])
    assert list_cells(found)[-3:] == ("-", "-", "too much")


def test_every_step_of_a_usual_search_has_its_label_under_the_plot():
    steps = [Step(StepKind.CONCURRENCY, number, 1) for number in (1, 2, 3, 4, 6, 8, 12)]
    steps += [Step(StepKind.CHECK, 8, 1), Step(StepKind.PACE, 8, 1, per_s=4.0)]
    found = [measure_step(step, [Sample(0.0, 1.0, 0, Fate.SERVED)]) for step in steps]
    figure = draw_limits("shop", found, None)
    assert list(figure.labels) == ["1", "2", "3", "4", "6", "8", "12", "8 again", "240/min"]
    assert all(f">{label}<" in write_svg(figure) for label in figure.labels)
