"""Orders that may have been placed: a page of their own, the evidence, and settling them."""

from __future__ import annotations

import html
import re

import pytest
from playwright.sync_api import expect

from imeiflow.domain.ident import JobId
from imeiflow.domain.item import FileItem
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.user import Role
from imeiflow.ledger.record import NewOrder
from imeiflow.simulator.behaviour import Repeat
from tests.operations.stand import add_job, answer, finish, make_imei
from tests.web import seed
from tests.web.ask import Asker
from tests.web.conftest import Visitor, find_violations
from tests.web.look import find_flaws

SERVICE_NAME = "Apple Basic Info"


@pytest.fixture
def doubtful(site) -> JobId:
    """Give a finished job: line 2 accepted, 3 to 6 unconfirmed."""
    states = {2: OrderState.ACCEPTED, **dict.fromkeys(range(3, 7), OrderState.UNCONFIRMED)}
    return site.add_answered(states, service_name=SERVICE_NAME)


def count(site, job: JobId, state: OrderState) -> int:
    return site.session.ledger.tally(job)[state]


def test_one_is_marked_placed_with_its_reference_and_who_said_so(site, visitor, admin, doubtful):
    page = visitor.open("/unconfirmed", user=admin)
    page.get_by_role("link", name="stock.csv").click()
    page.get_by_label(str(make_imei(3))).check()
    expect(page.get_by_text("1 on this page chosen")).to_be_visible()
    page.get_by_label("They were placed").check()
    page.get_by_label("Reference").fill("R-77")
    page.get_by_label("Note").fill("seen on their site")
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_text("3 orders may have been placed")).to_be_visible()  # the others are still to be settled
    expect(page.locator("#told")).to_have_text("1 order was marked as placed.")
    expect(page.get_by_label(str(make_imei(3)))).to_have_count(0)
    assert (count(site, doubtful, OrderState.ACCEPTED), count(site, doubtful, OrderState.UNCONFIRMED)) == (2, 3)
    told = [one.data for one in site.session.ledger.events(job=doubtful) if one.kind == "marked_placed"]
    assert [(one["actor"], one["note"], one["reference"]) for one in told] == [("mia", "seen on their site", "R-77")]


def test_all_are_marked_not_placed_and_wait_to_be_sent_again(site, visitor, admin, doubtful):
    page = visitor.open(f"/jobs/{doubtful}/unconfirmed", user=admin)
    page.get_by_label("All 4, also on other pages").check()
    page.get_by_label("They were not placed").check()
    page.get_by_role("button", name="Settle", exact=True).click()
    page.wait_for_url(re.compile(rf"/jobs/{doubtful}$"))
    expect(page.locator("#told")).to_have_text("4 orders were marked as not placed, and wait to be sent.")
    assert count(site, doubtful, OrderState.QUEUED) == 4
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".legend")).to_contain_text(re.compile(r"5\s+accepted"))
    assert count(site, doubtful, OrderState.ACCEPTED) == 5


def test_of_a_cancelled_job_what_was_not_placed_is_said_to_be_cancelled(site, admin):
    job = site.add_answered({2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED}, state=JobState.CANCELLED)
    person = Asker(site, admin)
    page = person.ask("GET", f"/jobs/{job}/unconfirmed").body
    assert "They are cancelled: of this job nothing is sent any more." in page
    assert "queued again" not in page
    seen = re.search(r'name="seen" value="(\d+)"', page)[1]
    form = {"csrf": person.csrf, "scope": "all", "verdict": "not-placed", "seen": seen}
    assert person.ask("POST", f"/jobs/{job}/unconfirmed/settle", form=form).status == 200
    told = "1 order was marked as not placed, and is cancelled."
    assert told not in Asker(site, admin).ask("GET", f"/jobs/{job}").body, "it is said where it was done"
    assert told in person.ask("GET", f"/jobs/{job}").body
    assert told not in person.ask("GET", f"/jobs/{job}").body
    assert count(site, job, OrderState.CANCELLED) == 1


