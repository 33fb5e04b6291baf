"""What the results of a job say altogether."""

from __future__ import annotations

from pathlib import Path

from imeiflow.cli.detail import tell_findings
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.finding import Findings, count_findings
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei, open_session

SAID = {
    2: "Carrier: T-Mobile USA<br>SimLock: Unlocked<br>Find My iPhone: OFF",
    3: "Network: T-MOBILE USA - Lock Status: Locked - FMI: ON",
    4: "Carrier: O2 UK",
    5: "Your phone is now unlocked.",
}


def test_carriers_locks_and_find_my_are_counted_however_results_write_them(tmp_path: Path):
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 8)])
        answer(session, job, {**dict.fromkeys(range(2, 7), OrderState.ACCEPTED), 7: OrderState.REFUSED})
        rows = {row.line: row for row in session.ledger.order_rows(job)}
        told = [StatusUpdate(order=rows[n].id, status=ResultStatus.COMPLETED, result=text) for n, text in SAID.items()]
        session.ledger.update_statuses(ACCOUNT, told)
        found = count_findings(session, job)
        assert (found.read, found.is_all) == (4, True)
        assert found.counts == {
            "carrier": {"T-Mobile USA": 2, "O2 UK": 1},
            "simlock": {"unlocked": 1, "locked": 1},
            "find_my": {"off": 1, "on": 1},
        }
        assert list(tell_findings(found, 80)) == [
            "",
            "What 4 results say:",
            "  carrier      2 T-Mobile USA · 1 O2 UK · 1 do not say",
            "  simlock      1 unlocked · 1 locked · 2 do not say",
            "  find my      1 off · 1 on · 2 do not say",
        ]
        part = count_findings(session, job, most=3)
        assert (part.read, part.is_all) == (3, False)
        assert "What the first 3 results say (`imeiflow export` has all):" in list(tell_findings(part, 80))


def test_results_about_other_phones_are_counted_and_told_first(tmp_path: Path):
    said = {2: f"IMEI: {make_imei(2)}", 3: f"IMEI: {make_imei(2)}", 4: f"IMEI: {make_imei(2)}<br>IMEI2: {make_imei(4)}"}
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in said])
        answer(session, job, dict.fromkeys(said, OrderState.ACCEPTED))
        rows = {row.line: row.id for row in session.ledger.order_rows(job)}
        told = [StatusUpdate(order=rows[n], status=ResultStatus.COMPLETED, result=text) for n, text in said.items()]
        session.ledger.update_statuses(ACCOUNT, told)
        found = count_findings(session, job)
    assert (found.foreign, found.counts) == (1, {})
    assert list(tell_findings(found, 80)) == [
        "",
        "Other phones: 1 result of 3",
        "  A result names another IMEI than the one that was ordered; ask the provider whose it is.",
        "  Which ones: `imeiflow export` says it of each row, in the column `notes`.",
    ]


def test_many_values_are_folded_and_the_rest_is_counted():
    carriers = {f"A carrier with a long name {n}": 50 - n for n in range(20)}
    lines = list(tell_findings(Findings(1_000, True, {"carrier": carriers}), 80))
    assert max(map(len, lines)) <= 80
    assert lines[2].startswith("  carrier      50 A carrier with a long name 0 ·")
    assert lines[-1].endswith(f"{sum(range(31, 43)):,} others · 190 do not say")
    assert sum("A carrier" in line for line in lines) > 3


def test_a_job_without_results_says_nothing_of_them(tmp_path: Path):
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=2, imei=make_imei(2))])
        assert list(tell_findings(count_findings(session, job), 80)) == []
