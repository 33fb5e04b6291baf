"""Jobs of a server, resumed, cancelled, tried again and settled from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session
from tests.operations.stand import add_job, answer, make_imei
from tests.web.seed import add_paused, seed
from tests.web.site import Site, open_site

#: Lines of the job: 2 to 4 accepted, 5 refused, 6 unconfirmed.
DOUBT = make_imei(6)
OTHER = make_imei(500)


def fill(session: Session) -> None:
    """Add seven jobs alike, one whose only order is unconfirmed, and one more as the seven."""
    for _ in range(7):
        add_paused(session)
    job = add_job(session, [NewOrder(line=2, imei=OTHER)])
    answer(session, job, {2: OrderState.UNCONFIRMED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "paused by the user")
    add_paused(session)


@pytest.fixture(scope="module")
def site(home: Path) -> Site:
    """Give a server with jobs that a person paused."""
    home.mkdir()
    seed(home, fill)
    with open_site(home, {"repeats": "refuse"}) as opened:
        yield opened


def read_last(done) -> dict[str, object]:
    found: dict[str, object] = json.loads(done.out.splitlines()[-1])
    return found


def test_what_was_refused_is_sent_again_and_followed(site, type_remotely):
    done = type_remotely("retry", "1", "--yes", "--json")
    summary = read_last(done)
    assert summary["refused"] == 0
    # Its doubt is held, or settled by a probe: it was placed then, or is now.
    assert (summary["accepted"], summary["unconfirmed"]) == (4, 1) or summary["accepted"] + summary["duplicate"] == 5
    assert done.status in {0, 4}
    again = type_remotely("retry", "1", "--yes", "--json")
    assert "no orders that are failed or refused" in again.err


def test_without_a_terminal_a_retry_and_a_settlement_need_a_word(type_remotely, site):
    for typed in ("retry 2 --again", "settle 2 --placed --all", "settle 2 --not-placed --all"):
        done = type_remotely(*typed.split())
        assert done.status == 2
        assert "--yes" in done.err
    assert site.session.ledger.tally(2)[OrderState.UNCONFIRMED] == 1


def test_a_job_is_cancelled_with_what_waits(type_remotely):
    done = type_remotely("cancel", "3", "--yes", "--json")
    assert done.status == 0
    assert read_last(done)["state"] == "cancelled"
    done = type_remotely("resume", "3")
    assert done.status == 2
    assert "it cannot be resumed" in done.err


def test_pausing_what_is_paused_changes_nothing(type_remotely):
    done = type_remotely("pause", "4", "--json")
    assert done.status == 0
    assert read_last(done)["state"] == "paused"


def test_a_job_goes_on_and_is_left_to_the_server(site, type_remotely):
    done = type_remotely("resume", "5", "--detach", "--json", "--max-spend", "3.50")
    assert done.status == 0
    site.wait_until(lambda: site.session.find_job(5).state != "running", "job 5 does not end")
    assert str(site.session.find_job(5).max_spend) in {"3.5", "3.50"}


def test_a_doubt_is_settled_as_placed_with_its_reference(site, type_remotely):
    done = type_remotely("settle", "6", "--placed", "4711", "--imei", DOUBT, "--note", "order page", "--yes")
    assert done.status == 0
    assert "marked as placed with reference 4711, and $0.08 counted as spent" in done.err
    tally = site.session.ledger.tally(6)
    assert (tally[OrderState.UNCONFIRMED], tally[OrderState.ACCEPTED]) == (0, 4)
    again = type_remotely("settle", "6", "--placed", "--all", "--yes")
    assert "Nothing of job 6 is unconfirmed." in again.err


def test_a_doubt_is_settled_by_its_row(site, type_remotely):
    assert type_remotely("settle", "9", "--placed", "--row", "5", "--yes").status == 2
    assert type_remotely("settle", "9", "--placed", "4712", "--row", "6", "--yes").status == 0
    assert site.session.ledger.tally(9)[OrderState.UNCONFIRMED] == 0


def test_a_doubt_is_settled_as_not_placed_and_waits_again(site, type_remotely):
    done = type_remotely("settle", "7", "--not-placed", "--all", "--yes", "--json")
    assert done.status == 0
    assert read_last(done)["queued"] == 1
    assert "may then be paid for twice" in done.err


def test_the_provider_s_export_settles_what_it_names(site, type_remotely, type_locally, tmp_path):
    export = tmp_path / "orders.csv"
    export.write_text(f"ID,IMEI,Service,Status,Price\n991,{OTHER},1,Pending,0.08\n")
    typed = ("settle", "8", "--from-export", str(export), "--dry-run")
    there, here = type_remotely(*typed), type_locally(*typed)
    assert there.status == here.status == 4
    assert there.out.replace(export.name, str(export)) == here.out
    done = type_remotely(*typed[:-1], "--yes", "--json")
    assert done.status == 0
    assert "1 order marked as placed." in done.err
    assert read_last(done)["unconfirmed"] == 0
