import asyncio
import gzip
import json
import re
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imeiflow.errors import ConfigurationError
from imeiflow.simulator import Behaviour, SimulatedProvider
from imeiflow.simulator.fault import FaultKind
from tests.simulator.client import PATH, RawClient, call_once, make_form, make_imei, make_imeis, make_order, read_orders
from tests.simulator.timeline import Timeline

ONE = make_order(make_imei(1))


def simulate(**options: object) -> SimulatedProvider:
    return SimulatedProvider(Behaviour.parse(options))


@asynccontextmanager
async def connect(**options: object) -> AsyncIterator[tuple[SimulatedProvider, RawClient]]:
    async with simulate(**options) as sim, await RawClient.open(sim.base_url) as client:
        yield sim, client


async def test_it_listens_on_the_loopback_interface_only():
    async with simulate() as sim:
        assert sim.base_url.startswith("http://127.0.0.1:")


async def test_a_real_client_places_orders_with_a_urlencoded_and_with_a_multipart_form():
    async with simulate() as sim, aiohttp.ClientSession() as session:
        multipart = aiohttp.FormData(default_to_multipart=True)
        for name, value in make_order(make_imei(2), make_imei(3)).items():
            multipart.add_field(name, value)
        for data in (ONE, multipart):
            async with session.post(sim.base_url + PATH, data=data) as response:
                assert response.content_type == "text/xml"
                assert read_orders(await response.text())
        assert [entry.imei for entry in sim.book] == make_imeis(3, first=1)
        assert sim.stats.connections == 1


async def test_the_sibling_path_works_and_others_are_not_found():
    async with simulate() as sim:
        assert (await call_once(sim.base_url, make_form("getpackages"), path="/UPAPI_api/index.php")).status == 200
        assert (await call_once(sim.base_url, ONE, path="/api/index.php")).status == 404
        assert sim.stats.received == 1


async def test_requests_that_are_sent_ahead_are_answered_in_order():
    async with connect(latency="0.001-0.02", latency_per_imei="0") as (sim, client):
        imeis = make_imeis(30)
        for imei in imeis:
            client.send(make_order(imei))
        answered = [list(read_orders((await client.read_reply()).body)) for _ in imeis]
        assert answered == [[imei] for imei in imeis]
        assert sim.stats.connections == 1


async def test_a_client_that_sends_far_ahead_is_held_back_and_answered_in_full():
    async with connect(latency="0.0001", imei_check="none") as (sim, client):
        padding = "x" * 50_000
        for number in range(30):
            client.send(make_order(make_imei(number), other=padding))
        bodies = [(await client.read_reply()).body for _ in range(30)]
        assert [list(read_orders(body)) for body in bodies] == [[imei] for imei in make_imeis(30)]
        assert len(sim.book) == 30


async def test_a_request_that_comes_byte_by_byte_is_read():
    async with connect() as (_, client):
        body = "&".join(f"{name}={value}" for name, value in ONE.items())
        request = f"POST {PATH} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        for byte in request.encode():
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert list(read_orders((await client.read_reply()).body)) == [make_imei(1)]


@pytest.mark.parametrize("trailer", ["", "X-Sum: 1\r\n"])
async def test_a_chunked_request_body_is_read_and_the_connection_goes_on(trailer):
    async with connect() as (_, client):
        body = "&".join(f"{name}={value}" for name, value in ONE.items())
        chunks = "".join(f"{len(body[i : i + 7]):x};q=1\r\n{body[i : i + 7]}\r\n" for i in range(0, len(body), 7))
        head = f"POST {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.writer.write(f"{head}{chunks}0\r\n{trailer}\r\n".encode())
        assert list(read_orders((await client.read_reply()).body)) == [make_imei(1)]
        assert list(read_orders((await client.call(make_order(make_imei(2)))).body)) == [make_imei(2)]


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it():
    async with connect() as (_, client):
        client.send(ONE, headers="Expect: 100-continue\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert read_orders((await client.read_reply()).body)


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", b"POST / HTTP/2\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"a" * 70_000],
)
async def test_what_is_no_request_is_answered_with_400_and_closed(request_bytes):
    async with connect() as (sim, client):
        client.writer.write(request_bytes)
        seen = await client.read_to_end()
        assert seen.status == 400
        assert (sim.stats.received, sim.stats.bad_requests) == (0, 1)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.HANG])
