"""A process that makes one call and says how it ended: `python -m tests.providers.sleeper PORT READ_S TOTAL_S LOOP`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from imeiflow.providers.contract import Timeouts
from tests.providers.wire import IMEI, SERVICE, connect


async def call(port: int, read_s: float, total_s: float) -> str:
    """Place one order, and give the ending of the call and what was the matter with it."""
    timeouts = Timeouts(connect_s=30.0, pool_s=30.0, read_s=read_s, total_s=total_s)
    async with connect(port, timeouts) as connection:
        placement = await connection.place([IMEI], SERVICE)
    return f"{placement.exchange.ending} {placement.exchange.problem}".strip()


def choose_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes an event loop of a kind."""
    if name == "asyncio":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main(port: str, read_s: str, total_s: str, loop: str) -> None:
    """Make the call in an event loop of the kind `loop`."""
    with asyncio.Runner(loop_factory=choose_loop(loop)) as runner:
        print(runner.run(call(int(port), float(read_s), float(total_s))))


if __name__ == "__main__":
    main(*sys.argv[1:])
