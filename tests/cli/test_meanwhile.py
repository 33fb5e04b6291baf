"""What happens to a job while it is under way: Ctrl-C, other processes, death, and going on after it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.shop import Shop, add_up, finish, last_json, open_shop
from tests.cli.warm import Child

SLOWLY = ("--service", "1", "--yes", "--json", "--max-concurrency", "2", "--chunk-size", "10")


@pytest.fixture
def shop(tmp_path: Path):
    """Open a shop at a provider that takes a while, and refuses repeats."""
    with open_shop(tmp_path, latency="0.3") as opened:
        yield opened


def wait_for_accepted(shop: Shop) -> None:
    """Wait until an order is known to be accepted: what is in doubt after it can be covered by it."""
    for _ in range(100):
        shop.wait_for_call()
        with closing(sqlite3.connect(shop.home / "ledger.sqlite")) as ledger:
            if ledger.execute("SELECT count(*) FROM orders WHERE state = 'accepted'").fetchone()[0]:
                return
    raise AssertionError("nothing was accepted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_interruption_lets_calls_end_and_says_how_to_resume(shop: Shop, number):
    child = shop.start_placing("submit", shop.write_list(400), *SLOWLY)
    child.send_signal(number)
    status, out, err = finish(child)
    assert status == 130
    summary = last_json(out)
    assert summary["state"] == "paused"
    assert summary["sending"] == summary["unconfirmed"] == 0
    assert summary["accepted"] > 0
    assert summary["queued"] > 0
    assert add_up(summary) == 400
    assert "will still be charged" in err
    assert "imeiflow resume 1" in err
    assert "Traceback" not in err
    assert shop.judge().count("accepted") == summary["accepted"]


def test_the_second_interruption_leaves_at_once_and_what_was_under_way_is_unconfirmed(shop: Shop):
    shop.simulator.set_behaviour(latency="30")
    child = shop.start_placing("submit", shop.write_list(400), *SLOWLY)
    child.send_signal(signal.SIGINT)
    for line in child.stderr or ():
        if "pausing" in line:
            break
    child.send_signal(signal.SIGINT)
    status, out, err = finish(child)
    assert status == 130
    summary = last_json(out)
    assert summary["state"] == "paused"
    assert summary["unconfirmed"] > 0
    assert summary["sending"] == 0
    assert add_up(summary) == 400
    assert "imeiflow resume 1" in err
    assert "Traceback" not in err


def test_a_job_goes_on_after_it_was_interrupted(shop: Shop):
    child = shop.start_placing("submit", shop.write_list(100), *SLOWLY)
    child.send_signal(signal.SIGINT)
    finish(child)
    done = shop.type("resume", "1", "--json")
    assert done.returncode == 0
    assert last_json(done.stdout)["accepted"] == 100
    assert shop.judge().count("accepted") == 100
    again = shop.type("resume", "1")
    assert again.returncode == 0
    assert "nothing left to do" in again.stderr


def test_a_killed_process_loses_nothing_and_pays_nothing_twice(shop: Shop):
    child = shop.start_placing("submit", shop.write_list(200), *SLOWLY)
    wait_for_accepted(shop)
    child.kill()
    finish(child)
    listed = shop.type("jobs", "--json")
    (summary,) = json.loads(listed.stdout)
    assert summary["state"] == "paused"
    assert summary["sending"] == 0
    assert summary["unconfirmed"] > 0
    assert "left by a process that died" in listed.stderr
    shown = shop.type("show", "1")
    assert "the process ended before the answer" in shown.stdout
    assert "imeiflow resume 1" in shown.stdout
    done = shop.type("resume", "1", "--json")
    assert done.returncode == 0
    summary = last_json(done.stdout)
    assert summary["accepted"] + summary["duplicate"] == add_up(summary) == 200
    assert shop.judge().count("accepted", "duplicate") == 200


def test_a_detached_job_goes_on_without_its_terminal_and_names_no_key(shop: Shop):
    shop.simulator.set_behaviour(latency="2")  # a command takes its time to start
    done = shop.type("submit", shop.write_list(200), *SLOWLY, "--detach")
    assert done.returncode == 0
    assert last_json(done.stdout)["state"] == "running"
    assert "goes on when this terminal is closed" in done.stderr
    pid = int(done.stderr.split("process ")[1].split(",")[0])
    assert os.getsid(pid) == pid
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"run-lane" in arguments
    assert shop.simulator.api_key.encode() not in arguments
    following = shop.start("resume", "1", "--json")
    for line in following.stderr or ():
        if f"process {pid}" in line:
            break
    else:
        raise AssertionError("it was not said who works on it")
    shop.simulator.set_behaviour(latency="0.05")
    status, out, _ = finish(following)
    assert status == 0
    assert last_json(out)["accepted"] == 200
    assert shop.judge().count("accepted") == 200


def test_who_only_looks_on_leaves_the_job_to_whoever_works_it(shop: Shop):
    shop.simulator.set_behaviour(latency="2")
    shop.type("submit", shop.write_list(300), *SLOWLY, "--detach")
    watching = shop.start("resume", "1", "--json")
    for line in watching.stderr or ():
        if "worked on by" in line:
            break
    watching.send_signal(signal.SIGINT)
    status, out, err = finish(watching)
    assert status == 130
    assert last_json(out)["state"] == "running"
    assert "goes on" in err
    paused = shop.type("pause", "1", "--json")
    assert paused.returncode == 0
    summary = last_json(paused.stdout)
    assert (summary["state"], summary["sending"]) == ("paused", 0)
    assert shop.judge().count("accepted") == summary["accepted"]


def test_a_job_is_cancelled_from_another_terminal_and_what_was_accepted_stays(shop: Shop):
    child = shop.start_placing("submit", shop.write_list(400), *SLOWLY)
    done = shop.type("cancel", "1", "--yes", "--json")
    assert done.returncode == 0
    summary = last_json(done.stdout)
    assert summary["state"] == "cancelled"
    assert summary["cancelled"] > 0
    assert summary["queued"] == summary["sending"] == 0
    assert add_up(summary) == 400
    assert finish(child)[0] == 3
    assert shop.judge().count("accepted") == summary["accepted"]


def test_a_busy_lane_is_shared_and_who_has_it_is_told(shop: Shop):
    first = shop.start_placing("submit", shop.write_list(2000), *SLOWLY)
    second = shop.type("submit", shop.write_list(30, start=5000), *SLOWLY)
    assert second.returncode == 0
    assert last_json(second.stdout)["accepted"] == 30
    assert f"worked on by process {first.pid} (imeiflow submit)" in second.stderr
    first.send_signal(signal.SIGINT)
    assert finish(first)[0] == 130
    shop.judge()


def test_interrupting_who_owns_the_lane_leaves_the_other_s_job_to_the_other(shop: Shop):
    first = shop.start_placing("submit", shop.write_list(2000), *SLOWLY)
    second = shop.start("submit", shop.write_list(200, start=5000), *SLOWLY)
    for line in second.stderr or ():
        if "worked on by" in line:
            break
    first.send_signal(signal.SIGINT)
    status, out, _ = finish(first)
    assert status == 130
    assert last_json(out)["state"] == "paused"
    status, out, _ = finish(second)
    assert status == 0
    assert last_json(out)["accepted"] == 200
    assert shop.judge().count("unconfirmed") == 0


def test_a_dear_probe_is_made_only_by_the_user_s_word(shop: Shop):
    shop.simulator.set_behaviour(latency="0", faults=("empty:after@#3",))
    done = shop.type("submit", shop.write_list(3), "--service", "101", "--chunk-size", "1", "--yes", "--json")
    assert done.returncode == 4
    assert last_json(done.stdout)["unconfirmed"] == 1
    assert "repeat_probe_max_price" in last_json(done.stdout)["reason"]
    assert "imeiflow resume 1 --probe-up-to 25.25" in done.stderr
    assert shop.type("resume", "1").returncode == 4
    assert shop.type("resume", "1", "--probe-up-to", "30", "--detach").returncode == 2
    allowed = shop.type("resume", "1", "--probe-up-to", "30", "--json")
    assert allowed.returncode == 0, allowed.stderr
    summary = last_json(allowed.stdout)
    assert (summary["accepted"], summary["duplicate"], summary["spent"]) == (2, 1, 75.75)
    shop.judge()


def test_a_job_whose_follower_only_waited_is_taken_over_when_the_owner_of_the_lane_dies(shop: Shop):
    first = shop.start_placing("submit", shop.write_list(2000), *SLOWLY)
    second = shop.start("submit", shop.write_list(60, start=5000), *SLOWLY)
    for line in second.stderr or ():
        if "worked on by" in line:
            break
    first.kill()
    status, out, _ = finish(second)
    assert status == 0
    summary = last_json(out)
    assert summary["accepted"] + summary["duplicate"] == 60
    assert shop.type("pause", "1").returncode == 0  # it went on, or was left
    shop.judge()


def test_progress_that_nobody_reads_any_more_is_no_reason_to_stop(shop: Shop):
    child = shop.start_placing("submit", shop.write_list(100), *SLOWLY)
    assert child.stderr is not None
    child.stderr.close()
    out = child.stdout.read() if child.stdout is not None else ""
    assert child.wait(60) == 0
    assert last_json(out)["accepted"] == 100


def test_the_account_s_end_of_credit_pauses_the_job_and_resuming_goes_on(shop: Shop):
    shop.simulator.set_behaviour(latency="0", lockout="credit", lockout_from=5)
    status, summary = shop.submit(shop.write_list(50), "--chunk-size", "1")
    assert status == 4
    assert summary["state"] == "paused"
    assert "Credit" in summary["reason"]
    assert (summary["accepted"], summary["queued"]) == (2, 48)
    shop.simulator.set_behaviour(lockout="none")
    assert shop.type("resume", "1").returncode == 0
    assert shop.judge().count("accepted") == 50


def test_held_doubts_end_with_4_and_are_shown_with_their_evidence(shop: Shop):
    shop.simulator.set_behaviour(latency="0", faults=("empty:after@#1",))
    status, summary = shop.submit(shop.write_list(5), "--unconfirmed", "hold", "--chunk-size", "5")
    assert (status, summary["state"], summary["unconfirmed"]) == (4, "finished", 5)
    shown = json.loads(shop.type("show", "1", "--json").stdout)
    assert len(shown["doubts"]) == 5
    assert shown["doubts"][0]["http_status"] == 200
    assert shown["reasons"][0]["state"] == "unconfirmed"
    told = shop.type("show", "1").stdout
    assert "HTTP 200" in told
    assert "imeiflow settle 1" in told


def test_retry_sends_only_what_was_refused_and_says_its_cost(shop: Shop):
    shop.simulator.set_behaviour(latency="0", bad_imeis=("350000000000014", "350000000000022"))
    status, summary = shop.submit(shop.write_list(5))
    refused = summary["refused"]
    assert (status, refused, summary["accepted"]) == (3, 2, 3)
    asked = shop.type("retry", "1")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    shop.simulator.set_behaviour(bad_imeis=())
    calls = shop.simulator.stats()["orders"]
    done = shop.type("retry", "1", "--yes", "--json")
    assert done.returncode == 0
    assert last_json(done.stdout)["accepted"] == 5
    assert shop.simulator.stats()["orders"] == calls + 2
    assert shop.judge().count("accepted") == 5
    nothing = shop.type("retry", "1", "--json")
    assert (nothing.returncode, last_json(nothing.stdout)["accepted"]) == (0, 5)


def test_two_processes_never_own_a_lane_at_once(shop: Shop):
    list_, other = shop.write_list(120), shop.write_list(120, start=5000)
    children: list[Child] = [
        shop.start("submit", list_, *SLOWLY),
        shop.start("submit", other, *SLOWLY),
    ]
    assert [finish(child)[0] for child in children] == [0, 0]
    assert shop.judge().count("accepted") == 240


def test_a_list_that_is_submitted_twice_at_once_is_ordered_once_though_repeats_are_charged(shop: Shop):
    shop.simulator.set_behaviour(repeats="charge")
    list_ = shop.write_list(60)
    children: list[Child] = [shop.start("submit", list_, *SLOWLY) for _ in range(2)]
    ended = [finish(child) for child in children]
    assert sorted(status for status, _, _ in ended) == [0, 2]
    assert any("nothing was ordered" in told for status, _, told in ended if status == 2)
    assert shop.simulator.stats()["orders"] == 60
    assert shop.judge().count("accepted") == 60
