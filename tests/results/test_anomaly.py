"""A result that speaks of another phone is noticed; a phone's second IMEI, and what is hidden, is no anomaly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.anomaly import find_foreign_imeis
from imeiflow.results.reader import read_result

from .sample import make_imei

OWN, SECOND, OTHER = make_imei(1), make_imei(2), make_imei(3)


def find(text: str) -> list[str]:
    return [field.text for field in find_foreign_imeis(read_result(text), OWN)]


@pytest.mark.parametrize(
    "text",
    [
        *(f"IMEI: {OWN}", f"IMEI: {OWN}<br>IMEI2: {SECOND}", f"IMEI: {SECOND}<br>IMEI2: {OWN}", f"IMEI2: {SECOND}"),
        *(f"IMEI: {OWN[:14]}", f"IMEI: {OWN[:14]}01", f"IMEI: {OWN[:14]}0", f"IMEI: {OWN[:8]}*****{OWN[13:]}"),
        *("IMEI: N/A", "IMEI: ", "Model: iPhone 13", "IMEI: XXXXXXXXXXXXXXX", "IMEI: 12345", "Done.", str(OTHER)),
        *(f"IMEI: {OWN[:2]}-{OWN[2:8]}-{OWN[8:14]}-{OWN[14]}", f"MEID: {OTHER[:14]}", f"Note: {OTHER}"),
        f"IMEI: {OWN}<br>IMEI: {SECOND}",
    ],
)
def test_nothing_is_foreign_where_the_phone_may_be_the_one(text):
    assert find(f"{text}<br>Model: iPhone 13") == []


@pytest.mark.parametrize(
    "said",
    [
        *(OTHER, f"{OTHER[:2]} {OTHER[2:8]} {OTHER[8:14]} {OTHER[14]}", OTHER[:14], f"{OTHER[:14]}/01"),
        *(f"{OTHER[:8]}**{OTHER[10:]}", f"{OTHER[:14]}{(int(OTHER[14]) + 1) % 10}"),
    ],
)
def test_an_imei_that_is_not_the_orders_is_foreign_however_it_is_written(said):
    assert find(f"Model: iPhone 13<br>IMEI: {said}") == [said]
    assert find(f"Model: iPhone 13<br>IMEI: {said}<br>IMEI2: {SECOND}") == [said]


@given(st.integers(0, 999_999), st.integers(0, 999_999), st.sampled_from(["<br>", " - ", "\n", " "]))
def test_just_the_orders_own_imei_is_its_own(ordered, said, separator):
    result = read_result(separator.join(["Model: iPhone 13", f"IMEI Number: {make_imei(said)}", "SimLock: Locked"]))
    assert bool(find_foreign_imeis(result, make_imei(ordered))) is (ordered != said)
