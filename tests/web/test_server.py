"""The socket that the server listens on, and the ledger that it has to itself."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from imeiflow.operations.session import Session
from imeiflow.web.server import ServedError, open_socket, serve
from imeiflow.web.setting import WebSettings
from tests.operations.stand import make_configuration, open_session


def test_no_answer_waits_for_the_receipt_of_its_headers():
    """Nagle's algorithm would hold the body back until then, which receivers delay by 40 ms."""
    with open_socket(WebSettings(port=0)) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_second_server_leaves_the_first_one_its_ledger_and_uploads(tmp_path):
    settings = WebSettings(port=0)
    with open_session(tmp_path / "home") as session, open_socket(settings) as listener:
        upload = tmp_path / "home" / "uploads" / "list"
        upload.parent.mkdir()
        upload.touch()
        first = session.server_lock()
        assert first.acquire()
        try:
            with pytest.raises(ServedError) as error:
                asyncio.run(serve(session, settings, listener, on_ready=lambda: None, on_stop=lambda _: None))
        finally:
            first.release()
        assert "Stop it first" in error.value.remedy
        assert upload.exists()


def _fail() -> None:
    pytest.fail("it has started")


def link_home(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "home")
    return folder / "link"


def link_ledger(folder: Path) -> Path:
    (folder / "other").mkdir()
    (folder / "other" / "ledger.sqlite").symlink_to(folder / "home" / "ledger.sqlite")
    return folder / "other"


def name_from_here(folder: Path) -> Path:
    return Path(os.path.relpath(folder / "home"))


@pytest.mark.parametrize("find_other_way", [link_home, link_ledger, name_from_here])
def test_a_second_server_is_told_by_the_ledger_whatever_path_leads_there(tmp_path, find_other_way):
    settings = WebSettings(port=0)
    with open_session(tmp_path / "home") as first:
        lock = first.server_lock()
        assert lock.acquire()
        configuration = make_configuration(find_other_way(tmp_path), has_ledger=False)
        opened = Session.open(configuration)
        with opened as second, open_socket(settings) as listener, pytest.raises(ServedError):
            asyncio.run(serve(second, settings, listener, on_ready=_fail, on_stop=lambda _: None))
        lock.release()


def test_two_ledgers_in_a_directory_have_a_server_each(tmp_path):
    with open_session(tmp_path / "home") as first:
        other = replace(first.configuration, ledger=tmp_path / "home" / "other.sqlite")
        with Session.open(other) as second:
            locks = first.server_lock(), second.server_lock()
            assert [lock.acquire() for lock in locks] == [True, True]
            for lock in locks:
                lock.release()
