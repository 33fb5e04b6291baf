"""What a test or a command line asks the simulated server about itself, on the same port.

`GET /simulator/book` and `/simulator/calls` give JSON lines, `GET /simulator/stats` counts, `GET /simulator/behaviour`
the options; `POST /simulator/behaviour` changes those that it names. None of it counts as a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from imeiflow.errors import ConfigurationError
from imeiflow.simulator.answer import JSON, REASONS, Answer, show_page
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.site import Site

JSON_LINES = "application/x-ndjson"
_LINES = 500  #: lines in one piece of a listing


@dataclass(frozen=True, slots=True)
class Stream:
    """A listing too long for one answer."""

    pieces: Iterator[bytes]
    content_type: str = JSON_LINES


def answer_control(site: Site, method: str, path: str, body: bytes) -> Answer | Stream:
    """Answer a question about the server itself; raises ConfigurationError for a behaviour that makes no sense."""
    match method, path:
        case "GET", "/simulator/book":
            return Stream(_list_book(site))
        case "GET", "/simulator/calls":
            return Stream(_list_calls(site))
        case "GET", "/simulator/stats":
            return _give(site.to_json())
        case "GET", "/simulator/behaviour":
            return _give(site.behaviour.to_json())
        case "POST", "/simulator/behaviour":
            site.behave(read_behaviour(body, site.behaviour))
            return _give(site.behaviour.to_json())
        case _:
            return show_page(404, REASONS[404])


def read_behaviour(body: bytes, before: Behaviour) -> Behaviour:
    """Read changes to a behaviour, a JSON object by option name."""
    try:
        changes = json.loads(body)
    except ValueError as error:
        raise ConfigurationError(setting="behaviour", problem=f"is not JSON: {error}") from error
    if not isinstance(changes, dict):
        raise ConfigurationError(setting="behaviour", problem="must be a JSON object of options")
    return before.updated(changes)


def _give(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode(), content_type=JSON)


def _list_book(site: Site) -> Iterator[bytes]:
    """List the entries that the book had when it was asked for."""
    count, now = len(site.book), site.clock()
    for start in range(0, count, _LINES):
        entries = site.book.slice(start, min(count, start + _LINES))
        yield "".join(entry.to_json(now) + "\n" for entry in entries).encode()


def _list_calls(site: Site) -> Iterator[bytes]:
    count = len(site.log)
    for start in range(0, count, _LINES):
        lines = site.log[start : min(count, start + _LINES)]
        yield "".join(json.dumps(line) + "\n" for line in lines).encode()
