"""A result that speaks of another phone is noticed; a phone's second IMEI, and what is hidden, is no anomaly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.results.anomaly import find_foreign_imeis, read_order_result
from imeiflow.results.reader import read_result
from imeiflow.results.result import Note

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
        *(f"IMEI: {SECOND}<br>{key}: {OWN}" for key in ("Alternate IMEI", "IMEI (eSIM)", "imei_3", "Other-IMEI")),
        *(f"IMEI: {SECOND}<br>MEID: {OWN[:14]}", f"IMEI: {SECOND} / {OWN}", f"IMEI: {SECOND} - Alternate IMEI: {OWN}"),
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


@pytest.mark.parametrize(
    "echo",
    [
        *(f"Ordered IMEI: {OWN}", f"Your IMEI: {OWN}", f"Order ref: {OWN}", f"IMEI searched: {OWN}", f"Ref: {OWN}"),
        f"IMEI Check: {OWN}",
        *(f"Ordered by: {OWN}", f"Note: {OWN}", OWN, f"This is the answer to {OWN}."),
    ],
)
def test_what_only_repeats_the_order_does_not_make_another_phone_its_own(echo):
    assert find(f"{echo}<br>IMEI: {OTHER}<br>Carrier: O2") == [OTHER]
    assert find(f"IMEI: {OTHER}<br>Carrier: O2<br>{echo}") == [OTHER]


def test_the_result_of_an_order_bears_a_note_where_it_is_about_another_phone():
    texts = (f"IMEI: {OTHER}<br>Purchase Date: 03/04/2024", f"IMEI: {SECOND}<br>IMEI2: {OWN}", "Model: iPhone 13")
    said = [list(read_order_result(text, OWN).notes) for text in texts]
    assert said == [[Note.AMBIGUOUS_DATE, Note.FOREIGN_IMEI], [], []]
    assert read_order_result(texts[1], None) == read_result(texts[1])


@given(st.integers(0, 999_999), st.integers(0, 999_999), st.sampled_from(["<br>", " - ", "\n", " "]))
def test_just_the_orders_own_imei_is_its_own(ordered, said, separator):
    result = read_result(separator.join(["Model: iPhone 13", f"IMEI Number: {make_imei(said)}", "SimLock: Locked"]))
    assert bool(find_foreign_imeis(result, make_imei(ordered))) is (ordered != said)
