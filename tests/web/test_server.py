"""The socket that the server listens on, and the ledger that it has to itself."""

from __future__ import annotations

import asyncio
import socket

import pytest

from imeiflow.web.server import ServedError, open_socket, serve
from imeiflow.web.setting import WebSettings
from tests.operations.stand import open_session


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
