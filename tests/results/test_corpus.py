"""A corpus of made-up results in every layout, each with what must be read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.imei import Imei
from imeiflow.results.anomaly import find_foreign_imeis
from imeiflow.results.reader import read_result

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_result_of_the_corpus_is_read_to_the_letter(path):
    case = load(path)
    result = read_result(case["text"])
    fields = [{"name": f.name, "key": f.key, "text": f.text, "value": f.value} for f in result.fields]
    assert fields == case["fields"], case["about"]
    assert list(result.remarks) == case["remarks"]
    assert list(result.notes) == case["notes"]
    assert result.raw == case["text"]


@pytest.mark.parametrize("path", [path for path in CORPUS if "dates" in load(path)], ids=lambda path: path.stem)
def test_the_dates_of_the_corpus_are_all_that_their_words_can_mean(path):
    case = load(path)
    result = read_result(case["text"])
    for name, days in case["dates"].items():
        field = result.find(name)
        assert field is not None
        assert [day.isoformat() for day in field.dates] == days
        assert field.is_ambiguous is (len(days) > 1)


@pytest.mark.parametrize("path", [path for path in CORPUS if "foreign" in load(path)], ids=lambda path: path.stem)
def test_the_corpus_names_foreign_imeis_only_where_the_phone_is_another(path):
    case = load(path)
    foreign = find_foreign_imeis(read_result(case["text"]), Imei(case["order"]))
    assert [field.text for field in foreign] == case["foreign"]


def test_the_corpus_has_a_result_for_every_layout():
    assert len(CORPUS) >= 60
