"""How long to wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.providers.retry_after import find_wait, read_retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT"}, 60),
        ({"Retry-After": "Fri, 02 Jan 2026 03:05:05 GMT", "Date": "Fri, 02 Jan 2026 03:05:00 GMT"}, 5),
        ({"Retry-After": "Fri, 02 Jan 2026 03:00:00 GMT"}, 0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({}, None),
    ],
)
def test_the_header_is_a_number_or_a_date(headers: dict[str, str], wait_s: float | None) -> None:
    assert read_retry_after(headers, NOW) == wait_s


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("Please try again in 30 seconds.", 30),
        ("slow down, retry after 2 minutes", 120),
        ("wait 1h", 3600),
        ("Try again in 45s", 45),
        ("try again later", None),
        ("maximum 50 IMEIs", None),
    ],
)
def test_a_text_may_name_the_wait(text: str, wait_s: float | None) -> None:
    assert find_wait(text) == wait_s


@given(st.text(), st.text())
def test_nothing_in_a_header_raises(value: str, date: str) -> None:
    wait_s = read_retry_after({"Retry-After": value, "Date": date}, NOW)
    assert wait_s is None or wait_s >= 0
