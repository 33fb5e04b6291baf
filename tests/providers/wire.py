"""A server that does with a connection exactly what a test says, and writes down every request that it receives."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.providers.contract import Login, Timeouts
from imeiflow.providers.gsm_fusion import GsmFusionConnection, provider

KEY = "TEST-KEY-1A2B&3C/4D"
SERVICE = ServiceId("7")
FAST = Timeouts(connect_s=2.0, pool_s=2.0, read_s=2.0, total_s=5.0)


def make_imei(serial: int) -> Imei:
    """Make an IMEI of the test type allocation code 35693803 with its check digit."""
    digits = f"35693803{serial:06d}"
    total = sum(sum(divmod(int(digit) * (2 if place % 2 else 1), 10)) for place, digit in enumerate(digits))
    return Imei(f"{digits}{-total % 10}")


IMEI = make_imei(1)


@dataclass
class Request:
    """One request, as it stood on the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """One connection from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Request]

    async def read(self) -> Request:
        """Read one whole request."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(head[0], headers, body)
        self.requests.append(request)
        return request

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)

    def reply(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """Write a well-formed reply."""
        self.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def reset(self) -> None:
        """Close the connection with a reset."""
        self.writer.transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the client has closed its side."""
        try:
            await self.reader.read()
        except ConnectionError:
            return


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class Server:
    """A listening server: its port, what it received, and how many connections it saw."""

    script: Script
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script on one connection."""
        self.connections += 1
        try:
            await self.script(Wire(reader, writer, self.requests))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.done.set()
            writer.close()


@asynccontextmanager
async def serve(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve `script` on a free port of 127.0.0.1."""
    server = Server(script)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.handle(reader, writer))
        tasks.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_login(port: int, **changes: object) -> Login:
    """Make a login at 127.0.0.1."""
    values: dict[str, object] = {
        "account": AccountName("shop"),
        "base_url": f"http://127.0.0.1:{port}",
        "username": "bob",
        "key": KEY,
    }
    return Login(**(values | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def connect(
    port: int, timeouts: Timeouts = FAST, max_concurrency: int = 10, **changes: object
) -> AsyncIterator[GsmFusionConnection]:
    """Connect to a server of 127.0.0.1."""
    connection = provider.connect(make_login(port, **changes), max_concurrency=max_concurrency, timeouts=timeouts)
    try:
        yield connection
    finally:
        await connection.close()


def accept_orders(*imeis: str) -> bytes:
    """Write the reply that accepts orders."""
    orders = "".join(
        f"<imeis><id>{100 + number}</id><imei>{imei}</imei><status>Pending</status></imeis>"
        for number, imei in enumerate(imeis)
    )
    return f'<?xml version="1.0" encoding="utf-8"?><result>{orders}</result>'.encode()
