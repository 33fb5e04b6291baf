"""Every way in which a call can end, against a server that does it on the wire."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import socket
import ssl
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import client_exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from imeiflow.domain.item import FileItem
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.providers.backstop import SilenceError
from imeiflow.providers.contract import Placement, Timeouts
from imeiflow.providers.transport import EVIDENCE_BYTES, MAX_REPLY_BYTES, MEANINGS, read_meaning, say_problem
from tests.providers.wire import (
    FAST,
    IMEI,
    KEY,
    SERVICE,
    Script,
    Server,
    Wire,
    accept_orders,
    connect,
    make_imei,
    serve,
)

SILENT = Timeouts(connect_s=2.0, pool_s=2.0, read_s=0.15, total_s=5.0)


async def place_once(script: Script, timeouts: Timeouts = FAST) -> tuple[Placement, Server]:
    async with serve(script) as server, connect(server.port, timeouts) as connection:
        placement = await connection.place([IMEI], SERVICE)
        return placement, server


def expect_doubt(placement: Placement, server: Server) -> None:
    assert placement.exchange.ending is Ending.IN_DOUBT
    assert placement.account.findings[IMEI].outcome is Outcome.UNCONFIRMED
    assert placement.exchange.problem
    assert len(server.requests) == 1


def iter_errors(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from iter_errors(child)


def test_no_error_class_of_the_lower_library_is_missed() -> None:
    tree = {error for error in iter_errors(aiohttp.ClientError) if error.__module__.startswith("aiohttp")}
    module = {
        error
        for _, error in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(error, Exception) and error.__module__ == client_exceptions.__name__
    }
    known = set(MEANINGS)
    assert (tree | module) - known == set()
    assert len(tree) > 20


@pytest.mark.parametrize("error", sorted(MEANINGS, key=lambda error: error.__name__))
def test_no_error_is_not_sent_once_a_byte_may_have_left(error: type[BaseException]) -> None:
    assert read_meaning(error.__new__(error), has_left=True).ending is Ending.IN_DOUBT


def test_only_errors_of_connecting_are_not_sent() -> None:
    unsent = {error for error, meaning in MEANINGS.items() if meaning.ending is Ending.NOT_SENT}
    connecting = {*iter_errors(aiohttp.ClientConnectorError)} & set(MEANINGS)
    others = {
        aiohttp.ConnectionTimeoutError,
        aiohttp.ServerFingerprintMismatch,
        aiohttp.InvalidURL,
        aiohttp.InvalidUrlClientError,
        aiohttp.NonHttpUrlClientError,
    }
    assert unsent == connecting | others


@pytest.mark.parametrize("error", sorted(MEANINGS, key=lambda error: error.__name__))
def test_no_error_is_told_in_the_words_of_the_lower_library(error: type[BaseException]) -> None:
    made = error.__new__(error)
    made.args = ("Cannot connect to host x ssl:default [None]",)
    for has_left in (True, False):
        said = say_problem(made, read_meaning(made, has_left=has_left), URL("https://shop.example/api"))
        assert "shop.example" in said or error is SilenceError
        assert error is SilenceError or "ssl:default" not in said


@pytest.mark.parametrize("error", [TimeoutError(), OSError(5, "input"), ValueError("strange")])
def test_a_foreign_error_is_what_the_pool_says(error: Exception) -> None:
    assert read_meaning(error, has_left=False).ending is Ending.NOT_SENT
    assert read_meaning(error, has_left=True).ending is Ending.IN_DOUBT


async def test_a_good_reply_is_answered_and_tells_all() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI), headers="Content-Type: text/xml\r\nCF-RAY: abc\r\nX-Other: no\r\n")
        await wire.wait_closed()

    placement, server = await place_once(script)
    assert placement.exchange.ending is Ending.ANSWERED
    assert placement.account.findings[IMEI].reference == "100"
    assert placement.exchange.headers == {"Content-Type": "text/xml", "CF-RAY": "abc"}
    assert placement.exchange.http_status == 200
    assert placement.exchange.elapsed_s > 0
    assert placement.exchange.connect_s is not None
    assert server.requests[0].line == "POST /gsmfusion_api/index.php HTTP/1.1"
    assert server.requests[0].headers["user-agent"].startswith("imeiflow/")
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
    assert server.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"


async def test_an_unknown_name_is_not_sent() -> None:
    async with connect(1, base_url="https://shop.invalid") as connection:
        placement = await connection.place([IMEI], SERVICE)
    assert placement.exchange.ending is Ending.NOT_SENT
    assert placement.account.findings[IMEI].outcome is Outcome.UNSENT
    assert placement.exchange.problem == "the name shop.invalid was not found"


async def test_a_refused_connection_is_not_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with connect(port) as connection:
            placement = await connection.place([IMEI], SERVICE)
            listing = await connection.fetch_credit()
    assert placement.exchange.ending is Ending.NOT_SENT
    assert placement.account.findings[IMEI].outcome is Outcome.UNSENT
    assert placement.exchange.problem == f"127.0.0.1:{port} refused the connection"
    assert listing.error is not None
    assert listing.error.message == placement.exchange.problem


async def test_a_connection_that_takes_too_long_is_not_sent() -> None:
    with socket.socket() as full, socket.socket() as waiting, socket.socket() as more:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (waiting, more):
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        timeouts = Timeouts(connect_s=0.2, pool_s=2.0, read_s=2.0, total_s=5.0)
        port = full.getsockname()[1]
        async with connect(port, timeouts) as connection:
            placement = await connection.place([IMEI], SERVICE)
    assert placement.exchange.ending is Ending.NOT_SENT
    assert placement.exchange.problem == f"no connection in time: 127.0.0.1:{port}"
    assert placement.account.error is not None
    assert placement.account.error.kind is ErrorKind.OVERLOAD


async def test_a_call_that_finds_no_free_connection_is_not_sent() -> None:
    entered = asyncio.Event()
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read()
        entered.set()
        await release.wait()
        wire.reply(accept_orders(IMEI))

    timeouts = Timeouts(connect_s=0.1, pool_s=0.1, read_s=5.0, total_s=5.0)
    async with serve(script) as server, connect(server.port, timeouts, max_concurrency=1) as connection:
        first = asyncio.create_task(connection.place([IMEI], SERVICE))
        await entered.wait()
        second = await connection.place([make_imei(2)], SERVICE)
        release.set()
        assert (await first).exchange.ending is Ending.ANSWERED
    assert second.exchange.ending is Ending.NOT_SENT
    assert len(server.requests) == 1


async def test_a_call_on_a_closed_connection_is_not_sent() -> None:
    async with connect(1) as connection:
        await connection.close()
        placement = await connection.place([IMEI], SERVICE)
    assert placement.exchange.ending is Ending.NOT_SENT


async def test_a_call_that_was_under_way_when_the_connection_closed_is_in_doubt() -> None:
    entered = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read()
        entered.set()
        await wire.wait_closed()

    async with serve(script) as server, connect(server.port) as connection:
        call = asyncio.create_task(connection.place([IMEI], SERVICE))
        await entered.wait()
        await connection.close()
        placement = await call
    expect_doubt(placement, server)


async def test_a_reset_before_anything_was_read_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.reader.read(1)
        wire.reset()

    placement, server = await place_once(script)
    assert placement.exchange.ending is Ending.IN_DOUBT
    assert server.connections == 1


async def test_a_reset_after_the_request_was_read_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reset()

    expect_doubt(*await place_once(script))


async def test_an_end_without_an_answer_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()

    expect_doubt(*await place_once(script))


async def test_half_a_reply_is_in_doubt_and_kept() -> None:
    whole = accept_orders(IMEI)
    half = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole[:40])
        await wire.writer.drain()
        half.set()
        await wire.reader.read(1)

    async with serve(script) as server, connect(server.port, SILENT) as connection:
        placement = await connection.place([IMEI], SERVICE)
    expect_doubt(placement, server)
    assert placement.exchange.reply == whole[:40]
    assert placement.exchange.http_status == 200


@pytest.mark.parametrize("difference", [10, 1000])
async def test_a_content_length_that_is_too_large_is_in_doubt(difference: int) -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        body = accept_orders(IMEI)
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + difference) + body)

    expect_doubt(*await place_once(script))


async def test_a_content_length_that_is_too_small_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        body = accept_orders(IMEI)
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) - 10) + body)
        await wire.wait_closed()

    expect_doubt(*await place_once(script))


async def test_chunks_that_stop_are_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n<result>\r\n")

    expect_doubt(*await place_once(script))


async def test_silence_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        await wire.wait_closed()

    placement, server = await place_once(script, SILENT)
    expect_doubt(placement, server)
    assert placement.account.error is not None
    assert placement.account.error.kind is ErrorKind.OVERLOAD


async def test_a_reply_that_never_ends_meets_the_backstop() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not wire.writer.transport.is_closing():
            wire.write(b"1\r\n \r\n")
            await wire.writer.drain()
            await asyncio.sleep(0)

    timeouts = Timeouts(connect_s=2.0, pool_s=2.0, read_s=2.0, total_s=0.2)
    async with serve(script) as server, connect(server.port, timeouts) as connection:
        placement = await connection.place([IMEI], SERVICE)
        await asyncio.wait_for(server.done.wait(), 60)
    expect_doubt(placement, server)
    assert placement.exchange.reply.isspace()


async def test_a_server_that_never_reads_meets_the_backstop() -> None:
    finish = asyncio.Event()

    async def script(wire: Wire) -> None:
        await finish.wait()

    timeouts = Timeouts(connect_s=2.0, pool_s=2.0, read_s=0.1, total_s=0.3)
    async with serve(script) as server, connect(server.port, timeouts) as connection:
        placement = await connection.place_item(FileItem("big.bin", b"x" * 12_000_000), SERVICE)
        finish.set()
    assert placement.exchange.ending is Ending.IN_DOUBT


async def test_provisional_answers_are_passed_over() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        wire.reply(accept_orders(IMEI))

    placement, _ = await place_once(script)
    assert placement.account.findings[IMEI].outcome is Outcome.ACCEPTED


async def test_a_switch_of_protocols_is_in_doubt_and_its_connection_is_not_used_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        await wire.read()

    async with serve(script) as server, connect(server.port) as connection:
        for _ in range(2):
            placement = await connection.place([IMEI], SERVICE)
            assert placement.account.findings[IMEI].outcome is Outcome.UNCONFIRMED
    assert server.connections == 2


async def test_another_protocol_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    expect_doubt(*await place_once(script))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async def target(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI))

    async with serve(target) as elsewhere:

        async def script(wire: Wire) -> None:
            await wire.read()
            wire.reply(b"", f"{status} Moved", f"Location: http://127.0.0.1:{elsewhere.port}/x\r\n")

        placement, server = await place_once(script)
        assert elsewhere.requests == []
    assert len(server.requests) == 1
    assert placement.account.error is not None
    assert placement.account.error.kind is ErrorKind.ACCOUNT
    assert f"127.0.0.1:{elsewhere.port}" in placement.account.error.message
    assert placement.exchange.ending is (Ending.IN_DOUBT if status in {302, 303} else Ending.REFUSED_UNREAD)


async def test_a_kept_connection_is_used_again() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.read()
            wire.reply(accept_orders(IMEI))

    async with serve(script) as server, connect(server.port) as connection:
        first = await connection.place([IMEI], SERVICE)
        second = await connection.place([IMEI], SERVICE)
    assert server.connections == 1
    assert first.exchange.connect_s is not None
    assert second.exchange.connect_s is None


async def test_a_kept_connection_that_died_in_silence_costs_no_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI))
        await wire.writer.drain()

    async with serve(script) as server, connect(server.port) as connection:
        for _ in range(30):
            server.done.clear()
            placement = await connection.place([IMEI], SERVICE)
            assert placement.exchange.ending is Ending.ANSWERED
            await server.done.wait()
    assert len(server.requests) == 30


async def test_a_kept_connection_that_dies_under_the_next_call_is_never_sent_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI))
        await wire.read()
        wire.reset()

    async with serve(script) as server, connect(server.port) as connection:
        await connection.place([IMEI], SERVICE)
        placement = await connection.place([make_imei(2)], SERVICE)
    assert placement.exchange.ending is Ending.IN_DOUBT
    assert len(server.requests) == 2
    assert server.connections == 1


async def test_an_answer_that_nobody_asked_for_is_not_given_to_the_next_call() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI))
        wire.reply(b"<error>IMEI already exists!</error>")
        await wire.writer.drain()
        await wire.wait_closed()

    other = make_imei(2)
    async with serve(script) as server, connect(server.port) as connection:
        await connection.place([IMEI], SERVICE)
        server.script = answer_other = _answer(accept_orders(other))
        placement = await connection.place([other], SERVICE)
        assert server.script is answer_other
    assert placement.account.findings[other].outcome is Outcome.ACCEPTED
    assert server.connections == 2


def _answer(body: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(body)
        await wire.wait_closed()

    return script


async def test_many_calls_on_a_server_that_closes_at_will_never_send_twice() -> None:
    async def script(wire: Wire) -> None:
        for number in range(100):
            request = await wire.read()
            imei = request.body.split(b"imei=")[1].split(b"&")[0].decode()
            if number == 3:
                wire.reset()
                return
            wire.reply(accept_orders(imei))
            if number == int(imei[-2]) % 3:
                return

    imeis = [make_imei(serial) for serial in range(300)]
    async with serve(script) as server, connect(server.port, max_concurrency=20) as connection:
        gate = asyncio.Semaphore(20)

        async def place(serial: int) -> Placement:
            async with gate:
                return await connection.place([imeis[serial]], SERVICE)

        placements = await asyncio.gather(*(place(serial) for serial in range(300)))
    received = [request.body.split(b"imei=")[1].split(b"&")[0].decode() for request in server.requests]
    assert len(received) == len(set(received))
    for imei, placement in zip(imeis, placements, strict=True):
        if placement.exchange.ending is Ending.NOT_SENT:
            assert imei not in received
        if placement.exchange.ending is Ending.ANSWERED:
            assert imei in received


async def test_a_compressed_reply_is_read() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(gzip.compress(accept_orders(IMEI)), headers="Content-Encoding: gzip\r\n")

    placement, _ = await place_once(script)
    assert placement.account.findings[IMEI].outcome is Outcome.ACCEPTED


async def test_a_damaged_compressed_reply_is_in_doubt() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(gzip.compress(accept_orders(IMEI))[:-12], headers="Content-Encoding: gzip\r\n")

    expect_doubt(*await place_once(script))


async def test_a_compression_bomb_is_in_doubt_and_stays_small() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(64)) + packer.flush()

    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(bomb, headers="Content-Encoding: gzip\r\n")
        await wire.wait_closed()

    placement, server = await place_once(script)
    expect_doubt(placement, server)
    assert len(placement.exchange.reply) <= EVIDENCE_BYTES


async def test_a_reply_beyond_the_limit_is_in_doubt_and_its_beginning_kept() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n<result>")
        while not wire.writer.transport.is_closing():
            wire.write(b" " * 100_000)
            await wire.writer.drain()

    placement, server = await place_once(script)
    expect_doubt(placement, server)
    assert placement.exchange.reply.startswith(b"<result>  ")
    assert len(placement.exchange.reply) == EVIDENCE_BYTES < MAX_REPLY_BYTES


async def test_a_cancelled_call_raises_and_says_whether_it_had_left() -> None:
    entered = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.read()
        entered.set()
        await wire.wait_closed()

    sent: list[str] = []
    async with serve(script) as server, connect(server.port, max_concurrency=1) as connection:
        first = asyncio.create_task(connection.place([IMEI], SERVICE, on_sent=lambda: sent.append("first")))
        await entered.wait()
        second = asyncio.create_task(connection.place([make_imei(2)], SERVICE, on_sent=lambda: sent.append("second")))
        await asyncio.sleep(0)
        for call in (second, first):
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    assert sent == ["first"]
    assert len(server.requests) == 1


async def test_the_key_stands_in_the_request_and_in_nothing_that_comes_out() -> None:
    async def script(wire: Wire) -> None:
        request = await wire.read()
        echo = b"<result><error>Bad key " + KEY.replace("&", "&amp;").encode() + b"</error>"
        wire.reply(echo + request.body.replace(b"&", b"&amp;") + b"</result>", headers=f"Location: /{KEY}\r\n")

    placement, server = await place_once(script)
    assert b"apiKey=TEST-KEY-1A2B%263C%2F4D&userId=bob&action=placeorder" in server.requests[0].body
    assert b"apiKey=***&userId=bob&action=placeorder" in placement.exchange.request
    for piece in ("1A2B", "3C/4D", "3C%2F4D"):
        assert piece not in repr(placement)


@pytest.mark.parametrize(
    "said",
    [
        f"<result><imeierrors><imei>{IMEI}</imei><error>Bad key {{}}</error></imeierrors></result>",
        "<result><error>Bad key {}</error></result>",
        "<html><body><h1>Error</h1>Bad key {}</body></html>",
    ],
    ids=["of an order", "of the call", "a page"],
)
async def test_no_message_that_is_made_of_a_reply_names_the_key(said: str) -> None:
    """A letter as a number hides it in the evidence, and is one again in what is said."""

    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(said.format(KEY.replace("&", "&amp;").replace("A", "&#65;")).encode())

    placement, _ = await place_once(script)
    told = repr(placement)
    assert "Bad key ***" in told
    assert "1A2B" not in told


def make_certificate(folder: Path, days: int = 1) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=days))
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_a_certificate_of_a_named_authority_is_trusted(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)
    async with serve(_answer(accept_orders(IMEI)), tls) as server:
        url = f"https://localhost:{server.port}"
        async with connect(server.port, base_url=url, ca_file=str(tmp_path / "ca.pem")) as connection:
            placement = await connection.place([IMEI], SERVICE)
    assert placement.account.findings[IMEI].outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("days", "is_known", "host"), [(1, False, "localhost"), (-1, True, "localhost"), (1, True, "127.0.0.1")]
)
async def test_a_certificate_that_cannot_be_trusted_is_not_sent(
    tmp_path: Path, days: int, is_known: bool, host: str
) -> None:
    tls = make_certificate(tmp_path, days)
    ca_file = str(tmp_path / "ca.pem") if is_known else None
    async with (
        serve(_answer(accept_orders(IMEI)), tls) as server,
        connect(server.port, base_url=f"https://{host}:{server.port}", ca_file=ca_file) as connection,
    ):
        placement = await connection.place([IMEI], SERVICE)
    assert placement.exchange.ending is Ending.NOT_SENT
    assert placement.account.error is not None
    assert placement.account.error.kind is ErrorKind.ACCOUNT
    assert server.requests == []
    assert placement.exchange.problem.startswith(f"the certificate of {host}:{server.port} is not trusted: ")
    assert "_ssl.c" not in placement.exchange.problem


async def test_a_server_without_tls_is_not_sent() -> None:
    async def script(wire: Wire) -> None:
        await wire.reader.read(10)
        wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve(script) as server, connect(server.port, base_url=f"https://127.0.0.1:{server.port}") as connection:
        placement = await connection.place([IMEI], SERVICE)
    assert placement.exchange.ending is Ending.NOT_SENT
