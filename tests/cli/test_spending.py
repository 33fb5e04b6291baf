"""Spending as it is typed: a table, JSON to the cent, a plot in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending
from imeiflow.ledger.record import NewOrder
from tests.cli.typed import make_environment, run_typed
from tests.operations.stand import add_job, answer, finish, make_imei, open_session


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Make a ledger with two jobs: three orders for $0.24, and one for $0.08 beside two in doubt."""
    with open_session(tmp_path / "home") as session:
        for accepted, doubtful in ((3, 0), (1, 2)):
            rows = [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 2 + accepted + doubtful)]
            job = add_job(session, rows, name=f"list of {accepted}")
            answer(session, job, dict.fromkeys(range(2, 2 + accepted), OrderState.ACCEPTED))
            if doubtful:
                doubts = range(2 + accepted, 2 + accepted + doubtful)
                answer(session, job, dict.fromkeys(doubts, OrderState.UNCONFIRMED), Ending.IN_DOUBT)
            finish(session, job)
    return make_environment(tmp_path / "home")


def test_the_table_has_each_sum_the_total_and_a_bar(environment):
    done = run_typed(("spending", "--by", "job"), environment)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].split() == ["JOB", "ORDERS", "SPENT", "REJECTED", "IN", "DOUBT"]
    assert lines[1].startswith("1 list of 3")
    assert lines[1].endswith("█" * 30)
    assert lines[2].split()[:7] == ["2", "list", "of", "1", "1", "$0.08", "-"]
    assert lines[3].split() == ["total", "4", "$0.32", "-", "$0.16"]


def test_the_json_is_exact(environment):
    done = run_typed(("spending", "--by", "account", "--json"), environment)
    assert '"spent": 0.32' in done.stdout
    assert json.loads(done.stdout)[0]["in_doubt"] == 0.16


def test_nothing_spent_is_said(environment):
    done = run_typed(("spending", "--to", "2001-01-01"), environment)
    assert "Nothing was spent." in done.stdout


@pytest.mark.parametrize(
    ("name", "begins"), [("plot.svg", b"<svg"), ("plot.html", b"<!doctype html>"), ("plot.png", b"\x89PNG")]
)
def test_a_plot_is_kept_by_the_end_of_its_name(environment, tmp_path, name, begins):
    done = run_typed(("spending", "--plot", str(tmp_path / name)), environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_another_name_of_a_plot_is_refused_before_anything_is_read(environment, tmp_path):
    done = run_typed(("spending", "--plot", str(tmp_path / "plot.pdf")), environment)
    assert done.returncode == 2
    assert ".png, .html, .svg" in done.stderr


def test_show_says_what_is_spent_and_what_may_have_been(environment):
    done = run_typed(("show", "2"), environment)
    assert "Spent: $0.08. Up to $0.16 more may have been charged" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "2026-13-01"), "'2026-13-01' is no day such as 2026-11-01."),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "--from 2026-02-01 is after --to 2026-01-01"),
    ],
)
def test_days_that_make_no_sense_are_refused_in_words(environment, options, says):
    done = run_typed(("spending", *options), environment)
    assert done.returncode == 2
    assert says in done.stderr
