"""What is asked of a provider without placing anything: it passes the lane like every other call.

What people ask while the lane is worked on (credit, a price list), and what a settlement asks about orders. For one
engine, in its event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from imeiflow.dispatch.call import Call, CallEnd
from imeiflow.dispatch.conclude import read_answer
from imeiflow.dispatch.price import CALL_SIZE
from imeiflow.domain.ident import Reference
from imeiflow.errors import ImeiflowError
from imeiflow.providers.contract import Connection, Listing, OrderStatus

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

T = TypeVar("T")

_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.25

Question: TypeAlias = Callable[[Connection], Awaitable[Listing[T]]]


class LeftLaneError(ImeiflowError):
    """The lane was given up before the provider could be asked."""

    remedy = "Try again in a moment."


class SlowAnswerError(ImeiflowError):
    """The provider took too long to answer."""

    remedy = "Try again in a moment."


@dataclass(frozen=True, slots=True, eq=False)
class _Errand:
    question: Question[Any]
    answer: asyncio.Future[Listing[Any]]
    size: int  #: of the call, for the lane


class _Asker:
    """Questions that wait for their turn in an engine's lane; each is given up after `patience_s`, where one is set."""

    def __init__(self, engine: Engine, *, patience_s: float | None = None) -> None:
        self._engine = engine
        self._patience_s = patience_s
        self._waiting: deque[_Errand] = deque()
        self._asked: set[_Errand] = set()

    @property
    def has_turn(self) -> bool:
        """Say whether something is to be asked now; whoever has gone away needs no answer."""
        while self._waiting and self._waiting[0].answer.done():
            self._waiting.popleft()
        return bool(self._waiting)

    def begin(self, now: float) -> Coroutine[None, None, None]:
        """Claim the first that waits, and begin a call in the lane that asks it; only where one has its turn."""
        errand = self._waiting.popleft()
        self._asked.add(errand)
        return self._run(errand, self._engine.desk.lane.begin(now, errand.size))

    def _wait(self, question: Question[T], size: int) -> asyncio.Future[Listing[T]]:
        """Let a question wait for its turn; give what will be its answer."""
        errand = _Errand(question, asyncio.get_running_loop().create_future(), size)
        self._waiting.append(errand)
        self._engine.wake()
        return cast("asyncio.Future[Listing[T]]", errand.answer)

    async def _run(self, errand: _Errand, call: Call) -> None:
        engine = self._engine
        end, refusal = CallEnd.IGNORE, None
        try:
            async with asyncio.timeout(self._patience_s):
                listing = await engine.read(errand.question(engine.connection))
            end, refusal = read_answer(listing.exchange, listing.error)
            _give(errand, listing)
        except TimeoutError:
            _fail(errand, SlowAnswerError())
        except asyncio.CancelledError:
            _fail(errand, LeftLaneError())
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked hears of it: no order depends on it
            _fail(errand, error)
        finally:
            self._asked.discard(errand)
            engine.desk.lane.end(engine.clock.monotonic(), call, end, refusal)
            engine.wake()


class Errands(_Asker):
    """What people ask; one is asked at a time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, patience_s=_PATIENCE_S)
        self._is_closed = False

    @property
    def has_turn(self) -> bool:
        """Say whether something is to be asked now."""
        return super().has_turn and not self._asked

    async def ask(self, question: Question[T]) -> Listing[T]:
        """Ask when the lane lets a call leave, and give the answer.

        Raises LeftLaneError, SlowAnswerError, and what the question raises.
        """
        if self._is_closed:
            raise LeftLaneError
        return await self._wait(question, CALL_SIZE)

    def close(self) -> None:
        """Tell whoever still waits that nothing more is asked here."""
        self._is_closed = True
        if self._engine.was_abandoned:
            for errand in self._asked:
                _fail(errand, LeftLaneError())  # given up before it began
        while self._waiting:
            _fail(self._waiting.popleft(), LeftLaneError())


class Inquiry(_Asker):
    """What settlements ask about orders."""

    async def fetch(
        self, references: Sequence[Reference], is_stopped: Callable[[], bool]
    ) -> Listing[OrderStatus] | None:
        """Ask for the statuses of orders, of none for the provider's list of recent ones.

        None where `is_stopped` says so before the answer. Raises what the question raises.
        """
        named = tuple(references)
        # Less than nothing: how long these calls take is kept apart from those that place orders.
        answer = self._wait(lambda connection: connection.fetch_statuses(named), -max(1, len(named)))
        try:
            while not answer.done() and not is_stopped():
                await asyncio.wait([answer], timeout=_LOOK_S)
            return answer.result() if answer.done() else None
        except LeftLaneError:  # given up by a stop
            return None
        finally:
            answer.cancel()


def _give(errand: _Errand, listing: Listing[Any]) -> None:
    if not errand.answer.done():
        errand.answer.set_result(listing)


def _fail(errand: _Errand, error: Exception) -> None:
    if not errand.answer.done():
        errand.answer.set_exception(error)
