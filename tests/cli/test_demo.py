"""The demonstration: it proves what it claims, says so when it cannot, and leaves the user's own ledger alone."""

from __future__ import annotations

import csv
import json

import pytest

from imeiflow.cli.demo import tell_proof
from imeiflow.operations.proof import Discrepancy, Proof
from tests.cli.typed import make_environment, run_typed

QUICK = ("--behaviour", "latency=0", "--behaviour", "latency_per_imei=0", "--behaviour", "read_latency=0")


@pytest.fixture
def environment(tmp_path):
    return make_environment(tmp_path / "home")


def test_it_proves_that_every_imei_is_accounted_for_and_leaves_the_files(environment, tmp_path):
    done = run_typed(("demo", "--imeis", "2500", *QUICK, "--fault", "reset:after@every:9"), environment)
    assert done.returncode == 0, done.stderr
    assert "The proof holds: every IMEI is accounted for" in done.stdout
    assert "whose reply was lost" in done.stdout
    directory = next(tmp_path.glob("imeiflow-demo-*"))
    assert str(directory) in done.stdout
    with (directory / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [str(line) for line in range(2, 2502)]
    assert {"accepted", "duplicate", "invalid", "repeated", "refused"} <= {row["state"] for row in rows}
    assert directory.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "home").exists()


def test_its_json_has_summary_and_proof_and_its_progress_stays_apart(environment, tmp_path):
    done = run_typed(("demo", "--imeis", "60", *QUICK, "--keep", str(tmp_path / "kept"), "--json"), environment)
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert told["summary"]["total"] == 60
    assert told["proof"]["holds"] is True
    assert told["proof"]["provider"] == told["proof"]["ledger"]
    assert told["directory"] == str(tmp_path / "kept")
    assert "A simulated provider has started" in done.stderr


def test_repeats_that_are_charged_end_with_what_is_not_known_said_so(environment):
    arguments = ("--behaviour", "repeats=charge", "--fault", "reset:after@#4", "--imeis", "200")
    done = run_typed(("demo", *arguments, *QUICK), environment)
    assert done.returncode == 0, done.stderr
    assert "not known, and said so" in done.stdout
    assert "repeated to learn that repeats are charged here" in done.stdout


def test_a_folder_with_something_in_it_is_not_touched(environment, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ledger.sqlite").write_text("mine")
    done = run_typed(("demo", "--keep", str(tmp_path / "mine")), environment)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert (tmp_path / "mine" / "ledger.sqlite").read_text() == "mine"


@pytest.mark.parametrize("change", ["latency", "colour=red", "latency=soon"])
def test_a_behaviour_that_there_is_not_is_named_without_a_traceback(environment, change):
    done = run_typed(("demo", "--behaviour", change), environment)
    assert done.returncode in {1, 2}
    assert change.partition("=")[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_proof_that_does_not_hold_is_said_in_capitals_with_the_imeis():
    proof = Proof(currency="USD", book_placed=2, ledger_placed=1)
    proof.note(Discrepancy.UNTRACKED, "350000000000014")
    lines = list(tell_proof(proof))
    assert lines[-1].startswith("THE PROOF DOES NOT HOLD")
    assert any("350000000000014" in line for line in lines)


def test_what_the_engine_logs_stays_off_standard_output(environment, tmp_path):
    poor = ("--behaviour", "credit=1", "--keep", str(tmp_path / "kept"))
    done = run_typed(("demo", "--imeis", "60", *QUICK, *poor, "--json"), environment)
    assert json.loads(done.stdout)["summary"]["state"] == "paused"
    assert "event=pausing" in (tmp_path / "kept" / "log" / "imeiflow.log").read_text(encoding="utf-8")
