"""The calls of the protocol: what they send, and what they make of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl

import pytest

from imeiflow.domain.ident import Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import FileItem, Item, OrderKind, ServerItem
from imeiflow.domain.money import Money
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.errors import ConfigurationError, UsageError
from imeiflow.providers.contract import Connection, Listing, Provider, Service, Timeouts
from imeiflow.providers.gsm_fusion import CatalogEntry, GsmFusionConnection, nakshsoft, provider
from imeiflow.providers.gsm_fusion.listing import read_requested_at
from tests.providers.wire import FAST, IMEI, KEY, SERVICE, Wire, accept_orders, connect, make_imei, make_login, serve

T = TypeVar("T")

LOGIN = [("apiKey", KEY), ("userId", "bob")]


async def ask(reply: bytes, call: Callable[[GsmFusionConnection], Awaitable[T]]) -> tuple[T, list[tuple[str, str]]]:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(reply)

    async with serve(script) as server, connect(server.port) as connection:
        answer = await call(connection)
        return answer, parse_qsl(server.requests[0].body.decode(), keep_blank_values=True)


def test_the_contract_is_kept() -> None:
    kept: Provider = provider
    connection: Connection = kept.connect(make_login(1), max_concurrency=1, timeouts=Timeouts())
    assert KEY not in repr(connection)


async def test_an_order_sends_what_the_protocol_says() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(accept_orders(IMEI, make_imei(2)))

    async with serve(script) as server, connect(server.port, username="bób & co") as connection:
        placement = await connection.place([IMEI, make_imei(2)], ServiceId("7 a"), {"modelId": "4&5", "pin": ""})
    sent = parse_qsl(server.requests[0].body.decode(), keep_blank_values=True)
    assert sent == [
        ("apiKey", KEY),
        ("userId", "bób & co"),
        ("action", "placeorder"),
        ("imei", f"{IMEI},{make_imei(2)}"),
        ("networkId", "7 a"),
        ("modelId", "4&5"),
        ("pin", ""),
    ]
    kept = parse_qsl(placement.exchange.request.decode(), keep_blank_values=True)
    assert kept == [("apiKey", "***"), *sent[1:]]


@pytest.mark.parametrize("name", ["apiKey", "APIKEY", "userId", "action", "imei", "networkId"])
async def test_a_field_of_the_call_itself_cannot_be_overwritten(name: str) -> None:
    async with connect(1) as connection:
        with pytest.raises(UsageError):
            await connection.place([IMEI], SERVICE, {name: "x"})


@pytest.mark.parametrize("imeis", [[], [IMEI, IMEI], [Imei(f"{IMEI},{IMEI}")], [Imei("")]])
async def test_only_distinct_imeis_are_sent(imeis: list[Imei]) -> None:
    async with connect(1) as connection:
        with pytest.raises(UsageError):
            await connection.place(imeis, SERVICE)


@pytest.mark.parametrize(("setting", "value"), [("username", " "), ("key", "")])
def test_a_login_with_nothing_in_it_is_refused(setting: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        provider.connect(make_login(1, **{setting: value}), max_concurrency=1, timeouts=FAST)


async def test_a_sibling_has_other_paths() -> None:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(b"<Packages/>")

    async with serve(script) as server:
        login = make_login(server.port, base_url=f"http://127.0.0.1:{server.port}/shop/UPAPI_api/index.php")
        connection = nakshsoft.connect(login, max_concurrency=1, timeouts=FAST)
        await connection.list_services()
        await connection.close()
    assert server.requests[0].line == "POST /shop/UPAPI_api/index.php HTTP/1.1"
    assert b"&action=getpackages" in server.requests[0].body


async def test_services_are_listed() -> None:
    reply = b"""<?phpxml version="1.0" encoding="utf-8"?><Packages><Package><PackageId>12</PackageId>
        <Category>Apple & more</Category><PackageTitle><![CDATA[iPhone <b>check</b>]]></PackageTitle>
        <PackagePrice>$ 1,200.50</PackagePrice><TimeTaken>1-3 Days</TimeTaken>
        <MustRead>&lt;p&gt;Read&lt;/p&gt;</MustRead>
        </Package><Package><PackageId>13</PackageId>
        <PackageTitle>Other &lt;Barred&gt;</PackageTitle><PackagePrice/></Package>
        </Packages>"""
    listing, sent = await ask(reply, lambda connection: connection.list_services())
    assert sent == [*LOGIN, ("action", "imeiservices")]
    assert listing.error is None
    assert listing.items == (
        Service(
            id=ServiceId("12"),
            name="iPhone check",
            category="Apple & more",
            price=Money(Decimal("1200.50"), "USD"),
            delivery="1-3 Days",
            note="Read",
        ),
        Service(id=ServiceId("13"), name="Other <Barred>"),
    )


@pytest.mark.parametrize("price", ["-1", "1e3", "0.08-0.20"])
async def test_a_price_that_cannot_be_meant_is_not_known(price: str) -> None:
    reply = f"<Packages><Package><PackageId>1</PackageId><PackagePrice>{price}</PackagePrice></Package></Packages>"
    listing, _ = await ask(reply.encode(), lambda connection: connection.list_services())
    assert [one.price for one in listing.items] == [None]  # type: ignore[attr-defined]


async def test_statuses_are_fetched() -> None:
    reply = f"""<result>
        <imeis><id>1</id><package>Check &amp; co</package>
        <imei>{IMEI}</imei><statusId>2</statusId>
        <status>Completed</status><code><![CDATA[Model: X<br>IMEI: 1]]></code>
        <requestedat>2025-11-14 3:33:00</requestedat></imeis>
        <imeis><id>2</id><imei>{IMEI}</imei><statusId>4</statusId>
        <status/><code>A&lt;br&gt;B</code>
        <requestedat>soon</requestedat></imeis>
        <imeis><id>3</id><imei/><status>3</status><code>A<br/>B <b>C</b> D</code></imeis></result>""".encode()
    references = [Reference("1"), Reference("2"), Reference("3")]
    listing, sent = await ask(reply, lambda connection: connection.fetch_statuses(references))
    assert sent == [*LOGIN, ("action", "getimeis"), ("orderIds", "1,2,3")]
    first, second, third = listing.items
    assert (first.reference, first.imei, first.status) == ("1", IMEI, ResultStatus.COMPLETED)  # type: ignore[attr-defined]
    assert first.service_name == "Check & co"  # type: ignore[attr-defined]
    assert first.code == "Model: X<br>IMEI: 1"  # type: ignore[attr-defined]
    assert first.requested_at == datetime(2025, 11, 14, 3, 33, tzinfo=UTC)  # type: ignore[attr-defined]
    assert (second.status, second.code) == (ResultStatus.IN_PROCESS, "A<br>B")  # type: ignore[attr-defined]
    assert (second.requested_at, second.requested_text) == (None, "soon")  # type: ignore[attr-defined]
    assert (third.status, third.code) == (ResultStatus.REJECTED, "A<br>B C D")  # type: ignore[attr-defined]


async def test_no_references_ask_for_the_recent_orders() -> None:
    _, sent = await ask(b"<result/>", lambda connection: connection.fetch_statuses([]))
    assert sent == [*LOGIN, ("action", "getimeis")]


async def test_the_credit_is_fetched() -> None:
    reply = b"<Client><Name>Bob</Name><ClientCredits>$ 150.00 USD</ClientCredits></Client>"
    listing, _ = await ask(reply, lambda connection: connection.fetch_credit())
    assert listing.items == (Money(Decimal("150.00"), "USD"),)


async def test_a_catalogue_is_listed_with_its_groups() -> None:
    reply = b"""<Mobiles><Brand><BrandId>1</BrandId><BrandName>Nokia</BrandName><Models>
        <Model><Id>5</Id><Name>3310</Name></Model></Models></Brand></Mobiles>"""
    listing, sent = await ask(reply, lambda connection: connection.list_mobiles())
    assert sent[-1] == ("action", "getmobiles")
    assert listing.items == (CatalogEntry("1", "Nokia", "Brand"), CatalogEntry("5", "3310", "Model", "Nokia"))


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (lambda it: it.list_services(OrderKind.FILE), {"action": "fileservices"}),
        (lambda it: it.list_services(OrderKind.SERVER), {"action": "serverservices"}),
        (
            lambda it: it.fetch_item_status(OrderKind.FILE, Reference("4")),
            {"action": "getfileorder", "orderId": "4"},
        ),
        (
            lambda it: it.fetch_item_status(OrderKind.SERVER, Reference("4")),
            {"action": "getserverorder", "orderId": "4"},
        ),
        (lambda it: it.list_providers(), {"action": "getproviders"}),
        (lambda it: it.list_lookup_services(), {"action": "getservices"}),
        (lambda it: it.fetch_service_details("5"), {"action": "getservicedtls", "st": "5"}),
    ],
)
async def test_the_other_actions_send_their_fields(
    call: Callable[[GsmFusionConnection], Awaitable[Listing[object]]], fields: dict[str, str]
) -> None:
    listing, sent = await ask(b"<result><error>Invalid User!</error></result>", call)
    assert dict(sent) == dict(LOGIN) | fields
    assert listing.items == ()
    assert listing.error is not None
    assert listing.error.kind is ErrorKind.ACCOUNT


A_FILE = FileItem("a.bcl", b"\x00\xff")
FIELDS = ServerItem({"email_1": "a@b.example", "quantity_2": "3"})


@pytest.mark.parametrize(
    ("item", "name", "fields"),
    [
        (
            A_FILE,
            "fileorder",
            {"action": "placefileorder", "networkId": "7", "fileName": "a.bcl", "fileData": "AP8="},
        ),
        (FIELDS, "order", {"action": "placeserverorder", "serviceId": "7", **FIELDS.fields}),
    ],
    ids=["file", "server"],
)
async def test_a_file_or_server_order_gives_its_reference(item: Item, name: str, fields: dict[str, str]) -> None:
    reply = f"<result><{name}><id>77</id><status>Pending</status></{name}></result>".encode()
    placement, sent = await ask(reply, lambda connection: connection.place_item(item, SERVICE))
    assert dict(sent) == dict(LOGIN) | fields
    finding = placement.account.findings[Imei(item.subject)]
    assert (finding.outcome, finding.reference) == (Outcome.ACCEPTED, "77")
    assert placement.exchange.ending is Ending.ANSWERED


@pytest.mark.parametrize("item", [A_FILE, FIELDS], ids=["file", "server"])
@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"", Outcome.UNCONFIRMED),
        (b"<result><fileorder><id>77</id>", Outcome.UNCONFIRMED),
        (b"<html>oops</html>", Outcome.UNCONFIRMED),
        (b"<result/>", Outcome.UNCONFIRMED),
        (b"<result><order><status>Pending</status></order></result>", Outcome.UNCONFIRMED),
        (b"<result><order><id>7</id></order><order><id>8</id></order></result>", Outcome.UNCONFIRMED),
        (b"<result><error>Something new</error></result>", Outcome.UNCONFIRMED),
        (b"<result><error>Not enough credits</error></result>", Outcome.THROTTLED),
        (b"<result><error>Invalid value of Network Id!</error></result>", Outcome.THROTTLED),
        (b"<result><error><id>5</id><message>Something new</message></error></result>", Outcome.UNCONFIRMED),
        (
            b"<result><client><id>9</id></client><error>Invalid value of Network Id!</error></result>",
            Outcome.THROTTLED,
        ),
        (b"<result><client><id>9</id><name>me</name></client></result>", Outcome.UNCONFIRMED),
    ],
)
async def test_a_reply_that_names_no_single_order_is_never_a_success(
    item: Item, reply: bytes, outcome: Outcome
) -> None:
    placement, _ = await ask(reply, lambda connection: connection.place_item(item, SERVICE))
    assert placement.account.findings[Imei(item.subject)].outcome is outcome


async def test_what_is_kept_of_a_file_is_its_digest_and_not_its_content() -> None:
    placement, _ = await ask(b"<result/>", lambda connection: connection.place_item(A_FILE, SERVICE))
    assert b"AP8" not in placement.exchange.request
    assert A_FILE.digest.encode() in placement.exchange.request


@pytest.mark.parametrize(
    "item",
    [
        FileItem("a.bcl", b""),
        FileItem(" ", b"x"),
        ServerItem({}),
        ServerItem({"apiKey": "other"}),
        ServerItem({"serviceId": "9"}),
        ServerItem({"ACTION": "placeorder"}),
    ],
)
def test_what_cannot_be_ordered_is_said_before_anything_is_sent(item: Item) -> None:
    with pytest.raises(UsageError):
        provider.check_item(item)


@pytest.mark.parametrize("reply", [b"", b"<html/>", b"<result/>", b"<result>", b"{}"])
async def test_a_list_is_never_empty_without_an_error(reply: bytes) -> None:
    listing, _ = await ask(reply, lambda connection: connection.list_services())
    assert listing.items == ()
    assert listing.error is not None
    assert listing.error.message


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2025-11-14 3:33:00", datetime(2025, 11, 14, 3, 33, tzinfo=UTC)),
        ("2025-11-14 03:33", datetime(2025, 11, 14, 3, 33, tzinfo=UTC)),
        ("2025-11-14T03:33:00+02:00", datetime(2025, 11, 14, 1, 33, tzinfo=UTC)),
        ("2025-11-14 3:33:00 PM", datetime(2025, 11, 14, 15, 33, tzinfo=UTC)),
        ("2025-11-14", datetime(2025, 11, 14, tzinfo=UTC)),
        ("1763091180", datetime(2025, 11, 14, 3, 33, tzinfo=UTC)),
        ("0000-00-00 00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("11/12/2025", None),
        ("", None),
    ],
)
def test_a_time_is_read_where_it_means_one_moment(text: str, read: datetime | None) -> None:
    assert read_requested_at(text) == read