def test_a_file_in_doubt_goes_by_its_name_and_no_export_of_imeis_is_asked_for(site, admin):
    job = site.add_doubtful_items(FileItem("phone.ask", b"1"), FileItem("other.ask", b"2"))
    page = Asker(site, admin).ask("GET", f"/jobs/{job}/unconfirmed").body
    assert re.findall(r'aria-label="(\w+\.ask)"', page) == ["phone.ask", "other.ask"]
    assert "<th>File</th>" in page
    assert ">None<" not in page
    assert "Advanced Export" not in page


def test_nothing_is_settled_that_was_sent_since_the_page_was_drawn(site, admin, doubtful):
    person = Asker(site, admin)
    path = f"/jobs/{doubtful}/unconfirmed"
    seen = int(re.search(r'name="seen" value="(\d+)"', person.ask("GET", path).body)[1])
    form = {"csrf": person.csrf, "scope": "all", "verdict": "not-placed"}
    for told in ({}, {"seen": ""}, {"seen": str(seen - 1)}):
        answer_ = person.ask("POST", f"{path}/settle", form={**form, **told})
        assert answer_.status == 400
        assert "since they were shown" in answer_.body
    assert count(site, doubtful, OrderState.UNCONFIRMED) == 4
    assert person.ask("POST", f"{path}/settle", form={**form, "seen": str(seen)}).status == 200
    assert count(site, doubtful, OrderState.QUEUED) == 4


def test_how_many_wait_is_seen_on_every_page_and_in_its_title(site, visitor, admin, doubtful):
    page = visitor.open("/spending", user=admin)
    expect(page.get_by_role("link", name="Unconfirmed 4 unconfirmed")).to_be_visible()
    expect(page).to_have_title("(4) Spending · imeiflow")
    assert find_violations(page) == []


def test_each_job_with_doubts_is_listed_however_old_it_is(tmp_path, request):
    def fill(session):
        for number in range(52):
            job = add_job(session, [NewOrder(line=2, imei=make_imei(number))], name=f"list {number}")
            answer(session, job, {2: OrderState.UNCONFIRMED})
            finish(session, job)

    seed.seed(tmp_path / "home", fill)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/unconfirmed", user=admin)
    names = page.locator("tbody a")
    expect(names).to_have_text([f"list {number}" for number in reversed(range(2, 52))])
    page.get_by_role("link", name="Older jobs").click()
    expect(names).to_have_text(["list 1", "list 0"])


def test_nothing_is_settled_where_nothing_is_chosen(site, visitor, admin, doubtful):
    visitor.watch.expected.add(400)
    page = visitor.open(f"/jobs/{doubtful}/unconfirmed", user=admin)
    page.get_by_label("They were placed").check()
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No order was chosen.")
    assert count(site, doubtful, OrderState.UNCONFIRMED) == 4


def test_what_waits_in_a_job_that_had_ended_is_said_and_what_it_costs(site, visitor, admin, doubtful):
    page = visitor.open(f"/jobs/{doubtful}/unconfirmed", user=admin)
    page.locator("[name=order]").first.check()
    page.get_by_label("They were not placed").check()
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(page.get_by_text("1 order was marked as not placed")).to_be_visible()
    page.goto(f"/jobs/{doubtful}")
    told = "1 order waits, at most $0.08; nothing is sent before you press “Go on”."
    expect(page.locator("#waiting-notice")).to_have_text(told)


def test_what_somebody_else_has_settled_meanwhile_is_said_to_be_and_stays(site, visitor, admin, doubtful):
    visitor.watch.expected.add(400)
    path = f"/jobs/{doubtful}/unconfirmed"
    mia, otto = visitor.open(path, user=admin), visitor.open(path, user=site.add_user("otto", Role.OPERATOR))
    for page, ticked, verdict in ((mia, 2, "They were placed"), (otto, 3, "They were not placed")):
        for box in page.locator("[name=order]").all()[:ticked]:
            box.check()
        page.get_by_label(verdict).check()
    for page in (mia, otto):
        page.get_by_role("button", name="Settle", exact=True).click()
    expect(mia.get_by_text("2 orders were marked as placed.")).to_be_visible()
    expect(otto.get_by_text("2 others were settled before, and nothing was changed about that.")).to_be_visible()
    assert (count(site, doubtful, OrderState.ACCEPTED), count(site, doubtful, OrderState.QUEUED)) == (3, 1)
    for page in (mia, otto):
        page.goto(path)
        page.locator("[name=order]").check()
        page.get_by_label("They were placed").check()
    for page in (mia, otto):
        page.get_by_role("button", name="Settle", exact=True).click()
        if page is mia:
            expect(mia.get_by_text("1 order was marked as placed.")).to_be_visible()
    alert = otto.get_by_role("alert")
    expect(alert).to_contain_text("None of what was chosen is unconfirmed any more.")
    expect(alert).to_contain_text("somebody else may have settled it")


