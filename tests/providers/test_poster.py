"""A short form goes past aiohttp's session, a long one through it: nobody on the other side may see a difference."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import pytest

from imeiflow.domain.item import FileItem
from imeiflow.domain.outcome import Ending
from imeiflow.providers.poster import LONGEST_BODY
from tests.providers.wire import IMEI, KEY, SERVICE, Request, Wire, accept_orders, connect, make_imei, serve


async def _receive(*calls: bytes | int) -> list[Request]:
    """Place files of these contents, and lists of so many IMEIs, one after the other; give what the server received."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.read()
            wire.reply(accept_orders(IMEI), headers="Set-Cookie: seen=1\r\n")

    async with serve(script) as server, connect(server.port) as connection:
        for call in calls:
            if isinstance(call, bytes):
                placement = await connection.place_item(FileItem("dump.bin", call), SERVICE)
            else:
                placement = await connection.place([make_imei(number) for number in range(call)], SERVICE)
            assert placement.exchange.ending is Ending.ANSWERED
        assert server.connections == 1
    return server.requests


async def test_short_and_long_forms_bear_the_same_headers_on_the_same_connection() -> None:
    short, long, again = await _receive(b"\x00" * 100, b"\x00" * LONGEST_BODY, b"\x00" * 100)
    assert len(short.body) <= LONGEST_BODY < len(long.body)
    assert short.line == long.line == "POST /gsmfusion_api/index.php HTTP/1.1"
    assert list(short.headers) == list(long.headers)
    for name in short.headers.keys() - {"content-length"}:
        assert short.headers[name] == long.headers[name], name
    assert again == short


@pytest.mark.parametrize("count", [1, 100, 1000])
async def test_a_form_arrives_whole(count: int) -> None:
    [request] = await _receive(count)
    fields = parse_qs(request.body.decode())
    assert fields["imei"] == [",".join(make_imei(number) for number in range(count))]
    assert fields["apiKey"] == [KEY]
    assert int(request.headers["content-length"]) == len(request.body)


async def test_the_first_byte_leaves_in_the_step_in_which_the_pool_lets_it_go() -> None:
    """Nothing else runs between the moment when a call may have left and the moment when it does."""
    told = asyncio.Event()

    async def script(wire: Wire) -> None:
        while True:
            await wire.read()
            told.set()
            wire.reply(accept_orders(IMEI))

    async with serve(script) as server, connect(server.port) as connection:
        await connection.place([IMEI], SERVICE)  # there is a connection now, and nothing to wait for
        told.clear()
        call: asyncio.Task[object] | None = None

        def cancel() -> None:
            assert call is not None
            asyncio.get_running_loop().call_soon(call.cancel)

        call = asyncio.create_task(connection.place([IMEI], SERVICE, on_sent=cancel))
        with pytest.raises(asyncio.CancelledError):
            await call
        await told.wait()
    assert len(server.requests) == 2
