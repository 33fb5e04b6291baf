"""Errors as HTTP statuses: every kind that can reach a page or a program has one that says whose error it is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import imeiflow
from imeiflow.errors import ImeiflowError
from imeiflow.web import status
from imeiflow.web.status import api_status, page_status

#: What no request can meet: other programs' errors, and those before a server listens.
_ELSEWHERE = ("imeiflow.cli.", "imeiflow.library.", "imeiflow.remote.", "imeiflow.simulator.")
_BEFORE = {"ServedError", "DetachError", "DemonstrationError"}


def list_kinds() -> list[type[ImeiflowError]]:
    """List every kind of error of ours that there is, but for those that no request can meet."""
    for module in pkgutil.walk_packages(imeiflow.__path__, "imeiflow."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)

    def walk(kind: type[ImeiflowError]) -> Iterator[type[ImeiflowError]]:
        for below in kind.__subclasses__():
            if below.__module__.startswith("imeiflow."):
                yield below
                yield from walk(below)

    met = {kind for kind in walk(ImeiflowError) if not kind.__module__.startswith(_ELSEWHERE)}
    assert {kind.__name__ for kind in met} >= _BEFORE
    return sorted((kind for kind in met if kind.__name__ not in _BEFORE), key=lambda kind: kind.__name__)


def test_every_error_of_ours_has_a_status_on_pages_and_over_the_api():
    kinds = list_kinds()
    assert len(kinds) > 40
    made = [kind.__new__(kind) for kind in kinds]
    assert [type(error).__name__ for error in made if page_status(error) == 500 or api_status(error) == 500] == []


@pytest.mark.parametrize("at", range(len(status._STATUSES)))
def test_no_row_of_the_table_is_hidden_behind_one_before_it(at):
    kind, page, api = status._STATUSES[at]
    error = kind.__new__(kind)
    assert (page_status(error), api_status(error)) == (page, api)
