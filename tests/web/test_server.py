"""The socket that the server listens on."""

from __future__ import annotations

import socket

from imeiflow.web.server import open_socket
from imeiflow.web.setting import WebSettings


def test_no_answer_waits_for_the_receipt_of_its_headers():
    """Nagle's algorithm would hold the body back until then, which receivers delay by 40 ms."""
    with open_socket(WebSettings(port=0)) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
