"""The limits for the whole of a call and for silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from imeiflow.providers.backstop import GRACE_S, Backstop, SilenceError


async def wait_with(limit_s: float, event: asyncio.Event) -> str:
    with Backstop(limit_s, 60, asyncio.get_running_loop()).guard():
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
        with Backstop(0.01, 60, asyncio.get_running_loop()).guard():
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
    backstop = Backstop(0.01, 60, asyncio.get_running_loop())
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
    backstop = Backstop(0.01, 60, loop)
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


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop whose time passes when it is told to."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s

    async def skip(self, seconds: float, turns: int = 3) -> None:
        """Let time pass, and then the loop turn a few times."""
        self.skipped_s += seconds
        for _ in range(turns):
            await asyncio.sleep(0)


@dataclass
class Ear:
    """What hears of a call."""

    heard_at: float | None = None


def run(scene: Callable[[Clockwork], Coroutine[Any, Any, None]]) -> None:
    """Play a scene in a loop whose time passes when it is told to."""
    loop = Clockwork()
    try:
        loop.run_until_complete(scene(loop))
    finally:
        loop.close()


async def listen(backstop: Backstop, ear: Ear | None, event: asyncio.Event) -> str:
    with backstop.guard(ear):
        await event.wait()
    return "done"


def test_silence_is_counted_from_when_an_answer_can_be_expected_and_anew_whenever_something_is_heard() -> None:
    async def scene(loop: Clockwork) -> None:
        ear = Ear()
        task = asyncio.create_task(listen(Backstop(1000, 10, loop), ear, asyncio.Event()))
        await loop.skip(0)
        await loop.skip(100)  # it is still being sent
        for _ in range(5):
            ear.heard_at = loop.time()
            await loop.skip(8)
        assert not task.done()
        for _ in range(20):
            await loop.skip(GRACE_S)
        assert task.done()
        with pytest.raises(SilenceError, match="10 s"):
            await task

    run(scene)


def test_who_stands_still_once_more_reads_what_came_meanwhile_all_the_same() -> None:
    async def scene(loop: Clockwork) -> None:
        event = asyncio.Event()
        task = asyncio.create_task(listen(Backstop(10, 10, loop), None, event))
        await loop.skip(0)
        for _ in range(3):
            await loop.skip(60)
        event.set()
        assert await task == "done"

    run(scene)


def test_a_loop_that_never_keeps_time_gives_a_call_up_in_the_end() -> None:
    async def scene(loop: Clockwork) -> None:
        task = asyncio.create_task(listen(Backstop(10, 10, loop), None, asyncio.Event()))
        await loop.skip(0)
        for _ in range(100):
            await loop.skip(60)
        assert task.done()
        with pytest.raises(TimeoutError):
            await task

    run(scene)
