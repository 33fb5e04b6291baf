"""The page of all jobs: how far each is, what it spent, what of it is in doubt."""

from __future__ import annotations

from playwright.sync_api import expect

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session
from tests.operations.stand import add_job, answer, finish, make_imei
from tests.web import seed
from tests.web.look import find_flaws


def test_what_is_unconfirmed_does_not_count_as_answered(tmp_path, request):
    job = seed.seed(tmp_path / "home", seed.add_paused)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/jobs", user=admin)
    row = page.locator(f"#job-{job}")
    expect(row).to_contain_text("4 of 5 answered")
    expect(row).to_contain_text("1 unconfirmed")
    expect(row).to_contain_text("$0.24")
    assert find_flaws(page) == []
    page.goto(f"/jobs/{job}")
    expect(page.locator(".progress-line")).to_contain_text("4 of 5 orders answered · 1 unconfirmed")


def add_cancelled(session: Session) -> JobId:
    """Add a cancelled job: of six rows one holds no IMEI, one is accepted, one refused, three were never sent."""
    rows = [NewOrder(line=line, imei=make_imei(line)) for line in range(2, 7)]
    wrong = NewOrder(line=7, imei=None, state=OrderState.INVALID, value="12", flaw="too_short")
    job = add_job(session, [*rows, wrong], name="given up.csv")
    answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.REFUSED})
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.CANCELLED, "cancelled by the user")
    session.ledger.cancel_queued(job)
    return job


def test_what_was_cancelled_or_held_no_imei_does_not_count_as_answered(tmp_path, request):
    job = seed.seed(tmp_path / "home", add_cancelled)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    row = visitor.open("/jobs", user=admin).locator(f"#job-{job}")
    expect(row.locator(".jobs-progress")).to_contain_text("2 of 5 answered · 3 cancelled")
    expect(row.get_by_role("img")).to_have_accessible_name("1 accepted, 1 refused, 3 cancelled, 1 invalid")
    expect(row.locator(".tag")).to_have_text("cancelled")


def add_many(session: Session) -> None:
    """Add a job more than stand on a page."""
    for number in range(51):
        finish(session, add_job(session, [], name=f"list {number + 1}"))


def test_older_jobs_follow_on_a_page_of_their_own(tmp_path, request):
    seed.seed(tmp_path / "home", add_many)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/jobs", user=admin)
    names = page.locator("tbody tr td:first-child a")
    expect(names).to_have_count(50)
    expect(names.first).to_have_text("list 51")
    page.get_by_role("link", name="Older jobs").click()
    expect(names).to_have_text(["list 1"])
    expect(page.get_by_role("link", name="Older jobs")).to_have_count(0)
