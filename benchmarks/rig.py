"""Run jobs of a fresh ledger in a process of their own against a simulated provider in another.

    python -m benchmarks.rig '{"behaviour": {...}, "jobs": [{"orders": 20000, ...}, ...]}'

prints one JSON line: for each job its seconds, attempts, refusals and states; the process's peak memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from imeiflow.cli.following import tune_process
from imeiflow.dispatch.clock import SteadyClock
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.imei import Imei, check_digit
from imeiflow.domain.order import OrderState
from imeiflow.jobs.runner import LaneAccount, Runner
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.providers.contract import Login, Timeouts
from imeiflow.providers.registry import find_provider
from imeiflow.simulator import Behaviour, SimulatorProcess

ACCOUNT = AccountName("bench")
_BATCH = 10_000


def make_imei(number: int) -> Imei:
    first14 = f"{99 - number // 1_000_000:02}000000{number % 1_000_000:06}"
    return Imei(first14 + check_digit(first14))


def run_jobs(behaviour: dict[str, Any], jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Run jobs one after the other in a process of its own; later ones find what the earlier ones learned."""
    task = json.dumps({"behaviour": behaviour, "jobs": jobs})
    done = subprocess.run([sys.executable, "-m", "benchmarks.rig", task], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _add_job(ledger: Ledger, orders: int, first: int, wishes: dict[str, Any]) -> JobId:
    draft = JobDraft(
        account=ACCOUNT,
        provider="gsm-fusion",
        service=ServiceId("1"),
        unit_price=Decimal("0.08"),
        currency="USD",
        **wishes,
    )
    job = ledger.create_draft(draft)
    for start in range(0, orders, _BATCH):
        count = min(_BATCH, orders - start)
        ledger.add_orders(job, [NewOrder(line=n + 1, imei=make_imei(first + n)) for n in range(start, start + count)])
    ledger.start_job(job)
    return job


def _work(ledger: Ledger, clock: SteadyClock, sim: SimulatorProcess, home: Path, job: JobId) -> float:
    login = Login(account=ACCOUNT, base_url=sim.base_url, username=sim.username, key=sim.api_key)
    account = LaneAccount(
        login=login, provider=find_provider("gsm-fusion"), settings=DispatchSettings(), timeouts=Timeouts()
    )
    start = time.perf_counter()

    async def run() -> None:
        await Runner(ledger=ledger, account=account, clock=clock, home=home).run(job)

    uvloop.run(run())
    return time.perf_counter() - start


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Run the task's jobs and compare the ledger with the provider's book."""
    tune_process()
    clock = SteadyClock()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        behaviour = Behaviour.parse(task["behaviour"])
        with SimulatorProcess.start(behaviour) as sim, Ledger.open(home / "ledger.sqlite", clock=clock.now) as ledger:
            first, calls, refused, bans = 0, 0, 0, 0
            for wishes in task["jobs"]:
                orders = wishes.pop("orders")
                job = _add_job(ledger, orders, first, wishes)
                first += orders
                seconds = _work(ledger, clock, sim, home, job)
                tally, stats = ledger.tally(job), sim.stats()
                all_refused = sum(stats["refused"].values())  # by the provider's own count, in each job's own span
                results.append(
                    {
                        "seconds": seconds,
                        "attempts": ledger.count_attempts(job),
                        "calls": stats["received"] - calls,
                        "refused": all_refused - refused,
                        "bans": stats.get("bans", 0) - bans,
                        "accepted": tally[OrderState.ACCEPTED],
                        "orders": orders,
                    }
                )
                calls, refused, bans = stats["received"], all_refused, stats.get("bans", 0)
            placed = sum(1 for _ in sim.read_book())
    accepted = sum(result["accepted"] for result in results)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"jobs": results, "placed": placed, "accepted": accepted, "peak_mb": peak_mb}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
