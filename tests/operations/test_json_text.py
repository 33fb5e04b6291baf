"""Values as JSON: exact, and never longer than what was given."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from imeiflow.operations.json_text import dump_json


@pytest.mark.parametrize("text", ["0", "0.00", "-1.50", "1599.20", "1E+3", "0.000001", "12345678901234567890.1"])
def test_an_amount_is_written_in_full(text):
    written = dump_json(Decimal(text))
    assert "E" not in written
    assert json.loads(written, parse_float=Decimal, parse_int=Decimal) == Decimal(text)


@pytest.mark.parametrize("text", ["1E+99999999999", "-1E+99999999999", "1E-99999999999", "1.5E+61", "1E-61"])
def test_a_number_of_absurd_size_is_not_written_out(text):
    written = dump_json({"value": Decimal(text)})
    assert len(written) < 40
    assert json.loads(written, parse_float=Decimal)["value"] == Decimal(text)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_json(text):
    with pytest.raises(ValueError, match="no JSON value"):
        dump_json(Decimal(text))
