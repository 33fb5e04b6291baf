"""`imeiflow submit`, typed in a process of its own against a simulated provider."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import Summary, Tally
from tests.cli.shop import Shop, add_up, last_json, make_imei, open_shop
from tests.cli.typed import run_typed

KEYS = list(
    Summary(
        job=JobId(1), state=JobState.FINISHED, tally=Tally(), attempts=0, spent=None, seconds=0.0, reason=None
    ).as_dict()
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory):
    with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture
def fresh(shop: Shop, tmp_path: Path):
    """Give the provider another shop: a home without a ledger."""
    other = Shop(tmp_path, shop.simulator, shop.wiretap, has_ledger=False)
    yield other
    other.close()


def test_a_dry_run_says_what_would_be_ordered_and_sends_and_writes_nothing(fresh: Shop):
    before = fresh.simulator.stats()
    bad = ["hello", "'" + make_imei(101), make_imei(100), make_imei(102)[:14], "350000000000001"]
    done = fresh.type("submit", fresh.write_list(3, start=100, more=bad), "--service", "1", "--dry-run")
    assert done.returncode == 0
    told = done.stdout
    assert "8 rows" in told
    assert "3 to order" in told
    assert "3 repeated" in told
    assert "2 invalid" in told
    assert "line 5: hello" in told
    assert "3 × $0.08 = $0.24" in told
    test = "an order may be sent twice to see whether that is charged"
    assert f"  besides   $0.08 if replies get lost: {test}; $1.00 at the very most\n" in told
    assert "Nothing was sent." in told
    after = fresh.simulator.stats()
    assert after["orders"] == before["orders"]
    assert not fresh.home.exists()


def test_a_dry_run_as_json_has_exact_amounts_and_the_groups(fresh: Shop):
    done = fresh.type(
        "submit",
        fresh.write_list(3, start=110, more=["x"]),
        "--service",
        "1",
        "--dry-run",
        "--json",
        "--max-spend",
        "5",
    )
    told = json.loads(done.stdout, parse_float=Decimal, parse_int=Decimal)
    assert (told["total"], told["valid"], told["invalid"], told["repeated"]) == (4, 3, 1, 0)
    assert (told["price"], told["cost"], told["max_spend"]) == (Decimal("0.08"), Decimal("0.24"), 5)
    assert told["probe_up_to"] == Decimal("1.00")
    assert told["flaws"][0]["examples"][0]["line"] == 5
    assert told["ordered_before"]["count"] == 0
    assert told["currency"] == "USD"


@pytest.mark.parametrize(
    ("options", "is_said"),
    [
        (["--service", "1", "--unconfirmed", "hold"], False),  # nothing is repeated then
        (["--service", "5"], False),  # $1.45: more than may be repeated without a question
        (["--service", "1", "--max-spend", "0.24"], True),
    ],
)
def test_what_a_repeat_probe_may_cost_is_said_where_one_may_be_made(fresh: Shop, options, is_said):
    done = fresh.type("submit", fresh.write_list(3, start=130), *options, "--dry-run")
    assert "= $" in done.stdout
    assert ("an order may be sent twice" in done.stdout) is is_said
    assert ("; the cap counts it" in done.stdout) is is_said


def test_a_dry_run_logs_nothing_between_its_lines_where_the_provider_cannot_be_reached(fresh: Shop):
    environment = {**fresh.environment, "GSM_FUSION_BASE_URL": "http://127.0.0.1:9"}
    done = run_typed(("submit", fresh.write_list(3, start=115), "--service", "1", "--dry-run", "--json"), environment)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["valid"], told["price"]) == (0, "", 3, None)
    assert not fresh.home.exists()


def test_all_accepted_ends_with_0_and_one_json_object_last_on_standard_output(fresh: Shop):
    done = fresh.type("submit", fresh.write_list(250, start=1000), "--service", "1", "--yes", "--json")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    summary = json.loads(line, parse_float=Decimal)
    assert list(summary) == KEYS
    assert (summary["state"], summary["total"], summary["accepted"]) == ("finished", 250, 250)
    assert add_up(summary) == 250
    assert summary["spent"] == Decimal("20.00")
    assert '"spent": 20.00,' in line
    assert summary["currency"] == "USD"
    assert "250 × $0.08 = $20.00" in done.stderr
    assert "Job 1 is finished" in done.stderr


def test_rows_that_are_invalid_or_repeated_are_counted_and_the_status_is_3(fresh: Shop):
    status, summary = fresh.submit(fresh.write_list(5, start=1300, more=["hello", make_imei(1300)]))
    assert status == 3
    assert (summary["accepted"], summary["invalid"], summary["repeated"]) == (5, 1, 1)
    assert add_up(summary) == summary["total"] == 7


def test_a_list_without_any_imei_to_order_is_recorded_and_costs_nothing(fresh: Shop):
    status, summary = fresh.submit(fresh.write_list(0, more=["hello 1234567", "35000000000000x"]), "--column", "IMEI")
    assert status == 3
    assert summary["invalid"] == summary["total"] == 2
    assert summary["spent"] == 0


def test_without_a_terminal_it_is_not_ordered_unless_said_so(fresh: Shop):
    before = fresh.simulator.stats()
    done = fresh.type("submit", fresh.write_list(3, start=1400), "--service", "1")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "3 IMEIs × $0.08 = $0.24" in done.stderr
    assert fresh.simulator.stats()["orders"] == before["orders"]
    assert json.loads(fresh.type("jobs", "--json").stdout) == []


def test_a_list_can_come_through_standard_input(fresh: Shop):
    text = "\n".join(make_imei(number) for number in range(1500, 1520))
    done = fresh.type("submit", "-", "--service", "1", "--yes", "--json", text=text)
    assert done.returncode == 0
    assert last_json(done.stdout)["accepted"] == 20


def test_a_cap_pauses_the_job_before_more_is_spent(fresh: Shop):
    status, summary = fresh.submit(fresh.write_list(50, start=1600), "--max-spend", "1.00")
    assert status == 4
    assert summary["state"] == "paused"
    assert "cap" in summary["reason"]
    assert (summary["accepted"], summary["queued"]) == (12, 38)
    assert summary["spent"] == 0.96
    assert "$1.00" in summary["reason"]
    done = fresh.type("resume", str(summary["job"]), "--max-spend", "10", "--json")
    assert done.returncode == 0
    assert last_json(done.stdout)["accepted"] == 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--service", "1", "--rate", "fast"], "60/min"),
        (["--service", "1", "--chunk-size", "0"], "--chunk-size"),
        (["--service", "1", "--chunk-size", "101"], "1 to 100"),
        (["--service", "1", "--max-spend", "ten"], "amount"),
        (["--service", "1", "--max-spend", "0"], "above 0"),
        (["--service", "1", "--max-concurrency", "0"], "--max-concurrency"),
        (["--service", "1", "--unconfirmed", "guess"], "settle"),
        (["--service", "999999"], "imeiflow services"),
        (["--service", ""], "--service"),
        ([], "--service"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_right(fresh: Shop, arguments, says):
    done = fresh.type("submit", fresh.write_list(2, start=1700), *arguments, "--yes", "--json")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "says"), [("missing.csv", "there is no such file"), (".", "folder"), ("empty.csv", "the file is empty")]
)
def test_a_list_that_cannot_be_read_is_wrong_usage_and_leaves_no_job(fresh: Shop, tmp_path: Path, name, says):
    (tmp_path / "empty.csv").touch()
    done = fresh.type("submit", str(tmp_path / name), "--service", "1", "--yes")
    assert done.returncode == 2
    assert says in done.stderr
    assert json.loads(fresh.type("jobs", "--json").stdout) == []


def test_a_wrong_key_is_told_before_anything_is_ordered(fresh: Shop):
    fresh.environment["GSM_FUSION_API_KEY"] = "another-key"
    done = fresh.type("submit", fresh.write_list(2, start=1800), "--service", "1", "--yes")
    assert done.returncode == 1
    assert "Invalid User!" in done.stderr
    assert "another-key" not in done.stderr + done.stdout
    assert json.loads(fresh.type("jobs", "--json").stdout) == []


def test_no_account_is_told_with_the_variables_that_make_one(fresh: Shop):
    for name in ("GSM_FUSION_BASE_URL", "GSM_FUSION_USERNAME", "GSM_FUSION_API_KEY"):
        del fresh.environment[name]
    done = fresh.type("submit", fresh.write_list(2, start=1800), "--service", "1", "--yes")
    assert done.returncode == 1
    assert "GSM_FUSION_API_KEY" in done.stderr


def test_imeis_ordered_before_are_told_with_their_job(fresh: Shop):
    fresh.submit(fresh.write_list(5, start=1900))
    done = fresh.type("submit", fresh.write_list(8, start=1900), "--service", "1", "--dry-run")
    assert "Ordered before under this service: 5" in done.stdout
    assert re.search(r"5 × skipped - .+ \(job 1; \d{4}-\d\d-\d\d\)", done.stdout)
    status, summary = fresh.submit(fresh.write_list(8, start=1900))
    assert (status, summary["repeated"], summary["accepted"]) == (0, 5, 3)


def test_what_is_written_is_for_its_owner_alone_and_holds_no_key(fresh: Shop):
    fresh.environment["GSM_FUSION_API_KEY"] = fresh.simulator.api_key
    status, _ = fresh.submit(fresh.write_list(3, start=2000))
    assert status == 0
    kept = sorted(path for path in fresh.home.rglob("*"))
    assert kept
    for path in [fresh.home, *kept]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            assert fresh.simulator.api_key.encode() not in path.read_bytes(), path
