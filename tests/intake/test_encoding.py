"""Texts read whole, in whatever encoding they were saved."""

from __future__ import annotations

import io

import pytest

from imeiflow.intake.encoding import read_text
from imeiflow.intake.origin import take_origin


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_text_is_read_whatever_its_encoding(encoding: str):
    text = "350000000000014\n350000000000022\nZ\u00fcrich\n"
    assert read_text(take_origin(io.BytesIO(text.encode(encoding)))) == text


def test_an_empty_text_is_empty():
    assert read_text(take_origin(io.BytesIO(b""))) == ""
