"""The limit for the whole of a call."""

from __future__ import annotations

import asyncio

import pytest

from imeiflow.providers.backstop import Backstop


async def wait_with(limit_s: float, event: asyncio.Event) -> str:
    with Backstop(limit_s, asyncio.get_running_loop()).guard():
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
        with Backstop(0.01, asyncio.get_running_loop()).guard():
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


async def test_each_of_many_has_its_own_limit_though_they_share_a_timer() -> None:
    backstop = Backstop(0.01, asyncio.get_running_loop())
    go = asyncio.Event()

    async def wait(event: asyncio.Event) -> str:
        with backstop.guard():
            await event.wait()
        return "done"

    quick = [asyncio.create_task(wait(go)) for _ in range(3)]
    stuck = [asyncio.create_task(wait(asyncio.Event())) for _ in range(3)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*quick) == ["done"] * 3
    assert [type(error) for error in await asyncio.gather(*stuck, return_exceptions=True)] == [TimeoutError] * 3
    late = asyncio.create_task(wait(asyncio.Event()))
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        await late


async def test_a_closed_backstop_leaves_no_timer_behind() -> None:
    loop = asyncio.get_running_loop()
    backstop = Backstop(0.01, loop)
    event = asyncio.Event()

    async def wait() -> str:
        with backstop.guard():
            await event.wait()
        return "done"

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    backstop.close()
    loop.call_later(0.05, event.set)
    assert await task == "done"
