"""Exporting as it is typed: half-done jobs, to files and into pipes, with errors that say what to do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from imeiflow.cli.export import tell_done
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.export import Exported, Wish
from imeiflow.results.result import Note
from tests.cli.shop import open_shop
from tests.cli.typed import COMMAND, make_environment, run_typed
from tests.operations.stand import add_job, answer, make_imei, open_session


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Make a ledger with job 1, half done: two lines of three have an answer."""
    with open_session(tmp_path / "home") as session:
        rows = [NewOrder(line=n, imei=make_imei(n), columns=(f"=phone {n}", make_imei(n))) for n in range(2, 5)]
        job = add_job(session, rows, columns=("Model", "IMEI"), imei_column="IMEI", has_header=True)
        answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.REFUSED})
    return make_environment(tmp_path / "home")


def test_a_half_done_job_is_written_whole_and_says_what_is_still_open(environment, tmp_path):
    done = run_typed(("export", "1", "-o", "results.csv"), environment)
    assert done.returncode == 0, done.stderr
    assert "3 rows of job 1 written to results.csv." in done.stderr
    assert "1 order had no answer yet" in done.stderr
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text(encoding="utf-8-sig"))))
    assert [row["state"] for row in rows] == ["accepted", "refused", "queued"]
    assert rows[0]["Model"] == "'=phone 2"


def test_a_file_that_is_there_is_kept_until_force_is_said(environment, tmp_path):
    (tmp_path / "results.xlsx").write_text("mine")
    refused = run_typed(("export", "1", "-o", "results.xlsx"), environment)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert (tmp_path / "results.xlsx").read_text() == "mine"
    assert run_typed(("export", "1", "-o", "results.xlsx", "--force"), environment).returncode == 0
    assert (tmp_path / "results.xlsx").read_bytes().startswith(b"PK")


def test_standard_output_carries_the_rows_and_nothing_else(environment):
    done = run_typed(("export", "1", "-o", "-", "--format", "jsonl"), environment)
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["accepted", "refused", "queued"]


def test_a_reader_that_goes_away_is_no_error_of_ours(environment):
    command = " ".join([*COMMAND, "export", "1", "-o", "-", "--format", "csv"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 141}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "1", "-o", "results"), "--format"),
        (("export", "1", "-o", "-"), "--format"),
        (("export", "1", "-o", "-", "--format", "xlsx"), "standard output"),
        (("export", "9", "-o", "results.csv"), "no job 9"),
        (("export", "1"), "--output"),
    ],
)
def test_wrong_usage_is_said_with_the_remedy_and_writes_nothing(environment, tmp_path, arguments, says):
    done = run_typed(arguments, environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_job_under_way_is_exported_whole_and_not_settled(tmp_path):
    with open_shop(tmp_path, latency="30") as shop:
        options = ("--service", "1", "--yes", "--max-concurrency", "2", "--chunk-size", "10")
        shop.start_placing("submit", shop.write_list(50, more=["12"]), *options)
        exported = shop.type("export", "1", "-o", "-", "--format", "jsonl")
        settled = shop.type("settle", "1", "--not-placed", "--all", "--yes")
    states = Counter(json.loads(line)["state"] for line in exported.stdout.splitlines())
    assert exported.returncode == 0
    assert states["sending"] in {10, 20}
    assert states == {"sending": states["sending"], "queued": 50 - states["sending"], "invalid": 1}
    assert settled.returncode == 2
    assert "`imeiflow pause 1`" in settled.stderr


def test_results_that_need_a_look_are_said_beside_the_file():
    done = Exported(rows=3, jobs=1, notes={Note.FOREIGN_IMEI: 2, Note.REPEATED_KEY: 1})
    lines = list(tell_done(done, Wish(jobs=(JobId(7),)), Path("out.csv")))
    assert lines[0] == "3 rows of job 7 written to out.csv."
    assert f"2 results: {Note.FOREIGN_IMEI.sentence}" in lines
    assert len(lines) == 1 + sum(not note.is_plain for note in done.notes)
