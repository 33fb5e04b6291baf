"""A form, posted once, past aiohttp's session: a third of what a call costs this machine.

Connections and parser are aiohttp's. Left out is what its session and its response do for calls that are never made
here: redirects, retries, cookies, traces, and before Python 3.12 a task of its own for each body. Whatever breaks comes
out as it does of the session.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientOSError,
    ClientRequest,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    RequestInfo,
    hdrs,
)
from aiohttp.helpers import TimerNoop
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import BaseConnector, Connection
    from yarl import URL

#: Half of what aiohttp writes before it waits until some of it has left.
LONGEST_BODY: Final = 32 * 1024
_NO_TIMER: Final = TimerNoop()
_SWITCHING: Final = 101  #: protocols: nobody asked for it, and nothing follows it


@dataclass(frozen=True, slots=True)
class _Form:
    """What is the same in all calls to one URL. `request` tells the pool where to; it is never sent itself."""

    request: ClientRequest
    info: RequestInfo
    head: bytes  #: up to the body's length


class Answer:
    """The head of a reply, and its body as it comes. At the body's end the connection goes back to its pool by itself.

    Named like the parts of aiohttp's `ClientResponse` that they are.
    """

    __slots__ = ("_connection", "content", "raw_headers", "status")

    def __init__(
        self, connection: Connection, status: int, raw_headers: tuple[tuple[bytes, bytes], ...], content: StreamReader
    ) -> None:
        self.status = status
        self.raw_headers = raw_headers
        self.content = content
        self._connection = connection
        content.on_eof(connection.release)

    def close(self) -> None:
        """Read no further: a connection whose body is not read is of no more use."""
        self._connection.close()


class FormPoster:
    """Posts short forms over a session's connections, with its headers, in the event loop that it was made in."""

    def __init__(self, session: ClientSession, connector: BaseConnector, timeout: ClientTimeout) -> None:
        self._session = session
        self._connector = connector
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._forms: dict[URL, _Form] = {}

    async def post(self, url: URL, body: bytes) -> Answer:
        """Send `body` once, in one write, and give the answer when its headers have come.

        `body` has at most LONGEST_BODY bytes. Raises what `ClientSession.post` raises.
        """
        if self._session.closed:
            raise RuntimeError("Session is closed")
        form = self._forms.get(url) or self._prepare(url)
        try:
            return await self._send(await self._connect(form), form, body)
        except ClientError:
            raise
        except OSError as error:
            if error.errno is None and isinstance(error, TimeoutError):
                raise
            raise ClientOSError(*error.args) from error

    async def _connect(self, form: _Form) -> Connection:
        try:
            return await self._connector.connect(form.request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise ConnectionTimeoutError(f"Connection timeout to host {form.request.url}") from error

    async def _send(self, connection: Connection, form: _Form, body: bytes) -> Answer:
        try:
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise ClientConnectionResetError("Cannot write to closing transport")
            protocol.set_response_params(timer=_NO_TIMER, read_until_eof=True)
            transport.write(b"%b%d\r\n\r\n%b" % (form.head, len(body), body))
            protocol.start_timeout()
            return await self._read_head(protocol, connection, form)
        except BaseException:
            connection.close()
            raise

    async def _read_head(self, protocol: ResponseHandler, connection: Connection, form: _Form) -> Answer:
        """Read heads until one is not merely in between."""
        while True:
            try:
                message, content = await protocol.read()
            except HttpProcessingError as error:
                raise ClientResponseError(
                    form.info, (), status=error.code, message=error.message, headers=error.headers
                ) from error
            if not 100 <= message.code <= 199 or message.code == _SWITCHING:
                return Answer(connection, message.code, message.raw_headers, content)

    def _prepare(self, url: URL) -> _Form:
        request = ClientRequest(
            hdrs.METH_POST, url, headers=self._session.headers, loop=self._loop, session=self._session
        )
        fields = [(name, value) for name, value in request.headers.items() if name != hdrs.CONTENT_LENGTH]
        lines = [f"POST {request.url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        head = "".join(f"{line}\r\n" for line in lines) + f"{hdrs.CONTENT_LENGTH}: "
        form = self._forms[url] = _Form(request, request.request_info, head.encode())
        return form
