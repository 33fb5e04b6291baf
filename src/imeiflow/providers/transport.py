"""The one place that makes HTTP calls, and that turns aiohttp's errors into the ending of an `Exchange`.

A call is made once: POST, no retry, no redirect, no re-send on a dying connection. It may not judge what a reply
means; it says only whether one came back whole.

The exact line is the hook `on_request_headers_sent`, awaited before the first byte is written. A call is *not sent*
when its error's class belongs to connecting *and* the hook has not fired; if either speaks against it, it is in doubt:

    ClientError
    ├── ClientConnectionError                 in doubt
    │   ├── ClientConnectionResetError        in doubt
    │   ├── ClientOSError                     in doubt, though the parent of:
    │   │   └── ClientConnectorError          not sent, with its DNS, TLS, certificate, proxy and Unix children
    │   └── ServerConnectionError             in doubt
    │       ├── ServerDisconnectedError       in doubt
    │       ├── ServerFingerprintMismatch     not sent
    │       └── ServerTimeoutError            in doubt
    │           ├── ConnectionTimeoutError    not sent (also: no free connection)
    │           └── SocketTimeoutError        in doubt
    ├── ClientResponseError and children      in doubt
    ├── ClientPayloadError, UploadAborted…    in doubt
    └── InvalidURL, NonHttpUrl…, Redirect…    not sent, in doubt for redirects
    TimeoutError (the backstop), OSError, anything else: as the hook says
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp import client_exceptions as lower

from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import WholeError
from imeiflow.providers.connector import WatchfulConnector
from imeiflow.providers.contract import Exchange, Timeouts
from imeiflow.providers.secret import Secret

if TYPE_CHECKING:
    import ssl

    from yarl import URL

MAX_REPLY_BYTES = 8 * 1024 * 1024  #: after decompression
EVIDENCE_BYTES = 64 * 1024  #: what is kept of a reply that did not end well
KEPT_HEADERS = ("Content-Type", "Retry-After", "Server", "CF-RAY", "Date", "Location")
#: Shorter than Apache's 5 s: the side that closes first should be ours.
KEEPALIVE_S = 4.0
_LARGEST_PLAIN_BODY = 1024 * 1024
_HEADERS = {
    "User-Agent": f"imeiflow/{version('imeiflow')}",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/x-www-form-urlencoded",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error of the lower library says: the ending, unless the hook speaks against it, and whom it concerns."""

    ending: Ending
    kind: ErrorKind
    words: str


_DOUBT = Meaning(Ending.IN_DOUBT, ErrorKind.UNKNOWN, "the call broke off")
_RESET = Meaning(Ending.IN_DOUBT, ErrorKind.OVERLOAD, "the connection was reset")
_SILENCE = Meaning(Ending.IN_DOUBT, ErrorKind.OVERLOAD, "no answer in time")
_CUT = Meaning(Ending.IN_DOUBT, ErrorKind.UNKNOWN, "the reply was cut or damaged")
_NO_HTTP = Meaning(Ending.IN_DOUBT, ErrorKind.UNKNOWN, "the answer is not HTTP")
_NO_CONNECTION = Meaning(Ending.NOT_SENT, ErrorKind.UNKNOWN, "no connection")
_NO_TRUST = Meaning(Ending.NOT_SENT, ErrorKind.ACCOUNT, "the server's certificate is not trusted")
_BAD_URL = Meaning(Ending.NOT_SENT, ErrorKind.ACCOUNT, "the base URL cannot be used")
_REDIRECT = Meaning(Ending.IN_DOUBT, ErrorKind.ACCOUNT, "a redirect went wrong")

