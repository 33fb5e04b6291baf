"""The outermost gate: which host was asked for, where a change comes from, and the headers of every answer.

Plain ASGI around the whole application, so that no page, error or file can leave without them (OWASP ASVS 14.4, 4.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from imeiflow.operations.json_text import dump_json
from imeiflow.web.api.problem import MEDIA_TYPE, describe_problem
from imeiflow.web.setting import WebSettings

#: No inline script, no inline style, nothing from another host, in no frame.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "manifest-src 'self'",
    )
)
_HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_TRANSPORT: Final = ("strict-transport-security", "max-age=31536000; includeSubDomains")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TEXT: Final = b"text/plain; charset=utf-8"


class Gate:
    """Lets requests in that are meant for this server and come from its own pages, or from programs."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._hosts = settings.allowed_hosts()
        self._headers = [*_HEADERS, *([_TRANSPORT] if settings.is_secure else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if not _is_http(scope):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self._find_problem(str(scope.get("method", "")), headers)

        async def send_complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = list(message.get("headers", ()))
                names = {name.lower() for name, _ in sent}
                sent += [(n.encode(), v.encode()) for n, v in self._headers if n.encode() not in names]
                if b"cache-control" not in names:
                    sent.append((b"cache-control", b"no-store"))
                message["headers"] = sent
            await send(message)

        if problem is not None:
            await _refuse(send_complete, *problem, is_api=str(scope.get("path", "")).startswith("/api/"))
            return
        await self._app(scope, receive, send_complete)

    def _find_problem(self, method: str, headers: dict[bytes, str]) -> tuple[int, str] | None:
        """Say why a request is not let in; None where it is."""
        host = headers.get(b"host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return 421, f"This server does not answer to the name {host[:100]!r}."
        if method in _SAFE:
            return None
        site = headers.get(b"sec-fetch-site")
        if site is not None and site not in {"same-origin", "none"}:
            return 403, "This request comes from another site."
        origin = headers.get(b"origin")
        if origin is not None and _netloc_of(origin) != host.lower():
            return 403, "This request comes from another site."
        return None


async def _refuse(send: Send, status: int, text: str, *, is_api: bool) -> None:
    body = f"{text}\n".encode()
    media_type = _TEXT
    if is_api:
        body, media_type = dump_json(describe_problem(status, text)).encode(), MEDIA_TYPE.encode()
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_http(scope: Scope) -> bool:
    return str(scope["type"]) == "http"


def _netloc_of(origin: str) -> str | None:
    """Give the host and port of an origin; None for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str:
    """Give a host's name without its port."""
    name = host.lower()
    if name.startswith("["):
        inner, end, _ = name.partition("]")
        return inner + end
    return name.partition(":")[0]
