"""A limit for the whole of a call. `asyncio.timeout` does the same at six times the cost, once a paid call."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Backstop:
    """Cancels what runs in one of its guards for longer than `limit_s` seconds: a TimeoutError comes out of it.

    All its guards have the same limit, so that the one that was entered first is the next to expire: one timer serves
    them all. `loop` is the running one: to ask for it again costs a system call.
    """

    __slots__ = ("_guards", "_limit_s", "_loop", "_timer")

    def __init__(self, limit_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._limit_s = limit_s
        self._loop = loop
        self._guards: dict[_Guard, float] = {}  #: when each expires, the first that was entered first
        self._timer: asyncio.TimerHandle | None = None

    def guard(self) -> _Guard:
        """Give a context for one call, to be entered once."""
        return _Guard(self)

    def close(self) -> None:
        """Let go of the timer; guards that are still entered expire no more."""
        self._guards.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def enter(self, guard: _Guard) -> asyncio.Task[object]:
        """Begin to count for a guard; give the task that it is entered in."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a call is made by a task of the event loop that made the first one")
        due_at = self._loop.time() + self._limit_s
        self._guards[guard] = due_at
        if self._timer is None:
            self._timer = self._loop.call_at(due_at, self._look)
        return task

    def leave(self, guard: _Guard) -> None:
        """Count no longer for a guard."""
        self._guards.pop(guard, None)

    def convert(self, error: BaseException | None) -> TimeoutError:
        """Give what comes out of a guard that has expired, because of its own cancellation."""
        timeout = TimeoutError(f"no end within {self._limit_s:g} s")
        timeout.__cause__ = error
        return timeout

    def _look(self) -> None:
        """Let all expire that are due, and look again when the next one is."""
        self._timer = None
        now = self._loop.time()
        for guard, due_at in list(self._guards.items()):
            if due_at > now:
                self._timer = self._loop.call_at(due_at, self._look)
                return
            del self._guards[guard]
            guard.expire()


class _Guard:
    """A context that its backstop may cancel. A cancellation from outside stays one, also when both come together."""

    __slots__ = ("_backstop", "_cancelling", "_has_expired", "_task")

    def __init__(self, backstop: Backstop) -> None:
        self._backstop = backstop
        self._has_expired = False

    def __enter__(self) -> None:
        self._task = self._backstop.enter(self)
        self._cancelling = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backstop.leave(self)
        if not self._has_expired:
            return
        is_only_ours = self._task.uncancel() <= self._cancelling
        if is_only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._backstop.convert(error)

    def expire(self) -> None:
        """Cancel what runs in it."""
        self._has_expired = True
        self._task.cancel()
