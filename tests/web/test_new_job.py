"""A new job: the list, the service, the preview, the cost, and the word to order, which counts once."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from openpyxl import Workbook
from playwright.sync_api import Page, expect

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Role
from tests.operations.stand import ACCOUNT, make_imei
from tests.web.ask import Asker
from tests.web.conftest import NARROW, Visitor, await_in, find_violations
from tests.web.look import find_flaws, wait_until_drawn


def choose_service(page: Page) -> None:
    page.locator("input[name=service]").first.check()


def paste(page: Page, *lines: str) -> None:
    choose_service(page)
    page.get_by_label("Or paste IMEIs").fill("\n".join(lines))
    page.get_by_role("button", name="Preview").click()


def order(page: Page, name: str = "Order") -> JobId:
    page.get_by_role("button", name=re.compile(f"^{name} ")).click()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    return JobId(int(page.url.rpartition("/")[2]))


def write_workbook(path: Path, count: int) -> Path:
    book = Workbook()
    sheet = book.active
    sheet.append(["Model", "IMEI", "Box"])
    for number in range(count):
        sheet.append(["iPhone 13", str(make_imei(number)), f"B{number}"])
    book.save(path)
    return path


def test_a_workbook_is_previewed_and_ordered_to_the_end(site, visitor, admin, tmp_path):
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    page.locator("#file").set_input_files(write_workbook(tmp_path / "May stock.xlsx", 300))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="300 to order")).to_be_visible()
    expect(page.get_by_text("The IMEIs are taken from column B ('IMEI').")).to_be_visible()
    expect(page.get_by_text("300 × $0.08")).to_be_visible()
    expect(page.locator("#probe-note")).to_contain_text("$0.08 more, at the very most $1.00. A spending cap counts it.")
    assert site.sim.stats.actions["placeorder"] == 0
    job = order(page)
    assert site.wait_for(job, JobState.FINISHED, JobState.PAUSED) is JobState.FINISHED
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 300
    assert site.session.find_job(job).submitted_by == "mia"
    site.judge()


def test_the_preview_says_what_is_wrong_and_what_was_mended(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    imei = make_imei(1)
    paste(page, imei, imei, "356938030000000", "not a number", f"{make_imei(2)[:6]}-{make_imei(2)[6:]}")
    expect(page.get_by_role("heading", name="2 to order")).to_be_visible()
    expect(page.get_by_text("1 repeated").first).to_be_visible()
    expect(page.locator(".tag-invalid").first).to_be_visible()
    assert find_violations(page) == []


def test_what_was_ordered_before_is_left_out_unless_it_is_wanted(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, make_imei(1))
    first = order(page)
    site.wait_for(first, JobState.FINISHED)
    page.goto("/jobs/new")
    paste(page, make_imei(1), make_imei(2))
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()
    page.get_by_label("Order again what was ordered before").check()
    expect(page.get_by_role("heading", name="2 to order")).to_be_visible()


def test_another_column_can_be_chosen(site, visitor, admin, tmp_path):
    path = tmp_path / "two.csv"
    rows = [f"{make_imei(number)},{make_imei(number + 50)}" for number in range(3)]
    path.write_text("\n".join(["IMEI,IMEI 2", *rows]), encoding="utf-8")
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_label("Column of the IMEIs")).to_be_visible()
    wait_until_drawn(page)  # nobody chooses within the moment between what is drawn and what listens to it
    page.get_by_label("Column of the IMEIs").select_option("B")
    expect(page.get_by_text("The IMEIs are taken from column B ('IMEI 2').")).to_be_visible()
    job = order(page)
    site.wait_for(job, JobState.FINISHED)
    assert {row.imei for row in site.session.ledger.order_rows(job)} == {make_imei(number + 50) for number in range(3)}


def test_a_list_without_imeis_says_so_with_the_remedy(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, "red", "green", "blue")
    expect(page.get_by_role("alert")).to_contain_text("Name the column")
    expect(page.get_by_role("button", name="Read again")).to_be_visible()


def test_a_file_that_no_other_reading_makes_a_list_is_not_offered_one(site, visitor, admin, tmp_path):
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    (tmp_path / "phone.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    page.locator("#file").set_input_files(tmp_path / "phone.png")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("not a list of IMEIs")
    expect(page.get_by_text("Read it otherwise")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("again"))).to_have_count(0)
    page.get_by_role("link", name="Another list").click()
    page.wait_for_url(re.compile(r"/jobs/new$"))


def test_what_waits_in_another_job_leads_there_without_commands_and_is_looked_at_again(site, visitor, admin):
    first = site.add_answered({2: OrderState.ACCEPTED}, more=1, state=JobState.PAUSED)
    page = visitor.open("/jobs/new", user=admin)
    paste(page, make_imei(3))
    expect(page.get_by_role("alert")).to_contain_text("waits to be ordered")
    expect(page.get_by_role("alert")).to_contain_text("Go on with that job, or give it up.")
    expect(page.get_by_role("link", name=f"To job {first}")).to_be_visible()
    expect(page.get_by_label("Column of the IMEIs")).to_have_count(0)
    site.session.ledger.cancel_queued(first)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()


def test_a_double_click_orders_once(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, make_imei(1), make_imei(2))
    button = page.get_by_role("button", name=re.compile("^Order 2 "))
    expect(button).to_be_visible()
    path = page.url
    button.dblclick()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    page.goto(path)  # the preview of what was ordered leads to its job
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    assert len(site.session.ledger.list_jobs()) == 1


def test_a_word_that_is_given_twice_leads_to_the_same_job(site, admin):
    person = Asker(site, admin)
    how = {"content_type": "text/plain", "x_csrf_token": person.csrf}
    listed = "".join(f"{make_imei(number)}\n" for number in range(3)).encode()
    told = person.ask("POST", f"/jobs/new/upload?service=1&account={ACCOUNT}", body=listed, **how)
    place = json.loads(told.body)["location"]
    site.wait_until(lambda: 'name="version"' in person.ask("GET", place).body, "the list is not read")
    version = re.search(r'name="version" value="(\d+)"', person.ask("GET", place).body)[1]
    form = {"csrf": person.csrf, "version": version}
    answers = [person.ask("POST", f"{place}/order", form=form) for _ in range(2)]
    assert [one.status for one in answers] == [303, 303]
    assert [one.headers["location"] for one in answers] == ["/jobs/1"] * 2
    site.wait_for(JobId(1), JobState.FINISHED)
    assert len(site.session.ledger.list_jobs()) == 1
    assert site.judge().count("accepted") == 3


def test_a_large_sum_has_to_be_typed(site, visitor, admin):
    visitor.watch.expected.add(400)
    page = visitor.open("/jobs/new", user=admin, viewport=NARROW)
    paste(page, *(make_imei(number) for number in range(1300)), "no IMEI", make_imei(1))
    page.get_by_role("link", name="To the cost").click()
    field = page.get_by_label("Type 104.00 to order")
    field.fill("10.40")
    page.get_by_role("button", name="Order 1,300").click()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("type that figure")
    expect(told).to_be_in_viewport(ratio=1)
    expect(field).to_be_in_viewport()
    assert site.session.ledger.list_jobs() == []
    field.fill("$104")
    site.wait_for(order(page), JobState.FINISHED)
    site.judge()


def test_the_first_five_are_sent_and_then_it_waits(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, *(make_imei(number) for number in range(40)))
    expect(page.get_by_role("button", name="Order 40 for $3.20")).to_be_visible()
    page.get_by_label("Send the first 5, then wait for me").check()
    expect(page.get_by_role("button", name="Order 40 for $3.20")).to_have_count(0)
    job = order(page, "Order the first 5 for")
    assert site.wait_for(job, JobState.PAUSED, JobState.FINISHED) is JobState.PAUSED
    tally = site.session.ledger.tally(job)
    assert (tally[OrderState.ACCEPTED], tally[OrderState.QUEUED]) == (5, 35)
    expect(page.get_by_text("the first orders were sent, as you asked")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    site.wait_for(job, JobState.FINISHED)
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 40
    site.judge()


def test_a_spending_cap_pauses_the_job(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, *(make_imei(number) for number in range(40)))
    page.get_by_label("Spending cap").fill("0.80")
    job = order(page)
    assert site.wait_for(job, JobState.PAUSED, JobState.FINISHED) is JobState.PAUSED
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 10


def test_the_preview_says_what_is_left_of_the_limits_of_the_day(site, visitor, admin):
    accounts = site.session.configuration.accounts
    accounts[ACCOUNT] = replace(accounts[ACCOUNT], max_spend_per_day=Decimal("0.38"))
    assert site.wait_for(site.add_job(1, start=100, submitted_by="otto"), JobState.FINISHED)
    page = visitor.open("/jobs/new", user=admin)
    paste(page, *(make_imei(number) for number in range(4)))
    sums = page.locator("dl.sum")
    expect(sums).to_contain_text("Account's cap for today $0.38 a day$0.30 left")
    expect(sums).not_to_contain_text("You may spend")
    expect(page.locator("#account-limit")).to_contain_text("the job will pause after about 3 orders")
    otto = site.add_user("otto", Role.OPERATOR)
    site.session.ledger.change_user(otto.id, actor="a test", spend_limit=Decimal("0.28"))
    page = visitor.open("/jobs/new", user=otto)
    paste(page, *(make_imei(number) for number in range(4)))
    expect(page.locator("dl.sum")).to_contain_text("You may spend today $0.28 a day$0.20 left")
    expect(page.locator("#user-limit")).to_contain_text(
        "With a spending cap of $0.20 or less it can, and pauses there."
    )
    expect(page.locator("#account-limit")).to_have_count(0)
    page.locator("#max-spend").fill("0.20")
    job = order(page)
    assert site.wait_for(job, JobState.PAUSED, JobState.FINISHED) is JobState.PAUSED
    assert len(site.sim.book) == 3


def test_what_running_jobs_may_still_take_is_not_left_of_the_balance(make_site, browser):
    site = make_site(credit=Decimal("1.00"))
    visitor = Visitor(browser, site)
    site.add_job(8, start=100, rate=0.01, max_spend=Decimal("0.60"))  # runs, and sends nothing for an hour
    page = visitor.open("/jobs/new", user=site.add_user())
    paste(page, *(make_imei(number) for number in range(4)))
    sums = page.locator("dl.sum")
    expect(sums).to_contain_text("$1.00")
    expect(page.locator("#outstanding")).to_have_text("Running jobs may still take$0.60")  # its cap ends it
    expect(sums).to_contain_text("Balance after$0.08")
    expect(page.locator("#balance-short")).to_have_count(0)
    page = visitor.open("/jobs/new")
    page.context.add_cookies([site.sign_in(site.session.ledger.find_user("mia")[0])])
    page.goto("/jobs/new")
    paste(page, *(make_imei(number) for number in range(6)))
    expect(page.locator("dl.sum .bad")).to_have_text("Balance after-$0.08")
    expect(page.locator("#balance-short")).to_contain_text("and for what running jobs may still take: jobs will pause")
    assert find_flaws(page) == []
    visitor.close()


def test_what_may_be_spent_today_leaves_room_for_an_order_that_is_sent_twice(site, visitor):
    otto = site.add_user("otto", Role.OPERATOR)
    site.session.ledger.change_user(otto.id, actor="a test", spend_limit=Decimal("0.40"))
    page = visitor.open("/jobs/new", user=otto)
    paste(page, *(make_imei(number) for number in range(5)))
    expect(page.locator("#user-limit")).to_have_text(
        "With an order that is sent twice it may cost $0.48, more than you may still spend today: it is ordered with a "
        "spending cap that keeps it within $0.40, and sends none twice to see whether that is charged."
    )
    job = order(page)
    assert site.wait_for(job, JobState.PAUSED, JobState.FINISHED) is JobState.FINISHED
    assert site.session.find_job(job).max_spend == Decimal("0.40")
    assert len(site.sim.book) == 5
    page.goto(f"/jobs/{job}")
    expect(page.get_by_text("cap $0.40, from what otto may spend in a day")).to_be_visible()


def test_the_services_are_searched_by_every_word(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    shown = page.locator(".service")
    expect(shown.first).to_be_visible()
    everything = shown.count()
    page.get_by_label("Search").fill("check carrier")
    expect(shown).not_to_have_count(everything)
    expect(shown.first).to_contain_text(re.compile("carrier", re.IGNORECASE))
    page.get_by_label("Search").fill("no such service at all")
    expect(page.get_by_text("No service matches.")).to_be_visible()


def test_a_zip_bomb_and_a_file_that_is_too_large_are_turned_away(site, visitor, admin, tmp_path):
    visitor.watch.expected.add(413)
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 60_000_000)
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    page.locator("#file").set_input_files(bomb)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("would unpack to")


def test_a_file_s_name_is_shown_and_never_trusted(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    name = "..\\..\\<img src=x onerror=alert(1)>.csv"
    content = f"IMEI\n{make_imei(1)}\n".encode()
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="<img src=x onerror=alert(1)>.csv")).to_be_visible()


def test_a_viewer_may_look_and_order_nothing(site, visitor):
    visitor.watch.expected.add(403)
    viewer = site.add_user("vic", Role.VIEWER)
    page = visitor.open("/jobs", user=viewer)
    expect(page.get_by_role("link", name="New job")).to_have_count(0)
    page.goto("/jobs/new")
    expect(page.get_by_text("This needs the role operator. An administrator can give it to you")).to_be_visible()


def test_nobody_sees_the_list_of_another_user(site, visitor, admin):
    visitor.watch.expected.add(400)
    page = visitor.open("/jobs/new", user=admin)
    paste(page, make_imei(1))
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()
    other = visitor.open(page.url, user=site.add_user("ola", Role.OPERATOR))
    expect(other.get_by_text("This list is not here any more.")).to_be_visible()


def test_an_upload_without_the_session_s_token_is_turned_away(site, visitor, admin):
    visitor.watch.expected.add(403)
    page = visitor.open("/jobs/new", user=admin)
    upload = "fetch('/jobs/new/upload?service=1&account=gsm-fusion', {method: 'POST', body: 'x'})"
    status = await_in(page, f"() => {upload}.then(a => a.status)")
    assert status == 403


def test_both_pages_are_open_to_all(visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    assert find_flaws(page) == []
    paste(page, make_imei(1), "rubbish")
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()
    assert find_flaws(page) == []


def test_the_bad_rows_come_back_with_the_error_beside_each(site, visitor, admin, tmp_path):
    path = tmp_path / "stock.csv"
    path.write_text(f"Box,IMEI\nB1,{make_imei(1)}\nB2,no sticker\nB3,{make_imei(2)[:-2]}\n", encoding="utf-8")
    page = visitor.open("/jobs/new", user=admin)
    choose_service(page)
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Preview").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert [row[:2] for row in rows] == [["Box", "IMEI"], ["B2", "no sticker"], ["B3", make_imei(2)[:-2]]]
    assert rows[0][2] == "Error"
    assert all(row[2] for row in rows[1:])


def test_a_service_that_was_chosen_on_its_page_is_chosen_here(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)  # fetches the price list
    page.goto("/services?q=clean")
    name = page.locator("tbody tr").nth(1).locator("td").nth(1).get_by_role("link").inner_text()
    page.locator("tbody tr").nth(1).get_by_role("link", name=f"Order {name}").click()
    expect(page.locator("input[name=service]:checked")).to_have_attribute("data-name", name)
    page.get_by_label("Or paste IMEIs").fill(make_imei(1))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_the_column_that_was_chosen_is_taken_for_the_next_list_of_the_same_headings(site, visitor, admin, tmp_path):
    def upload(start: int) -> None:
        path = tmp_path / f"list {start}.csv"
        rows = [f"{make_imei(number)},{make_imei(number + 50)}" for number in range(start, start + 3)]
        path.write_text("\n".join(["IMEI,IMEI 2", *rows]), encoding="utf-8")
        page.goto("/jobs/new")
        choose_service(page)
        page.locator("#file").set_input_files(path)
        page.get_by_role("button", name="Preview").click()

    page = visitor.open("/jobs/new", user=admin)
    upload(0)
    expect(page.get_by_text("The IMEIs are taken from column A ('IMEI').")).to_be_visible()
    page.get_by_label("Column of the IMEIs").select_option("B")
    expect(page.get_by_text("The IMEIs are taken from column B ('IMEI 2').")).to_be_visible()
    upload(10)
    expect(page.get_by_text("The IMEIs are taken from column B ('IMEI 2').")).to_be_visible()
    expect(page.get_by_text("you chose for a list with these headings before")).to_be_visible()
    page.get_by_label("Column of the IMEIs").select_option("A")
    expect(page.get_by_text("The IMEIs are taken from column A ('IMEI').")).to_be_visible()


def test_a_price_that_rose_before_the_word_is_shown_and_confirmed_anew(make_site, browser):
    site = make_site()
    site.session.configuration = replace(site.session.configuration, price_max_age_s=0.0)
    visitor = Visitor(browser, site)
    page = visitor.open("/jobs/new", user=site.add_user())
    paste(page, make_imei(1), make_imei(2))
    expect(page.get_by_role("button", name="Order 2 for $0.16")).to_be_visible()
    page.get_by_label("Spending cap").fill("5")
    site.change_provider(price_change=("1=0.10@0",))
    page.get_by_role("button", name="Order 2 for $0.16").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was ordered")
    expect(page.get_by_text("2 × $0.10")).to_be_visible()
    expect(page.get_by_label("Spending cap")).to_have_value("5")
    assert site.session.ledger.list_jobs() == []
    assert find_violations(page) == []
    job = order(page)
    site.wait_for(job, JobState.FINISHED)
    assert str(site.session.ledger.spending(job)) == "$0.20"
    visitor.close()


def test_a_list_that_is_read_anew_just_now_is_shown_as_being_read(site, visitor, admin):
    page = visitor.open("/jobs/new", user=admin)
    paste(page, make_imei(1))
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()
    one = site.server.office.preparations.find(page.url.rpartition("/")[2], "mia")
    proposal, one.proposal = one.proposal, None  # as between the two steps of a thread that begins to read it
    page.reload()
    expect(page.get_by_role("heading", name="Reading the list…")).to_be_visible()
    one.proposal = proposal
    expect(page.get_by_role("heading", name="1 to order")).to_be_visible()
