"""A connection pool that looks at a kept connection before it is used again. Speaks no HTTP.

aiohttp reuses a pooled connection unseen. Against a server that has closed it meanwhile, or that has sent something
nobody asked for, a paid call would end in needless doubt, or be answered with another call's reply.
"""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class WatchfulConnector(aiohttp.TCPConnector):
    """A TCPConnector that gives out no connection on which something is already waiting to be read."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        """Give a new connection, or a kept one that is idle."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if not _is_spoilt(connection):
                return connection
            connection.close()


def _is_spoilt(connection: Connection) -> bool:
    protocol = connection.protocol
    if protocol is None:
        return True
    # Only a first call sets the time-out: without one the connection is new, and whatever stands on it is its own.
    if protocol.read_timeout is None:
        return False
    if protocol.should_close or protocol.transport is None:
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
