"""The page of the result fields names every field, key, kind and note, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from imeiflow.results.column import MOST_UNKNOWN
from imeiflow.results.reader import LONGEST_TEXT, MOST_FIELDS
from imeiflow.results.result import Kind, Note
from imeiflow.results.vocabulary import _TERMS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "result-fields.md").read_text(encoding="utf-8")


def list_rows(heading: str) -> list[list[str]]:
    """List the cells of the table below a heading of the page."""
    section = PAGE[PAGE.index(f"\n{heading}\n") :].removeprefix("\n").split("\n## ")[0]
    return [row.strip("| ").split(" | ") for row in re.findall(r"^\| `.*\|$", section, re.MULTILINE)]


def test_the_page_has_every_name_with_its_kind_and_keys_in_the_order_of_an_exports_columns():
    expected = [
        [f"`{name}`", f"`{kind}`", ", ".join(f"{key[1:]}*" if key.startswith("~") else key for key in keys)]
        for name, (kind, keys) in _TERMS.items()
    ]
    assert list_rows("## Names") == expected


def test_the_page_has_every_kind_and_every_note_with_its_sentence():
    assert [cells[0] for cells in list_rows("## How a value is normalised")] == [f"`{kind}`" for kind in Kind]
    assert list_rows("## What is said of a result") == [[f"`{note}`", note.sentence] for note in Note]


def test_the_page_has_the_limits():
    words = " ".join(PAGE.split())
    assert f"A text over {LONGEST_TEXT:,} characters, or of more than {MOST_FIELDS} fields, is kept raw" in words
    assert f"Beyond {MOST_UNKNOWN} unknown keys" in words
