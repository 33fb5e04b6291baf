"""What leaves together, and clients that are gone before it does."""

from __future__ import annotations

import asyncio

from imeiflow.simulator.connection import Outbox


class Line(asyncio.Transport):
    """A transport that keeps what is written, and bears no writing once it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closed:
            raise RuntimeError
        self.written.append(bytes(data))


async def test_a_client_that_goes_away_takes_no_other_s_reply_with_it():
    outbox, gone, waiting = Outbox(), Line(), Line()
    outbox.put(gone, b"one")
    outbox.put(waiting, b"two")
    gone.is_closed = True
    outbox.flush()
    assert (gone.written, waiting.written) == ([], [b"two"])
