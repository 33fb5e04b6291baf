"""How long a call may take as a whole, and how long nothing may be heard of it: one timer for all calls of a pool.

`asyncio.timeout` does the first at six times the cost, and aiohttp's `sock_read` the second with two timers a call.
Both look at the clock alone. A process that stood still (SIGSTOP, a suspended machine) finds its timers due when it
goes on, and the replies of its calls in the buffers of its sockets. Here a call is given up only when what has arrived
meanwhile has been read.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Final, Protocol

#: What is due is looked at once more after so long: until then, whatever lies in the sockets is read.
GRACE_S: Final = 0.25
#: A second look that comes later than this comes from a process that stood still once more.
_LATE_S: Final = 0.05
_MOST_GRACES: Final = 20
_TICK_S: Final = 0.001  #: event loops count in milliseconds


class SilenceError(TimeoutError):
    """Nothing was heard of a call for too long."""


class Listener(Protocol):
    """What hears of a call."""

    @property
    def heard_at(self) -> float | None:
        """Say when something was heard last, in the loop's time; None before an answer can be expected."""


class Backstop:
    """Cancels what runs in one of its guards for longer than `total_s` seconds, or what is silent for `silence_s`.

    A TimeoutError comes out of it, a SilenceError in the second case. `loop` is the running one: to ask for it again
    costs a system call.
    """

    __slots__ = ("_guards", "_looks_at", "_loop", "_shorter_s", "_silence_s", "_timer", "_total_s")

    def __init__(self, total_s: float, silence_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._total_s = total_s
        self._silence_s = silence_s
        self._shorter_s = min(total_s, silence_s)  #: no guard expires sooner after it was looked at
        self._loop = loop
        self._guards: dict[_Guard, float] = {}  #: when each ends, the first that was entered first
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def guard(self, listener: Listener | None = None) -> _Guard:
        """Give a context for one call, to be entered once; `listener` tells when something was heard of it."""
        return _Guard(self, listener)

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
        now = self._loop.time()
        self._guards[guard] = now + self._total_s
        if self._timer is None:
            self._look_at(now + self._shorter_s)
        return task

    def leave(self, guard: _Guard) -> None:
        """Count no longer for a guard."""
        self._guards.pop(guard, None)

    def _look_at(self, moment: float) -> None:
        self._looks_at = moment
        self._timer = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        """Give up what was due at the look before, and is still; look again when the next may be."""
        self._timer = None
        now = self._loop.time()
        stood_still = now - self._looks_at > _LATE_S
        next_at = now + self._shorter_s
        for guard, ends_at in list(self._guards.items()):
            silent_at = guard.heard_at + self._silence_s
            due_at = min(ends_at, silent_at)
            if due_at > now + _TICK_S:
                guard.graces = 0
                next_at = min(next_at, due_at)
            elif guard.graces == 0 or (stood_still and guard.graces < _MOST_GRACES):
                guard.graces += 1
                next_at = min(next_at, now + GRACE_S)
            else:
                del self._guards[guard]
                guard.expire(self._explain(is_silent=silent_at < ends_at))
        if self._guards:
            self._look_at(next_at)

    def _explain(self, *, is_silent: bool) -> TimeoutError:
        if is_silent:
            return SilenceError(f"nothing was heard for {self._silence_s:g} s")
        return TimeoutError(f"no end within {self._total_s:g} s")


class _Guard:
    """A context that its backstop may cancel. A cancellation from outside stays one, also when both come together."""

    __slots__ = ("_backstop", "_cancelling", "_expiry", "_listener", "_task", "graces")

    def __init__(self, backstop: Backstop, listener: Listener | None) -> None:
        self.graces = 0  #: looks in a row at which it was due
        self._backstop = backstop
        self._listener = listener
        self._expiry: TimeoutError | None = None

    @property
    def heard_at(self) -> float:
        """Say when something was heard last; infinity before an answer can be expected."""
        heard_at = None if self._listener is None else self._listener.heard_at
        return math.inf if heard_at is None else heard_at

    def __enter__(self) -> None:
        self._task = self._backstop.enter(self)
        self._cancelling = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backstop.leave(self)
        if self._expiry is None:
            return
        is_only_ours = self._task.uncancel() <= self._cancelling
        if is_only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._expiry from error

    def expire(self, expiry: TimeoutError) -> None:
        """Cancel what runs in it."""
        self._expiry = expiry
        self._task.cancel()
