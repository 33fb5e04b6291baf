"""Jobs steered and doubts settled by a program: only what is allowed, only once, and with the cost said before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.item import FileItem
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Scope
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei
from tests.web.api.client import Program, check_problem, check_schema, enter, with_key
from tests.web.api.test_draft import make_form
from tests.web.seed import add_paused, seed
from tests.web.site import Site, open_site

DOUBT = make_imei(600)


def fill(session: Session) -> None:
    """Add five jobs alike, and one whose orders are in doubt."""
    for _ in range(5):
        add_paused(session)
    job = add_job(session, [NewOrder(line=n, imei=make_imei(598 + n)) for n in (2, 3, 4)])
    answer(session, job, dict.fromkeys((2, 3, 4), OrderState.UNCONFIRMED))
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)


@pytest.fixture
def steered(tmp_path: Path) -> Iterator[Site]:
    home = tmp_path / "home"
    home.mkdir()
    seed(home, fill)
    with open_site(home) as opened:
        yield opened


@pytest.fixture
def boss(steered: Site) -> Program:
    return enter(steered, Scope.ORDER, Scope.SETTLE)


def test_a_retry_says_what_it_would_cost_and_sends_no_more_than_was_expected(steered, boss):
    plan = boss.get("/jobs/1/retry", again="true")
    check_schema(plan, "RetryAnswer")
    assert (plan["count"], plan["by_state"], plan["cost"]) == (1, {"refused": 1}, Decimal("0.08"))
    assert boss.get("/jobs/1/retry", states="failed")["count"] == 0
    told = check_problem(boss.ask("POST", "/jobs/1/retry", {"again": True, "max_count": 0}), 409, "more-than-expected")
    assert "nothing was sent" in told["detail"]
    assert steered.session.ledger.tally(1)[OrderState.REFUSED] == 1
    summary = boss.ask("POST", "/jobs/1/retry", {"again": True, "max_count": 1})
    assert summary.status in {200, 202}
    check_schema(summary.value, "JobSummary")
    steered.wait_until(lambda: steered.session.ledger.tally(1)[OrderState.REFUSED] == 0, "it is not sent again")


def test_a_retry_at_a_higher_price_than_was_seen_is_turned_away(steered, boss):
    plan = boss.get("/jobs/2/retry", again="true")
    assert plan["price"] == Decimal("0.08")
    body = {"again": True, "max_count": plan["count"], "max_price": "0.07"}
    told = check_problem(boss.ask("POST", "/jobs/2/retry", body), 409, "more-than-expected")
    assert told["detail"] == "One order costs $0.08, more than $0.07: nothing was sent."
    assert steered.session.ledger.tally(2)[OrderState.REFUSED] == 1


def test_a_job_is_cancelled_for_good(steered, boss):
    answer_ = boss.ask("POST", "/jobs/2/cancel", headers=with_key("stop 2".replace(" ", "-")))
    assert (answer_.status, answer_.value["state"]) == (200, "cancelled")
    assert answer_.headers["location"] == "/api/v1/jobs/2"
    check_problem(boss.ask("POST", "/jobs/2/resume", {}), 409, "job-state")
    check_problem(boss.ask("POST", "/jobs/2/retry", {}), 409, "job-state")
    again = boss.ask("POST", "/jobs/2/cancel", headers=with_key("stop-2"))
    assert again.raw == answer_.raw
    assert again.headers["idempotency-replayed"] == "true"


def test_what_is_paused_stays_so_and_what_does_not_run_cannot_be_paused(boss):
    assert boss.post("/jobs/3/pause")["state"] == "paused"
    boss.post("/jobs/2/cancel")
    check_problem(boss.ask("POST", "/jobs/777/pause"), 404, "unknown-job")
    check_problem(boss.ask("POST", "/jobs/2/pause"), 409, "job-state")


def test_a_job_goes_on_with_another_cap(steered, boss):
    check_problem(boss.ask("POST", "/jobs/4/resume", {"max_spend": 0}), 422, "invalid")
    check_problem(boss.ask("POST", "/jobs/4/resume", {"max_spend": "1e-400"}), 422, "invalid")
    boss.post("/jobs/4/resume", {"max_spend": "12.50"})
    assert steered.session.find_job(4).max_spend == Decimal("12.50")
    steered.wait_until(lambda: steered.session.find_job(4).state is not JobState.RUNNING, "it does not end")


def test_a_settlement_is_weighed_first_and_given_once(steered, boss):
    body = {"outcome": "placed", "imeis": [DOUBT], "reference": "4711", "note": "order page"}
    told = boss.post("/jobs/6/settlements", {**body, "dry_run": True})
    check_schema(told, "Settled")
    assert (told["settled"], told["cost"], told["job"]["unconfirmed"]) == (1, Decimal("0.08"), 3)
    first = boss.post("/jobs/6/settlements", body, key="settle-1")
    assert (first["settled"], first["job"]["unconfirmed"]) == (1, 2)
    assert boss.post("/jobs/6/settlements", body, key="settle-1") == first
    order = boss.get("/orders", imei=DOUBT)["orders"][0]
    assert (order["state"], order["reference"]) == ("accepted", "4711")


def test_a_file_in_doubt_is_settled_by_its_line(site, program):
    job = site.add_doubtful_items(FileItem("phone.ask", b"1"), FileItem("other.ask", b"2"))
    found = program.get(f"/jobs/{job}/doubts")
    check_schema(found, "DoubtPage")
    assert [(one["imei"], one["value"], one["line"]) for one in found["orders"]] == [
        (None, "phone.ask", 1),
        (None, "other.ask", 2),
    ]
    told = program.post(f"/jobs/{job}/settlements", {"outcome": "placed", "lines": [2], "reference": "4713"})
    assert (told["settled"], told["job"]["unconfirmed"]) == (1, 1)
    (order,) = program.get("/orders", reference="4713")["orders"]
    assert (order["value"], order["state"]) == ("other.ask", "accepted")


def test_a_word_settles_nothing_that_was_sent_since_it_was_weighed(steered, boss):
    body = {"outcome": "not_placed", "imeis": "all"}
    last = boss.post("/jobs/6/settlements", {**body, "dry_run": True})["last_attempt"]
    before = steered.session.ledger.tally(6)
    told = boss.ask("POST", "/jobs/6/settlements", {**body, "last_attempt": last - 1})
    assert "since they were shown" in check_problem(told, 409, "usage")["detail"]
    assert steered.session.ledger.tally(6) == before
    assert boss.post("/jobs/6/settlements", {**body, "last_attempt": last, "dry_run": True})["settled"] == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"outcome": "placed", "imeis": ["nonsense"]}, 404, "imei"),
        ({"outcome": "placed", "imeis": []}, 422, "invalid"),
        ({"outcome": "placed"}, 409, "contradiction"),
        ({"outcome": "placed", "imeis": "all", "lines": [4]}, 409, "contradiction"),
        ({"outcome": "placed", "lines": []}, 422, "invalid"),
        ({"outcome": "placed", "lines": [77]}, 409, "usage"),
        ({"outcome": "perhaps", "imeis": "all"}, 422, "invalid"),
        ({"outcome": "placed", "imeis": "some"}, 422, "invalid"),
        ({"outcome": "not_placed", "imeis": "all", "reference": "1"}, 409, "contradiction"),
        ({"outcome": "placed", "imeis": "all", "reference": "4712"}, 409, None),
    ],
)
def test_a_settlement_that_says_nothing_certain_changes_nothing(steered, boss, body, status, code):
    before = steered.session.ledger.tally(6)
    told = boss.ask("POST", "/jobs/6/settlements", body)
    assert told.status == status, told.raw
    if code is not None:
        check_problem(told, status, code)
    assert steered.session.ledger.tally(6) == before


def test_an_export_settles_what_it_names_and_its_silence_only_where_it_is_complete(steered, boss):
    content = f"ID,IMEI,Service,Status,Price\n991,{make_imei(601)},1,Pending,0.08\n".encode()
    dry, headers = make_form(content, "orders.csv", dry_run="true")
    told = boss.ask("POST", "/jobs/6/settlements/export", dry, headers=headers).value
    check_schema(told, "ExportSettlement")
    assert (told["found"]["placed"], told["placed"], told["job"]["unconfirmed"]) == (1, 0, 3)
    assert told["told"][0] == "orders.csv: 1 row, 1 IMEI"
    real, headers = make_form(content, "orders.csv", note="from the panel")
    told = boss.ask("POST", "/jobs/6/settlements/export", real, headers=headers).value
    assert (told["placed"], told["not_placed"], told["job"]["unconfirmed"]) == (1, 0, 2)
    bad, headers = make_form(content, "orders.csv", timezone="Mars")
    check_problem(boss.ask("POST", "/jobs/6/settlements/export", bad, headers=headers), 409, "usage")


def test_what_was_not_placed_waits_again(steered, boss):
    told = boss.post("/jobs/6/settlements", {"outcome": "not_placed", "imeis": "all"})
    assert (told["settled"], told["job"]["queued"], told["job"]["unconfirmed"]) == (3, 3, 0)
    boss.post("/jobs/6/resume")
    steered.wait_for(6, JobState.FINISHED)


def test_all_of_it_stands_in_the_log_with_who_did_it(steered, boss):
    boss.post("/jobs/1/retry", {"again": True, "max_count": 1})
    boss.post("/jobs/2/cancel")
    boss.post("/jobs/4/resume", {"max_spend": "12.50"})
    boss.post("/jobs/6/settlements", {"outcome": "not_placed", "imeis": "all"})
    boss.ask("GET", "/export?job=6")
    actions = [event.data for event in steered.session.ledger.events(limit=500) if event.actor == "mia"]
    assert {one.get("action") for one in actions} >= {"retry", "cancel", "resume", "settle", "export"}
    assert {one["token"] for one in actions if one.get("action") == "settle"} == {"a test"}


def test_a_job_says_what_going_on_would_cost(steered, boss):
    told = boss.get("/jobs/2/resume")
    check_schema(told, "ResumeAnswer")
    assert (told["price"], told["price_now"], told["change"]) == (Decimal("0.08"), None, "")


def test_a_repeat_probe_is_made_where_its_price_is_allowed_for_this_run(site, program):
    account = replace(site.session.configuration.accounts[ACCOUNT], repeat_probe_max_price=Decimal("0.01"))
    site.session.configuration = replace(site.session.configuration, accounts={ACCOUNT: account})
    job = site.add_answered({2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED})  # behind: a lane keeps its settings

    def go_on(body: dict[str, str]) -> str:
        program.post(f"/jobs/{job}/resume", body)
        site.wait_for(job, JobState.FINISHED)
        site.wait_until(lambda: site.server.office.runner.view(job) is None, "it is still worked on")
        return site.session.find_job(job).reason or ""

    for body in ({}, {"probe_up_to": "0.07"}):
        assert "a repeat probe may cost $0.08" in go_on(body)
        assert len(site.sim.book) == 0
    assert "repeats are charged here (one repeated order cost $0.08)" in go_on({"probe_up_to": "0.08"})
    assert len(site.sim.book) == 1
    assert "repeats are charged" in go_on({})  # known by now
    assert len(site.sim.book) == 1
