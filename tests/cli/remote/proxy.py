"""A connection to a server that loses what it is told to lose: requests before they arrive, or their answers."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """What it does, and what it has seen. What it loses, or answers itself, is counted down, for paths that end so."""

    target: str
    ending: str = "/confirm"
    lost_answers: int = 0
    lost_requests: int = 0
    foreign_answers: int = 0
    replaced_answers: int = 0
    replacement: bytes = b""  #: what comes back in place of the server's own answer
    seen: list[str] = field(default_factory=list)
    url: str = ""

    def handle(self, incoming: socket.socket) -> None:
        """Pass one request on, or lose it."""
        request = _read_request(incoming)
        if not request:
            return
        line = request.split(b"\r\n", 1)[0].decode()
        self.seen.append(line)
        is_meant = line.split(" ")[1].partition("?")[0].endswith(self.ending)
        if is_meant and self.lost_requests:
            self.lost_requests -= 1
            return
        if is_meant and self.foreign_answers:
            self.foreign_answers -= 1
            incoming.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nwhat")
            return
        parts = urlsplit(self.target)
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as outgoing:
            outgoing.sendall(request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
            is_lost = is_meant and self.lost_answers > 0
            self.lost_answers -= is_lost
            is_replaced = is_meant and self.replaced_answers > 0
            self.replaced_answers -= is_replaced
            while part := outgoing.recv(65536):
                if not is_lost and not is_replaced:
                    incoming.sendall(part)
            if is_replaced:
                incoming.sendall(self.replacement)


@contextmanager
def open_proxy(target: str, **values: Any) -> Iterator[Proxy]:
    """Open a proxy before a server."""
    proxy = Proxy(target, **values)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            proxy.handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _read_request(incoming: socket.socket) -> bytes:
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = incoming.recv(65536)
        if not part:
            return b""
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += incoming.recv(65536)
    return head + b"\r\n\r\n" + body
