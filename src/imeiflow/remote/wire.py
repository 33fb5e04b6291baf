"""One request to a server, and its answer: nothing is repeated here, no redirect is followed, TLS is verified.

What may have arrived is told from what certainly did not: only whoever knows what a request does may send it again.
"""

from __future__ import annotations

import http
import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from imeiflow.remote.address import Server
from imeiflow.remote.error import LostError, RemoteError, UnreachableError, make_misfit

API: Final = "/api/v1"
_CONNECT_S: Final = 10.0
_READ_S: Final = 120.0  #: some answers wait for the provider
_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 1024 * 1024
_PART: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. `body` is JSON unless it is a stream of parts, of the kind `media_type`."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None
    parts: Iterable[bytes] | None = None
    size: int = 0  #: bytes of the parts
    media_type: str = "application/json"
    key: str | None = None


class Told(dict[str, Any]):
    """An object of a server's answer: what it should hold and does not is said. Raises RemoteError."""

    def __missing__(self, key: str) -> Any:
        raise make_misfit(f"it has no `{key}`")


class Stream:
    """An answer that is read while it comes."""

    def __init__(self, server: Server, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self._server = server
        self._answer = answer

    def header(self, name: str) -> str | None:
        """Give what a header says; None where it is not there."""
        return self._answer.getheader(name)

    def parts(self) -> Iterator[bytes]:
        """Give its bytes. Raises LostError where it breaks off."""
        with _translate_loss(self._server):
            while part := self._answer.read1(_PART):
                yield part
            if self._answer.length:
                raise http.client.IncompleteRead(b"", self._answer.length)

    def lines(self) -> Iterator[str]:
        """Give its lines. Raises LostError."""
        with _translate_loss(self._server):
            while line := self._answer.readline(_LONGEST_LINE):
                if not line.endswith(b"\n") and len(line) == _LONGEST_LINE:
                    raise http.client.LineTooLong("event")
                yield line.decode("utf-8", "replace").rstrip("\r\n")


def ask(server: Server, request: Request) -> Any:
    """Send a request and give the object that came back; None only where the server says that there is none.

    Whatever else comes in place of an object says nothing of what became of the request, and is lost. Raises
    UnreachableError, LostError, RemoteError.
    """
    with open_stream(server, request) as stream:
        raw = _read_bounded(server, stream)
        if stream.status == http.HTTPStatus.NO_CONTENT:
            return None
    try:
        value = json.loads(raw, parse_float=Decimal, parse_constant=_refuse_constant, object_hook=Told)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, Told):
        what = "what came back is no answer of imeiflow" if raw else "an empty answer came back"
        raise LostError(server=server.url, problem=f"{what}; is it an imeiflow server?")
    return value


def _read_bounded(server: Server, stream: Stream) -> bytes:
    raw = bytearray()
    for part in stream.parts():
        raw += part
        if len(raw) > _LARGEST_ANSWER:
            raise RemoteError(
                problem=f"{server.url} answers with over {_LARGEST_ANSWER >> 20} MB, which is no answer of imeiflow",
                remedy="Look at the address.",
            )
    return bytes(raw)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


@contextmanager
def open_stream(server: Server, request: Request) -> Iterator[Stream]:
    """Send a request and give the answer as it comes. Raises UnreachableError, LostError, RemoteError."""
    with closing(_connect(server)) as connection:
        with _translate_loss(server):
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had heard all
                _send(connection, server, request)
            answer = connection.getresponse()
        if answer.status >= 300:
            with _translate_loss(server):
                raw = answer.read(_PART)
            raise _read_problem(server, answer, raw)
        yield Stream(server, answer)


def _connect(server: Server) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=_CONNECT_S)
    if server.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(server.host, server.port, timeout=_CONNECT_S, context=context)
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        problem = f"its certificate is not to be trusted: {error.verify_message}"
        raise UnreachableError(server=server.url, problem=problem) from None
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(server=server.url, problem=_say(error)) from None
    connection.sock.settimeout(_READ_S)
    connection.auto_open = 0  # a connection that broke is not opened again behind our back
    return connection


def _send(connection: http.client.HTTPConnection, server: Server, request: Request) -> None:
    query = {name: value for name, value in (request.query or {}).items() if value is not None}
    target = f"{server.path}{API}{quote(request.path)}" + (f"?{urlencode(query, doseq=True)}" if query else "")
    headers = {"authorization": f"Bearer {server.token}", "accept": "application/json", "user-agent": "imeiflow"}
    if request.key is not None:
        headers["idempotency-key"] = request.key
    body: bytes | Iterable[bytes] | None = None
    if request.parts is not None:
        body = request.parts
        headers |= {"content-type": request.media_type, "content-length": str(request.size)}
    elif request.body is not None:
        body = json.dumps(request.body, default=str).encode()
        headers["content-type"] = "application/json"
    connection.request(request.method, target, body, headers)


@contextmanager
def _translate_loss(server: Server) -> Iterator[None]:
    """Turn what breaks a connection into a LostError: something may have arrived."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise LostError(server=server.url, problem=_say(error)) from None


def _read_problem(server: Server, answer: http.client.HTTPResponse, raw: bytes) -> Exception:
    """Make the error that an answer tells of."""
    try:
        told = json.loads(raw) if "problem+json" in (answer.getheader("content-type") or "") else None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        if answer.status >= 500:
            return LostError(server=server.url, problem=f"HTTP {answer.status} from something before it")
        if 300 <= answer.status < 400:
            problem, remedy = f"{server.url} sends elsewhere, which is not followed", "Name the address itself."
        else:
            problem, remedy = f"HTTP {answer.status}: there is no imeiflow at {server.url}", "Look at the address."
        return RemoteError(problem=problem, remedy=remedy, status=answer.status)
    return RemoteError(
        problem=str(told.get("detail") or told.get("title") or f"HTTP {answer.status}"),
        remedy=str(told.get("remedy") or ""),
        status=answer.status,
        code=str(told.get("type", "")).rpartition("#problem-")[2],
        exit_code=_read_exit(told, answer.status),
    )


def _read_exit(told: Mapping[str, Any], status: int) -> int:
    """Give the exit status that the same error has at the server's own command line."""
    given = told.get("exit_status")
    if isinstance(given, int) and 1 <= given <= 4:
        return given
    return 2 if status in {400, 404, 409, 413, 415, 422} else 1


def _say(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the connection was lost"
