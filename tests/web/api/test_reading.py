"""What a body may say: numbers beyond all measure and documents of any depth are told, in few words."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import Meta

from imeiflow.operations.json_text import dump_json
from imeiflow.web.api.problem import ApiError, tell_api_error
from imeiflow.web.api.reading import read_json
from imeiflow.web.api.value import Amount, In, read_amount
from tests.web.api.client import Program, check_problem

HUGE = [b"1e99999999999", b"-1e99999999999", b"1e-99999999999", b"9" * 3000, b"1" + b"0" * 5000, b"1.5e400"]
DEEP = b"[" * 5000 + b"]" * 5000
DEEPER = b"[" * 100_000 + b"]" * 100_000


class Body(In):
    """Some of what operations take."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 1
    name: str = ""
    price: Amount | None = None


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("field", ["limit", "name"])
def test_a_number_of_any_size_is_told_in_few_words(number, field):
    with pytest.raises(ApiError) as error:
        read_json(Body, b'{"%s": %s}' % (field.encode(), number))
    assert error.value.status in {400, 422}
    assert len(tell_api_error(None, error.value).content) < 1500


@pytest.mark.parametrize("number", HUGE)
def test_an_amount_of_any_size_is_refused_in_few_words(number):
    with pytest.raises(ApiError) as error:
        read_amount(read_json(Body, b'{"price": %s}' % number).price, "body.price")
    assert error.value.status in {400, 422}
    assert len(tell_api_error(None, error.value).content) < 1500


@pytest.mark.parametrize("deep", [DEEP, DEEPER])
@pytest.mark.parametrize("text", [b'{"x": %s}', b'{"limit": %s}', b'{"limit": 1.5, "x": %s}', b"%s"])
def test_a_document_of_any_depth_is_told(text, deep):
    with pytest.raises(ApiError) as error:
        read_json(Body, text % deep)
    assert error.value.status in {400, 422}
    assert len(dump_json([flaw.value for flaw in error.value.flaws])) < 1500


def test_a_whole_number_may_be_written_as_json_writes_it():
    assert read_json(Body, b'{"limit": 5.0}').limit == 5
    assert read_json(Body, b'{"limit": 1e2}').limit == 100


def test_a_program_gets_an_answer_to_a_number_beyond_all_measure(program: Program):
    headers = {"content-type": "application/json"}
    answer = program.ask("POST", "/orders/search", b'{"limit": 1e99999999999}', headers=headers)
    told = check_problem(answer, 422, "invalid")
    assert told["errors"][0]["field"] == "body.limit"
    assert len(answer.raw) < 1500
    assert check_problem(program.ask("POST", "/orders/search", b'{"x": %s}' % DEEP, headers=headers), 422, "invalid")