def test_the_provider_s_export_says_what_it_would_settle_and_then_does(site, visitor, admin, doubtful, tmp_path):
    rows = ["SERVICE\tIMEI NO.\tCREDITS\tSTATUS\tCODE\tORDER DATE"]
    at = site.session.clock.now().strftime("%Y-%m-%d %H:%M:%S")
    rows += [f"{SERVICE_NAME}\t{make_imei(line)}\t$0.08\tPending\t\t{at}" for line in (2, 3, 4)]
    path = tmp_path / "export.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    page = visitor.open(f"/jobs/{doubtful}/unconfirmed", user=admin)
    page.locator("#export-zone").focus()
    page.keyboard.press("Tab")
    outline = page.get_by_text("Choose the export").evaluate("one => getComputedStyle(one).outlineStyle")
    assert outline == "solid"  # who uses no mouse sees where they are
    page.locator("#export-file").set_input_files(path)
    expect(page.get_by_text("It names 2 orders of this job")).to_be_visible()
    assert count(site, doubtful, OrderState.UNCONFIRMED) == 4
    page.get_by_role("button", name="Settle by this export").click()
    page.wait_for_url(re.compile(rf"/jobs/{doubtful}$"))
    expect(page.locator("#told")).to_have_text("By the provider's export: 2 orders were marked as placed.")
    assert find_flaws(page) == []
    page.reload()
    expect(page.locator("#told")).to_have_count(0)
    assert (count(site, doubtful, OrderState.ACCEPTED), count(site, doubtful, OrderState.UNCONFIRMED)) == (3, 2)


def test_an_export_settles_the_job_that_it_was_compared_for_by_whom_it_was_shown_and_nothing_else(
    site, admin, doubtful
):
    other = site.add_answered({7: OrderState.UNCONFIRMED}, service_name=SERVICE_NAME)
    at = site.session.clock.now().strftime("%Y-%m-%d %H:%M:%S")
    rows = [f"{SERVICE_NAME}\t{make_imei(line)}\t$0.08\tPending\t\t{at}" for line in (2, 3, 4, 7)]
    export = "\n".join(["SERVICE\tIMEI NO.\tCREDITS\tSTATUS\tCODE\tORDER DATE", *rows]).encode()
    boss, colleague = Asker(site, admin), Asker(site, site.add_user("olga", Role.OPERATOR))
    shown = boss.ask("POST", f"/jobs/{doubtful}/unconfirmed/export", body=export, x_csrf_token=boss.csrf)
    assert shown.status == 200
    name = re.search(rf"/jobs/{doubtful}/unconfirmed/export/([\w-]+)", shown.body)[1]

    def settle(asker: Asker, job: JobId) -> int:
        return asker.ask("POST", f"/jobs/{job}/unconfirmed/export/{name}", form={"csrf": asker.csrf}).status

    for asker, job in ((boss, other), (colleague, doubtful)):
        assert settle(asker, job) == 400
        assert (count(site, other, OrderState.UNCONFIRMED), count(site, doubtful, OrderState.UNCONFIRMED)) == (1, 4)
    assert settle(boss, doubtful) == 200
    assert (count(site, other, OrderState.UNCONFIRMED), count(site, doubtful, OrderState.UNCONFIRMED)) == (1, 2)
    assert settle(boss, doubtful) == 400  # it is gone


def test_an_export_that_says_it_is_too_large_is_turned_away_unread(site, admin, doubtful):
    boss = Asker(site, admin)
    said = {"content_length": str(64 * 1_048_576 + 1), "x_csrf_token": boss.csrf}
    answer = boss.ask("POST", f"/jobs/{doubtful}/unconfirmed/export", **said)
    assert answer.status == 413
    assert "The file is larger than 64 MB." in answer.body


