"""Requests by the thousand, made from the API's own description, to a running server: nothing may surprise it.

Schemathesis sends each operation what the description allows and what it does not. Each answer has to be one that the
description names, in the form that it names; nothing that is allowed is turned away for its form, nothing else let in.
The seed is fixed, so that what it finds it finds again; `st run URL/api/v1/openapi.json` without one looks further.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imeiflow.web.api.allowance import Allowance
from imeiflow.web.api.description import BASE
from tests.web.api.client import Program, enter
from tests.web.seed import add_much, seed
from tests.web.site import open_site

SEED = 20_251_128
PATIENCE_S = 900


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    home = tmp_path / "home"
    home.mkdir()
    seed(home, add_much)
    with open_site(home, allowance=Allowance(per_s=1e6, at_once=1_000_000)) as site:
        yield enter(site)


@pytest.mark.long
@pytest.mark.timeout(PATIENCE_S + 60)
def test_schemathesis_finds_nothing(program, tmp_path):
    found = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "run",
            f"{program.site.base_url}{BASE}/openapi.json",
            "--header",
            f"Authorization: Bearer {program.secret}",
            "--phases=examples,coverage,fuzzing,stateful",
            "--max-examples=8",
            f"--seed={SEED}",
            "--continue-on-failure",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Tested: 31" in found.stdout, found.stdout
