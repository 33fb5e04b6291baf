"""Ordering at a server from the command line: once, whatever breaks, and what is not known is said to be unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imeiflow.cli.remote.submit import Wanted, submit_remotely
from imeiflow.domain.user import Role, Scope
from imeiflow.remote.address import read_server
from imeiflow.remote.client import Client
from imeiflow.remote.error import RemoteError, UnknownOutcomeError, UnreachableError
from imeiflow.remote.pending import Pending, PendingStore, make_fingerprint
from imeiflow.remote.upload import digest_file
from tests.cli.remote.proxy import Proxy, open_proxy
from tests.cli.shop import add_up
from tests.operations.stand import make_imei
from tests.web.api.client import enter
from tests.web.site import Site, open_site

ATTEMPTS = 6  #: of a request that may be sent again


class Desk:
    """A list, and a way to a server that can lose what passes."""

    def __init__(self, directory: Path, site: Site, proxy: Proxy, secret: str) -> None:
        self.site = site
        self.proxy = proxy
        self.list = directory / "phones.csv"
        self.list.write_text("IMEI;Shelf\n" + "".join(f"{make_imei(n)};A{n}\n" for n in range(4)) + "123;B\n")
        self.waits: list[float] = []
        server = read_server(proxy.url, {"IMEIFLOW_TOKEN": secret})
        self.client = Client(server, sleep=self.waits.append)

    def submit(self, **more: Any) -> int:
        """Order the list, without being asked."""
        how = {"accept_price": None, "is_sure": True, "is_dry": False, "is_detached": False, "is_json": True}
        fields = {"service": "1", "unconfirmed": "settle", "again": False}
        return submit_remotely(self.client, Wanted(**{"file": str(self.list), "fields": fields, **how, **more}))

    @property
    def jobs(self) -> list[Any]:
        """List the server's jobs."""
        return self.site.session.ledger.list_jobs()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("IMEIFLOW_HOME", str(tmp_path / "mine"))
    with ExitStack() as stack:
        site = stack.enter_context(open_site(tmp_path / "home"))
        proxy = stack.enter_context(open_proxy(site.base_url))
        program = enter(site, Scope.ORDER, Scope.SETTLE)
        assert program.secret is not None
        yield Desk(tmp_path, site, proxy, program.secret)


def read_last(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return found


def check_ordered_once(desk: Desk) -> None:
    assert len(desk.jobs) == 1
    verdict = desk.site.judge()
    assert verdict.problems == []
    assert len(desk.site.sim.book) == 4
    assert not list((Path(desk.list).parent / "mine" / "remote").glob("*"))


def test_a_list_is_ordered_and_followed_to_its_end(desk, capfd):
    assert desk.submit() == 3  # one row is no IMEI
    summary = read_last(capfd)
    assert (summary["state"], summary["accepted"], summary["invalid"]) == ("finished", 4, 1)
    assert add_up(summary) == summary["total"]
    check_ordered_once(desk)


def test_an_answer_that_is_lost_orders_nothing_twice(desk, capfd):
    desk.proxy.lost_answers = 2
    assert desk.submit() == 3
    assert sum("/confirm" in line for line in desk.proxy.seen) == 3
    assert desk.waits[:2] == [0.5, 1.0]
    check_ordered_once(desk)


@pytest.mark.parametrize("lost", ["lost_answers", "lost_requests"])
def test_what_stays_lost_is_said_to_be_unknown_and_asked_for_by_the_same_command(desk, capfd, lost):
    setattr(desk.proxy, lost, ATTEMPTS)
    with pytest.raises(UnknownOutcomeError) as error:
        desk.submit()
    assert error.value.exit_code == 4
    assert "not known" in str(error.value)
    assert "same command again" in error.value.remedy
    assert desk.submit() == 3
    assert "Nothing is ordered again" in capfd.readouterr().err
    check_ordered_once(desk)


def test_what_the_server_does_not_know_of_was_not_ordered_and_is_ordered_then(desk, capfd):
    desk.proxy.lost_requests = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.site.restart()  # it keeps no lists
    assert desk.submit() == 3
    assert "It was not ordered then." in capfd.readouterr().err
    check_ordered_once(desk)


def test_what_stands_before_the_server_cannot_say_that_nothing_was_ordered(desk, capfd):
    desk.proxy.lost_answers = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.proxy.foreign_answers = 1
    with pytest.raises(UnknownOutcomeError, match="404"):
        desk.submit()
    assert desk.submit() == 3
    assert "Nothing is ordered again" in capfd.readouterr().err
    check_ordered_once(desk)


def make_ok(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        make_ok(b""),
        make_ok(b"{}"),
        make_ok(b"[]"),
        make_ok(b"null"),
        make_ok(b'{"job": "x"}'),
        make_ok(b"[" * 100_000),
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n",  # cut after the head
    ],
    ids=["empty", "no member", "a list", "null", "no number", "deep", "cut"],
)
def test_an_answer_that_says_nothing_orders_nothing_twice(desk, capfd, answer):
    desk.proxy.replacement, desk.proxy.replaced_answers = answer, ATTEMPTS
    again = {"service": "1", "unconfirmed": "settle", "again": True}
    with pytest.raises(UnknownOutcomeError):
        desk.submit(fields=again)
    assert len(list((desk.list.parent / "mine" / "remote").glob("*.json"))) == 1
    desk.proxy.replaced_answers = 0
    assert desk.submit(fields=again) == 3
    assert "Nothing is ordered again" in capfd.readouterr().err
    check_ordered_once(desk)


