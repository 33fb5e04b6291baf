"""What an HTTP status and a page prove when there is no document: through the whole provider, on the wire."""

from __future__ import annotations

import pytest

from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.providers.contract import Placement
from tests.providers.wire import SERVICE, Wire, accept_orders, connect, make_imei, serve

A, B = make_imei(1), make_imei(2)
PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><br><p>%s</body></html>"


async def place(body: bytes, status: str = "200 OK", headers: str = "") -> Placement:
    async def script(wire: Wire) -> None:
        await wire.read()
        wire.reply(body, status, headers)

    async with serve(script) as server, connect(server.port) as connection:
        placement = await connection.place([A, B], SERVICE)
        assert len(server.requests) == 1
        return placement


def page(words: bytes = b"") -> bytes:
    return PAGE % (b"Oops", words)


REFUSED = [
    ("429 Too Many Requests", page(), "", ErrorKind.RATE),
    ("429 Too Many Requests", b"", "Retry-After: 7\r\n", ErrorKind.RATE),
    ("503 Service Unavailable", page(), "", ErrorKind.OVERLOAD),
    ("503 Service Unavailable", b"", "", ErrorKind.OVERLOAD),
    ("503 Service Unavailable", page(), "Retry-After: 7\r\n", ErrorKind.RATE),
    ("503 Service Unavailable", page(b"Rate limit exceeded"), "", ErrorKind.RATE),
    ("403 Forbidden", page(b"error code: 1015"), "Server: cloudflare\r\n", ErrorKind.RATE),
    ("403 Forbidden", page(b"You are being rate limited"), "", ErrorKind.RATE),
    ("403 Forbidden", page(b"You have been banned temporarily"), "", ErrorKind.RATE),
    ("403 Forbidden", page(b"Error 1006: the owner has banned your IP address"), "", ErrorKind.ACCOUNT),
    ("403 Forbidden", page(b"Checking your browser"), "", ErrorKind.ACCOUNT),
    ("403 Forbidden", b"", "", ErrorKind.ACCOUNT),
    ("406 Not Acceptable", page(b"Mod_Security"), "", ErrorKind.ACCOUNT),
    ("409 Conflict", page(), "", ErrorKind.ACCOUNT),
    ("415 Unsupported Media Type", page(), "", ErrorKind.ACCOUNT),
    ("401 Unauthorized", page(), "", ErrorKind.ACCOUNT),
    ("404 Not Found", page(), "", ErrorKind.ACCOUNT),
    ("405 Method Not Allowed", page(), "", ErrorKind.ACCOUNT),
    ("410 Gone", page(), "", ErrorKind.ACCOUNT),
    ("413 Content Too Large", page(), "", ErrorKind.CHUNK),
    ("301 Moved Permanently", page(), "Location: https://www.shop.example/\r\n", ErrorKind.ACCOUNT),
    ("200 OK", b"Rate limit exceeded", "", ErrorKind.RATE),
    ("200 OK", b'{"message": "Too many requests"}', "", ErrorKind.RATE),
    ("200 OK", b'{"success": false, "error": "Rate limit exceeded"}', "", ErrorKind.RATE),
    ("200 OK", b'{"message": "Access denied by Imunify360 bot-protection"}', "", ErrorKind.ACCOUNT),
    ("429 Too Many Requests", b"<result><error>Strange</error></result>", "", ErrorKind.RATE),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind"), REFUSED)
async def test_what_stands_in_front_of_the_shop_refuses_unread(
    status: str, body: bytes, headers: str, kind: ErrorKind
) -> None:
    placement = await place(body, status, headers)
    assert placement.exchange.ending is Ending.REFUSED_UNREAD
    assert placement.account.error is not None
    assert placement.account.error.kind is kind
    assert 0 < len(placement.account.error.message) <= 200
    assert "<" not in placement.account.error.message
    assert placement.account.findings[A].outcome is Outcome.THROTTLED
    assert placement.account.error.retry_after_s == (7 if "Retry-After" in headers else None)


DOUBTFUL = [
    ("200 OK", b"", ErrorKind.UNKNOWN),
    ("204 No Content", b"", ErrorKind.UNKNOWN),
    ("200 OK", page(b"Rate limit exceeded"), ErrorKind.UNKNOWN),
    ("200 OK", b"OK", ErrorKind.UNKNOWN),
    ("200 OK", b'{"message": "hello"}', ErrorKind.UNKNOWN),
    ("200 OK", b'{"success": true, "rate_limit": {"left": 58}}', ErrorKind.UNKNOWN),
    ("200 OK", b"Your order is queued, wait 5 minutes", ErrorKind.UNKNOWN),
    ("200 OK", accept_orders(A, B)[:-4], ErrorKind.UNKNOWN),
    ("400 Bad Request", page(), ErrorKind.UNKNOWN),
    ("408 Request Timeout", page(), ErrorKind.UNKNOWN),
    ("418 I'm a Teapot", page(), ErrorKind.UNKNOWN),
    ("500 Internal Server Error", page(), ErrorKind.OVERLOAD),
    ("500 Internal Server Error", page(b"Rate limit exceeded"), ErrorKind.OVERLOAD),
    ("502 Bad Gateway", page(), ErrorKind.OVERLOAD),
    ("503 Service Unavailable", page(b"Error 503 Backend fetch failed"), ErrorKind.OVERLOAD),
    ("504 Gateway Timeout", page(), ErrorKind.OVERLOAD),
    ("520 Unknown Error", page(), ErrorKind.OVERLOAD),
    ("522 Timed Out", page(), ErrorKind.OVERLOAD),
    ("524 Timed Out", page(), ErrorKind.OVERLOAD),
    ("599 Strange", page(), ErrorKind.OVERLOAD),
    ("500 Internal Server Error", b"<result><error>Strange</error></result>", ErrorKind.OVERLOAD),
    ("500 Internal Server Error", b"<result><error>Rate limit exceeded</error></result>", ErrorKind.OVERLOAD),
    ("502 Bad Gateway", b"<error>Invalid User!</error>", ErrorKind.ACCOUNT),
    ("503 Service Unavailable", b"<result><error>Strange</error></result>", ErrorKind.OVERLOAD),
    ("403 Forbidden", b"<result><error>Order 77 was saved, mail could not be sent</error></result>", ErrorKind.UNKNOWN),
    ("404 Not Found", b"<result><error>The invoice page is missing</error></result>", ErrorKind.UNKNOWN),
    ("429 Too Many", b"<result><error>Your order was placed, too many are open</error></result>", ErrorKind.UNKNOWN),
    ("200 OK", b'{"SUCCESS":[{"MESSAGE":"Order placed","REFERENCEID":9}],"via":"cloudflare"}', ErrorKind.UNKNOWN),
    ("200 OK", b'{"REFERENCEID":9,"via":"cloudflare"}', ErrorKind.UNKNOWN),
    ("200 OK", b'{"message":"1 order processed, then blocked by Cloudflare"}', ErrorKind.UNKNOWN),
    ("403 Forbidden", b'{"message":"1 order processed, then blocked by Cloudflare"}', ErrorKind.UNKNOWN),
    (
        "200 OK",
        b'{"message":"Rate limit exceeded. %sOne order was placed."}' % (b"Please wait. " * 20),
        ErrorKind.UNKNOWN,
    ),
]


@pytest.mark.parametrize(("status", "body", "kind"), DOUBTFUL)
async def test_everything_else_is_in_doubt(status: str, body: bytes, kind: ErrorKind) -> None:
    placement = await place(body, status)
    assert placement.exchange.ending is Ending.IN_DOUBT
    assert placement.account.error is not None
    assert placement.account.error.kind is kind
    assert placement.exchange.problem == placement.account.error.message
    assert placement.exchange.reply == body
    assert {finding.outcome for finding in placement.account.findings.values()} == {Outcome.UNCONFIRMED}


@pytest.mark.parametrize(
    "status", ["201 Created", "403 Forbidden", "429 Too Many", "500 Error", "503 Busy", "301 Moved"]
)
async def test_a_document_that_names_orders_is_believed_whatever_the_status(status: str) -> None:
    placement = await place(accept_orders(A), status)
    assert placement.exchange.ending is Ending.ANSWERED
    assert placement.account.findings[A].outcome is Outcome.ACCEPTED
    assert placement.account.findings[B].outcome is Outcome.UNCONFIRMED


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "503 Busy"])
async def test_an_error_of_the_account_is_believed_but_for_a_server_that_failed(status: str) -> None:
    placement = await place(b"<error>Invalid User!</error>", status)
    assert placement.exchange.ending is Ending.ANSWERED
    assert placement.account.findings[A].outcome is Outcome.THROTTLED


async def test_a_wait_in_the_header_goes_with_an_error_in_the_document() -> None:
    placement = await place(b"<error>Rate limit exceeded</error>", headers="Retry-After: 9\r\n")
    assert placement.account.error is not None
    assert placement.account.error.retry_after_s == 9


async def test_a_document_that_names_nobody_leaves_all_unconfirmed() -> None:
    placement = await place(b"<result/>")
    assert {finding.outcome for finding in placement.account.findings.values()} == {Outcome.UNCONFIRMED}
