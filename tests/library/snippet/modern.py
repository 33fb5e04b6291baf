import asyncio
from decimal import Decimal
from pathlib import Path

from imeiflow import AsyncClient, Client

imeis = Path("imeis.txt").read_text().split()

with Client() as client:
    report = client.submit(imeis, "1", name="Tuesday's phones", max_spend=Decimal("50.00"))
    print(f"{report.counts.accepted} of {report.counts.total} accepted, {report.counts.unconfirmed} unconfirmed")
    for row in client.rows(report.job):
        if row.error:
            print(row.line, row.imei, row.error)


def show(moment):
    print(f"{moment.counts.processed} of {moment.counts.total}")


async def main():
    async with AsyncClient() as client:
        report = await client.submit(imeis, "2", on_progress=show)
        print(f"{report.counts.accepted} accepted for {report.spent}")


asyncio.run(main())
