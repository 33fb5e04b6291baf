"""The hidden command that a detached runner is: it works for one account until no job of it runs any more.

Nobody looks at it: what it has to say goes to its log, which is its standard error.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

import click

from imeiflow.cli.following import run_loop
from imeiflow.cli.log import keep_log
from imeiflow.cli.option import command
from imeiflow.errors import ImeiflowError
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.detachment import LaneKeeper
from imeiflow.operations.json_text import dump_json
from imeiflow.operations.session import Session


@command(name="run-lane", examples="imeiflow run-lane --account gsm-fusion")
@click.option("--account", required=True, metavar="NAME", help="The account to work for.")
@click.option("--ready-fd", type=int, help="Descriptor that is told, in one line of JSON, whether it works.")
def run_lane(account: str, ready_fd: int | None) -> None:
    """Work for an account until no job of it runs any more (started by --detach)."""
    try:
        configuration = load_configuration()
        with keep_log(configuration, sys.stderr), Session.open(configuration) as session:
            keeper = LaneKeeper(session, configuration.choose_account(account))
            run_loop(_work(keeper, ready_fd))
    except ImeiflowError as error:
        _tell(ready_fd, {"error": str(error)})
        raise


async def _work(keeper: LaneKeeper, ready_fd: int | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, keeper.stop)
    ready = asyncio.Event()
    telling = asyncio.create_task(_tell_ready(ready, ready_fd))
    await keeper.run(ready)
    await telling


async def _tell_ready(ready: asyncio.Event, ready_fd: int | None) -> None:
    await ready.wait()
    _tell(ready_fd, {"ready": True})


def _tell(ready_fd: int | None, message: dict[str, object]) -> None:
    """Tell whoever started this, who may be gone, once."""
    if ready_fd is not None:
        with suppress(OSError):
            os.write(ready_fd, f"{dump_json(message)}\n".encode())
            os.close(ready_fd)
