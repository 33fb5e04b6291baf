"""What a settlement asks the provider without placing anything: it passes the lane like every other call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imeiflow.dispatch.conclude import read_answer
from imeiflow.dispatch.lane import Call
from imeiflow.domain.ident import Reference
from imeiflow.providers.contract import Listing, OrderStatus

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Question:
    """The statuses of these orders; of none: the provider's list of recent ones."""

    references: tuple[Reference, ...]
    answer: asyncio.Future[Listing[OrderStatus]]

    @property
    def size(self) -> int:
        """Give the size of the call, less than nothing: how long it takes is kept apart from calls that place."""
        return -max(1, len(self.references))


class Inquiry:
    """The questions of one lane that wait for their turn. The engine lets them through the gate first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[Question] = deque()

    @property
    def has_turn(self) -> bool:
        """Say whether a question waits."""
        return bool(self._waiting)

    def begin(self, now: float) -> Coroutine[None, None, None]:
        """Begin a call in the lane that asks the next question; only where one waits."""
        question = self._waiting.popleft()
        return self._ask(question, self._engine.desk.lane.begin(now, question.size))

    async def fetch(
        self, references: Sequence[Reference], is_stopped: Callable[[], bool]
    ) -> Listing[OrderStatus] | None:
        """Ask for the statuses of orders, or for the recent ones; None where `is_stopped` says so before the answer."""
        answer: asyncio.Future[Listing[OrderStatus]] = asyncio.get_running_loop().create_future()
        question = Question(tuple(references), answer)
        self._waiting.append(question)
        self._engine.wake()
        try:
            while not answer.done() and not is_stopped():
                await asyncio.wait([answer], timeout=_LOOK_S)
        finally:
            if question in self._waiting:
                self._waiting.remove(question)
        return answer.result() if answer.done() else None

    async def _ask(self, question: Question, call: Call) -> None:
        """Make the call, and tell the lane how it ended."""
        engine = self._engine
        listing = await engine.connection.fetch_statuses(question.references)
        end, refusal = read_answer(listing.exchange, listing.error)
        engine.desk.lane.end(engine.clock.monotonic(), call, end, refusal)
        question.answer.set_result(listing)
        engine.wake()
