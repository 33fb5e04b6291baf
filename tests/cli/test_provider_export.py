"""What the provider has, saved from its site in every form that people bring it, against what the ledger knows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from openpyxl import Workbook

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.operations.reconciliation import reconcile
from imeiflow.operations.table import ProviderTable
from imeiflow.simulator.behaviour import ResultLayout
from imeiflow.simulator.book import Entry
from imeiflow.simulator.catalogue import list_offers
from imeiflow.simulator.result import make_result
from tests.cli.shop import make_imei, open_shop
from tests.operations.stand import open_session

HEADER = list(ProviderTable.headings)
INDIA = timezone(timedelta(hours=5, minutes=30))
NAMES = {offer.id: offer.title for offer in list_offers().values()}
WORDS = {ResultStatus.COMPLETED: "Completed", ResultStatus.REJECTED: "Rejected"}
ELSEWHERE = {-3600.0: make_imei(900), 3600.0: make_imei(901)}  #: ordered on the site by hand, an hour before and after

Rows = Sequence[Sequence[str]]


def make_row(entry: Entry) -> list[str]:
    """Write an order as the site does."""
    status = entry.status_at(entry.final_at)
    code = make_result(entry.imei, entry.service, 0, ResultLayout.BR, is_rejected=status is ResultStatus.REJECTED)
    at = datetime.fromtimestamp(entry.placed_at, UTC).astimezone(INDIA)
    shown = f"{at:%Y-%m-%d} {at.hour}:{at:%M:%S}"
    price = f"$ {entry.price} USD"
    return [NAMES[entry.service], entry.imei, price, WORDS[status], code, "", "", "", "", "", shown, ""]


def write_tsv(path: Path, rows: Rows) -> Path:
    """Write what the site's own button saves."""
    with path.with_suffix(".tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([HEADER, *rows])
    return path.with_suffix(".tsv")


def write_edited_csv(path: Path, rows: Rows) -> Path:
    """Write what is left when a spreadsheet was at it: other columns first, blank lines, IMEIs as numbers."""
    lines = ["", "Order Date;imei no;Status;Credits;Code;Service", ""]
    for service, imei, price, status, code, *_, at, _ in rows:
        lines += [f'{at};{float(imei):.14E};{status.upper()};{price};"{code}";{service.lower()}', ";;;;;"]
    path.with_suffix(".csv").write_text("\r\n".join(lines), encoding="cp1252")
    return path.with_suffix(".csv")


def write_workbook(path: Path, rows: Rows) -> Path:
    """Write a workbook that somebody saved again: IMEIs are numbers, dates are dates, empty rows between."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append([])
    sheet.append(HEADER)
    for service, imei, price, status, code, *_, at, _ in rows:
        date = datetime.strptime(at, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - as the site writes it
        sheet.append([service, float(imei), price, status, code, None, None, None, None, None, date])
        sheet.append([])
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


@pytest.mark.parametrize("write", [write_tsv, write_edited_csv, write_workbook])
def test_it_settles_what_was_lost_and_tells_all_in_which_both_sides_differ(
    tmp_path: Path, write: Callable[[Path, Rows], Path]
):
    lost = ("reset:after@#4,9", "empty:before@#6")
    with open_shop(tmp_path, faults=lost, pending_for="0", process_for="0", result_layout="br") as shop:
        one_by_one = ("--chunk-size", "1", "--max-concurrency", "1")
        _, summary = shop.submit(shop.write_list(12), "--unconfirmed", "hold", *one_by_one)
        assert (summary["accepted"], summary["unconfirmed"]) == (9, 3)
        gone, dearer = make_imei(0), make_imei(1)
        rows = [row for row in map(make_row, add_others(shop.simulator.book())) if row[1] != gone]
        rows = [[*row[:2], "$ 0.11 USD", *row[3:]] if row[1] == dearer else row for row in rows]
        export = write(tmp_path / "orders", rows)

        with open_session(shop.home) as session:
            found = reconcile(session, JobId(1), export, is_complete=True)
        assert (len(found.settled), len(found.obscure), len(found.unnamed)) == (2, 0, 1)
        assert [row.imei for row in found.unknown] == list(ELSEWHERE.values())
        assert [(one.order.imei, str(one.row.price)) for one in found.dearer] == [(dearer, "$0.11")]
        assert [order.imei for order in found.absent] == [gone]
        assert found.clock is not None
        assert found.clock.zones == (INDIA,)

        settled = shop.type("settle", "1", "--from-export", str(export), "--complete", "--yes", "--json")
        summary = json.loads(settled.stdout.splitlines()[-1])
        assert (summary["accepted"], summary["queued"], summary["unconfirmed"]) == (11, 1, 0)
        with open_session(shop.home) as session:
            known = {row.imei: row for row in session.ledger.order_rows(JobId(1))}
        for _, imei, _, status, code, *_ in rows[1:-1]:
            assert (known[imei].status, known[imei].result) == (status.lower(), code)
        assert (known[gone].state, known[gone].result) == (OrderState.ACCEPTED, None)
        assert shop.type("resume", "1").returncode == 0
        assert not any(entry.is_repeat for entry in shop.simulator.book())
        assert shop.judge().count("accepted") == 12


def test_a_person_is_told_what_a_complete_export_leaves_out(tmp_path: Path):
    with open_shop(tmp_path, pending_for="0", process_for="0", result_layout="br") as shop:
        shop.submit(shop.write_list(3))
        before, gone, *left = add_others(shop.simulator.book())
        export = str(write_tsv(tmp_path / "orders", [make_row(entry) for entry in (before, *left)]))
        told = shop.type("settle", "1", "--from-export", export, "--complete", "--dry-run").stdout
        assert "1 order ($0.08) of its time that this ledger has as placed, and that no row names:" in told
        assert f"{gone.imei}  job 1, order {gone.reference}" in told
        listed = shop.type("settle", "1", "--from-export", export, "--complete", "--dry-run", "--json").stdout
        assert [(one["imei"], one["job"]) for one in json.loads(listed)["absent_orders"]] == [(gone.imei, 1)]
        assert (
            json.loads(shop.type("settle", "1", "--from-export", export, "--dry-run", "--json").stdout)["absent"] == 0
        )


def add_others(book: Sequence[Entry]) -> list[Entry]:
    """Add orders to the provider's book that this ledger knows nothing of, one before all others and one after."""
    before, after = (
        book[0]._replace(imei=imei, placed_at=book[0].placed_at + seconds) for seconds, imei in ELSEWHERE.items()
    )
    return [before, *book, after]
