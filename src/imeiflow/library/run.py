"""A coroutine run to its end in a thread with an event loop of its own, for callers that wait.

So it can be waited for from any thread, also from inside a running event loop (a notebook), and what the caller does
meanwhile never holds up a call that is under way. It knows nothing of orders.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - its hook at the end must be the older one: the youngest runs first
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Generic, TypeVar

from imeiflow.library.error import ClosedError

T = TypeVar("T")


class Run(Generic[T]):
    """One run. `on_end` is called in its thread when it has ended, however it ended."""

    live: ClassVar[set[Run[Any]]] = set()

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], on_end: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self._on_end = on_end
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        self.live.add(self)
        threading.Thread(target=self._run, name="imeiflow", daemon=True).start()
        self._begun.wait()

    def interrupt(self) -> None:
        """Cancel it: what that means is the coroutine's. Harmless when it has ended."""
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    def wait(self) -> None:
        """Wait until it has ended. What is raised meanwhile (Ctrl-C) interrupts it, and is raised when it has ended."""
        raised: BaseException | None = None
        while not self._ended.is_set():
            try:
                self._ended.wait()
            except BaseException as error:  # noqa: BLE001 - whatever a signal's handler raises
                raised = error
                self.interrupt()
        if raised is not None:
            raise raised

    def result(self) -> T:
        """Wait, and give the result, or raise the error. Raises ClosedError where somebody else interrupted it."""
        self.wait()
        if isinstance(self._error, asyncio.CancelledError):
            raise ClosedError from None
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_choose_loop()) as runner:
                self._result.append(runner.run(self._main()))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            self._error = error
        finally:
            self._begun.set()
            self._ended.set()
            self.live.discard(self)
            self._on_end()

    async def _main(self) -> T:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        return await self._work()


def end_all() -> None:
    """Interrupt what still runs when the interpreter ends, and wait: money may be under way."""
    runs = list(Run.live)
    for run in runs:
        run.interrupt()
    for run in runs:
        run.wait()


def _choose_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none for every system
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


# An executor takes no work once the interpreter ends, and atexit runs after that: too late for calls under way to
# come to their end. This hook runs before, and has no public name.
getattr(threading, "_register_atexit", atexit.register)(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Run.live.clear)
