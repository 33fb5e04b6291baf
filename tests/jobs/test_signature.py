"""A receiver can tell our messages from others', and from recorded ones."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.jobs.signature import TOLERANCE_S, sign, verify

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md"
BODY = '{"id":"evt_1","type":"job.finished","note":"ü"}'.encode()


def test_it_is_hmac_sha256_over_the_time_a_dot_and_the_body():
    expected = hmac.new(b"secret", b"1764288000." + BODY, hashlib.sha256).hexdigest()
    assert sign("secret", BODY, 1764288000) == f"t=1764288000,v1={expected}"


@given(st.text(min_size=1), st.binary(), st.integers(0, 2**35), st.integers(-400, 400))
def test_a_signature_holds_for_its_body_and_some_minutes(secret, body, at, later):
    header = sign(secret, body, at)
    assert verify(secret, body, header, at + later) is (abs(later) <= TOLERANCE_S)
    assert not verify(secret, body + b" ", header, at)
    assert not verify(f"{secret}x", body, header, at)


@pytest.mark.parametrize("header", ["", "t=1", "v1=ab", "t=x,v1=y", f"t=1,v1={'g' * 64}"])
def test_what_is_no_signature_is_none(header):
    assert not verify("secret", BODY, header, 1)


def read_example(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


def test_the_documented_python_code_accepts_ours_and_nothing_else():
    scope: dict = {}
    exec(read_example("python"), scope)  # noqa: S102 - our own page
    header = sign("secret", BODY, 1000)
    assert scope["is_genuine"]("secret", BODY, header, now=1100)
    assert not scope["is_genuine"]("secret", BODY + b" ", header, now=1100)
    assert not scope["is_genuine"]("other", BODY, header, now=1100)
    assert not scope["is_genuine"]("secret", BODY, header, now=1000 + TOLERANCE_S + 1)
    assert not scope["is_genuine"]("secret", BODY, "", now=1000)
