"""What people ask of a provider while its lane is worked on: credit, a price list. Asked in the lane, like all else.

For one engine, in its event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from imeiflow.dispatch.conclude import read_answer
from imeiflow.dispatch.lane import Call, CallEnd
from imeiflow.dispatch.price import CALL_SIZE
from imeiflow.errors import ImeiflowError
from imeiflow.providers.contract import Connection, Listing

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

T = TypeVar("T")

_PATIENCE_S: Final = 60.0


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


class Errands:
    """The questions that wait for their turn in an engine's lane; one is asked at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Errand] = deque()
        self._asked: _Errand | None = None
        self._is_closed = False

    @property
    def has_turn(self) -> bool:
        """Say whether something is to be asked now; whoever has gone away needs no answer."""
        while self._waiting and self._waiting[0].answer.done():
            self._waiting.popleft()
        return bool(self._waiting) and self._asked is None

    async def ask(self, question: Question[T]) -> Listing[T]:
        """Ask when the lane lets a call leave, and give the answer.

        Raises LeftLaneError, SlowAnswerError, and what the question raises.
        """
        if self._is_closed:
            raise LeftLaneError
        errand = _Errand(question, asyncio.get_running_loop().create_future())
        self._waiting.append(errand)
        self._engine.wake()
        return cast("Listing[T]", await errand.answer)

    def begin(self, now: float) -> Coroutine[None, None, None]:
        """Claim the first that waits, and begin a call in the lane that asks it; only where one has its turn."""
        self._asked = self._waiting.popleft()
        return self._run(self._asked, self._engine.desk.lane.begin(now, CALL_SIZE))

    async def _run(self, errand: _Errand, call: Call) -> None:
        engine = self._engine
        end, refusal = CallEnd.IGNORE, None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                listing = await errand.question(engine.connection)
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
            self._asked = None
            engine.desk.lane.end(engine.clock.monotonic(), call, end, refusal)
            engine.wake()

    def close(self) -> None:
        """Tell whoever still waits that nothing more is asked here."""
        self._is_closed = True
        if self._asked is not None and not self._asked.answer.done() and self._engine.was_abandoned:
            _fail(self._asked, LeftLaneError())  # given up before it began
        while self._waiting:
            _fail(self._waiting.popleft(), LeftLaneError())


def _give(errand: _Errand, listing: Listing[Any]) -> None:
    if not errand.answer.done():
        errand.answer.set_result(listing)


def _fail(errand: _Errand, error: Exception) -> None:
    if not errand.answer.done():
        errand.answer.set_exception(error)