async def test_each_lost_reply_is_seen_on_the_wire_as_what_it_is(kind, moment):
    async with simulate(faults=f"{kind}:{moment}@#1") as sim:
        seen = await call_once(sim.base_url, ONE)
        assert len(sim.book) == (moment == "after")
        assert sim.stats.faults == {f"{kind}:{moment}": 1}
    match kind:
        case FaultKind.RESET:
            assert (seen.raw, seen.was_reset) == (b"", True)
        case FaultKind.CLOSE:
            assert (seen.raw, seen.was_closed) == (b"", True)
        case FaultKind.CUT:
            assert (seen.status, seen.was_closed) == (200, True)
            assert len(seen.body) < int(seen.header("Content-Length"))
        case FaultKind.CUT_XML:
            assert len(seen.body) == int(seen.header("Content-Length")) > 0
            assert not seen.body.endswith((b"</result>", b"</error>"))
        case FaultKind.EMPTY:
            assert (seen.status, seen.body, seen.header("Content-Length")) == (200, b"", "0")
        case FaultKind.GARBAGE:
            with pytest.raises(UnicodeDecodeError):
                seen.body.decode()
        case FaultKind.BAD_GZIP:
            assert seen.header("Content-Encoding") == "gzip"
            with pytest.raises(zlib.error):
                gzip.decompress(seen.body)
        case FaultKind.ERROR_500:
            assert (seen.status, seen.body) == (500, b"")
        case _:
            assert seen.status == int(kind.removeprefix("html-"))
            assert seen.header("Content-Type").startswith("text/html")
            assert b"<!DOCTYPE html>" in seen.body


@pytest.mark.parametrize(("moment", "placed"), [("before", 0), ("after", 1)])
async def test_a_hanging_call_says_nothing_until_the_client_goes_away(moment, placed):
    async with connect(faults=f"hang:{moment}@#1") as (sim, client):
        client.send(ONE)
        await sim.wait_received(1)
        assert len(sim.book) == placed
        async with await RawClient.open(sim.base_url) as other:
            assert (await other.call(make_order(make_imei(2)))).status == 200
        assert not client.reader.at_eof()
        gone = asyncio.Event()
        sim.site.abandon = lambda call, abandon=sim.site.abandon: (abandon(call), gone.set())
        await client.close()
        await asyncio.wait_for(gone.wait(), 60)
        assert sim.stats.aborted == 1


async def test_a_fault_ends_its_own_connection_and_no_other():
    async with connect(faults="reset@#2") as (sim, client):
        await client.call(ONE)
        async with await RawClient.open(sim.base_url) as other:
            other.send(make_order(make_imei(2)))
            assert (await other.read_to_end()).was_reset
        assert (await client.call(make_order(make_imei(3)))).status == 200
        assert len(sim.book) == 3


@pytest.mark.parametrize(
    ("refusal", "status", "text"),
    [
        ("429", 429, b"Too Many Requests"),
        ("503-retry-after", 503, b"Service Unavailable"),
        ("200-rate", 200, b"<error>Rate limit exceeded</error>"),
        ("200-busy", 200, b"<error>Server busy</error>"),
        ("1015-403", 403, b"<span>1015</span>"),
        ("1015-429", 429, b"<span>1015</span>"),
    ],
)
async def test_a_refusal_by_rate_is_seen_on_the_wire_as_what_it_is(refusal, status, text):
    async with connect(rate="1/h", rate_refusal=refusal) as (sim, client):
        await client.call(ONE)
        seen = await client.call(make_order(make_imei(2)))
        assert seen.status == status
        assert text in seen.body
        assert (seen.header("Retry-After") is not None) == refusal.endswith("retry-after")
        assert len(sim.book) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_places_nothing_unless_the_client_follows_it_with_a_post(status):
    async with simulate(redirect=status) as sim, aiohttp.ClientSession() as session:
        async with session.post(sim.base_url + PATH, data=ONE, allow_redirects=False) as response:
            assert response.status == status
        assert (len(sim.book), sim.stats.redirects_followed) == (0, 0)
        async with session.post(sim.base_url + PATH, data=ONE) as response:
            assert response.status == 200
        assert sim.stats.redirects_followed == 1
        assert len(sim.book) == (status in {307, 308})


async def test_replies_are_compressed_for_clients_that_take_it():
    async with connect(gzip=True) as (_, client):
        packed = await client.call(make_form("imeiservices"), headers="Accept-Encoding: gzip, br\r\n")
        plain = await client.call(make_form("imeiservices"))
        assert packed.header("Content-Encoding") == "gzip"
        assert plain.header("Content-Encoding") is None
        assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize("options", [{"chunked": True}, {"dribble": 0.0001, "dribble_bytes": 50}])
