"""`imeiflow serve` as a process of its own, told to stop under load: nothing lost, placed twice or left in doubt."""

from __future__ import annotations

import re
import signal
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
