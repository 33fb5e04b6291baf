"""A client that sees every byte: it opens a socket, sends what it is told, and says how the connection ended."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

PATH = "/gsmfusion_api/index.php"
PATIENCE_S = 60.0  #: a test that hangs fails instead


def make_imei(number: int, tac: str = "35693803") -> str:
    """Make a valid IMEI of the test TAC with a serial number up to 999,999."""
    digits = f"{tac}{number:06d}"
    total = sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(digits))
    return digits + str(-total % 10)


def make_imeis(count: int, first: int = 0) -> list[str]:
    return [make_imei(number) for number in range(first, first + count)]


def make_form(action: str, **fields: str) -> dict[str, str]:
    return {"apiKey": "simulated-key", "userId": "simulated", "action": action, **fields}


def make_order(*imeis: str, service: str = "1", **fields: str) -> dict[str, str]:
    return make_form("placeorder", imei=",".join(imeis), networkId=service, **fields)


def read_orders(body: bytes | str) -> dict[str, str]:
    """Read the references of a reply by IMEI, in its order."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    found = re.findall(r"<id>(\d+)</id>.*?<imei>(\w+)</imei>", text)
    return {imei: reference for reference, imei in found}


@dataclass
class Seen:
    """What came back over the wire: all bytes, and whether the connection was reset or closed afterwards."""

    raw: bytes
    was_reset: bool = False
    was_closed: bool = False

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str | None:
        found = re.search(rf"^{name}: (.*?)\r?$", self.head, re.MULTILINE | re.IGNORECASE)
        return found.group(1) if found else None


class RawClient:
    """One connection to the simulated server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, base_url: str, **options: Any) -> "RawClient":
        address = urlsplit(base_url)
        return cls(*await asyncio.open_connection(address.hostname, address.port, **options))

    def send(self, fields: dict[str, str], path: str = PATH, headers: str = "") -> None:
        body = urlencode(fields).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def read_reply(self) -> Seen:
        """Read one reply with a Content-Length."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            return Seen(head + await self.reader.readexactly(length))

    async def read_to_end(self) -> Seen:
        """Read until the server closes or resets."""
        data = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            try:
                while piece := await self.reader.read(65536):
                    data += piece
            except ConnectionResetError:
                return Seen(bytes(data), was_reset=True)
        return Seen(bytes(data), was_closed=True)

    async def call(self, fields: dict[str, str], path: str = PATH, headers: str = "") -> Seen:
        self.send(fields, path, headers)
        return await self.read_reply()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def call_once(base_url: str, fields: dict[str, str], headers: str = "", path: str = PATH) -> Seen:
    """Make one call over a connection of its own, and see how both end; a kept connection counts as closed."""
    async with await RawClient.open(base_url) as client:
        client.send(fields, path, headers + "Connection: close\r\n")
        return await client.read_to_end()
