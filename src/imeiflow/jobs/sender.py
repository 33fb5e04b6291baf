"""The one place that sends messages to webhooks: one POST, signed, no redirect, a time limit, and little read back.

What a receiver does is never an error here: it comes out as `Sent`. The secret is in nothing that comes out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from imeiflow.errors import ConfigurationError
from imeiflow.jobs.endpoint import Endpoint, check_url, is_forbidden
from imeiflow.jobs.signature import HEADER, sign
from imeiflow.providers.retry_after import read_retry_after
from imeiflow.providers.secret import Secret

AT_ONCE = 4  #: messages under way to all webhooks together
_TIMEOUT = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)
_READ_BYTES = 64 * 1024
_KEPT_LETTERS = 500
_LIKE_A_KEY = 16  #: letters of a part of a path: shorter ones are words that a reply needs


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one attempt. `problem` says why there is no `http_status`, or what is wrong with it."""

    http_status: int | None
    elapsed_s: float
    problem: str = ""
    reply: str = ""
    retry_after_s: float | None = None


class _Resolver(AbstractResolver):
    """Looks names up, and forgets the addresses that are never sent to."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses of a name. Raises OSError where none may be sent to."""
        found = await self._inner.resolve(host, port, family)
        allowed = [one for one in found if not is_forbidden(one["host"])]
        if not allowed:
            raise OSError(None, f"{host} leads to an address that is never sent to")
        return allowed

    async def close(self) -> None:
        """Close nothing: threads end by themselves."""
        await self._inner.close()


class Sender:
    """Sends messages, a few at once. To be closed in the event loop that used it."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._room = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, endpoint: Endpoint, body: bytes, *, event_id: str, event: str) -> Sent:
        """Send one message once and say what came of it."""
        async with self._room:
            began = time.monotonic()
            try:
                return await self._post(endpoint, body, event_id, event, began)
            except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ConfigurationError) as error:
                problem = Secret(endpoint.secret).blank_text(_say(error))
                return Sent(None, time.monotonic() - began, problem)

    async def close(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, endpoint: Endpoint, body: bytes, event_id: str, event: str, began: float) -> Sent:
        setting = f"webhook {endpoint.name}"
        url = check_url(endpoint.url, insecure=endpoint.insecure, setting=setting)
        now = self._now()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"imeiflow/{version('imeiflow')}",
            "Imeiflow-Event": event,
            "Imeiflow-Id": event_id,
            HEADER: sign(endpoint.secret, body, int(now.timestamp())),
        }
        options: dict[str, Any] = {"ssl": _trust(endpoint)} if endpoint.ca_file else {}
        async with self._open().post(url, data=body, headers=headers, allow_redirects=False, **options) as response:
            read = await response.content.read(_READ_BYTES)
            text = _blank(endpoint, url, read.decode("utf-8", "replace"))[:_KEPT_LETTERS]
            is_redirect = 300 <= response.status < 400
            return Sent(
                http_status=response.status,
                elapsed_s=time.monotonic() - began,
                problem="it redirects, which is not followed" if is_redirect else "",
                reply=" ".join(text.split()),
                retry_after_s=read_retry_after(response.headers, now),
            )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(), limit=AT_ONCE, use_dns_cache=False)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, cookie_jar=jar)
        return self._session


def _blank(endpoint: Endpoint, url: URL, text: str) -> str:
    """Give a reply without the secret, and without what follows the host in the address: many quote it, or a part."""
    whole = (endpoint.secret, url.path_qs, url.raw_path_qs, url.path, url.raw_path, url.query_string)
    keys = (*url.query.values(), *(part for part in url.parts if len(part) >= _LIKE_A_KEY), url.password or "")
    for part in (*whole, *keys):
        text = Secret(part).blank_text(text)
    return text


def _trust(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=endpoint.ca_file)
    except OSError as error:
        raise ConfigurationError(
            setting=f"webhook {endpoint.name}", problem=f"{endpoint.ca_file}: {error.strerror or error}"
        ) from error
    return context


def _say(error: Exception) -> str:
    """Say in words why there was no answer; what the library says may quote the address, which may be a secret."""
    match error:
        case ConfigurationError():
            return error.message
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return "its name is not known, or leads nowhere that may be sent to"
        case aiohttp.ClientSSLError():
            return "no secure connection"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error.strerror or 'refused'}"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"the connection broke off ({type(error).__name__})"