#: Every error class of aiohttp has its own line; a test walks aiohttp's tree and finds none missing.
MEANINGS: Mapping[type[BaseException], Meaning] = {
    lower.ClientError: _DOUBT,
    lower.ClientConnectionError: _DOUBT,
    lower.ClientConnectionResetError: _RESET,
    lower.ClientOSError: _RESET,
    lower.ClientConnectorError: _NO_CONNECTION,
    lower.ClientConnectorDNSError: Meaning(Ending.NOT_SENT, ErrorKind.UNKNOWN, "the server's name is not known"),
    lower.ClientProxyConnectionError: _NO_CONNECTION,
    lower.UnixClientConnectorError: _NO_CONNECTION,
    lower.ClientSSLError: Meaning(Ending.NOT_SENT, ErrorKind.UNKNOWN, "no secure connection"),
    lower.ClientConnectorSSLError: Meaning(Ending.NOT_SENT, ErrorKind.UNKNOWN, "no secure connection"),
    lower.ClientConnectorCertificateError: _NO_TRUST,
    lower.ServerConnectionError: _DOUBT,
    lower.ServerDisconnectedError: Meaning(
        Ending.IN_DOUBT, ErrorKind.OVERLOAD, "the server closed the connection without an answer"
    ),
    lower.ServerFingerprintMismatch: _NO_TRUST,
    lower.ServerTimeoutError: _SILENCE,
    lower.ConnectionTimeoutError: Meaning(Ending.NOT_SENT, ErrorKind.OVERLOAD, "no connection in time"),
    lower.SocketTimeoutError: _SILENCE,
    lower.ClientResponseError: _NO_HTTP,
    lower.ContentTypeError: _NO_HTTP,
    lower.WSServerHandshakeError: _NO_HTTP,
    lower.ClientHttpProxyError: _NO_HTTP,
    lower.TooManyRedirects: _REDIRECT,
    lower.ClientPayloadError: _CUT,
    lower.UploadAbortedError: _DOUBT,
    lower.InvalidURL: _BAD_URL,
    lower.InvalidUrlClientError: _BAD_URL,
    lower.NonHttpUrlClientError: _BAD_URL,
    lower.RedirectClientError: _REDIRECT,
    lower.InvalidUrlRedirectClientError: _REDIRECT,
    lower.NonHttpUrlRedirectClientError: _REDIRECT,
    lower.WSMessageTypeError: _DOUBT,
}
_BACKSTOP = Meaning(Ending.NOT_SENT, ErrorKind.OVERLOAD, "the call took too long")
_FOREIGN = Meaning(Ending.NOT_SENT, ErrorKind.UNKNOWN, "the call failed")


def read_meaning(error: BaseException, *, has_left: bool) -> Meaning:
    """Say what `error` means for a call whose first byte may have left (`has_left`) or cannot have."""
    meaning = MEANINGS.get(type(error))
    if meaning is None:
        meaning = _BACKSTOP if isinstance(error, TimeoutError) else _FOREIGN
    if has_left and meaning.ending is Ending.NOT_SENT:
        return Meaning(Ending.IN_DOUBT, meaning.kind, meaning.words)
    return meaning


@dataclass(slots=True)
class _Call:
    """What is known of one call while it is under way."""

    started_s: float
    on_sent: Callable[[], None] | None
    has_left: bool = False
    connect_started_s: float = 0.0
    connect_s: float | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _TooLargeError(Exception):
    """The reply is larger than anything a provider sends; reading it stopped."""


