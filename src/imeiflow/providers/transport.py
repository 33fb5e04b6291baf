"""The one place that makes HTTP calls, and that turns aiohttp's errors into the ending of an `Exchange`.

A call is made once: POST, no retry, no redirect, no re-send on a dying connection. It may not judge what a reply
means; it says only whether one came back whole.

The exact line is where the connector hands over a connection (`connector.py`): no await lies between it and the first
byte of a short form (`poster.py`), nor, for a long one, aiohttp's hook `on_request_headers_sent`, whose five signals
would cost a third of a call. A call is *not sent* when it ended inside the connector *and* its error's class belongs
there; if either speaks against it, it is in doubt:

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
    TimeoutError (the backstop's, for the whole of a call or for silence), OSError, anything else: as the connector says
"""

from __future__ import annotations

import asyncio
import errno
import io
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING

import aiohttp
import structlog
from aiohttp import client_exceptions as lower

from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import WholeError
from imeiflow.providers.backstop import Backstop, SilenceError
from imeiflow.providers.connector import PASSAGE, Passage, WatchfulConnector
from imeiflow.providers.contract import Exchange, Timeouts
from imeiflow.providers.poster import LONGEST_BODY, Answer, FormPoster
from imeiflow.providers.secret import Secret

if TYPE_CHECKING:
    from yarl import URL

log = structlog.get_logger(__name__)

MAX_REPLY_BYTES = 8 * 1024 * 1024  #: after decompression
EVIDENCE_BYTES = 64 * 1024  #: what is kept of a reply that did not end well
KEPT_HEADERS = ("Content-Type", "Retry-After", "Server", "CF-RAY", "Date", "Location")
_KEPT_NAMES = {name.lower().encode(): name for name in KEPT_HEADERS}
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
    """What an error of the lower library says: the ending, unless the call had left, and whom it concerns."""

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
    SilenceError: _SILENCE,
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


def say_problem(error: BaseException, meaning: Meaning, url: URL) -> str:
    """Say in plain words what failed, and with whom: aiohttp's own are for the log."""
    place = str(url.host) if url.is_default_port() else f"{url.host}:{url.port}"
    match error:
        case lower.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as cause):
            return f"the certificate of {place} is not trusted: {cause.verify_message.rstrip('.')}"
        case lower.ClientConnectorDNSError():
            return f"the name {url.host} was not found"
        case lower.ClientConnectorSSLError():
            return f"no secure connection to {place}"
        case lower.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"{place} refused the connection"
        case lower.ClientConnectorError(os_error=OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH)):
            return f"there is no way to {place} from this machine"
        case lower.ClientConnectorError() | lower.ConnectionTimeoutError():
            return f"{meaning.words} to {place}" if meaning is _NO_CONNECTION else f"{meaning.words}: {place}"
        case TimeoutError() | _TooLargeError() | _ClosedError() if not isinstance(error, lower.ClientError):
            return f"{meaning.words} ({error})" if str(error) else meaning.words
    return f"{meaning.words} ({place})"


