"""A job seen through to its end in the caller's event loop; what a cancellation means for it.

Money is under way: nothing is left half way because somebody stopped waiting for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from imeiflow.domain.ident import JobId
from imeiflow.library.report import Counts, Moment, Report, read_report
from imeiflow.library.submission import count_in_doubt
from imeiflow.operations.follow import Follower
from imeiflow.operations.session import Session
from imeiflow.operations.steering import Resumed

log = structlog.get_logger(__name__)

_TICK_S = 0.25


class Work:
    """A job from its beginning to its end, and the interruptions that came meanwhile."""

    def __init__(self, session: Session, on_progress: Callable[[Moment], None] | None) -> None:
        self._session = session
        self._on_progress = on_progress
        self._follower: Follower | None = None
        self._interruptions = 0

    def interrupt(self) -> None:
        """End well: calls under way end, the job is paused. At the second time leave at once."""
        self._interruptions += 1
        if self._follower is not None:
            self._follower.interrupt()

    async def run(self, begin: Callable[[], Resumed]) -> Report:
        """Begin, and follow to the end."""
        begun = await asyncio.to_thread(begin)
        if begun.is_to_follow:
            try:
                self._follower = await asyncio.to_thread(Follower, self._session, begun.job, lock=begun.lock)
                for _ in range(self._interruptions):
                    self._follower.interrupt()
                await self._follow(self._follower, begun.job)
            finally:
                begun.lock.release()
        return await asyncio.to_thread(read_report, self._session, begun.job)

    async def _follow(self, follower: Follower, job: JobId) -> None:
        if self._on_progress is None:
            await follower.run()
            return
        in_doubt = await asyncio.to_thread(count_in_doubt, self._session, job)
        ticker = asyncio.create_task(_tell(follower, in_doubt, self._on_progress))
        try:
            await follower.run()
        finally:
            ticker.cancel()


async def see_through(
    session: Session, begin: Callable[[], Resumed], on_progress: Callable[[Moment], None] | None
) -> Report:
    """Begin a job and follow it to its end. A cancellation interrupts it, and goes its way when that has ended."""
    work = Work(session, on_progress)
    task = asyncio.create_task(work.run(begin))
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
            work.interrupt()
    if is_cancelled and task.exception() is None:
        raise asyncio.CancelledError
    return task.result()


async def _tell(follower: Follower, in_doubt_before: int, on_progress: Callable[[Moment], None]) -> None:
    while True:
        progress = follower.progress()
        moment = Moment(
            job=progress.job.id,
            counts=Counts(tally=progress.tally, in_doubt_before=in_doubt_before),
            elapsed_s=progress.elapsed_s,
            view=progress.view,
            owner=progress.owner,
        )
        try:
            on_progress(moment)
        except Exception:  # whoever looks on does not hold up what is paid for
            log.warning("progress_not_told", job=moment.job, exc_info=True)
        await asyncio.sleep(_TICK_S)
