from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.simulator.delay import Delay


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0", 0.0, 0.0),
        ("3.5", 3.5, 3.5),
        ("0.3-18", 0.3, 18.0),
        ("lognormal:3.5,0.8,20", 0.0, 20.0),
        ("pareto:1,1.5,60", 1.0, 60.0),
    ],
)
@given(seed=st.integers())
def test_every_draw_lies_within_what_the_text_says(text, low, high, seed):
    assert low <= Delay.parse(text).draw(Random(seed)) <= high


def test_the_median_of_a_lognormal_delay_is_the_one_that_was_asked_for():
    delay, random = Delay.parse("lognormal:3.5,0.8"), Random(1)
    draws = sorted(delay.draw(random) for _ in range(2001))
    assert draws[1000] == pytest.approx(3.5, rel=0.1)
    assert draws[-20] > 10


def test_a_pareto_delay_has_a_heavy_tail():
    delay, random = Delay.parse("pareto:1,1.1"), Random(1)
    assert max(delay.draw(random) for _ in range(2000)) > 100


@pytest.mark.parametrize("text", ["", "-1", "x", "5-3", "normal:1,2", "lognormal:1", "pareto:1,0", "nan", "inf", "1-"])
def test_a_malformed_delay_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for whoever catches it
        Delay.parse(text)
