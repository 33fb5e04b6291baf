"""A bare loop of the same HTTP client, with nothing written: what one order a call could cost at best."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp
import uvloop

from benchmarks.rig import make_imei
from imeiflow.simulator import Behaviour, SimulatorProcess


async def _send_all(sim: SimulatorProcess, orders: int, workers: int) -> None:
    imeis = iter([make_imei(number) for number in range(orders)])
    url = f"{sim.base_url}/gsmfusion_api/index.php"
    fixed = {"apiKey": sim.api_key, "userId": sim.username, "action": "placeorder", "networkId": "1"}

    async def work(session: aiohttp.ClientSession) -> None:
        for imei in imeis:
            async with session.post(url, data={**fixed, "imei": imei}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=workers)) as session:
        await asyncio.gather(*(work(session) for _ in range(workers)))


def main(orders: int, workers: int) -> float:
    """Give the calls a second of `workers` loops that send `orders` calls of one IMEI."""
    with SimulatorProcess.start(Behaviour()) as sim:
        start = time.perf_counter()
        uvloop.run(_send_all(sim, orders, workers))
        return orders / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
