"""A receiver of webhooks, as a customer would write one: it keeps what came and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiohttp import web

from imeiflow.domain.notice import Told
from imeiflow.jobs.endpoint import Endpoint
from imeiflow.jobs.signature import HEADER

SECRET = "a-secret-that-both-sides-know"
PATH = "/hook/token-in-the-path"


@dataclass(frozen=True)
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.message["id"]

    @property
    def type(self) -> str:
        return self.message["type"]

    @property
    def signature(self) -> str:
        return self.headers[HEADER]


@dataclass
class Receiver:
    """What came, and the answers to come: a status, or a status and headers. After those: 200.

    `check` sees the body and the signature first: what it does not believe is answered with 401, and not kept.
    """

    url: str = ""
    text: str = f"said the receiver, who knows {SECRET}"
    check: Callable[[bytes, str], bool] = lambda _body, _signature: True
    received: list[Received] = field(default_factory=list)
    answers: list[int | tuple[int, dict[str, str]]] = field(default_factory=list)
    has_come: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def types(self) -> list[str]:
        return [one.type for one in self.received]

    def endpoint(self, *events: Told, **values: Any) -> Endpoint:
        chosen = frozenset(events or Told)
        return Endpoint(**{"name": "shop", "url": self.url, "secret": SECRET, "events": chosen, **values})

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append(Received(dict(request.headers), await request.read()))
        self.has_come.set()
        await self.may_answer.wait()
        answer = self.answers.pop(0) if self.answers else 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=headers, text=f"{status} {self.text}")


@asynccontextmanager
async def open_receiver(*answers: int | tuple[int, dict[str, str]]) -> AsyncIterator[Receiver]:
    """Open a receiver on this machine."""
    receiver = Receiver(answers=list(answers))
    receiver.may_answer.set()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}{PATH}"
    try:
        yield receiver
    finally:
        receiver.may_answer.set()
        await runner.cleanup()


@contextmanager
def open_threaded_receiver() -> Iterator[Receiver]:
    """Open a receiver in a thread of its own, for commands that run in processes of their own."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.check(body, self.headers.get(HEADER, "")):
                receiver.received.append(Received(dict(self.headers), body))
                status = receiver.answers.pop(0) if receiver.answers else 200
            else:
                status = 401
            self.send_response(status if isinstance(status, int) else status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
