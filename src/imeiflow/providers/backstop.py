"""A limit for the whole of a call. `asyncio.timeout` does the same at four times the cost, once a paid call."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Backstop:
    """A context that cancels what runs in it after `limit_s` seconds, and turns that into a TimeoutError.

    A cancellation from outside stays one, also when both come together. `loop` is the running one: to ask for it
    again costs a system call.
    """

    __slots__ = ("_cancelling", "_handle", "_has_expired", "_limit_s", "_loop", "_task")

    def __init__(self, limit_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._limit_s = limit_s
        self._loop = loop
        self._has_expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a call is made by a task of the event loop that made the first one")
        self._task = task
        self._cancelling = task.cancelling()
        self._handle = self._loop.call_later(self._limit_s, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if not self._has_expired:
            return
        is_only_ours = self._task.uncancel() <= self._cancelling
        if is_only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError(f"no end within {self._limit_s:g} s") from error

    def _expire(self) -> None:
        self._has_expired = True
        self._task.cancel()
