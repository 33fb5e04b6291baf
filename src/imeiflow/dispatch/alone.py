"""The calls of one order each that a settlement asked for: they wait for their turn in the lane, and may be withdrawn.

Makes none itself; the engine does, and tells what came of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Chunk, Work
from imeiflow.domain.ident import JobId, OrderId
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import Doubt, QueuedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine


@dataclass(frozen=True, slots=True)
class Asked:
    """An order of `job` that is to be sent once more, alone; `repeat` is what its answer teaches of."""

    kind: AttemptKind
    doubt: Doubt
    job: JobId
    repeat: Repeat


class Alone:
    """What one settlement has asked to be sent, as long as it waits for the end of it."""

    def __init__(self, engine: Engine, work: Work, treatment: Treatment) -> None:
        self._engine = engine
        self._work = work
        self._treatment = treatment
        self._open: dict[OrderId, tuple[Asked, asyncio.Future[Ended | None]]] = {}

    def send(self, asked: Asked) -> asyncio.Future[Ended | None]:
        """Ask for a call; give what will tell of its end: None where it was not made after all."""
        future: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        doubt = asked.doubt
        self._open[doubt.order] = asked, future
        chunk = Chunk(asked.kind, (QueuedOrder(doubt.order, doubt.imei, 0, 0),), asked.job)
        self._engine.send_alone(self._work, chunk, asked.repeat)
        return future

    def forget(self, order: OrderId) -> None:
        """Wait no longer for the end of the call with an order."""
        self._open.pop(order, None)

    def may_leave(self, chunk: Chunk) -> bool:
        """Say whether a call that was asked for may be made now: it may have waited for its turn for long."""
        asked, _ = self._open.get(chunk.orders[0].id, (None, None))
        if asked is None:
            return False
        if asked.kind is AttemptKind.PROBE:
            return not self._treatment.is_charged
        return self._treatment.covers(asked.doubt.began_at)

    def heard(self, ended: Ended) -> None:
        """Take the end of a call that was asked for."""
        self._answer(ended.chunk, ended)

    def withdrawn(self, chunk: Chunk) -> None:
        """Learn that a call was not made because it may not be made any more."""
        self._answer(chunk, None)

    def missed(self, chunk: Chunk) -> None:
        """Learn that a call that was asked for will not be made: its order is no longer what it was."""
        _, future = self._open.pop(chunk.orders[0].id, (None, None))
        if future is not None:
            future.cancel()

    def _answer(self, chunk: Chunk, ended: Ended | None) -> None:
        _, future = self._open.pop(chunk.orders[0].id, (None, None))
        if future is not None and not future.done():
            future.set_result(ended)
