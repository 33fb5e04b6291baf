"""What becomes of a full ledger: how fast a million rows are exported, how fast orders are found among millions.

python -m benchmarks.export csv|xlsx|jsonl|search LEDGER      measures one thing in this process, and prints JSON
python -m benchmarks.export jobs FOLDER                       makes a ledger of 6,000 jobs, and measures searches in it
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.ledger import ACCOUNT, SERVICE, now
from benchmarks.rig import make_imei
from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import JobId, Reference
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.filter import Filter, Span
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from imeiflow.operations.configuration import Configuration
from imeiflow.operations.export import ExportFormat, Wish, export_to_file
from imeiflow.operations.session import Session
from imeiflow.simulator.behaviour import ResultLayout
from imeiflow.simulator.result import make_result

_BATCH = 10_000
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
#: All but every hundredth order is accepted, of those all but every fiftieth completed; a second apart, with results
#: in every layout of the simulated provider.
_FILL = """
UPDATE orders SET state = CASE WHEN id % 100 = 0 THEN 'refused' WHEN id % 100003 = 1 THEN 'unconfirmed'
ELSE 'accepted' END,
attempts = 1, error = CASE WHEN id % 100 = 0 THEN 'Invalid IMEI!' END;
UPDATE orders SET reference = CAST(9000000 + id AS TEXT), price = '0.08', charges = 1,
status = CASE WHEN id % 50 = 1 THEN 'rejected' ELSE 'completed' END,
result = make_result(imei, id % 50 = 1),
accepted_at = {start} + id * {second}, completed_at = {start} + id * {second} + 3600 * {second}
WHERE state = 'accepted'
"""


def fill_ledger(folder: Path, orders: int, jobs: int) -> Path:
    """Make a ledger of so many orders, most of them completed, in so many jobs of equal size."""
    path = folder / "ledger.sqlite"
    with Ledger.open(path, clock=now) as ledger:
        size = orders // jobs
        for number in range(jobs):
            draft = JobDraft(
                account=ACCOUNT,
                provider="p",
                service=SERVICE,
                currency="USD",
                columns=("IMEI", "Model", "Box"),
                imei_column="IMEI",
                has_header=True,
            )
            job = ledger.create_draft(draft)
            for start in range(0, size, _BATCH):
                lines = range(start, min(size, start + _BATCH))
                ledger.add_orders(job, [_make_row(line, number * size + line) for line in lines])
            ledger.start_job(job)
        start_us = int(_EPOCH.timestamp()) * _SECOND
        for statement in _FILL.format(start=start_us, second=_SECOND).split(";"):
            ledger._write(lambda c, sql=statement: _execute(c, sql))  # type: ignore[misc] # noqa: SLF001
    return path


def _execute(connection: Connection, statement: str) -> None:
    driver: Any = connection.connection.driver_connection
    driver.create_function("make_result", 2, _make_result, deterministic=True)
    connection.execute(text(statement))


def _make_result(imei: str, is_rejected: int) -> str:
    return make_result(imei, SERVICE, 0, ResultLayout.MIXED, is_rejected=bool(is_rejected))


def _make_row(line: int, number: int) -> NewOrder:
    imei = make_imei(number)
    return NewOrder(line=line + 2, imei=imei, columns=(imei, "iPhone 13", f"box {number // 100}"))


def measure(what: str, path: Path) -> Any:
    """Measure one thing in a process of its own, so that its memory is nobody else's."""
    command = [sys.executable, "-m", "benchmarks.export", what, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure_export(format_: ExportFormat, path: Path) -> dict[str, float]:
    clock = SteadyClock()
    with Ledger.open(path, clock=clock.now) as ledger:
        session = Session(Configuration(home=path.parent, ledger=path, accounts={}), ledger, clock)
        began = time.process_time()
        target = path.parent / f"out.{format_}"
        done = export_to_file(session, Wish(jobs=None, format=format_), target, replaces=True)
        took = time.process_time() - began
        target.unlink()
    return {"rows": done.rows, "seconds": took, "peak_mb": _read_peak_mb()}


def _read_peak_mb() -> float:
    """Give the most memory that this process had; `getrusage` would count what its parent had when it was started."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _wishes(total: int, first: JobId, job: JobId) -> dict[str, Filter]:
    imeis = [make_imei(number) for number in range(0, total, max(1, total // 5_000))]
    day = Span(_EPOCH + timedelta(days=3), _EPOCH + timedelta(days=4))
    return {
        "one IMEI": Filter(imeis=imeis[7:8]),
        "5,000 IMEIs": Filter(imeis=imeis),
        "a reference": Filter(references=[Reference(str(9_000_000 + total // 2))]),
        "a rare state": Filter(states=frozenset({OrderState.UNCONFIRMED})),
        "no order in a state": Filter(states=frozenset({OrderState.FAILED})),
        "a common state": Filter(states=frozenset({OrderState.ACCEPTED, OrderState.REFUSED})),
        "a status": Filter(statuses=frozenset({ResultStatus.REJECTED})),
        "a status of a job": Filter(statuses=frozenset({ResultStatus.REJECTED}), jobs=[job]),
        "a status that no order of a state has": Filter(
            states=frozenset({OrderState.REFUSED}), statuses=frozenset({ResultStatus.COMPLETED})
        ),
        "refused, by the time of acceptance": Filter(states=frozenset({OrderState.REFUSED}), accepted=Span(_EPOCH)),
        "accepted on a day, completed on any": Filter(accepted=day, completed=Span(_EPOCH)),
        "a service": Filter(service=SERVICE),
        "a day": Filter(accepted=day),
        "a day and a status": Filter(completed=day, statuses=frozenset({ResultStatus.REJECTED})),
        "a day and a job": Filter(accepted=day, jobs=[job]),
        "an old job, by a later time": Filter(accepted=Span(_EPOCH + timedelta(days=20)), jobs=[first]),
        "accepted up to a day, completed long after": Filter(
            accepted=Span(end=_EPOCH + timedelta(days=10)), completed=Span(_EPOCH + timedelta(days=20))
        ),
        "duplicates with a status that none has": Filter(
            states=frozenset({OrderState.DUPLICATE, OrderState.ACCEPTED}), statuses=frozenset({ResultStatus.PENDING})
        ),
    }


def _measure_search(path: Path) -> dict[str, float]:
    """Give for each search the milliseconds of its first page of 100, and of one far behind it; the median of five."""
    taken: dict[str, float] = {}
    with Ledger.open(path, clock=now) as ledger:
        jobs = ledger.list_jobs()
        total = sum(ledger.tallies([job.id for job in jobs])[job.id].total for job in jobs[:1]) * len(jobs)
        for name, wanted in _wishes(total, jobs[-1].id, jobs[len(jobs) // 2].id).items():
            taken[name] = _time(lambda wanted=wanted: ledger.page_orders(wanted))  # type: ignore[misc]
            after = None
            for _ in range(10):
                page = ledger.page_orders(wanted, after=after)
                if page.next is None:
                    break
                after = page.next
            if after is not None:
                behind = _time(lambda wanted=wanted, after=after: ledger.page_orders(wanted, after=after))  # type: ignore[misc]
                taken[name] = max(taken[name], behind)
    return taken


#: Of each job half was completed at one time, the other half rejected at another; all jobs went on side by side.
_SIDE_BY_SIDE = """
UPDATE orders SET state = 'accepted', status = CASE WHEN line < {half} THEN 'completed' ELSE 'rejected' END,
accepted_at = {start} + (line * {jobs} + job_id) * {second} + CASE WHEN line < {half} THEN 0 ELSE 100 * {day} END,
completed_at = {start} + (line * {jobs} + job_id) * {second} + CASE WHEN line < {half} THEN 0 ELSE 100 * {day} END
+ 3600 * {second}
"""


def _measure_jobs(folder: Path, jobs: int = 6_000, size: int = 100) -> dict[str, float]:
    """Give for each search among many jobs, which have what is wanted at another time, the processor's milliseconds."""
    path = fill_ledger(folder, jobs * size, jobs)
    first, second = Span(_EPOCH, _EPOCH + timedelta(days=50)), Span(_EPOCH + timedelta(days=50))
    rejected = frozenset({ResultStatus.REJECTED})
    taken: dict[str, float] = {}
    with Ledger.open(path, clock=now) as ledger:
        places = {"start": int(_EPOCH.timestamp()) * _SECOND, "second": _SECOND, "day": 86_400 * _SECOND}
        statement = _SIDE_BY_SIDE.format(half=size // 2 + 2, jobs=jobs, **places)
        ledger._write(lambda c: _execute(c, statement))  # noqa: SLF001
        ids = [job.id for job in ledger.list_jobs()]
        wishes = {
            "a service, by time": Filter(service=SERVICE, accepted=second),
            "rejected, in the time of the others": Filter(statuses=rejected, accepted=first),
            "the same of 300 jobs": Filter(statuses=rejected, accepted=first, jobs=ids[:300]),
            "accepted at the one time, completed at the other": Filter(accepted=first, completed=second),
        }
        for name, wanted in wishes.items():
            taken[name] = _time(lambda wanted=wanted: ledger.page_orders(wanted), time.process_time)  # type: ignore[misc]
    return taken


def _time(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    times = []
    for _ in range(5):
        began = clock()
        work()
        times.append((clock() - began) * 1000)
    return sorted(times)[2]


def main(what: str, path: Path) -> None:
    """Measure one thing and print it."""
    match what:
        case "search":
            taken = _measure_search(path)
        case "jobs":
            taken = _measure_jobs(path)
        case _:
            taken = _measure_export(ExportFormat(what), path)
    print(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
