"""The page of a job: counts that add up, live, over reload and restart; what can be done; orders, exports."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.status import StatusAnomaly, StatusAnomalyKind
from imeiflow.domain.user import Role
from imeiflow.ledger.record import PricedService
from imeiflow.ledger.sample import Sample
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, SERVICE, make_imei
from tests.web import seed
from tests.web.ask import Asker
from tests.web.conftest import Visitor, await_in, find_violations
from tests.web.look import find_flaws

#: How a job is added, before a provider that takes 0.3 s a call, that a test can rely on to run until it is stopped:
#: 1,000 orders would take over a minute.
SLOWLY = {"chunk_size": 2, "max_concurrency": 2}


def read_counts(page: Page) -> dict[str, int]:
    """Read the legend: what it counts, by state, and the total."""
    counts = {}
    for text in page.locator(".legend li").all_inner_texts():
        number, state = re.fullmatch(r"(?:= )?\s*([\d,]+)\s+(.+?)\s*", text.replace("\n", " ")).groups()
        counts["total" if state.startswith("row") else state] = int(number.replace(",", ""))
    return counts


def test_the_counts_add_up_and_the_end_is_seen_without_a_reload(site, visitor, admin):
    job = site.add_job(400, name="stock.csv")
    page = visitor.open(f"/jobs/{job}", user=admin)
    site.wait_for(job, JobState.FINISHED)
    expect(page.locator(".progress-line .tag")).to_have_text("finished")
    counts = read_counts(page)
    assert counts.pop("total") == sum(counts.values()) == 400
    expect(page.get_by_text("$32.00").first).to_be_visible()
    site.judge()


def test_it_pauses_survives_a_reload_and_goes_on(make_site, browser):
    site = make_site(latency="0.3")
    visitor = Visitor(browser, site)
    job = site.add_job(1000, name="stock.csv", **SLOWLY)
    page = visitor.open(f"/jobs/{job}", user=site.add_user())
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused by the user")).to_be_visible()
    assert site.wait_for(job, JobState.PAUSED) is JobState.PAUSED
    page.reload()
    expect(page.get_by_text("paused by the user")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    site.change_provider(latency="0")
    site.wait_for(job, JobState.FINISHED)
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 1000
    actions = [one.data["action"] for one in site.session.ledger.events(job=job) if one.kind == "user_action"]
    assert actions == ["pause", "resume"]
    assert {one.actor for one in site.session.ledger.events(job=job) if one.kind == "user_action"} == {"mia"}
    site.judge()
    visitor.close()


def test_a_job_s_progress_and_its_end_are_seen_in_the_window_s_title_alone(make_site, browser):
    site = make_site(latency="0.3")
    visitor = Visitor(browser, site)
    job = site.add_job(1000, name="<i>stock.csv", **SLOWLY)
    page = visitor.open(f"/jobs/{job}", user=site.add_user())
    title, told = r"%s · <i>stock\.csv · imeiflow", "[aria-live], [role=status], [role=alert]"
    expect(page).to_have_title(re.compile(title % r"[1-9]\d?%"))
    drawn = Asker(site, site.add_user("ann", Role.VIEWER)).ask("GET", f"/jobs/{job}").body
    assert re.search(r"<title>(under )?\d+% · &lt;i&gt;stock", drawn)
    assert page.locator(told).get_by_text("% ·").count() == 0  # nobody is read it aloud
    page.get_by_role("button", name="Pause").click()
    expect(page).to_have_title(re.compile(title % "Paused"))
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_title(re.compile(title % r"\d+%"))
    site.change_provider(latency="0")
    expect(page).to_have_title(re.compile(title % "Finished"))
    visitor.close()


def test_a_restart_of_the_server_goes_on_by_itself_and_loses_nothing(make_site, browser):
    site = make_site(latency="0.3")
    visitor = Visitor(browser, site)
    job = site.add_job(1000, name="stock.csv", **SLOWLY)
    page = visitor.open(f"/jobs/{job}", user=site.add_user())
    site.wait_until(lambda: site.session.ledger.tally(job)[OrderState.ACCEPTED] > 0, "nothing is sent")
    page.goto("about:blank")
    site.restart()
    assert site.session.find_job(job).state is JobState.RUNNING
    assert site.session.ledger.tally(job)[OrderState.QUEUED] > 0
    page.goto(f"{site.base_url}/jobs/{job}")
    site.change_provider(latency="0")
    site.wait_for(job, JobState.FINISHED)
    expect(page.locator(".progress-line .tag")).to_have_text("finished")
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 1000
    site.judge()
    visitor.close()


def test_a_job_is_cancelled_only_after_a_question(make_site, browser):
    site = make_site(latency="0.3")
    visitor = Visitor(browser, site)
    job = site.add_job(1000, name="stock.csv", **SLOWLY)
    page = visitor.open(f"/jobs/{job}", user=site.add_user())
    page.get_by_role("button", name="Cancel…").click()
    told = re.compile(
        r"(\d+) orders wait, for \$(\d+\.\d\d), and will never be sent. (\d+) orders? (?:is|are) under way"
    )
    expect(page.get_by_role("dialog")).to_contain_text(told)
    question = page.get_by_role("dialog").inner_text()
    expect(page.get_by_role("dialog")).to_contain_text("will still be charged")
    waiting, cost, under_way = told.search(question).groups()
    assert Decimal(cost) == Decimal("0.08") * int(waiting)
    assert 0 < int(under_way) < 10
    page.get_by_role("button", name="Keep it").click()
    assert site.session.find_job(job).wanted is None
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the job").click()
    site.wait_for(job, JobState.CANCELLED)
    expect(page.locator(".progress-line .tag")).to_have_text("cancelled")
    tally = site.session.ledger.tally(job)
    answered = 1000 - tally[OrderState.CANCELLED]
    assert answered < 1000
    expect(page.locator(".progress-line")).to_contain_text(f"{answered} of 1,000 orders answered")
    expect(page.locator(".figure")).not_to_have_text("100%")
    site.judge()
    visitor.close()


def test_a_job_that_its_cap_paused_goes_on_with_another_one(site, visitor, admin):
    visitor.watch.expected.add(400)
    states = {2: OrderState.ACCEPTED}
    job = site.add_answered(states, more=4, state=JobState.PAUSED, max_spend=Decimal("0.10"))
    page = visitor.open(f"/jobs/{job}", user=admin)
    page.get_by_role("button", name="Go on…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("4 orders wait to be sent, at most $0.32.")
    expect(dialog).to_contain_text("$0.08 is spent, and all of it needs $0.40")
    assert find_flaws(page) == []
    dialog.get_by_label("Spending cap").fill("0.15")
    dialog.get_by_role("button", name="Go on", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Write $0.16 or more.")
    assert site.session.find_job(job).state is JobState.PAUSED
    page.get_by_role("button", name="Go on…").click()
    expect(dialog.get_by_label("Spending cap")).to_have_value("0.10")
    dialog.get_by_label("Spending cap").fill("1")
    dialog.get_by_role("button", name="Go on", exact=True).click()
    site.wait_for(job, JobState.FINISHED)
    assert site.session.find_job(job).max_spend == 1
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 5


def test_whoever_lets_a_job_go_on_sees_what_they_may_still_spend(site, visitor, admin):
    otto = site.add_user("otto", Role.OPERATOR)
    site.session.ledger.change_user(otto.id, actor="a test", spend_limit=Decimal("0.50"))
    states = {2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED}
    draft = {"submitted_by": "otto", "max_spend": Decimal("0.20")}
    waits = site.add_answered(states, more=9, state=JobState.PAUSED, **draft)
    page = visitor.open(f"/jobs/{waits}", user=otto)
    page.get_by_role("button", name="Go on…").click()
    expect(page.locator("#go-on-limit")).to_have_text("You may spend $0.34 more today, of $0.50 a day.")
    page.close()  # the server is away for a moment
    doubts = site.add_answered({20: OrderState.UNCONFIRMED}, **draft)
    page = visitor.open(f"/jobs/{doubts}", user=otto)
    page.get_by_role("button", name="Go on…").click()
    expect(page.get_by_role("dialog")).to_contain_text("No order waits: going on settles what is unconfirmed")


def test_a_job_whose_price_rose_goes_on_only_at_the_price_that_was_shown(site, visitor, admin):
    job = site.add_answered({2: OrderState.ACCEPTED}, more=4, state=JobState.PAUSED)
    risen = PricedService(id=SERVICE, name="SimLock check", price=Money(Decimal("0.10"), "USD"))
    site.session.ledger.record_prices(ACCOUNT, [risen])
    page = visitor.open(f"/jobs/{job}", user=admin)
    page.get_by_role("button", name="Go on").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The 4 that wait would cost $0.40 instead of $0.32.")
    assert find_flaws(page) == []
    assert site.session.find_job(job).state is JobState.PAUSED
    dialog.get_by_role("button", name="Go on at $0.10").click()
    site.wait_for(job, JobState.FINISHED)
    assert site.session.find_job(job).unit_price == Decimal("0.10")
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 5


@pytest.fixture
def refused(site) -> JobId:
    """Give a finished job that holds its doubts: line 2 accepted, 3 and 4 refused, 5 unconfirmed."""
    states = {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.REFUSED, 5: OrderState.UNCONFIRMED}
    return site.add_answered(states, policy=Policy.HOLD)


def test_a_retry_says_what_it_sends_and_costs_and_leaves_doubt_alone(site, visitor, admin, refused):
    page = visitor.open(f"/jobs/{refused}", user=admin)
    page.get_by_role("button", name="Retry…").click()
    expect(page.get_by_role("dialog")).to_contain_text("2 orders refused")
    expect(page.get_by_role("dialog")).to_contain_text("$0.16")
    page.get_by_role("dialog").get_by_role("button", name="Send again").click()
    ledger = site.session.ledger
    site.wait_until(lambda: ledger.tally(refused)[OrderState.REFUSED] == 0, "they are not sent again")
    site.wait_for(refused, JobState.FINISHED)
    assert ledger.tally(refused)[OrderState.UNCONFIRMED] == 1


def test_what_is_sent_again_is_what_was_shown_or_nothing(site, admin, refused):
    ledger, somebody = site.session.ledger, Asker(site, admin)
    ids = [str(row.id) for row in ledger.order_rows(refused) if row.state is OrderState.REFUSED]
    shown = {"price": "0.08", "waiting": "0"}
    others = ({}, {"count": "1"}, {"price": "0.07"}, {"price": ""}, {"waiting": "1"})
    for other in others:
        seen = {"count": "2", **shown, **other} if other else {}
        count = seen.pop("count", "")
        whole = {"csrf": somebody.csrf, "refused": "yes", "seen-refused": count, **seen}
        answer = somebody.ask("POST", f"/jobs/{refused}/retry", form=whole)
        assert answer.status == 409, other
        assert "Nothing was sent" in answer.body
        some = {"csrf": somebody.csrf, "order": ids[0], "seen": "1" if count == "2" else "2", **seen}
        assert somebody.ask("POST", f"/jobs/{refused}/chosen/retry", form=some).status == 409, other
    assert ledger.tally(refused)[OrderState.REFUSED] == 2
    some = {"csrf": somebody.csrf, "order": ids[0], "seen": "1", **shown}
    assert somebody.ask("POST", f"/jobs/{refused}/chosen/retry", form=some).status == 200
    site.wait_until(lambda: ledger.tally(refused)[OrderState.REFUSED] == 1, "it is not sent again")


def test_reasons_are_grouped_and_orders_are_filtered_in_the_address(site, visitor, admin, refused):
    page = visitor.open(f"/jobs/{refused}?state=refused", user=admin)
    expect(page.get_by_role("heading", name="Why orders are not accepted")).to_be_visible()
    expect(page.locator("#reasons")).to_contain_text("Invalid IMEI!")
    rows = page.locator("#orders tbody tr")
    expect(rows).to_have_count(2)
    page.locator("#orders select[name=state]").select_option("unconfirmed")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"state=unconfirmed$"))
    page.reload()
    expect(rows).to_have_count(1)
    with page.expect_download() as download:
        page.locator("#orders").get_by_role("link", name="CSV").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert [row["state"] for row in csv.DictReader(io.StringIO(text))] == ["unconfirmed"]
    page.get_by_placeholder("IMEI, or several").fill(str(make_imei(1)))
    page.get_by_placeholder("IMEI, or several").press("Enter")
    expect(page.get_by_text("No order matches.")).to_be_visible()


def test_statuses_that_do_not_fit_are_counted_and_listed_with_their_orders(site, visitor, admin, refused):
    ledger = site.session.ledger
    (row,) = (row for row in ledger.order_rows(refused) if row.state is OrderState.ACCEPTED)
    said = f"IMEI {make_imei(999)}: completed"
    odd = StatusAnomaly(StatusAnomalyKind.FOREIGN_IMEI, row.reference, row.id, said)
    ledger.update_statuses(ACCOUNT, [], anomalies=[odd])
    page = visitor.open(f"/jobs/{refused}", user=admin)
    misfits = page.locator("#odd-statuses")
    expect(misfits).to_contain_text(f"1 × {StatusAnomalyKind.FOREIGN_IMEI.sentence}")
    misfits.get_by_text("Which").click()
    row_of = misfits.locator("tbody tr").filter(has_text=said)  # the provider, which is asked, knows no such reference
    expect(row_of).to_have_count(1)
    expect(row_of.get_by_role("link", name=row.reference)).to_have_attribute("href", f"/orders/{row.id}")
    assert find_flaws(page) == []


def test_what_a_reply_named_beside_what_was_sent_is_counted_and_listed(make_site, browser):
    site = make_site(placed_extra=1)
    visitor = Visitor(browser, site)
    job = site.add_job(1)
    site.wait_for(job, JobState.FINISHED)
    odd = visitor.open(f"/jobs/{job}", user=site.add_user()).locator("#odd-replies")
    said = "a reply named an IMEI that was not in the call; nothing was taken over"
    expect(odd.locator("li")).to_have_text(f"1 × {said}")
    odd.get_by_text("Which").click()
    expect(odd.locator("tbody tr").filter(has_text=said)).to_contain_text("352099990000000")
    visitor.close()


def test_the_list_comes_back_as_a_file(site, visitor, admin, refused):
    page = visitor.open(f"/jobs/{refused}", user=admin)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["state"] for row in rows] == ["accepted", "refused", "refused", "unconfirmed"]
    assert download.value.suggested_filename == f"imeiflow-job-{refused}.csv"


def test_a_job_that_is_not_there_says_so(site, visitor, admin):
    visitor.watch.expected.add(404)
    expect(visitor.open("/jobs/77", user=admin).get_by_text("There is no job 77.")).to_be_visible()


def test_a_viewer_cannot_pause(site, visitor, refused):
    visitor.watch.expected.add(403)
    page = visitor.open(f"/jobs/{refused}", user=site.add_user("vic", Role.VIEWER))
    expect(page.get_by_role("button", name="Retry…")).to_have_count(0)
    token = "JSON.parse(document.body.getAttribute('hx-headers'))"
    for action in ("pause", "resume", "cancel", "retry"):
        asked = f"fetch('/jobs/{refused}/{action}', {{method: 'POST', headers: {token}}})"
        status = await_in(page, f"() => {asked}.then(a => a.status)")
        assert status == 403, action


def test_the_page_is_open_to_all(site, visitor, admin):
    job = site.add_job(300, name="stock.csv")
    site.wait_for(job, JobState.FINISHED)
    page = visitor.open(f"/jobs/{job}", user=admin)
    expect(page.locator("#orders tbody tr").first).to_be_visible()
    told = re.compile("^(Orders a second, calls at once|Nothing was measured)")
    expect(page.get_by_role("img", name=told)).to_have_count(1)
    assert find_flaws(page) == []
    page.goto("/jobs")
    assert find_flaws(page) == []


@pytest.fixture
def mixed(site) -> JobId:
    """Give a paused job: lines 2 to 61 accepted, 62 to 64 refused, 65 and 66 unconfirmed, 67 to 76 waiting."""
    states = dict.fromkeys(range(2, 62), OrderState.ACCEPTED) | dict.fromkeys(range(62, 65), OrderState.REFUSED)
    states |= dict.fromkeys((65, 66), OrderState.UNCONFIRMED)
    return site.add_answered(states, more=10, state=JobState.PAUSED)


def choose(page: Page, *lines: int) -> None:
    for line in lines:
        page.get_by_label(f"Line {line}", exact=True).check()


def test_ticked_orders_are_sent_again_cancelled_and_settled_as_their_state_allows(site, visitor, admin, mixed):
    tally = lambda: site.session.ledger.tally(mixed)  # noqa: E731
    page = visitor.open(f"/jobs/{mixed}", user=admin)
    expect(page.locator("#orders tbody tr")).to_have_count(50)
    expect(page.locator("#orders tbody td[data-label=Line]")).to_have_text([str(line) for line in range(2, 52)])
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#orders tbody td[data-label=Line]")).to_have_text([str(line) for line in range(52, 77)])
    choose(page, 76, 75, 66, 64, 60)
    expect(page.get_by_text("5 on this page chosen")).to_be_visible()
    page.get_by_role("button", name="What to do with them…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="5 orders chosen")).to_be_visible()
    expect(dialog).to_contain_text("Send 1 order again")
    expect(dialog).to_contain_text("10 orders that wait are sent, too, at most $0.80")
    expect(dialog).to_contain_text("1 order of them can only be exported: accepted")
    assert find_violations(page) == []
    dialog.get_by_role("button", name="Cancel them").click()
    expect(page.locator("#count-cancelled")).to_contain_text("2")
    assert (tally()[OrderState.CANCELLED], tally()[OrderState.QUEUED]) == (2, 8)
    expect(page.get_by_text("None chosen")).to_be_visible()
    choose(page, 66)
    page.get_by_role("button", name="What to do with them…").click()
    dialog.get_by_label("They were placed").check()
    dialog.get_by_role("button", name="Settle").click()
    expect(page.locator("#count-unconfirmed")).to_contain_text("1")
    assert (tally()[OrderState.ACCEPTED], tally()[OrderState.UNCONFIRMED]) == (61, 1)
    expect(page.locator("#orders tbody td[data-label=Line]").first).to_have_text("52")  # still where it was done
    expect(page.get_by_text("None chosen")).to_be_visible()
    choose(page, 64, 63)
    page.get_by_role("button", name="What to do with them…").click()
    dialog.get_by_role("button", name="Send again").click()
    site.wait_until(lambda: tally()[OrderState.REFUSED] == 1, "they are not sent again")
    site.wait_for(mixed, JobState.FINISHED)
    assert (tally()[OrderState.REFUSED], tally()[OrderState.ACCEPTED], tally()[OrderState.UNCONFIRMED]) == (1, 71, 1)
    deeds = [one.data["action"] for one in site.session.ledger.recent_events(kinds=["user_action"])]
    assert deeds == ["retry", "settle", "cancel orders"]


def test_a_paused_job_with_nothing_to_send_says_what_is_left_and_is_finished(site, visitor, admin):
    states = {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.UNCONFIRMED}
    job = site.add_answered(states, state=JobState.PAUSED, policy=Policy.HOLD)
    page = visitor.open(f"/jobs/{job}", user=admin)
    expect(page.locator("#paused-notice")).to_contain_text("Nothing of it waits to be sent.")
    expect(page.locator("#paused-notice")).to_contain_text("left to be settled")
    expect(page.get_by_role("button", name="Go on")).to_have_count(0)
    page.get_by_role("button", name="Finish").click()
    expect(page.locator("#progress")).to_contain_text("finished")
    expect(page.get_by_role("button", name="Finish")).to_have_count(0)
    assert site.session.find_job(job).state is JobState.FINISHED
    assert site.session.ledger.tally(job)[OrderState.UNCONFIRMED] == 1


def test_a_question_does_not_wait_for_a_slow_provider_and_says_how_old_the_price_is(site, admin):
    job = site.add_answered(dict.fromkeys((2, 3), OrderState.REFUSED))  # no result is asked for
    site.change_provider(read_latency="600")
    site.server.office.enquiries._brief_s = 0.01
    boss = Asker(site, admin)
    told = boss.ask("GET", f"/jobs/{job}/retry", hx_request="true")
    assert told.status == 200
    assert "the price list could not be fetched anew (the provider has not answered yet)" in told.body
    form = {"csrf": boss.csrf, "scope": "all", "state": "refused"}
    told = boss.ask("POST", f"/jobs/{job}/chosen", form=form, hx_request="true")
    assert told.status == 200
    assert "could not be fetched anew" in told.body


def test_all_that_match_are_settled_and_no_other_doubt(site, admin, mixed):
    tally = lambda: site.session.ledger.tally(mixed)  # noqa: E731
    person = Asker(site, admin)
    wanted = {"csrf": person.csrf, "scope": "all", "imei": str(make_imei(66))}
    dialog = person.ask("POST", f"/jobs/{mixed}/chosen", form=wanted).body
    assert "Settle 1 order in doubt" in dialog
    asked = dialog[dialog.index('id="chosen-settle"') :].partition("</form>")[0]
    drawn = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked))
    form = {"csrf": person.csrf, "verdict": "not-placed", **drawn}
    assert person.ask("POST", f"/jobs/{mixed}/unconfirmed/settle", form={**form, "state": "refused"}).status == 400
    assert person.ask("POST", f"/jobs/{mixed}/unconfirmed/settle", form=form).status == 200
    assert (tally()[OrderState.UNCONFIRMED], tally()[OrderState.QUEUED]) == (1, 11)


def test_all_that_match_on_all_pages_are_exported_or_cancelled_together(site, visitor, admin, mixed):
    page = visitor.open(f"/jobs/{mixed}?state=accepted", user=admin)
    page.get_by_label("All 60 that match, on all pages").check()
    expect(page.get_by_text("All 60 chosen")).to_be_visible()
    page.get_by_role("button", name="What to do with them…").click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert [row["state"] for row in rows] == ["accepted"] * 60
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Line 11", exact=True).uncheck()
    expect(page.get_by_text("49 on this page chosen")).to_be_visible()  # all but one is not all
    page.get_by_label("State").select_option("queued")
    expect(page.get_by_text("None chosen")).to_be_visible()
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="What to do with them…").click()
    page.get_by_role("button", name="Cancel them").click()
    expect(page.locator("#count-cancelled")).to_contain_text("10")
    assert site.session.find_job(mixed).state is JobState.PAUSED


def test_an_imei_s_export_holds_its_row_alone(site, visitor, admin, mixed):
    page = visitor.open(f"/jobs/{mixed}", user=admin)
    text = page.request.get(f"/jobs/{mixed}/export?format=csv&imei={make_imei(7)}").text()
    assert [row["imei"] for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff")))] == [make_imei(7)]


def test_the_export_of_ticked_orders_holds_their_rows_alone(site, visitor, admin, mixed):
    page = visitor.open(f"/jobs/{mixed}", user=admin)
    ids = [row.id for row in site.session.ledger.order_rows(mixed)][1:3]
    ticked = "&".join(f"order={one}" for one in ids)
    text = page.request.get(f"/jobs/{mixed}/export?format=csv&{ticked}").text()
    assert [row["row"] for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff")))] == ["3", "4"]


def test_nothing_is_done_to_single_orders_while_the_job_runs(make_site, browser):
    site = make_site(latency="0.3")
    visitor = Visitor(browser, site)
    visitor.watch.expected.add(409)
    job = site.add_job(1000, name="stock.csv", **SLOWLY)
    page = visitor.open(f"/jobs/{job}", user=site.add_user())  # the same rows, whatever becomes of them
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="What to do with them…").click()
    expect(page.get_by_role("dialog")).to_contain_text("The job runs. Pause it first")
    status = await_in(
        page,
        """(job) => fetch(`/jobs/${job}/chosen/cancel`, {method: 'POST', body: new URLSearchParams({scope: 'all'}),
            headers: JSON.parse(document.body.getAttribute('hx-headers'))}).then((answer) => answer.status)""",
        job,
    )
    assert status == 409
    assert site.session.ledger.tally(job)[OrderState.CANCELLED] == 0
    visitor.close()


@pytest.mark.parametrize("form", [{}, {"order": "²"}, {"order": "9" * 40}, {"scope": "all", "state": "lost"}])
def test_a_choice_of_nothing_or_of_what_is_no_order_is_refused(site, admin, refused, form):
    somebody = Asker(site, admin)
    for action in ("", "/retry", "/cancel"):
        answer = somebody.ask("POST", f"/jobs/{refused}/chosen{action}", form={"csrf": somebody.csrf, **form})
        assert answer.status == 400, (action, answer.status)
    assert site.session.ledger.tally(refused)[OrderState.REFUSED] == 2


def test_orders_of_another_job_are_not_touched_through_this_one(site, admin, refused):
    other = site.add_answered({2: OrderState.ACCEPTED}, more=3, state=JobState.PAUSED)
    strange = ",".join(str(row.id) for row in site.session.ledger.order_rows(other))
    somebody = Asker(site, admin)
    for one in strange.split(","):
        form = {"csrf": somebody.csrf, "order": one}
        assert somebody.ask("POST", f"/jobs/{refused}/chosen/cancel", form=form).status == 200
    assert site.session.ledger.tally(other)[OrderState.QUEUED] == 3


def test_a_pause_takes_no_room_of_the_chart(tmp_path, request):
    began_at = datetime(2026, 5, 1, 9, tzinfo=UTC)

    def add_measured(session: Session) -> JobId:
        job = seed.add_paused(session)
        for at_s in (*range(60), *range(3600, 3660)):
            session.ledger.add_sample(job, make_sample(began_at + timedelta(seconds=at_s)))
        return job

    job = seed.seed(tmp_path / "home", add_measured)
    page = request.getfixturevalue("visitor").open(f"/jobs/{job}", user=request.getfixturevalue("admin"))
    plot = page.locator("#chart .u-over").first
    plot.hover(position={"x": round(plot.bounding_box()["width"] / 4), "y": 20})
    time = page.locator("#chart .u-legend").first.locator(".u-series").first
    expect(time).to_contain_text(re.compile(r"09:00:(2[5-9]|3[0-5])"))  # half of the minute before the pause
    plot.hover(position={"x": round(plot.bounding_box()["width"] * 3 / 4), "y": 20})
    expect(time).to_contain_text(re.compile(r"10:00:(2[5-9]|3[0-5])"))


def make_sample(at: datetime) -> Sample:
    return Sample(
        at=at,
        orders_per_s=9.0,
        calls_per_s=3.0,
        in_flight=3,
        concurrency=4,
        chunk_size=3,
        pace=None,
        refused=0,
        answered=1,
        reasons=None,
    )
