"""Writes the API's reference page from its description: `python -m tests.web.api.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imeiflow.web.api.description import BASE, describe
from imeiflow.web.api.document import Field, list_sections

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rest-api.md"


def write_reference() -> str:
    """Give the whole page."""
    lines = ["# REST API", "", "This page is written from the API's own description, which a server gives under"]
    lines += [f"`{BASE}/openapi.json` and shows at `{BASE}/docs`.", "", *describe()["info"]["description"].splitlines()]
    for tag, operations in list_sections().items():
        lines += ["", f"## {tag}"]
        for one in operations:
            lines += ["", f"### {one.summary}", "", f"`{one.method} {BASE}{one.path}`, scope `{one.scope}`"]
            lines += ["", *one.about.splitlines()] if one.about else []
            lines += ["", "```sh", one.curl, "```"]
            lines += [*_table("parameter", one.parameters), *_table("field of the body", one.body)]
            lines += [*_table("field of the answer", one.answer), "", f"Problems: {', '.join(one.problems)}."]
    return "\n".join([*lines, ""])


def _table(title: str, fields: list[Field]) -> Iterator[str]:
    if fields:
        yield from ("", f"| {title} | kind | what it is |", "|---|---|---|")
        for one in fields:
            yield f"| `{one.name}` | {one.kind} | {one.about} |".replace("  ", " ")


if __name__ == "__main__":
    PAGE.write_text(write_reference(), encoding="utf-8")