def test_a_word_to_order_that_cannot_be_read_orders_nothing(desk, tmp_path):
    desk.proxy.lost_answers = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    (kept,) = (tmp_path / "mine" / "remote").glob("*.json")
    kept.write_bytes(b"{")
    with pytest.raises(RemoteError, match="may have been ordered") as error:
        desk.submit()
    assert "remove the file" in error.value.remedy
    assert len(desk.jobs) == 1


def test_a_server_that_restarts_in_between_knows_what_it_ordered(desk, capfd):
    desk.proxy.lost_answers = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    desk.site.restart()
    assert desk.submit() == 3
    check_ordered_once(desk)


def test_an_answer_that_is_lost_orders_at_no_price_that_was_not_shown(desk):
    class Rising(Client):
        def act(self, path, body=None, *, key=None):
            desk.site.change_provider(price_change=("1=0.10@0",))
            return super().act(path, body, key=key)

    desk.client = Rising(desk.client.server, sleep=desk.waits.append)
    desk.site.session.configuration = replace(desk.site.session.configuration, price_max_age_s=0.0)
    desk.proxy.lost_answers = 1
    with pytest.raises(RemoteError, match=r"rose from \$0.08 to \$0.10"):
        desk.submit()
    assert desk.jobs == []


def test_what_was_ordered_with_another_token_is_not_ordered_again(desk, tmp_path):
    again = {"service": "1", "unconfirmed": "settle", "again": True}
    desk.proxy.lost_answers = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit(fields=again)
    other, mine = enter(desk.site, Scope.ORDER, name="otto", role=Role.OPERATOR), desk.client
    desk.client = Client(read_server(desk.proxy.url, {"IMEIFLOW_TOKEN": other.secret}), sleep=desk.waits.append)
    with pytest.raises(UnknownOutcomeError, match="another token") as error:
        desk.submit(fields=again)
    assert str(tmp_path) in error.value.remedy
    desk.client = mine
    assert desk.submit(fields=again) == 3
    check_ordered_once(desk)


def test_whoever_is_turned_away_after_a_lost_answer_does_not_know_either(desk):
    ledger = desk.site.session.ledger
    token = ledger.list_api_tokens()[0]
    desk.client = Client(
        desk.client.server, sleep=lambda _: ledger.revoke_api_token(token.id, actor="a test") if desk.jobs else None
    )
    desk.proxy.lost_answers = 1
    with pytest.raises(UnknownOutcomeError, match="revoked"):
        desk.submit()
    assert len(desk.jobs) == 1


def test_a_server_that_has_gone_since_is_not_said_to_have_got_nothing(desk):
    desk.proxy.lost_answers = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    (kept,) = (desk.list.parent / "mine" / "remote").glob("*.json")
    server = replace(desk.client.server, port=9)
    store = PendingStore(desk.list.parent / "mine")
    found = store.find(kept.stem)
    assert found is not None
    fields = {"service": "1", "unconfirmed": "settle", "again": False}
    store.keep(make_fingerprint(server.url, digest_file(desk.list), fields), found)
    desk.client = Client(server, sleep=desk.waits.append)
    with pytest.raises(UnknownOutcomeError):
        desk.submit()


def test_after_two_days_nobody_knows_and_a_person_has_to_look(desk, tmp_path):
    desk.proxy.lost_requests = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    store = PendingStore(tmp_path / "mine")
    (kept,) = (tmp_path / "mine" / "remote").glob("*.json")
    found = store.find(kept.stem)
    assert found is not None
    values = {name: getattr(found, name) for name in ("server", "draft", "key", "body", "what", "giver")}
    store.keep(kept.stem, Pending(**values, at=datetime.now(UTC) - timedelta(days=3)))
    with pytest.raises(UnknownOutcomeError) as error:
        desk.submit()
    assert str(kept) in error.value.remedy
    assert desk.jobs == []


def test_the_word_to_order_is_private_on_disk_and_holds_no_token(desk, tmp_path):
    desk.proxy.lost_requests = ATTEMPTS
    with pytest.raises(UnknownOutcomeError):
        desk.submit()
    (kept,) = (tmp_path / "mine" / "remote").glob("*.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert desk.client.server.token not in kept.read_text()


def test_a_server_that_is_not_there_has_ordered_nothing(desk):
    desk.client = Client(read_server("http://127.0.0.1:9", {"IMEIFLOW_TOKEN": "x" * 20}), sleep=desk.waits.append)
    with pytest.raises(UnreachableError) as error:
        desk.submit()
    assert "Nothing was sent" in error.value.remedy
    assert len(desk.waits) == ATTEMPTS - 1


def test_a_dry_run_shows_and_leaves_nothing(desk, capfd):
    assert desk.submit(is_dry=True) == 0
    told = read_last(capfd)
    assert (told["valid"], told["invalid"]) == (4, 1)
    assert desk.submit(is_dry=True, is_json=False) == 0
    assert "$0.08 if replies get lost: an order may be sent twice" in capfd.readouterr().out
    assert desk.jobs == []
    assert desk.site.server.office.preparations._known == {}


def test_without_a_word_nothing_is_ordered_and_the_list_forgotten(desk):
    with pytest.raises(Exception, match="has to be confirmed"):
        desk.submit(is_sure=False)
    assert desk.jobs == []
    assert desk.site.server.office.preparations._known == {}


def test_a_list_that_cannot_be_read_ends_as_it_does_here(desk, tmp_path):
    desk.list.write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(RemoteError) as error:
        desk.submit()
    assert error.value.exit_code == 2
    assert error.value.remedy


def test_it_can_be_left_to_the_server(desk, capfd):
    assert desk.submit(is_detached=True) == 0
    assert read_last(capfd)["total"] == 5
    desk.site.wait_until(lambda: desk.jobs[0].state == "finished", "it does not end")
    check_ordered_once(desk)
