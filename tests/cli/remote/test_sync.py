"""Statuses and results of a server, asked for from the command line: once, until all is final, and after a submit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Scope
from imeiflow.remote.address import read_server
from imeiflow.remote.client import Client
from imeiflow.remote.sync import RemoteSync
from tests.operations.stand import make_imei
from tests.web.api.client import enter
from tests.web.site import Site, open_site

LIVES = {"pending_for": "2", "process_for": "1-4", "rejected_share": 0.2}


@pytest.fixture(scope="module")
def site(home: Path) -> Site:
    """Give a server whose provider takes its time with results."""
    home.mkdir()
    with open_site(home, LIVES) as opened:
        yield opened


@pytest.fixture
def job(site) -> JobId:
    """Give a finished job of 20 orders, whose results are not there yet."""
    first = 100 * len(site.session.ledger.list_jobs())
    made = site.add_job(20, start=first)
    site.wait_for(made, JobState.FINISHED)
    return made


def read_last(done) -> dict[str, object]:
    found: dict[str, object] = json.loads(done.out.splitlines()[-1])
    return found


def test_statuses_are_fetched_once_and_watched_to_the_end(type_remotely, job):
    once = type_remotely("sync", str(job), "--json")
    told = read_last(once)
    assert (told["jobs"], told["accepted"]) == ([job], 20)
    assert once.status == (0 if told["is_final"] else 4)
    watched = type_remotely("sync", str(job), "--watch", "--json")
    told = read_last(watched)
    assert watched.status == 0, watched.err
    assert (told["is_final"], told["open"], told["reason"]) == (True, 0, None)
    assert told["completed"] + told["rejected"] == 20
    assert f"Job {job}: all is final." in watched.err


def test_what_is_final_is_told_as_on_the_ledger_there(type_remotely, type_locally, job):
    type_remotely("sync", str(job), "--watch")
    for typed in (("sync", str(job)), ("sync", "777"), ("sync", str(job), "--watch")):
        there, here = type_remotely(*typed), type_locally(*typed)
        assert (there.status, there.out) == (here.status, here.out), (typed, there.err)


def test_all_that_is_open_is_asked_for_where_no_job_is_named(type_remotely, job):
    told = read_last(type_remotely("sync", "--watch", "--json"))
    assert job in told["jobs"] or told["jobs"] == []
    assert told["is_final"]


def test_a_list_is_followed_to_its_results(site, type_remotely, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{make_imei(5000 + number)}\n" for number in range(10)))
    done = type_remotely("submit", str(path), "--service", "1", "--yes", "--follow-results", "--json")
    assert done.status == 0, done.err
    summary = read_last(done)
    job = JobId(int(str(summary["job"])))
    assert (summary["accepted"], site.session.ledger.count_open(job)) == (10, 0)
    assert f"Job {job}: all is final." in done.err
    assert site.session.find_job(job).follow_results


def test_leaving_ends_it_with_the_status_of_an_interruption(site, token, job):
    client = Client(read_server(site.base_url, {"IMEIFLOW_TOKEN": token}))
    looks = []

    def leave(_: float) -> None:
        raise KeyboardInterrupt

    synced = RemoteSync(client, job, watches=True).run(looks.append, sleep=leave)
    assert looks[0].jobs == (job,)
    assert synced.exit_code == (130 if synced.tally.open else 0)


def test_a_token_that_only_looks_may_not_ask_the_provider(site, job):
    reader = enter(site, Scope.READ, name="vic")
    answer = reader.ask("POST", "/syncs", {"job": job})
    assert answer.status == 403
    assert reader.ask("GET", "/syncs", query={"job": job, "since": "2026-11-28T14:30:00Z"}).status == 200


def test_who_asked_is_logged(site, type_remotely, job):
    type_remotely("sync", str(job))
    deeds = [one.data for one in site.session.ledger.recent_events(kinds=["user_action"])]
    assert any(deed["action"] == "sync" for deed in deeds)


def test_watching_ends_when_all_is_final_that_can_be_and_names_what_is_left(site, type_remotely):
    site.change_provider(**LIVES, status_foreign_share=1.0)
    try:
        job = site.add_job(20, start=9000)
        site.wait_for(job, JobState.FINISHED)
        watched = type_remotely("sync", str(job), "--watch", "--json")
    finally:
        site.change_provider(**LIVES)
    told = read_last(watched)
    assert watched.status == 4
    assert (told["open"], told["unusable"]) == (20, 20)
    assert {one["kind"] for one in told["stuck"]} == {"foreign_imei"}
    assert len({one["imei"] for one in told["stuck"]}) == 20
    assert f"Job {job}: all is final that can be; 20 of 20 orders are left." in watched.err
