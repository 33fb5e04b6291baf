"""Lists that come back: what failed is mended and sent again, what was ordered is skipped until it is wanted again."""

from __future__ import annotations

import csv
import os
import select
from pathlib import Path

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState, ResultStatus
from tests.cli.shop import PRICE, Shop, last_json, make_imei, open_shop
from tests.cli.typed import PATIENCE_S
from tests.operations.stand import open_session


def test_the_failed_rows_come_back_with_their_reasons_are_mended_and_sent_again(tmp_path: Path):
    with open_shop(tmp_path, bad_imeis=(make_imei(3),)) as shop:
        typo = make_imei(4)[:-1] + "x"
        status, summary = shop.submit(shop.write_list(4, more=[typo, make_imei(0)]))
        assert (status, summary["accepted"], summary["refused"], summary["invalid"]) == (3, 3, 1, 1)
        failed = tmp_path / "failed.csv"
        assert shop.type("export", "1", "--failed", "-o", str(failed)).returncode == 0
        header, refused, invalid = read(failed)
        assert header == ["IMEI", "Error"]
        assert (refused[0], invalid[0]) == (make_imei(3), typo)
        assert "Invalid IMEI" in refused[1]
        assert invalid[1]

        write(failed, [header, [make_imei(5), refused[1]], [make_imei(4), invalid[1]]])
        status, summary = shop.submit(str(failed))
        assert (status, summary["accepted"], summary["total"]) == (0, 2, 2)
        assert sorted(entry.imei for entry in shop.simulator.book()) == [make_imei(n) for n in (0, 1, 2, 4, 5)]
        assert shop.judge().count("accepted") == 5
        left = shop.type("export", "2", "--failed", "-o", "-", "--format", "csv")
        assert left.stdout.splitlines() == ["IMEI,Error"]


def test_a_list_that_was_ordered_is_skipped_until_it_is_wanted_again(tmp_path: Path):
    with open_shop(tmp_path, repeats="charge") as shop:
        phones = shop.write_list(5)
        shop.submit(phones)
        _, skipped = shop.submit(phones)
        assert (skipped["repeated"], skipped["attempts"], skipped["spent"]) == (5, 0, 0)
        _, again = shop.submit(phones, "--again")
        assert (again["accepted"], again["spent"]) == (5, 5 * float(PRICE))
        with open_session(shop.home) as session:
            known = [row.reference for job in (1, 3) for row in session.ledger.order_rows(JobId(job))]
        assert {entry.reference for entry in shop.simulator.book()} == set(known)
        assert len(set(known)) == 10


def test_a_job_that_is_left_to_a_runner_is_followed_to_its_results_by_it(tmp_path: Path):
    with open_shop(tmp_path, pending_for="0", process_for="0", result_layout="br") as shop:
        done = shop.type(
            "submit", shop.write_list(20), "--service", "1", "--yes", "--follow-results", "--detach", "--json"
        )
        assert last_json(done.stdout)["total"] == 20
        wait_for_end(int(done.stderr.split("process ")[1].split(",")[0]))
        check_results(shop, 1, 20)


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0]
    finally:
        os.close(descriptor)


def check_results(shop: Shop, job: int, count: int) -> None:
    """Check that every order of a job has come to its end, and has the result that the provider gives it."""
    with open_session(shop.home) as session:
        rows = list(session.ledger.order_rows(JobId(job)))
    assert {row.state for row in rows} == {OrderState.ACCEPTED}
    assert [row.status for row in rows] == [ResultStatus.COMPLETED] * count
    assert all(row.result for row in rows)


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
