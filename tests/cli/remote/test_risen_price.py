"""Jobs of a server whose price has risen since it was confirmed, resumed from the command line."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from imeiflow.domain.order import JobState
from imeiflow.operations.session import Session
from tests.cli.screen import open_screen
from tests.web.seed import add_paused, seed
from tests.web.site import Site, open_site


def fill(session: Session) -> None:
    for _ in range(2):
        add_paused(session)


@pytest.fixture(scope="module")
def site(home: Path) -> Site:
    """Give a server with two paused jobs at $0.08, of an account where it is $0.10 by now."""
    home.mkdir()
    seed(home, fill)
    with open_site(home, {"repeats": "refuse", "price_change": ("1=0.10@0",)}) as opened:
        opened.session.configuration = replace(opened.session.configuration, price_max_age_s=0.0)
        yield opened


def test_a_price_that_has_risen_is_told_and_accepted(site, type_remotely, type_locally):
    ledger = site.session.ledger
    there, here = type_remotely("resume", "1"), type_locally("resume", "1")
    assert (there.status, here.status) == (4, 4)
    assert "was not resumed" in there.err
    assert there.err.splitlines()[-1] == here.err.splitlines()[-1]
    assert ledger.summary(1).state is JobState.PAUSED
    done = type_remotely("resume", "1", "--accept-price", "0.10", "--detach")
    assert done.status == 0, done.err
    site.wait_until(lambda: site.session.find_job(1).state != "running", "job 1 does not end")
    assert str(site.session.find_job(1).unit_price) == "0.10"


def test_a_price_that_has_risen_is_asked_about(site, token, tmp_path):
    typed = {"IMEIFLOW_SERVER": site.base_url, "IMEIFLOW_TOKEN": token, "IMEIFLOW_HOME": str(tmp_path / "mine")}
    typed["TMPDIR"] = str(tmp_path)
    for word, state in (("n\n", "paused"), ("y\n", "finished")):
        with open_screen("resume", "2", environment={**os.environ, **typed}) as screen:
            screen.wait_for(r"rose from \$0\.08 to \$0\.10\.(?s:.*)Go\s+on\s+at\s+\$0\.10\?\s+\[y/N\]")
            screen.press(word)
            screen.finish()
        assert site.session.find_job(2).state == state
    assert str(site.session.find_job(2).unit_price) == "0.10"
