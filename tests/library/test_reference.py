"""The library's pages say what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import imeiflow
from imeiflow.library.batch import Result
from imeiflow.library.blocking import Client
from imeiflow.library.client import AsyncClient
from imeiflow.library.legacy import Placed
from imeiflow.library.report import Counts, Report
from imeiflow.library.submission import Options, Terms

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "library.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to" / "use-as-a-library.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)", re.MULTILINE)


def rows(heading: str) -> list[str]:
    """Give the first words of the table under a heading; of the page's first table for an empty one."""
    start = REFERENCE.index(f"## {heading}\n") + 3 if heading else 0
    return ROW.findall(REFERENCE[start:].split("\n## ")[0])


def methods(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}


def test_every_public_name_is_explained_and_no_other():
    assert sorted(rows("")) == sorted(imeiflow.__all__)


def test_every_method_of_the_clients_is_explained_and_no_other():
    assert set(rows("Clients")) == methods(Client)
    assert set(rows("Clients")) - {"stream"} <= methods(AsyncClient)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Options", list(Options.__annotations__)),
        ("Report", [field.name for field in dataclasses.fields(Report)]),
        ("The result of `process_batch`", list(Result.__annotations__)),
        ("The result of `place_imei_order`", list(Placed.__annotations__)),
    ],
)
def test_every_field_is_explained_in_the_order_of_the_code(heading, names):
    assert rows(heading) == names


def test_every_count_is_explained():
    assert set(rows("Counts")) == {name for name, value in vars(Counts).items() if isinstance(value, property)}


def test_terms_are_the_options_and_the_service():
    assert {field.name for field in dataclasses.fields(Terms)} == {*Options.__annotations__, "service"}


def test_the_programs_of_the_how_to_are_snippets_that_are_run():
    snippets = [path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "snippet").glob("*.py")]
    programs = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    assert len(programs) == 2
    assert all(program in snippets for program in programs)