@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_reply_in_pieces_is_the_same_reply(options, is_packed):
    both = {**options, "gzip": is_packed, "chunked": True}
    async with simulate() as whole, simulate(**options) as sim, simulate(**both) as chunked:
        async with aiohttp.ClientSession() as session:
            bodies = []
            for base_url in (whole.base_url, sim.base_url, sim.base_url, chunked.base_url):
                async with session.post(base_url + PATH, data=make_order(*make_imeis(20))) as response:
                    bodies.append(await response.read())
            assert response.headers["Transfer-Encoding"] == "chunked"
        assert bodies[0] == bodies[1] == bodies[3]
        assert b"already exists" in bodies[2]


async def test_a_connection_is_closed_silently_after_its_number_of_calls():
    async with connect(close_every=2) as (sim, client):
        first = await client.call(ONE)
        client.send(make_order(make_imei(2)))
        seen = await client.read_to_end()
        assert first.header("Connection") is seen.header("Connection") is None
        assert (seen.status, seen.was_closed) == (200, True)
        assert len(sim.book) == 2


async def test_an_idle_connection_is_closed_after_its_time():
    async with connect(idle_close=0.02) as (_, client):
        assert (await client.call(ONE)).status == 200
        assert (await client.read_to_end()).was_closed


async def test_latency_hangs_on_the_timer_that_was_injected():
    time = Timeline()
    provider = SimulatedProvider(Behaviour(latency="3600"), clock=time, call_later=time.call_later)
    async with provider as sim, await RawClient.open(sim.base_url) as client:
        client.send(ONE)
        await sim.wait_received(1)
        time.advance(3600)
        assert read_orders((await client.read_reply()).body)
        assert next(iter(sim.book)).placed_at == time.now - 3600


async def fetch(url: str, data: bytes | None = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if data else "GET", url, data=data) as response,
    ):
        text = await response.text()
        lines = response.content_type == "application/x-ndjson"
        json_like = response.content_type == "application/json"
        return response.status, [json.loads(line) for line in text.splitlines()] if lines else (
            json.loads(text) if json_like else text
        )


async def test_the_book_and_the_counts_are_told_over_the_same_port_and_count_as_no_call():
    async with simulate(log_calls=True, credit=1000) as sim:
        imeis = make_imeis(1201)
        for start in range(0, 1201, 100):
            await call_once(sim.base_url, make_order(*imeis[start : start + 100]))
        status, rows = await fetch(sim.base_url + "/simulator/book")
        assert (status, [row["imei"] for row in rows]) == (200, imeis)
        _, stats = await fetch(sim.base_url + "/simulator/stats")
        assert (stats["received"], stats["orders"], stats["charged"], stats["credit"]) == (13, 1201, "96.08", "903.92")
        _, calls = await fetch(sim.base_url + "/simulator/calls")
        assert [call["imeis"] for call in calls] == [100] * 12 + [1]
        assert {call["ending"] for call in calls} == {"answered"}
        assert (await fetch(sim.base_url + "/simulator/nothing"))[0] == 404


async def test_behaviour_is_changed_over_the_same_port():
    async with simulate() as sim:
        url = sim.base_url + "/simulator/behaviour"
        status, told = await fetch(url, b'{"chunk_limit": 1, "chunk_cut": "last"}')
        assert (status, told["chunk_limit"]) == (200, 1)
        assert await fetch(url) == (200, told)
        seen = await call_once(sim.base_url, make_order(*make_imeis(10)))
        assert list(read_orders(seen.body)) == [make_imei(9)]
        for wrong in (b'{"latency": "soon"}', b'{"nothing": 1}', b"[]", b"{"):
            assert (await fetch(url, wrong))[0] == 400
        assert sim.behaviour.chunk_limit == 1


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated")])
    today = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(cert_file), str(key_file)


@pytest.mark.parametrize("kind", ["reset", "close", "cut"])
async def test_it_speaks_tls_and_loses_replies_there_too(certificate, kind):
    cert, key = certificate
    async with simulate(tls_cert=cert, tls_key=key, faults=f"{kind}@#2") as sim:
        assert sim.base_url.startswith("https://")
        context = ssl.create_default_context(cafile=cert)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            async with session.post(sim.base_url + PATH, data=ONE) as response:
                assert read_orders(await response.text())
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                async with session.post(sim.base_url + PATH, data=make_order(make_imei(2))) as response:
                    await response.read()
        assert len(sim.book) == 2


async def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path):
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ConfigurationError, match="tls_cert"):
        await simulate(tls_cert=missing, tls_key=missing).start()


async def test_it_stops_with_calls_under_way_and_keeps_its_book():
    sim = simulate(latency="3600")
    await sim.start()
    client = await RawClient.open(sim.base_url)
    client.send(ONE)
    await sim.wait_received(1)
    await sim.stop()
    assert re.fullmatch(b"", (await client.read_to_end()).raw)
    await client.close()
    assert len(sim.book) == 1
