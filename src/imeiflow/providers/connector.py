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
from typing import TYPE_CHECKING

import aiohttp

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


#: The passage of the task's call; set just before it.
PASSAGE: ContextVar[Passage] = ContextVar("PASSAGE")


class WatchfulConnector(aiohttp.TCPConnector):
    """A TCPConnector that gives out no connection on which something is already waiting to be read."""

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
            if _is_new(connection):
                passage.connect_s = time.perf_counter() - begun_s
            elif _is_spoilt(connection):
                connection.close()
                continue
            passage.may_have_left = True
            if passage.on_sent is not None:
                passage.on_sent()
            return connection


def _is_new(connection: Connection) -> bool:
    """Say whether no call has used the connection: only a first call sets the protocol's time-out."""
    return connection.protocol is not None and connection.protocol.read_timeout is None


def _is_spoilt(connection: Connection) -> bool:
    protocol = connection.protocol
    if protocol is None or protocol.should_close or protocol.transport is None:
        return True
    socket = protocol.transport.get_extra_info("socket")
    return socket is not None and _is_readable(socket.fileno())


def _is_readable(descriptor: int) -> bool:
    """Say whether bytes, an end or an error wait on an idle socket."""
    if descriptor < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
