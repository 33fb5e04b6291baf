"""The pages that tell people what to type: every command and option in them exists, and every simulator's behaviour."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from imeiflow.cli.program import program
from imeiflow.domain.imei import Flaw, Repair
from imeiflow.intake.preview import Preview
from imeiflow.intake.repetition import Deduplicator
from imeiflow.intake.sheet import open_sheet
from imeiflow.operations.cell import ADDED
from imeiflow.operations.demonstration import choose_behaviour
from imeiflow.simulator.behaviour import Behaviour

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    *sorted((DOCS / "tutorial").glob("*.md")),
    *(DOCS / "how-to" / f"{name}.md" for name in ("try-without-money", "export-results", "unconfirmed-orders")),
]
TYPED = re.compile(r"^imeiflow ([a-z-]+)(.*?)(?: {3,}.*)?$", re.MULTILINE)
TICKED = re.compile(r"`imeiflow ([a-z-]+)([^`]*)`")


def find_command(name: str) -> click.Command:
    command = program.get_command(click.Context(program, **program.context_settings), name)
    assert command is not None, name
    return command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_of_a_page_exists(page):
    text = page.read_text(encoding="utf-8")
    found = [*TYPED.findall(text), *TICKED.findall(text)]
    assert found
    for name, rest in found:
        options = {option for parameter in find_command(name).params for option in parameter.opts}
        typed = {word for word in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", rest) if word != "-"}
        assert typed <= {*options, "--help"}, (name, rest)


@pytest.mark.parametrize("name", program.list_commands(click.Context(program, **program.context_settings)))
def test_every_command_has_examples_whose_options_exist(name):
    examples = getattr(find_command(name), "examples", "").splitlines()
    assert any(re.search(rf"imeiflow {name}(?!\S)", line) for line in examples)
    for line in examples:
        typed = re.search(r"imeiflow ([a-z-]+)(?: (.*?))?(?: {3,}.*|\||$)", line)
        assert typed, line
        known = {option for parameter in find_command(typed[1]).params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)(--[a-z][a-z-]*)", typed[2] or "")) <= known, line


def test_every_behaviour_of_the_page_can_be_had():
    text = (DOCS / "how-to" / "try-without-money.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| `(--.+)` \|$", text, re.MULTILINE)
    assert len(rows) == 9
    for row in rows:
        words = shlex.split(row)
        read: dict[str, object] = {}
        while words:
            name = words.pop(0).removeprefix("--")
            read[name] = words.pop(0) if words and not words[0].startswith("--") else True
        assert Behaviour.parse(read) != Behaviour()
    for name, value in re.findall(r"--behaviour (\w+)=(\S+)", text):
        assert choose_behaviour(1, {name: value})


def test_every_column_that_is_added_is_explained():
    text = (DOCS / "how-to" / "export-results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
    assert re.findall(r"\w+", " ".join(rows)) == list(ADDED)


def test_the_list_of_the_tutorial_holds_what_its_text_says(tmp_path):
    text = (DOCS / "tutorial" / "first-list.md").read_text(encoding="utf-8")
    block = next(part for part in re.findall(r"```\n(.*?)```", text, re.DOTALL) if part.startswith("Model;"))
    (tmp_path / "phones.csv").write_text(block, encoding="utf-8")
    seen, preview = Deduplicator(), Preview()
    with open_sheet(tmp_path / "phones.csv") as sheet:
        for row in sheet.rows():
            preview.add(row, row.reading.imei and seen.find_first(row.reading.imei, row.line))
    assert (preview.total, preview.valid, preview.repeated) == (7, 5, 1)
    assert {flaw: group.count for flaw, group in preview.flaws.items()} == {Flaw.LUHN: 1}
    assert set(preview.repairs) == {Repair.SEPARATORS, Repair.CHECK_DIGIT}
