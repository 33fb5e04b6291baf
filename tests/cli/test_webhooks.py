"""Webhooks as a shop meets them: written into config.toml, told by whoever works, looked at on the command line."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from imeiflow.jobs.signature import HEADER, sign
from tests.cli.shop import Shop, open_shop
from tests.jobs.receiver import PATH, SECRET, Receiver, open_threaded_receiver
from tests.jobs.test_signature import read_example

MONTH = {"pending_for": "3600", "process_for": "3600"}


def write_config(shop: Shop, receiver: Receiver) -> None:
    shop.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (shop.home / "config.toml").write_text(
        f'[[webhooks]]\nname = "books"\nurl = "{receiver.url}"\nsecret_env = "BOOKS_SECRET"\n', encoding="utf-8"
    )
    shop.environment["BOOKS_SECRET"] = SECRET


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Shop, Receiver]]:
    with open_threaded_receiver() as receiver, open_shop(tmp_path, latency="0.05", **MONTH) as shop:
        write_config(shop, receiver)
        yield shop, receiver


def test_a_job_is_told_when_it_ends_and_listed_without_secret_or_address(told):
    shop, receiver = told
    status, _summary = shop.submit(shop.write_list(5))
    assert status == 0
    (got,) = receiver.received
    assert (got.type, got.message["data"]["job"]["accepted"]) == ("job.finished", 5)
    listed = shop.type("webhooks")
    assert "job.finished" in listed.stdout
    assert "delivered" in listed.stdout
    shown = shop.type("webhooks", "show", "1", "--body")
    assert got.id in shown.stdout
    for done in (listed, shown, shop.type("webhooks", "--json")):
        assert done.returncode == 0
        assert SECRET not in done.stdout + done.stderr
        assert PATH not in done.stdout + done.stderr
    for path in shop.home.rglob("*"):
        if path.is_file() and path.name != "config.toml":
            content = path.read_bytes()
            assert SECRET.encode() not in content
            assert PATH.encode() not in content


def test_a_test_message_says_what_the_receiver_answered(told):
    shop, receiver = told
    receiver.answers = [418]
    done = shop.type("webhooks", "test")
    assert done.returncode == 3
    assert "HTTP 418" in done.stdout
    assert receiver.types == ["webhook.test"]


def test_what_failed_is_sent_again_when_somebody_asks(told):
    shop, receiver = told
    receiver.answers = [410]
    shop.submit(shop.write_list(1))
    assert json.loads(shop.type("webhooks", "--state", "failed", "--json").stdout)[0]["attempts"] == 1
    assert shop.type("webhooks", "retry", "--all-failed").returncode == 0
    assert [one.id for one in receiver.received] == [receiver.received[0].id] * 2
    assert json.loads(shop.type("webhooks", "--json").stdout)[0]["state"] == "delivered"


def test_a_receiver_that_checks_as_documented_hears_of_everything_and_again_of_what_it_could_not_take(tmp_path: Path):
    with open_threaded_receiver() as receiver, open_shop(tmp_path, pending_for="0", process_for="0") as shop:
        receiver.check = partial(read_check(), SECRET)
        write_config(shop, receiver)
        assert post(receiver.url, b"{}", sign("another secret", b"{}", int(time.time()))) == 401
        assert not receiver.received
        assert shop.submit(shop.write_list(3), "--follow-results")[0] == 0
        capped = ("--max-spend", "0.16", "--chunk-size", "1")
        assert shop.submit(shop.write_list(4, start=10), *capped)[0] == 4
        shop.simulator.set_behaviour(faults="reset:after@100%")
        assert shop.submit(shop.write_list(2, start=20), "--unconfirmed", "hold")[0] == 4
        shop.simulator.set_behaviour(faults=())
        assert {"job.finished", "job.paused", "order.completed", "order.unconfirmed"} <= set(receiver.types)
        receiver.answers = [500]
        assert shop.submit(shop.write_list(1, start=30))[0] == 0
        (waiting,) = json.loads(shop.type("webhooks", "--state", "pending", "--json").stdout)
        assert (waiting["event"], waiting["attempts"]) == ("job.finished", 1)
        assert waiting["next_at"] > waiting["created_at"]
        assert shop.type("webhooks", "retry", str(waiting["id"])).returncode == 0
        log = shop.type("webhooks", "show", str(waiting["id"])).stdout
        assert log.index("HTTP 500") < log.index("HTTP 200")
        failed, again = [one for one in receiver.received if one.id == waiting["event_id"]]
        assert failed.body == again.body


def read_check() -> Callable[[str, bytes, str], bool]:
    """Give the check of a signature as the page for shops has it."""
    scope: dict[str, Any] = {}
    exec(read_example("python"), scope)  # noqa: S102 - our own page
    check: Callable[[str, bytes, str], bool] = scope["is_genuine"]
    return check


def post(url: str, body: bytes, signature: str) -> int:
    request = Request(url, body, {HEADER: signature})  # noqa: S310 - our own receiver
    try:
        with urlopen(request) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_what_a_killed_process_did_not_tell_is_told_by_the_next(told):
    shop, receiver = told
    for number in range(2):
        path = shop.write_list(16, start=100 * number)
        child = shop.start_placing("submit", path, "--service", "1", "--yes", "--chunk-size", "2", "--rate", "20/s")
        shop.wait_for_call()
        child.send_signal(signal.SIGKILL)
        child.wait()
    jobs = json.loads(shop.type("jobs", "--json").stdout)
    for job in jobs:
        assert shop.type("resume", str(job["job"]), "--json").returncode in {0, 4}
    shop.type("webhooks", "send")
    bodies = {(one.id, one.body) for one in receiver.received}
    assert len(bodies) == len({id_ for id_, _ in bodies})
    messages = [json.loads(body) for _, body in bodies]
    paused = Counter(one["data"]["job"]["job"] for one in messages if one["type"] == "job.paused")
    assert set(paused) == {job["job"] for job in jobs}
    ended = {one["data"]["job"]["job"] for one in messages if one["type"] == "job.finished"}
    states = {job["job"]: job["state"] for job in json.loads(shop.type("jobs", "--json").stdout)}
    assert ended == {job for job, state in states.items() if state == "finished"}


def test_a_wrong_setting_stops_the_start_with_its_name(told):
    shop, _ = told
    config = shop.home / "config.toml"
    config.write_text('[[webhooks]]\nurl = "http://shop.example/x"\nsecret_env = "BOOKS_SECRET"\n', encoding="utf-8")
    done = shop.type("jobs")
    assert done.returncode == 1
    assert "webhooks[1].url" in done.stderr
    config.write_text('[[webhooks]]\nurl = "https://shop.example/x"\nevents = ["job.done"]\n', encoding="utf-8")
    done = shop.type("jobs")
    assert "webhooks[1].events" in done.stderr
    assert '"order.unconfirmed"' in done.stderr
    config.write_text('[[webhooks]]\nurl = "https://shop.example/x"\n', encoding="utf-8")
    assert "secret_env" in shop.type("jobs").stderr


def test_without_webhooks_the_command_says_how(told):
    shop, _ = told
    (shop.home / "config.toml").unlink()
    done = shop.type("webhooks", "test")
    assert done.returncode == 2
    assert "[[webhooks]]" in done.stderr
    assert shop.type("webhooks").returncode == 0
