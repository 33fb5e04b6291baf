"""What the how-to types is what the API offers."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from imeiflow.web.api.catalog import OPERATIONS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "ask-a-server.md"
CALL = re.compile(r'curl -sSN?(?P<post> -X POST)? "\$api(?P<path>/[^"?]*)(?P<query>\?[^"]*)?"(?P<rest>(?:[^\n]|\\\n)*)')
NAMES = {"$draft": "{draft}", "$job": "{job}"}


def test_every_call_of_the_how_to_is_an_operation_with_such_parameters():
    calls = list(CALL.finditer(PAGE.read_text(encoding="utf-8").replace("\\\n", " ")))
    assert len(calls) >= 12
    for call in calls:
        path = call["path"]
        for variable, parameter in NAMES.items():
            path = path.replace(variable, parameter)
        sends = call["post"] or "--json" in call["rest"] or " -F " in call["rest"]
        found = [one for one in OPERATIONS if (one.method, one.path) == ("POST" if sends else "GET", path)]
        assert found, call[0]
        assert not sends or found[0].is_repeatable == ("Idempotency-Key" in call["rest"]), call[0]
        known = set() if found[0].query is None else _names(found[0].query)
        assert {part.partition("=")[0] for part in (call["query"] or "?")[1:].split("&") if part} <= known, call[0]


def _names(kind: type) -> set[str]:
    return {one.encode_name for one in msgspec.structs.fields(kind)}
