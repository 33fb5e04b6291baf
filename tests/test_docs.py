"""The docs say what the code does: every value is documented, every link leads somewhere, every target exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.progress import COUNTED, Summary, Tally

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGET = re.compile(r"`(?:[A-Z]+=\S+ )*make ([a-z-]+)[^`]*`|^make ([a-z-]+)", re.MULTILINE)
ROW = re.compile(r"^\| `([a-z_]+)` \| (.+) \|$", re.MULTILINE)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def section(text: str, start: str, end: str) -> str:
    """Cut out what stands between two texts; both must be there."""
    return text[text.index(start) : text.index(end, text.index(start))]


STATES = read("docs/states.md")


@pytest.mark.parametrize(
    ("enum", "start", "end"),
    [
        (OrderState, "## An order", "## The result"),
        (ResultStatus, "## The result", "## An attempt"),
        (Ending, "| ending |", "Its outcome"),
        (Outcome, "| outcome |", "An error of a reply"),
        (ErrorKind, "| kind |", "One error for a whole call"),
    ],
)
def test_states_explains_every_value_in_a_row_of_its_own_and_no_other(enum, start, end):
    rows = ROW.findall(section(STATES, start, end))
    assert sorted(name for name, _ in rows) == sorted(enum)


def test_states_explains_every_state_of_a_job():
    rows = ROW.findall(STATES[STATES.index("## A job") :])
    assert sorted(name for name, _ in rows) == sorted(JobState)


def test_every_lettered_change_of_an_order_is_in_the_diagram_and_in_the_table():
    diagram, table = section(STATES, "```", "| | from"), section(STATES, "| | from", "| state |")
    letters = re.findall(r"^\| ([A-Z]) \|", table, re.MULTILINE)
    assert letters == sorted(letters)
    assert set(re.findall(r"\b([A-Z])\b", diagram)) == set(letters)


def test_the_json_page_has_every_key_of_the_summary():
    summary = Summary(job=1, state=JobState.FINISHED, tally=Tally(), attempts=0, spent=None, seconds=0.0, reason=None)
    rows = [name for name, _ in ROW.findall(read("docs/reference/json-summary.md"))]
    assert sorted(rows) == sorted(summary.as_dict())
    assert [name for name in rows if name in COUNTED] == list(COUNTED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE))
    assert targets
    for ticked, typed in TARGET.findall(page.read_text(encoding="utf-8")):
        assert (ticked or typed) in targets


def test_every_page_is_reached_from_the_index():
    reached, frontier = set(), {ROOT / "docs" / "index.md"}
    while frontier:
        page = frontier.pop()
        reached.add(page)
        links = {link.split("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))}
        found = {(page.parent / link).resolve() for link in links if link.endswith(".md") and "://" not in link}
        frontier |= found - reached
    assert set((ROOT / "docs").rglob("*.md")) <= reached


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list_by_its_title():
    rows = re.findall(r"^\| (\d{4}) \| \[(.+)\]\(decisions/(.+)\) \|$", read("docs/decisions.md"), re.MULTILINE)
    numbers = [number for number, _, _ in rows]
    assert numbers == sorted(set(numbers))
    for number, title, name in rows:
        assert name.startswith(f"{number}-")
        assert read(f"docs/decisions/{name}").startswith(f"# {number}: {title}\n")


def test_a_decision_says_its_context_what_was_decided_and_what_follows():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequence"], page.name
