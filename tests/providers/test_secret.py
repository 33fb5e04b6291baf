"""The key is blanked in every spelling."""

from __future__ import annotations

import html
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.providers.secret import Secret

keys = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6, max_size=20)


@given(keys, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_no_spelling_of_the_key_stays(key: str, encoding: str) -> None:
    secret = Secret(key)
    for spelling in (key, quote(key), quote_plus(key), html.escape(key)):
        text = f"<b>{spelling}</b>"
        assert spelling not in secret.blank_text(text)
        assert spelling.encode(encoding) not in secret.blank(text.encode(encoding))


def test_other_text_stays_as_it_is() -> None:
    assert Secret("TEST-KEY").blank(b"<imei>356938035643809</imei>") == b"<imei>356938035643809</imei>"


def test_a_secret_shows_nothing_of_itself() -> None:
    assert "TEST-KEY" not in repr(Secret("TEST-KEY"))


def test_a_key_too_short_to_be_one_does_not_destroy_replies() -> None:
    assert Secret("1").blank(b"<id>101</id>") == b"<id>101</id>"


@pytest.mark.parametrize(
    "spelling",
    [
        r"ab\/c'd\"ef",
        "ab%2fc%27d%22ef",
        "ab/c&#39;d&quot;ef",
        "ab/c&apos;d&quot;ef",
        "ab/c'd&quot;ef",
        "ab%2Fc%27d%22ef",
    ],
)
def test_a_key_is_blanked_however_another_language_escapes_it(spelling: str) -> None:
    secret = Secret("ab/c'd\"ef")
    assert secret.blank_text(f"<{spelling}>") == "<***>"
    assert secret.blank(f"<{spelling}>".encode()) == b"<***>"
