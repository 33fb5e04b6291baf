"""A loopback relay in front of the simulated provider, which tells when a call that places orders has passed."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit


class Wiretap:
    """Relays every connection; `is_placing` is set once a placing call has gone on to the provider."""

    def __init__(self, upstream: str) -> None:
        target = urlsplit(upstream)
        self.is_placing = threading.Event()
        self.asked = threading.Semaphore(0)  #: released for each call that asks for statuses
        address = (target.hostname or "", target.port or 0)
        note = self._note

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(address) as provider:
                    back = threading.Thread(target=pass_on, args=(provider, self.request), daemon=True)
                    back.start()
                    pass_on(self.request, provider, note)
                    back.join()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Relay)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _note(self, data: bytes) -> None:
        if b"placeorder" in data:
            self.is_placing.set()
        if b"getimeis" in data:
            self.asked.release()

    def close(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def pass_on(source: socket.socket, target: socket.socket, note: Callable[[bytes], None] = lambda _: None) -> None:
    """Copy what comes until there is no more, then say so to the other side."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
            note(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
