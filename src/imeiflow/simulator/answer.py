"""What the server says, or does instead of saying it: answers, refusals, error pages.

Pure values; the server writes them to the wire.
"""

from __future__ import annotations

import math
from email.utils import formatdate
from enum import StrEnum
from typing import NamedTuple, assert_never

XML = "text/xml; charset=utf-8"
HTML = "text/html; charset=UTF-8"
JSON = "application/json"

REASONS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
    520: "Web Server Returned an Unknown Error",
    521: "Web Server Is Down",
    522: "Connection Timed Out",
    523: "Origin Is Unreachable",
    524: "A Timeout Occurred",
}


class Manner(StrEnum):
    """What the server does with the connection."""

    SEND = "send"
    CUT = "cut"  #: announces the whole body, sends a part, closes
    CLOSE = "close"  #: closes without a byte
    RESET = "reset"  #: resets without a byte
    HANG = "hang"  #: says nothing until the client goes away


class Answer(NamedTuple):
    """One answer; a tuple, because one is made for every call.

    `sent` is how many bytes of the body leave where `manner` is CUT.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = XML
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = Manner.SEND
    sent: int = 0


class Refusal(StrEnum):
    """How a call is turned away by a rate limit, a ban or a full server."""

    PLAIN_429 = "429"
    RETRY_429 = "429-retry-after"  #: Retry-After in seconds
    DATE_429 = "429-retry-date"  #: Retry-After as an HTTP date
    PLAIN_503 = "503"
    RETRY_503 = "503-retry-after"
    RATE_BODY = "200-rate"  #: HTTP 200, "Rate limit exceeded"
    BUSY_BODY = "200-busy"  #: HTTP 200, "Server busy"
    CONNECTIONS_BODY = "200-connections"  #: HTTP 200, "Too many connections"
    JSON_BODY = "200-json"  #: a firewall's bare JSON message with HTTP 200
    CLOUDFLARE_429 = "1015-429"  #: Cloudflare's page 1015
    CLOUDFLARE_403 = "1015-403"
    RESET = "reset"


def say_error(text: str) -> Answer:
    """Say an error of the whole call, as XML with HTTP 200."""
    return Answer(body=f'<?xml version="1.0" encoding="utf-8"?>\n<error>{text}</error>'.encode())


def show_page(status: int, title: str, *headers: tuple[str, str]) -> Answer:
    """Show an HTML page as a web server or Cloudflare does."""
    body = (
        f"<!DOCTYPE html>\n<html><head><title>{status} {title}</title></head>\n"
        f"<body><center><h1>{status} {title}</h1></center><hr><center>cloudflare</center></body></html>\n"
    )
    return Answer(status, body.encode(), HTML, headers)


def _show_1015(status: int) -> Answer:
    body = (
        "<!DOCTYPE html>\n<html><head><title>Access denied | example.test used Cloudflare to restrict access</title>"
        '</head>\n<body><h1><span>Error</span> <span>1015</span></h1><h2 class="cf-subheadline">You are being rate '
        "limited</h2><p>The owner of this website has banned you temporarily from accessing this website.</p>"
        "</body></html>\n"
    )
    return Answer(status, body.encode(), HTML)


class _Retry(StrEnum):
    """How the time until the next try is told."""

    UNTOLD = "untold"
    SECONDS = "seconds"
    DATE = "date"


_PAGES = {
    Refusal.PLAIN_429: (429, _Retry.UNTOLD),
    Refusal.RETRY_429: (429, _Retry.SECONDS),
    Refusal.DATE_429: (429, _Retry.DATE),
    Refusal.PLAIN_503: (503, _Retry.UNTOLD),
    Refusal.RETRY_503: (503, _Retry.SECONDS),
}
_JSON = b'{"message":"Access denied by Imunify360 bot-protection. IPs used for automation should be whitelisted"}'
_ANSWERS: dict[Refusal, Answer] = {
    Refusal.RATE_BODY: say_error("Rate limit exceeded"),
    Refusal.BUSY_BODY: say_error("Server busy"),
    Refusal.CONNECTIONS_BODY: say_error("Too many connections"),
    Refusal.JSON_BODY: Answer(body=_JSON, content_type=JSON),
    Refusal.CLOUDFLARE_429: _show_1015(429),
    Refusal.CLOUDFLARE_403: _show_1015(403),
    Refusal.RESET: Answer(manner=Manner.RESET),
}


def refuse(refusal: Refusal, wait: float, now: float) -> Answer:
    """Say a refusal. `wait` is in seconds from `now`, seconds since 1970."""
    if refusal in _ANSWERS:
        return _ANSWERS[refusal]
    status, retry = _PAGES[refusal]
    match retry:
        case _Retry.UNTOLD:
            return show_page(status, REASONS[status])
        case _Retry.SECONDS:
            return show_page(status, REASONS[status], ("Retry-After", str(max(1, math.ceil(wait)))))
        case _Retry.DATE:
            return show_page(status, REASONS[status], ("Retry-After", formatdate(math.ceil(now + wait), usegmt=True)))
        case _:
            assert_never(retry)
