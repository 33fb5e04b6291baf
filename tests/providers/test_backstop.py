"""The limit for the whole of a call."""

from __future__ import annotations

import asyncio

import pytest

from imeiflow.providers.backstop import Backstop


async def wait_with(limit_s: float, event: asyncio.Event) -> str:
    with Backstop(limit_s, asyncio.get_running_loop()):
        await event.wait()
    return "done"


async def test_what_ends_in_time_is_left_alone() -> None:
    event = asyncio.Event()
    event.set()
    assert await wait_with(5, event) == "done"


async def test_what_takes_too_long_is_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        await wait_with(0.01, asyncio.Event())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_stays_one() -> None:
    task = asyncio.create_task(wait_with(5, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_comes_with_the_time_out_stays_one() -> None:
    async def work() -> None:
        with Backstop(0.01, asyncio.get_running_loop()):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                raise

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
