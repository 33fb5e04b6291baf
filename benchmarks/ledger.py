"""What the ledger alone costs: attempts a second, and the processor time of the event loop and of the writer's thread.

python -m benchmarks.ledger [pairs] [few] [chunks] [intake] [rows]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path

import uvloop

from benchmarks.rig import make_imei
from imeiflow.cli.following import tune_process
from imeiflow.domain.ident import AccountName, JobId, OrderId, Reference, ServiceId, Token
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.ledger.change import AttemptKind, Conclusion, Intent, OrderChange
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder

ACCOUNT = AccountName("bench")
SERVICE = ServiceId("1")
PRICE = Decimal("0.08")
BATCH = 10_000
REQUEST = b"apiKey=***&userId=***&action=placeorder&networkId=1&imei=" + b"350000000000000," * 3
REPLY_HEAD = b'<?xml version="1.0" encoding="UTF-8"?><result><orders>'
REPLY_ROW = b"<order><id>1234567</id><imei>350000000000000</imei><status>Pending</status></order>"
HEADERS = {"Content-Type": "text/xml", "Date": "Sun, 01 Jun 2025 00:00:00 GMT", "Server": "simulator"}


def now() -> datetime:
    """Give the time, aware UTC."""
    return datetime.now(UTC)


def add_job(ledger: Ledger, count: int, first: int = 0) -> tuple[JobId, float]:
    """Add a running job of `count` orders; give it, and the seconds that `add_orders` took."""
    draft = JobDraft(
        account=ACCOUNT, provider="p", service=SERVICE, unit_price=PRICE, currency="USD", columns=("IMEI", "Model")
    )
    job = ledger.create_draft(draft)
    took_s = 0.0
    for start in range(0, count, BATCH):
        imeis = [make_imei(first + n) for n in range(start, min(count, start + BATCH))]
        rows = [NewOrder(line=start + n + 2, imei=imei, columns=(imei, "iPhone 13")) for n, imei in enumerate(imeis)]
        began = time.perf_counter()
        ledger.add_orders(job, rows)
        took_s += time.perf_counter() - began
    ledger.start_job(job)
    return job, took_s


def _queued(ledger: Ledger, job: JobId) -> Iterator[OrderId]:
    last = OrderId(0)
    while page := ledger.queued_orders(job, after=last, limit=4000):
        for order in page:
            last = order.id
            yield order.id


def _conclusion(attempt: int, orders: list[OrderId], reply: bytes) -> Conclusion:
    return Conclusion(
        attempt=attempt,
        ended_at=now(),
        ending=Ending.ANSWERED,
        http_status=200,
        elapsed_ms=12,
        headers=HEADERS,
        request=REQUEST,
        reply=reply,
        changes=tuple(
            OrderChange(
                order=order,
                state=OrderState.ACCEPTED,
                outcome=Outcome.ACCEPTED,
                reference=Reference(str(9_000_000 + order)),
                status=ResultStatus.PENDING,
                price=PRICE,
                charges=1,
            )
            for order in orders
        ),
    )


async def _place_all(ledger: Ledger, job: JobId, token: Token, size: int, workers: int) -> float:
    """Intend and conclude every order; give the processor seconds of this thread."""
    orders = list(_queued(ledger, job))
    chunks = iter([orders[n : n + size] for n in range(0, len(orders), size)])
    reply = REPLY_HEAD + REPLY_ROW * size

    async def work() -> None:
        for chunk in chunks:
            intent = Intent(
                job=job, account=ACCOUNT, token=token, kind=AttemptKind.PLACE, orders=tuple(chunk), started_at=now()
            )
            attempt = await ledger.intend(intent)
            await ledger.conclude(_conclusion(attempt, chunk, reply))

    began = time.thread_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return time.thread_time() - began


def measure_placing(name: str, count: int, size: int, workers: int) -> None:
    """Print attempts and orders a second, and microseconds of each thread for an attempt."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Ledger.open(Path(folder) / "l.db", clock=now) as ledger:
        job, _ = add_job(ledger, count)
        token, _ = ledger.take_lane(ACCOUNT, "bench")
        writer = ledger._write(lambda _: time.thread_time())  # noqa: SLF001 - the thread's own clock
        began = time.perf_counter()
        mine = uvloop.run(_place_all(ledger, job, token, size, workers))
        took = time.perf_counter() - began
        writer = ledger._write(lambda _: time.thread_time()) - writer  # noqa: SLF001
        attempts = count // size
        assert ledger.tally(job)[OrderState.ACCEPTED] == count
    print(
        f"{name:7} {attempts / took:9,.0f} attempts/s {count / took:9,.0f} orders/s; "
        f"loop {mine / attempts * 1e6:6.0f} us, writer {writer / attempts * 1e6:6.0f} us an attempt"
    )


def measure_intake(count: int) -> None:
    """Print rows a second of `add_orders`."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Ledger.open(Path(folder) / "l.db", clock=now) as ledger:
        _, took = add_job(ledger, count)
    print(f"intake  {count / took:9,.0f} rows/s")


def measure_reading(count: int) -> None:
    """Print rows a second of `order_rows` of placed orders, and of looking up IMEIs ordered before."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Ledger.open(Path(folder) / "l.db", clock=now) as ledger:
        job, _ = add_job(ledger, count)
        token, _ = ledger.take_lane(ACCOUNT, "bench")
        uvloop.run(_place_all(ledger, job, token, 100, 32))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        began = time.perf_counter()
        rows = sum(1 for _ in ledger.order_rows(job))
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        assert rows == count
        print(f"rows    {count / took:9,.0f} rows/s, memory {before} -> {after} MB")
        imeis = [make_imei(n) for n in islice(range(0, count, max(1, count // 10_000)), 10_000)]
        for number in range(3):
            began = time.perf_counter()
            found = ledger.find_ordered_before(ACCOUNT, SERVICE, imeis)
            took = time.perf_counter() - began
            assert len(found) == len(imeis)
            print(f"before  {len(imeis):,} IMEIs among {count:,}: {took * 1000:.0f} ms (time {number + 1})")


def main(names: list[str]) -> None:
    """Run the named measurements, or all."""
    tune_process()
    if not names or "pairs" in names:
        measure_placing("pairs", 30_000, 1, 300)
    if not names or "few" in names:
        measure_placing("few", 20_000, 1, 30)
    if not names or "chunks" in names:
        measure_placing("chunks", 200_000, 100, 64)
    if not names or "intake" in names:
        measure_intake(300_000)
    if not names or "rows" in names:
        measure_reading(200_000)


if __name__ == "__main__":
    main(sys.argv[1:])
