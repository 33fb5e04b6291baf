"""One connection of the simulated server: HTTP/1.1 read and written by hand, because it must be fast and misbehave.

It reads one request at a time; what a client sends ahead waits, and is answered in order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from imeiflow.errors import ConfigurationError
from imeiflow.simulator.answer import REASONS, Answer, Manner, show_page
from imeiflow.simulator.control import Stream, answer_control
from imeiflow.simulator.form import read_form
from imeiflow.simulator.request import MAX_BODY, MAX_HEAD, BadRequestError, Head, read_head
from imeiflow.simulator.site import Call, Site

if TYPE_CHECKING:
    from typing import Any

PATHS = frozenset({"/gsmfusion_api/index.php", "/UPAPI_api/index.php"})
CONTROL = "/simulator/"
_SENT_AHEAD = 256 * 1024  #: bytes that a client may send ahead before reading stops
_LINGER_NONE = struct.pack("ii", 1, 0)


class Outbox:
    """Replies that leave together, once all the requests that have arrived are read.

    A client that sleeps is woken once for many replies instead of once for each: that doubles the calls in a second.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._letters: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, data: bytes) -> None:
        """Put in bytes for a connection."""
        if not self._letters:
            self._loop.call_soon(self.flush)
        self._letters.append((transport, data))

    def flush(self) -> None:
        """Write all that is in it, in the order in which it came; what a client no longer waits for is dropped."""
        letters, self._letters = self._letters, []
        for transport, data in letters:
            if not transport.is_closing():
                transport.write(data)