class Transport:
    """Kept connections to one server, for up to `max_concurrency` calls at once in one event loop.

    Opened by its first call, in the loop that makes it. `secret` appears in nothing that comes out.
    """

    def __init__(
        self, *, secret: Secret, max_concurrency: int, timeouts: Timeouts, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._secret = secret
        self._limit = max_concurrency
        self._ssl = ssl_context
        self._timeout = aiohttp.ClientTimeout(
            total=timeouts.total_s,
            connect=timeouts.pool_s + timeouts.connect_s,
            sock_connect=timeouts.connect_s,
            sock_read=timeouts.read_s,
        )
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def post(
        self, url: URL, body: bytes, *, evidence: bytes, on_sent: Callable[[], None] | None = None
    ) -> tuple[Exchange, WholeError | None]:
        """Send `body` once, and say how that ended; the error is None exactly where a whole reply came back.

        `evidence` is the request as it may be kept. `on_sent` is called just before the first byte leaves: after a
        cancellation, which propagates, that it was not called proves that nothing left. Raises nothing else.
        """
        call = _Call(asyncio.get_running_loop().time(), on_sent)
        try:
            await self._exchange(url, body, call)
        except Exception as error:  # noqa: BLE001 - whatever breaks, it must be said whether a paid call may have left
            return self._fail(call, evidence, error)
        return self._describe(call, evidence, Ending.ANSWERED), None

    async def close(self) -> None:
        """Close the connections; calls under way end as broken off. May be called twice."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, url: URL, body: bytes, call: _Call) -> None:
        # aiohttp warns of large plain bodies; a stream of bytes is never sent twice either.
        data = body if len(body) <= _LARGEST_PLAIN_BODY else io.BytesIO(body)
        response = await self._open().post(url, data=data, allow_redirects=False, trace_request_ctx=call)
        call.status = response.status
        call.headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        try:
            await _read_body(response.content, call)
        except BaseException:
            response.close()
            raise

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._is_closed:
                raise RuntimeError("the connection is closed")
            self._session = aiohttp.ClientSession(
                connector=WatchfulConnector(
                    limit=self._limit, keepalive_timeout=KEEPALIVE_S, ssl=self._ssl if self._ssl is not None else True
                ),
                timeout=self._timeout,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_build_trace()],
                trust_env=False,
            )
        return self._session

    def _fail(self, call: _Call, evidence: bytes, error: Exception) -> tuple[Exchange, WholeError]:
        if isinstance(error, _TooLargeError):
            meaning = Meaning(Ending.IN_DOUBT, ErrorKind.UNKNOWN, "the reply is too large to be one of a provider's")
        else:
            meaning = read_meaning(error, has_left=call.has_left or call.status is not None)
        call.body = call.body[:EVIDENCE_BYTES]
        detail = self._secret.blank_text(str(error)) or type(error).__name__
        exchange = self._describe(call, evidence, meaning.ending, f"{meaning.words} ({detail})")
        return exchange, WholeError(meaning.kind, meaning.words)

    def _describe(self, call: _Call, evidence: bytes, ending: Ending, problem: str = "") -> Exchange:
        blank = self._secret.blank
        return Exchange(
            ending=ending,
            request=blank(evidence),
            reply=blank(call.body),
            http_status=call.status,
            headers={name: self._secret.blank_text(value) for name, value in call.headers.items()},
            elapsed_s=asyncio.get_running_loop().time() - call.started_s,
            connect_s=call.connect_s,
            problem=problem,
        )


async def _read_body(content: aiohttp.StreamReader, call: _Call) -> None:
    """Read to the end into `call.body`, so that what came is kept whatever happens; stop at the size limit."""
    call.body = await content.readany()
    if content.at_eof():
        return
    blocks = [call.body]
    size = len(call.body)
    try:
        while block := await content.readany():
            blocks.append(block)
            size += len(block)
            if size > MAX_REPLY_BYTES:
                raise _TooLargeError(f"more than {MAX_REPLY_BYTES} bytes")
    finally:
        call.body = b"".join(blocks)


def _build_trace() -> aiohttp.TraceConfig:
    """Build the hooks, once a session: each call's own `_Call` is their context."""
    trace = aiohttp.TraceConfig(trace_config_ctx_factory=cast("type[SimpleNamespace]", _give_call))
    trace.on_request_headers_sent.append(_mark_left)
    trace.on_connection_create_start.append(_mark_connecting)
    trace.on_connection_create_end.append(_mark_connected)
    return trace


def _give_call(trace_request_ctx: Any) -> Any:
    return trace_request_ctx


async def _mark_left(_session: aiohttp.ClientSession, context: Any, _params: object) -> None:
    call: _Call = context
    call.has_left = True
    if call.on_sent is not None:
        call.on_sent()


async def _mark_connecting(_session: aiohttp.ClientSession, context: Any, _params: object) -> None:
    call: _Call = context
    call.connect_started_s = asyncio.get_running_loop().time()


async def _mark_connected(_session: aiohttp.ClientSession, context: Any, _params: object) -> None:
    call: _Call = context
    call.connect_s = asyncio.get_running_loop().time() - call.connect_started_s
