"""What is divided plainly is divided as it is when every word is weighed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.layout import divide
from imeiflow.results.plain import divide_plainly

from .sample import KNOWN_KEYS, tricky_words, unknown_keys, words

_GAPS = (" - ", " - ", " / ", ", ", ",", " | ", "|", " • ", "; ", " -- ", " ", " -", "- ", "\t", ": ", "=", ":")
_PIECES = (*_GAPS, *KNOWN_KEYS, "Zebra", "blue", "x-y", "12:30", "https://a.b/c", "ON", "350000000000006", "*", "7")
keys = st.sampled_from((*KNOWN_KEYS, "- Model", "* SimLock", "Model, Carrier", "7", "")) | unknown_keys
values = words | tricky_words | st.sampled_from(("", "-", "x -", "/a", "12:30", "a, b", "Verizon - Postpaid", "x |"))
pairs = st.tuples(keys, st.sampled_from((":", ": ", " : ", "=", "：")), values).map("".join)
lines = st.lists(pairs | st.lists(st.sampled_from(_PIECES), max_size=9).map("".join), min_size=1, max_size=5)


def clean(found: list[str]) -> list[str]:
    return [line for line in (" ".join(line.split(" ")).strip(" \t") for line in found) if line]


@given(lines)
def test_a_pair_a_line_is_divided_as_ever(found):
    found = clean(found)
    plain = divide_plainly(found)
    assert plain is None or plain == divide(found)


@given(lines, st.sampled_from(_GAPS))
def test_pairs_in_one_line_are_divided_as_ever(found, gap):
    found = clean([gap.join(found)])
    plain = divide_plainly(found)
    assert plain is None or plain == divide(found)


@pytest.mark.parametrize(
    "found",
    [
        ["Model: iPhone 13", "IMEI: 350000000000006", "Zebra: a, b - c"],
        ["Model: iPhone 13 - Carrier: Verizon - Postpaid - Zebra: 1 - SimLock: Locked"],
        ["Your phone is now unlocked - restart it."],
        ["12345678"],
    ],
)
def test_what_is_laid_out_plainly_is_divided_plainly(found):
    assert divide_plainly(found) is not None


@pytest.mark.parametrize(
    "found",
    [
        ["Model: iPhone 13", "and a remark"],
        ["Model: iPhone 13 Carrier: Verizon"],
        ["Model: iPhone 13 - Ends: 12:30"],
        ["Zebra: a - Yak: b"],
        ["Model: a\tCarrier: b", "IMEI: c"],
        ["Model\tiPhone 13"],
        ["IMEI Number: x |", "Model: iPhone 13"],
        ["Model: iPhone 13", "Carrier: a;"],
        ["Model: - Model: -  - Model:"],
        [],
    ],
)
def test_what_is_open_to_doubt_is_left_to_be_weighed(found):
    assert divide_plainly(found) is None


def test_what_stood_at_an_end_is_not_taken_for_the_same_in_the_middle():
    assert divide_plainly(["Carrier: Verizon - Model: a;"]) is not None
    assert divide_plainly(["Model: a; - Carrier: Verizon"]) is None