class Connection(asyncio.Protocol):
    """Reads requests, hands them to the site, and writes, withholds or damages the answers."""

    def __init__(self, site: Site, outbox: Outbox, connections: set[Connection]) -> None:
        self._site = site
        self._outbox = outbox
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._head: Head | None = None
        self._chunks: bytearray | None = None
        self._call: Call | None = None
        self._is_busy = False
        self._is_reading = False
        self._is_closed = False
        self._is_held = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._served = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._site.stats.connections += 1
        self._watch_idleness()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """Forget the connection; a call under way goes on without it."""
        self._is_closed = True
        self._connections.discard(self)
        self._can_write.set()
        self._stop_timer()
        if self._call is not None:
            self._site.abandon(self._call)

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; answer what is complete."""
        if self._timer is not None:
            self._stop_timer()
        if not (self._is_busy or self._buffer or self._head is not None) and self._serve_whole(data):
            return
        self._buffer += data
        if not self._is_busy:
            self._read_requests()
        if self._is_busy and len(self._buffer) > _SENT_AHEAD and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()

    def abort(self) -> None:
        """End the connection at once, from our side."""
        if not self._is_closed:
            self._transport.abort()

    def _serve_whole(self, data: bytes) -> bool:
        """Serve the one request that `data` is, as nearly always; False when it is less, more or something else."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return False
        try:
            head = read_head(data[:end])
        except BadRequestError:
            return False
        if head.length is None or len(data) != end + 4 + head.length or head.awaits_continue:
            return False
        self._is_busy = True
        self._serve(head, data[end + 4 :])
        return True

    def _read_requests(self) -> None:
        self._is_reading = True
        try:
            while not self._is_busy and not self._transport.is_closing():
                body = self._read_request()
                if body is None:
                    break
                head, self._head = self._head, None
                self._is_busy = True
                self._serve(cast("Head", head), body)
        except BadRequestError:
            self._site.stats.bad_requests += 1
            self._is_busy = True
            self._write(show_page(400, REASONS[400]), is_kept=False)
        finally:
            self._is_reading = False
        if self._is_held and not self._is_busy and not self._transport.is_closing():
            self._is_held = False
            self._transport.resume_reading()

    def _read_request(self) -> bytes | None:
        """Take one whole request from the buffer: its head goes to `_head`, its body is returned. None: not yet."""
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise BadRequestError("head")
                return None
            self._head = read_head(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            self._chunks = bytearray() if self._head.length is None else None
            if (self._head.length or 0) > MAX_BODY:
                raise BadRequestError("body")
            if self._head.awaits_continue:
                self._outbox.put(self._transport, b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._chunks is not None:
            return self._read_chunks(self._chunks)
        length = self._head.length or 0
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self, chunks: bytearray) -> bytes | None:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return None
            try:
                size = int(bytes(self._buffer[:end]).split(b";")[0], 16)
            except ValueError as error:
                raise BadRequestError("chunk") from error
            if size < 0 or len(chunks) + size > MAX_BODY:
                raise BadRequestError("body")
            if size == 0:
                return self._read_trailers(end, chunks)
            if len(self._buffer) < end + size + 4:
                return None
            chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + size + 4]

    def _read_trailers(self, end: int, chunks: bytearray) -> bytes | None:
        if self._buffer[end : end + 4] == b"\r\n\r\n":
            stop = end
        else:
            stop = self._buffer.find(b"\r\n\r\n", end)
            if stop < 0:
                return None
        del self._buffer[: stop + 4]
        return bytes(chunks)

    def _serve(self, head: Head, body: bytes) -> None:
        site = self._site
        self._served += 1
        if head.path.startswith(CONTROL):
            self._serve_control(head, body)
            return
        if head.path not in PATHS:
            self._write(show_page(404, REASONS[404]), is_kept=head.is_kept)
            return
        fields = read_form(body, head.content_type)
        is_moved = head.query == "redirected=1"
        if is_moved:
            site.stats.redirects_followed += 1

        def respond(answer: Answer) -> None:
            self._respond(head, answer)

        if site.behaviour.redirect and not is_moved:
            status = site.behaviour.redirect
            moved = show_page(status, REASONS[status], ("Location", f"{head.path}?redirected=1"))
            call = site.redirect(respond, moved)
        else:
            call = site.receive(fields, respond)
        if self._is_busy:
            self._call = call

    def _serve_control(self, head: Head, body: bytes) -> None:
        try:
            answer = answer_control(self._site, head.method, head.path, body)
        except ConfigurationError as error:
            answer = Answer(400, str(error).encode(), "text/plain; charset=utf-8")
        if isinstance(answer, Stream):
            self._task = self._loop.create_task(self._write_stream(answer, is_kept=head.is_kept))
        else:
            self._write(answer, is_kept=head.is_kept, is_plain=True)

    def _respond(self, head: Head, answer: Answer) -> None:
        if self._is_closed:
            return
        match answer.manner:
            case Manner.SEND:
                every = self._site.behaviour.close_every
                is_silent_end = every > 0 and self._served >= every
                self._write(answer, is_kept=head.is_kept, takes_gzip=head.takes_gzip, is_silent_end=is_silent_end)
            case Manner.CUT:
                self._outbox.put(self._transport, _make_head(answer, len(answer.body)) + answer.body[: answer.sent])
                self._finish(is_kept=False)
            case Manner.CLOSE:
                self._finish(is_kept=False)
            case Manner.RESET:
                self._reset()
            case Manner.HANG:
                pass

    def _write(
        self,
        answer: Answer,
        *,
        is_kept: bool,
        takes_gzip: bool = False,
        is_silent_end: bool = False,
        is_plain: bool = False,
    ) -> None:
        """Write an answer as the behaviour wants it; `is_silent_end` closes behind it without a word about it."""
        behaviour = self._site.behaviour
        headers = b"" if is_kept else b"Connection: close\r\n"
        body = answer.body
        if not is_plain and behaviour.gzip and takes_gzip and body and not answer.headers:
            packer = zlib.compressobj(1, wbits=31)
            body = packer.compress(body) + packer.flush()
            headers += b"Content-Encoding: gzip\r\n"
        is_kept = is_kept and not is_silent_end
        if is_plain or not (behaviour.chunked or behaviour.dribble):
            self._outbox.put(self._transport, _make_head(answer, len(body), headers) + body)
            self._finish(is_kept=is_kept)
            return
        size = behaviour.dribble_bytes if behaviour.dribble else 1024
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        if behaviour.chunked:
            self._outbox.put(self._transport, _make_head(answer, None, headers))
            pieces = [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]
        else:
            self._outbox.put(self._transport, _make_head(answer, len(body), headers))
        self._dribble(iter(pieces), is_kept=is_kept)

    def _dribble(self, pieces: Iterator[bytes], *, is_kept: bool) -> None:
        """Write piece after piece, at once or with pauses."""
        pause = self._site.behaviour.dribble
        for piece in pieces:
            if self._is_closed:
                return
            self._outbox.put(self._transport, piece)
            if pause:
                self._timer = self._loop.call_later(pause, lambda: self._dribble(pieces, is_kept=is_kept))
                return
        self._finish(is_kept=is_kept)

    async def _write_stream(self, stream: Stream, *, is_kept: bool) -> None:
        """Write a long listing piece by piece, as fast as the client reads and other calls allow."""
        self._outbox.put(self._transport, _make_head(Answer(content_type=stream.content_type), None))
        for piece in stream.pieces:
            await self._can_write.wait()
            if self._is_closed:
                return
            self._outbox.put(self._transport, b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        self._outbox.put(self._transport, b"0\r\n\r\n")
        self._finish(is_kept=is_kept)

    def _finish(self, *, is_kept: bool) -> None:
        """End the call that was answered, and go on with what was sent ahead, or close."""
        if self._call is not None:
            self._call.is_answered = True
            self._call = None
        self._is_busy = False
        if not is_kept:
            self._outbox.flush()
            self._transport.close()
            return
        self._watch_idleness()
        if (self._buffer or self._is_held) and not self._is_reading:
            self._read_requests()

    def _reset(self) -> None:
        if self._call is not None:
            self._call.is_answered = True
        self._outbox.flush()
        sock: Any = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self._transport.abort()

    def _watch_idleness(self) -> None:
        idle_s = self._site.behaviour.idle_close
        if idle_s:
            self._stop_timer()
            self._timer = self._loop.call_later(idle_s, self._transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None and not self._is_busy:
            self._timer.cancel()
            self._timer = None


@lru_cache(maxsize=256)
def _make_fixed_head(status: int, content_type: str, extra: bytes) -> bytes:
    line = f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nServer: cloudflare\r\nContent-Type: {content_type}\r\n"
    return line.encode("latin-1") + extra


def _make_head(answer: Answer, length: int | None, extra: bytes = b"") -> bytes:
    """Make the head of a reply; without a length it is chunked."""
    for name, value in answer.headers:
        extra += f"{name}: {value}\r\n".encode("latin-1")
    fixed = _make_fixed_head(answer.status, answer.content_type, extra)
    if length is None:
        return fixed + b"Transfer-Encoding: chunked\r\n\r\n"
    return b"%bContent-Length: %d\r\n\r\n" % (fixed, length)
