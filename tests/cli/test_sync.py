"""Statuses and results as they are typed: once, until all is final, beside another process, killed and gone on with."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path

import pytest

from imeiflow.simulator.behaviour import ResultLayout
from imeiflow.simulator.result import make_result
from tests.cli.screen import open_screen
from tests.cli.shop import Shop, finish, last_json, open_shop
from tests.cli.typed import PATIENCE_S
from tests.cli.warm import Child

LIVES = {"pending_for": "3", "process_for": "1-8"}


@pytest.fixture
def shop(tmp_path: Path):
    with open_shop(tmp_path, **LIVES, rejected_share=0.2, status_limit=25) as opened:
        yield opened


def look(shop: Shop) -> dict[str, object]:
    return json.loads(shop.type("show", "1", "--json").stdout)


def test_orders_are_followed_from_the_list_to_the_result(shop: Shop):
    status, summary = shop.submit(shop.write_list(60))
    assert (status, summary["accepted"]) == (0, 60)
    once = shop.type("sync", "1", "--json")
    told = last_json(once.stdout)
    assert once.returncode == (0 if told["is_final"] else 4)
    assert told["asked"] >= 60
    watched = shop.type("sync", "1", "--watch", "--json")
    told = last_json(watched.stdout)
    assert watched.returncode == 0
    assert (told["is_final"], told["open"], told["accepted"], told["anomalies"]) == (True, 0, 60, {})
    assert told["completed"] + told["rejected"] == 60
    assert "Job 1: all is final." in watched.stderr
    book = {entry.imei: entry for entry in shop.simulator.book()}
    rows = json.loads(shop.type("orders", "--job", "1", "--limit", "0", "--json").stdout)
    for row in rows:
        assert row["status"] == ("rejected" if book[row["imei"]].life.is_rejected else "completed")
        assert row["result"]
        assert row["completed_at"]
    assert look(shop)["statuses"]["completed"] == told["completed"]  # type: ignore[index]
    again = shop.type("sync", "1", "--json")
    assert again.returncode == 0
    assert last_json(again.stdout)["asked"] == 0


def test_a_list_can_be_followed_to_its_results_at_once(shop: Shop):
    done = shop.type("submit", shop.write_list(20), "--service", "1", "--yes", "--follow-results")
    assert done.returncode == 0
    assert "Job 1 is finished" in done.stdout
    assert "Job 1: all is final." in done.stdout


def test_submit_says_how_to_go_on_to_the_results(shop: Shop):
    done = shop.type("submit", shop.write_list(20), "--service", "1", "--yes")
    assert "imeiflow sync 1 --watch" in done.stdout


def test_killed_at_random_while_it_asks_it_has_lost_nothing(tmp_path: Path):
    dice = random.Random("results")
    with open_shop(
        tmp_path, pending_for="0", process_for="0-3", rejected_share=0.2, status_limit=4, result_layout="br"
    ) as shop:
        shop.simulator.set_behaviour(read_latency="0.05")
        shop.submit(shop.write_list(60))
        for _ in range(3):
            child = shop.start("sync", "1", "--watch")
            child.stderr.readline()
            assert all(shop.wiretap.asked.acquire(timeout=PATIENCE_S) for _ in range(dice.randint(1, 8)))
            child.send_signal(signal.SIGKILL)
            child.communicate()
            assert child.returncode == -signal.SIGKILL
        done = shop.type("sync", "1", "--watch", "--json")
        assert done.returncode == 0
        assert last_json(done.stdout)["is_final"]
        book = {entry.imei: entry for entry in shop.simulator.book()}
        for row in json.loads(shop.type("orders", "--job", "1", "--limit", "0", "--json").stdout):
            is_rejected = book[row["imei"]].life.is_rejected
            told = make_result(row["imei"], "1", 0, ResultLayout.BR, is_rejected=is_rejected)
            assert (row["status"], row["result"]) == ("rejected" if is_rejected else "completed", told)


def test_a_second_one_says_who_asks_and_looks_on(tmp_path: Path):
    with open_shop(tmp_path, pending_for="3600") as shop:
        shop.submit(shop.write_list(30))
        first = shop.start("sync", "1", "--watch", "--json")
        wait_for_line(first, "asked for in")
        second = shop.start("sync", "1", "--watch", "--json")
        wait_for_line(second, r"process \d+ \(imeiflow sync\), which has the lane of gsm-fusion")
        for child in (second, first):
            child.send_signal(signal.SIGINT)
            status, out, _ = finish(child)
            assert status == 130
            assert last_json(out)["open"] == 30
        assert last_json(out)["asked"] >= 30


def wait_for_line(child: Child, wanted: str) -> None:
    """Read what a command says until it says this; one that ends instead fails."""
    assert child.stderr is not None
    for line in child.stderr:
        if re.search(wanted, line):
            return
    raise AssertionError(f"it ended without saying {wanted}")


def test_an_account_that_is_turned_away_ends_it_with_the_reason(tmp_path: Path):
    with open_shop(tmp_path, **LIVES) as shop:
        shop.submit(shop.write_list(10))
        shop.environment["GSM_FUSION_API_KEY"] = "wrong-key"
        done = shop.type("sync", "1", "--watch", "--json")
        told = last_json(done.stdout)
        assert done.returncode == 4
        assert told["reason"] == "gsm-fusion: Invalid User!"
        assert told["open"] == 10


def test_what_the_provider_says_wrongly_is_shown_and_not_believed(tmp_path: Path):
    with open_shop(tmp_path, pending_for="0", process_for="0", status_foreign_share=0.5) as shop:
        shop.submit(shop.write_list(20))
        done = shop.type("sync", "1")
        assert done.returncode == 4
        assert "the provider has another IMEI under this reference; nothing was taken over" in done.stdout
        shown = shop.type("show", "1").stdout
        assert re.search(r"reference \d+, foreign imei, \d{4}-", shown)
        told = look(shop)["status_anomalies"]
        shop.type("sync", "1")
        timeline = shop.type("orders", "--reference", told[0]["reference"], "--timeline").stdout
        assert "nothing was taken over (IMEI" in " ".join(timeline.split())
        assert "2 times so far" in " ".join(timeline.split())


def test_watching_ends_when_all_is_final_that_can_be_and_names_what_is_left(tmp_path: Path):
    with open_shop(tmp_path, pending_for="0", process_for="1-3", status_foreign_share=0.3) as shop:
        submitted = shop.type("submit", shop.write_list(20), "--service", "1", "--yes", "--follow-results")
        assert submitted.returncode == 4
        done = shop.type("sync", "1", "--watch", "--json")
        told = last_json(done.stdout)
        assert done.returncode == 4
        assert 0 < told["open"] == told["unusable"] == len(told["stuck"]) < 20
        assert told["completed"] == 20 - told["open"]
        left = told["stuck"][0]
        assert (left["kind"], left["job"]) == ("foreign_imei", 1)
        book = {entry.reference: entry.imei for entry in shop.simulator.book()}
        assert [book[one["reference"]] for one in told["stuck"]] == [one["imei"] for one in told["stuck"]]
        named = f"IMEI {left['imei']}, reference {left['reference']}: the provider has another IMEI under this"
        for text in (submitted.stdout, done.stderr):
            verdict = text[text.index("Job 1: all is final that can be; ") :]
            assert named in verdict
            assert "Next: ask the provider about these references" in verdict
            assert "--watch" not in verdict


def test_nothing_to_ask_for_is_no_error(shop: Shop):
    done = shop.type("sync")
    assert done.returncode == 0
    assert "no accepted order waits for its result" in done.stdout


def test_an_unknown_job_is_named(shop: Shop):
    done = shop.type("sync", "9")
    assert done.returncode != 0
    assert "9" in done.stderr


def test_the_picture_shows_counts_and_when_it_asks_next_and_ctrl_c_leaves(tmp_path: Path):
    with open_shop(tmp_path, pending_for="3600") as shop:
        shop.submit(shop.write_list(30))
        with open_screen("sync", "1", "--watch", environment=shop.environment, columns=80) as screen:
            screen.wait_for(r"30 pending = 30 orders")
            screen.wait_for(r"next +poll in \d")
            screen.press("\x03")
            assert screen.finish() == 130
            assert "Traceback" not in screen.text
            assert "imeiflow sync 1 --watch" in screen.text
