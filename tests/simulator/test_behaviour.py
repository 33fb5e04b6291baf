import json
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.errors import ConfigurationError
from imeiflow.simulator.behaviour import OPTIONS, Behaviour, Repeat
from imeiflow.simulator.fault import FaultKind
from imeiflow.simulator.option import Option

GRAMMARS = {
    "latency": st.sampled_from(["0", "1.5", "0.3-18", "pareto:1,1.5"]),
    "read_latency": st.sampled_from(["0", "lognormal:3.5,0.8"]),
    "refusal_latency": st.just("16.6"),
    "pending_for": st.just("1-2"),
    "process_for": st.just("5"),
    "rate": st.sampled_from(["", "60/min", "5/s,100/h"]),
    "price_change": st.lists(st.sampled_from(["1=0.10@5", "12=gone@0"]), max_size=2).map(tuple),
    "redirect": st.sampled_from([0, 301, 302, 307, 308]),
    "tls_cert": st.just(""),
    "tls_key": st.just(""),
    "faults": st.lists(st.sampled_from([f"{kind}:before@4%" for kind in FaultKind]), max_size=3).map(tuple),
}


def values_of(option: Option) -> st.SearchStrategy[object]:
    if option.name in GRAMMARS:
        return GRAMMARS[option.name]
    if issubclass(option.kind, StrEnum):
        return st.sampled_from(list(option.kind))
    if option.kind is tuple:
        return st.lists(st.sampled_from(["a", "b7", "all"]), max_size=3).map(tuple)
    most = 1 if option.name.endswith("_share") else 1000
    return {
        bool: st.booleans(),
        int: st.integers(1, most),
        float: st.floats(0, most),
        Decimal: st.decimals(0, 1000, places=2),
        str: st.text(max_size=10),
    }[option.kind]


@given(st.fixed_dictionaries({}, optional={option.name: values_of(option) for option in OPTIONS}))
def test_a_behaviour_survives_the_way_through_json(values):
    behaviour = Behaviour(**values)
    assert Behaviour.parse(json.loads(json.dumps(behaviour.to_json()))) == behaviour


def test_options_are_read_from_texts_as_a_command_line_has_them():
    behaviour = Behaviour.parse(
        {
            "chunk-limit": "50",
            "cut_placed": "yes",
            "repeats": "charge",
            "credit": "12.50",
            "faults": "cut@4%; hang@#3,9",
        }
    )
    assert (behaviour.chunk_limit, behaviour.cut_placed, behaviour.repeats) == (50, True, Repeat.CHARGE)
    assert behaviour.credit == Decimal("12.50")
    assert behaviour.faults == ("cut@4%", "hang@#3,9")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("latency", "soon"),
        ("faults", "reset"),
        ("faults", "reset@150%"),
        ("faults", "explode@4%"),
        ("rate", "fast"),
        ("chunk_limit", "-1"),
        ("chunk_limit", "1.5"),
        ("chunk_limit", True),
        ("rejected_share", "1.1"),
        ("repeats", "perhaps"),
        ("credit", "much"),
        ("credit", "NaN"),
        ("redirect", "303"),
        ("cut_placed", "maybe"),
        ("tls_cert", "only-the-certificate.pem"),
        ("ban_lasts", "nan"),
        ("no_such_option", "1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_the_name_of_its_option(option, value):
    with pytest.raises(ConfigurationError, match=option):
        Behaviour.parse({option: value})


def test_every_option_says_what_it_does():
    assert all(option.says and option.group for option in OPTIONS)
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
