"""A search for limits as it is shown."""

from __future__ import annotations

import pytest

from imeiflow.dispatch.step import Fate, Sample, Step, StepKind, measure_step
from imeiflow.operations.limit_figure import HEADINGS, list_cells


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
