"""Where pages wait for the ledger: threads of their own, so that no page holds up the event loop or the engine.

The event loop's own threads are the engine's: nothing of pages and programs may run in them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar

from litestar.exceptions import ServiceUnavailableException

P = ParamSpec("P")
T = TypeVar("T")

#: The ledger has eight connections for readers; some pages wait for the writer instead.
_THREADS: Final = 12
_pool: Final = ThreadPoolExecutor(_THREADS, thread_name_prefix="page")
#: Passwords are slow to check on purpose: not in the threads of pages, and only so many wait.
_checkers: Final = ThreadPoolExecutor(2, thread_name_prefix="password")
_MOST_CHECKS: Final = 32
#: Exports read for minutes: apart from pages, and so few that readers of the ledger are left.
_exporters: Final = ThreadPoolExecutor(2, thread_name_prefix="export")
_ENGINE_THREADS: Final = 32
_checks: Final[set[asyncio.Future[Any]]] = set()


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks."""
    return await _run(_pool, partial(function, *args, **kwargs))


async def in_export_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that writes an export; it waits for those before it."""
    return await _run(_exporters, partial(function, *args, **kwargs))


async def _run(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, context.run, function)


def name_engine_threads() -> None:
    """Give the running event loop threads of the engine's own, also for the few that look up a name at a time."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_ENGINE_THREADS, thread_name_prefix="engine"))


async def check_slowly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that checks a password; turn away (503) where too many wait already."""
    if len(_checks) >= _MOST_CHECKS:
        raise ServiceUnavailableException(detail="Too many people sign in at once. Try again in a few seconds.")
    call = asyncio.get_running_loop().run_in_executor(_checkers, partial(function, *args, **kwargs))
    _checks.add(call)
    call.add_done_callback(_checks.discard)
    return await call


def threaded(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a handler that blocks one that does not. Below the route's decorator."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(function, *args, **kwargs)

    return call
