"""A connection pool that knows which calls may have left, and looks at a kept connection before it is used again.

Speaks no HTTP. Until the pool hands over a connection nothing can have been written; from then on something may.

aiohttp reuses a pooled connection unseen. Against a server that has closed it meanwhile, or that has sent something
nobody asked for, a paid call would end in needless doubt, or be answered with another call's reply.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(slots=True)
class Passage:
    """One call's way through the pool.

    `may_have_left` begins true, and is false only while the call is in the pool's hands: should a later aiohttp go
    another way, calls end in doubt and are never taken for unsent.
    """

    started_s: float
    on_sent: Callable[[], None] | None = None
    may_have_left: bool = True
    connect_s: float | None = None  #: until a new connection was open; None for a kept one
    handler: AttentiveHandler | None = None  #: of the connection that the call was given

    @property
    def heard_at(self) -> float | None:
        """Say when something was heard of the call, in the loop's time; None while nothing can be."""
        return None if self.handler is None else self.handler.heard_at


#: The passage of the task's call; set just before it.
PASSAGE: ContextVar[Passage] = ContextVar("PASSAGE")


class AttentiveHandler(ResponseHandler):
    """Knows when its connection was heard of last, instead of setting a timer whenever it is; see `backstop`."""

    was_used = False
    heard_at: float | None = None  #: in the loop's time; None until the request has left as a whole
    _idle: Callable[[int], list[tuple[int, int]]] | None = None  #: asks its socket whether anything waits there

    def begin(self) -> bool:
        """Be given out for one more call; say whether it is the first."""
        is_first, self.was_used, self.heard_at = not self.was_used, True, None
        return is_first

    def start_timeout(self) -> None:
        """Count silence from now on: the request has left."""
        self.heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self.heard_at = self._loop.time()
        super().data_received(data)

    def is_spoilt(self) -> bool:
        """Say whether bytes, an end or an error wait on a connection that should be idle."""
        if self.should_close or self.transport is None:
            return True
        if self._idle is None:
            socket = self.transport.get_extra_info("socket")
            if socket is None:
                return False
            if socket.fileno() < 0 or sys.platform == "win32":
                return _is_readable(socket.fileno())
            poll = select.poll()
            poll.register(socket.fileno(), select.POLLIN)
            self._idle = poll.poll
        return bool(self._idle(0))


class WatchfulConnector(aiohttp.TCPConnector):
    """A TCPConnector that gives out no connection on which something is already waiting to be read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: Callable[..., ResponseHandler] = AttentiveHandler
        self._factory = partial(make, loop=self._loop)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        """Give a new connection, or a kept one that is idle; from then on the task's call may have left."""
        passage = PASSAGE.get()
        passage.may_have_left = False
        begun_s = time.perf_counter()
        while True:
            connection = await super().connect(req, traces, timeout)
            handler = connection.protocol
            if not isinstance(handler, AttentiveHandler):
                connection.close()
                raise TypeError("aiohttp made a connection in a way that is not known here")
            if handler.begin():
                passage.connect_s = time.perf_counter() - begun_s
            elif handler.is_spoilt():
                connection.close()
                continue
            passage.handler = handler
            passage.may_have_left = True
            if passage.on_sent is not None:
                passage.on_sent()
            return connection


def _is_readable(descriptor: int) -> bool:
    return descriptor < 0 or bool(select.select([descriptor], [], [], 0)[0])