@dataclass(slots=True)
class _Call:
    """What is known of the reply of one call while it is under way."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  #: without the key
    body: bytes = b""


class _TooLargeError(Exception):
    """The reply is larger than anything a provider sends; reading it stopped."""


class _ClosedError(Exception):
    """The connection was closed before the call began."""


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
        self._total_s, self._read_s = timeouts.total_s, timeouts.read_s
        # What `total` and `sock_read` are for is the backstop's: aiohttp's cost more, and throw away what has arrived.
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            connect=timeouts.pool_s + timeouts.connect_s,
            sock_connect=timeouts.connect_s,
            sock_read=None,
        )
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        #: Remembered: the replies of one second bear the same headers.
        self._keep_headers = lru_cache(maxsize=256)(self._read_headers)

    async def post(
        self, url: URL, body: bytes, *, evidence: bytes, on_sent: Callable[[], None] | None = None
    ) -> tuple[Exchange, WholeError | None]:
        """Send `body` once, and say how that ended; the error is None exactly where a whole reply came back.

        `evidence` is the request as it may be kept. `on_sent` is called just before the first byte leaves: after a
        cancellation, which propagates, that it was not called proves that nothing left. Raises nothing else.
        """
        call = _Call()
        passage = Passage(time.perf_counter(), on_sent)
        PASSAGE.set(passage)
        try:
            session = self._open()
            with self._backstop.guard(passage):
                await self._exchange(session, url, body, call)
        except Exception as error:  # noqa: BLE001 - whatever breaks, it must be said whether a paid call may have left
            return self._fail(call, passage, url, evidence, error)
        return self._describe(call, passage, evidence, Ending.ANSWERED), None

    async def close(self) -> None:
        """Close the connections; calls under way end as broken off. May be called twice."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()
            self._backstop.close()

    async def _exchange(self, session: aiohttp.ClientSession, url: URL, body: bytes, call: _Call) -> None:
        response: Answer | aiohttp.ClientResponse
        if len(body) <= LONGEST_BODY:
            response = await self._poster.post(url, body)
        else:
            # aiohttp warns of large plain bodies; a stream of bytes is never sent twice either.
            data = body if len(body) <= _LARGEST_PLAIN_BODY else io.BytesIO(body)
            response = await session.post(url, data=data, allow_redirects=False)
        call.status = response.status
        call.headers = self._keep_headers(response.raw_headers)
        try:
            await _read_body(response.content, call)
        except BaseException:
            response.close()
            raise

    def _read_headers(self, raw: tuple[tuple[bytes, bytes], ...]) -> Mapping[str, str]:
        """Give the headers that are kept, the key blanked; of one that is repeated the first."""
        found: dict[str, str] = {}
        for name, value in raw:
            kept = _KEPT_NAMES.get(name.lower())
            if kept is not None and kept not in found:
                found[kept] = self._secret.blank_text(value.decode("utf-8", "surrogateescape"))
        return MappingProxyType({name: found[name] for name in KEPT_HEADERS if name in found})

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._is_closed:
                raise _ClosedError("the connection is closed")
            self._backstop = Backstop(self._total_s, self._read_s, asyncio.get_running_loop())
            connector = WatchfulConnector(
                limit=self._limit, keepalive_timeout=KEEPALIVE_S, ssl=self._ssl if self._ssl is not None else True
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
            self._poster = FormPoster(self._session, connector, self._timeout)
        return self._session

    def _fail(
        self, call: _Call, passage: Passage, url: URL, evidence: bytes, error: Exception
    ) -> tuple[Exchange, WholeError]:
        if isinstance(error, _TooLargeError):
            meaning = Meaning(Ending.IN_DOUBT, ErrorKind.UNKNOWN, "the reply is too large to be one of a provider's")
        else:
            has_left = passage.may_have_left or call.status is not None
            meaning = read_meaning(error, has_left=has_left and not isinstance(error, _ClosedError))
        call.body = call.body[:EVIDENCE_BYTES]
        problem = self._secret.blank_text(say_problem(error, meaning, url))
        detail = self._secret.blank_text(str(error))
        log.info("call_broke", host=url.host, ending=meaning.ending, error=type(error).__name__, detail=detail)
        exchange = self._describe(call, passage, evidence, meaning.ending, problem)
        is_unsent = meaning.ending is Ending.NOT_SENT
        return exchange, WholeError(meaning.kind, problem if is_unsent else meaning.words)

    def _describe(self, call: _Call, passage: Passage, evidence: bytes, ending: Ending, problem: str = "") -> Exchange:
        blank = self._secret.blank
        return Exchange(
            ending=ending,
            request=blank(evidence),
            reply=blank(call.body),
            http_status=call.status,
            headers=call.headers,
            elapsed_s=time.perf_counter() - passage.started_s,
            connect_s=passage.connect_s,
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
