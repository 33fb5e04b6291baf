"""The page of all orders, and that of one: found by what is typed or pasted, the address says what is shown."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from imeiflow.domain.order import JobState, ResultStatus
from imeiflow.domain.user import Role
from imeiflow.ledger.change import StatusUpdate
from imeiflow.results.result import Note
from tests.operations.stand import ACCOUNT, make_imei
from tests.web.conftest import Visitor
from tests.web.look import find_flaws


@pytest.fixture
def job(site):
    found = site.add_job(120, name="stock.csv", submitted_by="mia")
    site.wait_for(found, JobState.FINISHED)
    return found


def expect_imeis(page, numbers):
    """Wait until the table shows these IMEIs, in this order."""
    shown = [str(make_imei(number)) for number in numbers]
    expect(page.locator("tbody tr td:first-child a")).to_have_text(shown)


def test_without_an_order_it_says_what_to_do_next(site, visitor, admin):
    page = visitor.open("/orders", user=admin)
    expect(page.get_by_text("No order yet.")).to_be_visible()
    expect(page.locator(".empty").get_by_role("link", name="New job")).to_be_visible()


def test_pages_go_on_behind_each_other_and_show_each_order_once(site, visitor, admin, job):
    page = visitor.open("/orders", user=admin)
    for first in (70, 20):
        expect_imeis(page, reversed(range(first, first + 50)))
        page.get_by_role("link", name="Older orders").click()
    expect_imeis(page, reversed(range(20)))
    expect(page.get_by_role("link", name="Older orders")).to_have_count(0)
    page.get_by_role("link", name="To the newest").click()
    expect(page).to_have_url(re.compile(r"/orders\?$"))


def test_a_few_imeis_and_the_filters_stand_in_the_address(site, visitor, admin, job):
    page = visitor.open("/orders", user=admin)
    page.get_by_label("IMEIs").fill(f"{make_imei(3)}\n{make_imei(7)}\nabc")
    page.get_by_label("State").select_option("accepted")
    page.get_by_label("Job", exact=True).fill(str(job))
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(rf"imei=.*&state=accepted&job={job}$"))
    expect_imeis(page, (7, 3))
    expect(page.get_by_text("1 text is no IMEI and left out: abc")).to_be_visible()
    expect(page.get_by_text("All 2 IMEIs are known here.")).to_be_visible()
    page.reload()
    expect_imeis(page, (7, 3))


def test_thousands_of_imeis_are_kept_aside_and_those_in_no_job_are_named(site, visitor, admin, job):
    page = visitor.open("/orders", user=admin)
    pasted = "\n".join(make_imei(number) for number in range(100, 3100))
    page.get_by_label("IMEIs").evaluate("(field, text) => { field.value = text; }", pasted)
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile(r"\?list=[0-9a-f]{24}$"))
    expect_imeis(page, reversed(range(100, 120)))
    expect(page.get_by_text("2,980 IMEIs of 3,000 are in no job")).to_be_visible()
    url = page.url
    page.goto("about:blank")
    site.restart()
    page.goto(url)
    expect(page.locator("tbody tr")).to_have_count(20)
    page.get_by_label("Reference").fill("R-0")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No order matches.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"list=[0-9a-f]{24}&reference=R-0$"))


def test_an_address_that_cannot_be_right_is_told_what_is_wrong(visitor, admin):
    page = visitor.open("/orders", user=admin)
    for query, says in {
        "state=lost": "lost&#39; is no state of an order",
        "job=x": "x&#39; is no number of a job",
        "from=2026-13-01": "2026-13-01&#39; is no day",
        "from=2026-11-02&to=2026-11-01": "The last day lies before the first.",
        "after=nowhere": "This address does not name a page",
        "list=" + "0" * 24: "This list of IMEIs is not kept any more.",
        "list=../../etc/passwd": "This list of IMEIs is not kept any more.",
    }.items():
        answer = page.request.get(f"/orders?{query}")
        assert (answer.status, says in answer.text()) == (400, True), query


def test_an_order_tells_all_that_happened_to_it_and_what_went_over_the_wire(site, visitor, admin, job):
    page = visitor.open(f"/orders?imei={make_imei(5)}", user=admin)
    page.get_by_role("link", name=make_imei(5)).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(make_imei(5))
    expect(page.locator(".timeline li").first).to_contain_text(f"of job {job} (stock.csv)")
    expect(page.locator(".timeline .evidence")).to_have_count(1)  # one attempt; a status may come at any time
    expect(page.locator(".timeline")).to_contain_text(re.compile(r"accepted, reference \d+, charged \$0\.08, HTTP 200"))
    expect(page.locator(".facts")).to_contain_text("$0.08")
    page.get_by_text("What was sent, and what came back").click()
    evidence = page.locator(".evidence-body")
    expect(evidence).to_contain_text(make_imei(5))
    expect(evidence).to_contain_text("Keys are blanked.")
    assert site.sim.api_key not in page.content()


def test_an_order_whose_result_is_about_another_phone_says_so(make_site, browser):
    site = make_site(pending_for="600")
    job = site.add_job(2)
    site.wait_for(job, JobState.FINISHED)
    ids = [row.id for row in site.session.ledger.order_rows(job)]
    text = f"IMEI: {site.session.ledger.find_order(ids[0]).imei}<br>Carrier: O2"
    told = [StatusUpdate(order=one, status=ResultStatus.COMPLETED, result=text) for one in ids]
    site.session.ledger.update_statuses(ACCOUNT, told)
    visitor = Visitor(browser, site)
    user = site.add_user()
    for order, times in zip(ids, (0, 1), strict=True):
        page = visitor.open(f"/orders/{order}", user=user)
        expect(page.locator(".pairs")).to_contain_text("O2")
        expect(page.get_by_text(Note.FOREIGN_IMEI.sentence)).to_have_count(times)


def test_evidence_is_shown_only_with_an_order_of_its_attempt(site, visitor, admin, job):
    page = visitor.open("/orders", user=admin)
    attempt = site.session.ledger.list_attempts(job)[0].id
    strange = site.session.ledger.search_orders(imeis=[make_imei(5)])[0].id
    theirs = {one.attempt.id for one in site.session.ledger.attempts_of(strange)}
    answers = [page.request.get(f"/orders/{strange}/attempts/{one}") for one in (attempt, attempt + 1000)]
    assert ["Came back" in one.text() for one in answers] == [attempt in theirs, False]


def test_an_order_that_does_not_exist_is_no_page(site, visitor, admin):
    page = visitor.open("/orders", user=admin)
    for path in ("/orders/77", f"/orders/{1 << 80}"):
        assert page.request.get(path).status == 404


def test_a_viewer_finds_orders_but_a_form_of_another_session_does_not(site, visitor, admin, job):
    viewer = site.add_user("vera", Role.VIEWER)
    page = visitor.open("/orders", user=viewer)
    page.get_by_label("IMEIs").fill(make_imei(3))
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    answer = page.request.post("/orders", form={"csrf": "not this one", "imei": make_imei(3)})
    assert answer.status == 403


def test_it_is_open_to_all(visitor, admin, job):
    order = visitor.site.session.ledger.search_orders(imeis=[make_imei(5)])[0].id
    for path in (f"/orders?imei={make_imei(5)},{make_imei(9999)}", f"/orders/{order}"):
        assert find_flaws(visitor.open(path, user=admin)) == []