def test_an_export_that_names_orders_and_settles_none_is_not_said_to_name_none(site, visitor, admin, tmp_path):
    states = {2: OrderState.UNCONFIRMED, 3: OrderState.UNCONFIRMED}
    job = site.add_answered(states, service_name=SERVICE_NAME)
    at = site.session.clock.now().strftime("%Y-%m-%d %H:%M:%S")
    path = tmp_path / "export.tsv"
    row = f"{SERVICE_NAME}\t{make_imei(2)}\t$0.08\tPending\t\t{at}"  # nothing known tells its time zone
    path.write_text(f"SERVICE\tIMEI NO.\tCREDITS\tSTATUS\tCODE\tORDER DATE\n{row}\n", encoding="utf-8")
    page = visitor.open(f"/jobs/{job}/unconfirmed", user=admin)
    page.locator("#export-file").set_input_files(path)
    expect(page.get_by_text("though it names 1.")).to_be_visible()
    expect(page.get_by_text("Write the time zone of the provider's site above")).to_be_visible()
    expect(page.get_by_text("It names none")).to_have_count(0)
    expect(page.get_by_text("1 row of it may be of an order that the ledger has: that cannot be told.")).to_be_visible()
    expect(page.get_by_text("the ledger does not know")).to_have_count(0)


def test_the_evidence_shows_what_was_sent_without_the_key_and_what_came_back(make_site, browser):
    site = make_site(chunk_limit=1, repeats="charge", latency="0")
    visitor = Visitor(browser, site)
    job = site.add_job(6, name="stock.csv", policy=Policy.HOLD)
    site.wait_for(job, JobState.FINISHED, JobState.PAUSED)
    assert count(site, job, OrderState.UNCONFIRMED) > 0
    page = visitor.open(f"/jobs/{job}/unconfirmed", user=site.add_user())
    page.get_by_role("button", name="Evidence").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("placeorder")
    expect(dialog).to_contain_text("<imeis>")
    assert site.sim.api_key not in page.content()
    visitor.close()


def test_a_viewer_sees_the_evidence_and_settles_nothing(site, visitor, doubtful):
    page = visitor.open(f"/jobs/{doubtful}/unconfirmed", user=site.add_user("vic", Role.VIEWER))
    expect(page.get_by_role("button", name="Evidence").first).to_be_visible()
    expect(page.get_by_role("button", name="Settle", exact=True)).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.locator("#content")).to_contain_text("Somebody who may order has to look for them")
    assert find_flaws(page) == []


def test_the_pages_are_open_to_all(visitor, admin, doubtful):
    page = visitor.open("/unconfirmed", user=admin)
    for path in ("/unconfirmed", f"/jobs/{doubtful}/unconfirmed"):
        page.goto(path)
        assert find_flaws(page) == []


def test_where_repeats_are_charged_a_job_says_what_that_cost_and_promises_nothing_that_is_not_done(make_site):
    site = make_site(repeats=Repeat.CHARGE, faults=("reset:after@#2",))
    job = site.add_job(30, chunk_size=1, max_concurrency=1)
    site.wait_for(job, JobState.FINISHED)
    person = Asker(site, site.add_user())

    def read() -> str:
        told = html.unescape(re.sub(r"<[^>]*>", "", person.ask("GET", f"/jobs/{job}").body))
        return " ".join(told.split())

    told = read()
    assert "Repeats are charged here (one repeated order cost $0.08)" in told
    assert "$2.40 of at most $2.40 for the list, and $0.08 for an order sent twice as a test" in told
    assert "“Go on” only looks for them in the provider's list once more, and sends none again" in told
    assert "tries once more" not in told
    seen = re.search(r'name="seen" value="(\d+)"', person.ask("GET", f"/jobs/{job}/unconfirmed").body)[1]
    form = {"csrf": person.csrf, "scope": "all", "verdict": "placed", "seen": seen}
    assert person.ask("POST", f"/jobs/{job}/unconfirmed/settle", form=form).status == 200
    told = read()
    assert "1 order was marked as placed." in told
    assert "$2.48 of at most $2.40 for the list, and $0.08 for an order sent twice as a test" in told
    assert not re.search("held|Go on|unconfirmed orders", told)
    assert len(site.sim.book) == 31
