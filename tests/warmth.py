"""Warming a process that others are forked from: none of them has to import and compile again what a job needs."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import threading
from contextlib import redirect_stdout
from pathlib import Path

from tests.rig import open_rig


def warm_up() -> None:
    """Work on a small job, a doubt of which is settled; what is left of it is in memory, and no thread.

    What is in memory stays, so nobody has to look for garbage in it: whoever did would copy it, page by page.
    """
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(sys.stderr):
        asyncio.run(_work(Path(directory)))
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
    gc.collect()
    gc.freeze()


async def _work(directory: Path) -> None:
    async with open_rig(directory, {"faults": ("reset:after@#2",)}) as rig:
        job = rig.add_job(12, chunk_size=1)
        await rig.run(job)
        rig.summary(job)
