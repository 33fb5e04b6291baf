"""A coroutine in a thread of its own: results, errors, interruptions."""

from __future__ import annotations

import asyncio
import threading

import pytest

from imeiflow.library.error import ClosedError
from imeiflow.library.run import Run, end_all


async def give(value):
    return value


async def fail():
    raise ZeroDivisionError


class Hold:
    """Work that does not end by itself, and notes that it was cancelled."""

    def __init__(self):
        self.begun = threading.Event()
        self.was_cancelled = False

    async def __call__(self):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled = True


def test_a_result_is_given_as_often_as_it_is_asked_for():
    run = Run(lambda: give(7))
    assert [run.result(), run.result()] == [7, 7]


def test_an_error_is_raised_where_it_is_waited_for():
    with pytest.raises(ZeroDivisionError):
        Run(fail).result()


def test_the_end_is_told_however_it_comes():
    ends = []
    for work in (lambda: give(1), fail):
        ended = threading.Event()
        Run(work, ended.set)
        ends.append(ended.wait(60))
    assert ends == [True, True]


def test_an_interruption_by_others_is_said():
    hold = Hold()
    run = Run(hold)
    hold.begun.wait()
    run.interrupt()
    with pytest.raises(ClosedError):
        run.result()
    assert hold.was_cancelled
    run.interrupt()


def test_what_still_runs_when_the_interpreter_ends_is_ended_and_waited_for():
    hold = Hold()
    run = Run(hold)
    hold.begun.wait()
    end_all()
    assert hold.was_cancelled
    assert run not in Run.live
    with pytest.raises(ClosedError):
        run.result()
