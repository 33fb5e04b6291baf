"""Following a job in the terminal: signals, progress on standard error, the report, and the exit status.

The one place of the command line that runs an event loop for an engine.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from imeiflow.cli.display import Display, open_display
from imeiflow.cli.output import print_json, say
from imeiflow.cli.program import INTERRUPTED
from imeiflow.cli.report import report_job
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import exit_code
from imeiflow.errors import ImeiflowError, LedgerError
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations import follow
from imeiflow.operations.follow import Followed, Follower
from imeiflow.operations.session import Session

T = TypeVar("T")

_DRAW_EVERY_S = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def follow_job(session: Session, job: JobId, *, lock: LaneLock | None = None, is_json: bool = False) -> int:
    """Work on a running job, or watch who does, until it ends or is interrupted; report, and give the exit status.

    `lock` is the job's own where it is held already. Raises what stops the lane; with `is_json` the summary is
    printed all the same.
    """
    try:
        followed = watch_job(session, job, lock=lock)
    except ImeiflowError:
        if is_json:
            with suppress(LedgerError):
                print_json(session.ledger.summary(job).as_dict())
        raise
    report_job(session, job, followed, is_aside=is_json)
    if is_json:
        print_json(followed.summary.as_dict())
    if followed.was_interrupted:
        return INTERRUPTED
    return exit_code(followed.summary.state, followed.summary.tally)


def watch_job(session: Session, job: JobId, *, lock: LaneLock | None = None) -> Followed:
    """Work on a running job, or watch who does, with its progress on standard error; report nothing."""
    lock = lock or session.job_lock(job)
    try:
        follower = Follower(session, job, lock=lock)
        return run_loop(_watch(follower, open_display()))
    except KeyboardInterrupt:
        # Before or after the loop heeded signals: nothing may be left that seems to run.
        with suppress(ImeiflowError):
            session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, follow.INTERRUPTED)
            say(f"Job {job} is paused. `imeiflow resume {job}` goes on with it.")
        raise
    finally:
        lock.release()


def run_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run an event loop as an engine wants it: uvloop where there is one, and a process that is tuned for it."""
    tune_process()
    with asyncio.Runner(loop_factory=_find_loop_factory()) as runner:
        return runner.run(coroutine)


def tune_process() -> None:
    """Collect garbage seldom, and let the ledger's thread have its turn soon: both cost throughput otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    sys.setswitchinterval(0.0001)


def _find_loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _watch(follower: Follower, display: Display) -> Followed:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _interrupt, follower, display)
    drawing = asyncio.create_task(_draw(follower, display))
    try:
        return await follower.run()
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        display.close()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _draw(follower: Follower, display: Display) -> None:
    while True:
        display.show(follower.progress())
        await asyncio.sleep(_DRAW_EVERY_S)


def _interrupt(follower: Follower, display: Display) -> None:
    """Heed Ctrl-C: end well; then at once; and a third one does not even wait for that, which a ledger survives."""
    if follower.interrupt() > 2:
        display.close()
        os._exit(INTERRUPTED)
    display.show(follower.progress())
