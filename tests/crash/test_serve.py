"""`imeiflow serve` as a process of its own, told to stop under load: nothing lost, placed twice or left in doubt."""

from __future__ import annotations

import re
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.order import JobState
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.operations.embedded import SERVER_STOPPED
from tests.cli.shop import Shop, finish, make_imei, open_shop
from tests.cli.typed import PATIENCE_S
from tests.cli.warm import Child
from tests.rig import ACCOUNT, PRICE, SERVICE

TOTAL = 120
OpenShop = Callable[..., Shop]


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[OpenShop]:
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(open_shop(tmp_path, **behaviour))


def add_job(shop: Shop, total: int = TOTAL) -> None:
    """Add a job as an orderly stop of a server leaves it: the next start goes on with it."""
    draft = JobDraft(
        account=ACCOUNT,
        provider="gsm-fusion",
        service=SERVICE,
        unit_price=PRICE,
        currency="USD",
        chunk_size=1,
        max_concurrency=4,
    )
    with open_ledger(shop) as ledger:
        job = ledger.create_draft(draft)
        ledger.add_orders(job, [NewOrder(line=line, imei=make_imei(line)) for line in range(total)])
        ledger.start_job(job)
        ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, SERVER_STOPPED)


def open_ledger(shop: Shop) -> Ledger:
    return Ledger.open(shop.home / "ledger.sqlite", clock=SteadyClock().now)


def read_job(shop: Shop) -> tuple[JobState, str | None]:
    with open_ledger(shop) as ledger:
        job = ledger.list_jobs()[0]
        return job.state, job.reason


def serve_placing(shop: Shop) -> Child:
    """Start a server, and wait until calls of its are under way."""
    return shop.start_placing("serve", "--port", "0", "--log-format", "json")


def test_told_to_stop_it_lets_calls_end_and_goes_on_at_the_next_start(make_shop: OpenShop):
    shop = make_shop(latency="0.4")
    add_job(shop)
    server = serve_placing(shop)
    with urllib.request.urlopen(f"{read_url(server)}/readyz", timeout=PATIENCE_S) as ready:  # noqa: S310
        assert ready.read() == b"ok\n"
    server.send_signal(signal.SIGTERM)
    status, _, said = finish(server)
    assert status == 0, said
    verdict = shop.judge()
    assert verdict.count("unconfirmed", "sending") == 0
    assert 0 < verdict.count("queued") < TOTAL
    assert read_job(shop) == (JobState.PAUSED, SERVER_STOPPED)
    again = serve_placing(shop)
    again.send_signal(signal.SIGTERM)
    assert finish(again)[0] == 0
    assert shop.judge().count("queued") < verdict.count("queued")
    assert shop.simulator.stats()["repeats"] == 0


def read_url(server: Child) -> str:
    """Read the address that a server has printed."""
    assert server.stdout is not None
    found = re.search(r"http://\S+?(?=\. )", server.stdout.readline())
    assert found is not None
    return found[0]


def test_killed_under_load_it_loses_nothing_and_what_was_under_way_is_never_sent_again_unasked(make_shop: OpenShop):
    shop = make_shop(latency="0.2")
    add_job(shop, 60)
    server = serve_placing(shop)
    server.kill()
    finish(server)
    again = shop.start("serve", "--port", "0", "--log-format", "json")
    read_url(again)
    wait_for(shop, lambda: read_job(shop)[0] is JobState.PAUSED)
    again.send_signal(signal.SIGTERM)
    assert finish(again)[0] == 0
    verdict = shop.judge()
    assert verdict.count("sending") == 0
    assert 0 < verdict.count("unconfirmed") <= 4
    assert read_job(shop)[1] != SERVER_STOPPED  # so that it waits for a person
    assert shop.simulator.stats()["repeats"] == 0
    assert shop.type("resume", "1", "--json").returncode in {0, 4}
    verdict = shop.judge()
    assert verdict.problems == []
    assert verdict.count("accepted", "duplicate", "unconfirmed") == 60
    assert shop.simulator.stats()["repeats"] == 0


def test_told_twice_it_leaves_at_once_and_what_was_under_way_is_unconfirmed(make_shop: OpenShop):
    """The provider answers after an hour: whoever waited for it would not end."""
    shop = make_shop(latency="3600")
    add_job(shop)
    server = serve_placing(shop)
    server.send_signal(signal.SIGTERM)
    assert server.stderr is not None
    while "Stopping: " not in server.stderr.readline():
        assert server.poll() is None
    server.send_signal(signal.SIGTERM)
    status, _, said = finish(server)
    assert status in {0, 1, 130}, said
    verdict = shop.judge()
    assert verdict.count("queued", "unconfirmed", "sending") == TOTAL
    assert verdict.count("unconfirmed", "sending") > 0
    assert shop.type("show", "1", "--json").returncode == 0
    assert shop.judge().count("sending") == 0


def wait_for(shop: Shop, is_met: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not is_met():
        assert time.monotonic() < deadline
        pause.wait(0.1)
