"""The page of services: found among hundreds by any words, with price, delivery, notes and price history."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from imeiflow.domain.user import Role
from tests.web import seed
from tests.web.ask import Asker
from tests.web.look import find_flaws


def test_hundreds_are_searched_by_words_and_one_shows_its_prices_over_time(tmp_path, request):
    seed.seed(tmp_path / "home", seed.add_prices)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/services", user=admin)
    expect(page.get_by_text("300 services, 1 to 100 shown")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("300 services, 101 to 200 shown")).to_be_visible()
    page.get_by_label("Search").fill("apple check 15")
    expect(page.locator("tbody tr")).to_have_count(8)
    expect(page).to_have_url(re.compile(r"q=apple\+check\+15$"))
    page.get_by_label("Search").fill("nothing like it")
    expect(page.get_by_text("No service contains all of these words.")).to_be_visible()
    page.goto("/services?q=check+5")
    page.get_by_role("link", name="Check 5", exact=True).click()
    expect(page.locator("tbody td.number")).to_have_text(["$0.45", "$0.40"])
    expect(page.get_by_text("No refund.")).to_be_visible()
    assert find_flaws(page) == []


def test_each_kind_has_its_list_and_prices_say_in_which_money_they_are(site, visitor):
    page = visitor.open("/services", user=site.add_user("otto", Role.OPERATOR))
    page.get_by_role("button", name="Fetch the price list").click()
    expect(page.locator("tbody tr").first.locator("strong")).to_have_text("$0.08")  # as the balance says
    page.get_by_role("link", name="File services").click()
    expect(page.get_by_text("for file services is kept yet")).to_be_visible()
    page.get_by_role("button", name="Fetch the price list").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody")).to_contain_text("$3.75")
    expect(page.get_by_role("link", name="Order Huawei")).to_have_count(0)  # a page takes lists of IMEIs
    page.get_by_label("Search").fill("huawei")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"kind=file&q=huawei$"))
    page.get_by_role("link", name="Huawei Unlock by .ask File").click()
    expect(page.locator("tbody td.number")).to_have_text(["$3.75"])
    assert find_flaws(page) == []
    page.get_by_role("link", name="Services", exact=True).last.click()
    expect(page.get_by_role("link", name="File services")).to_have_attribute("aria-current", "page")
    page.goto("/jobs/new")
    expect(page.locator(".service-price").first).to_have_text("$0.08")


def test_without_a_price_list_it_is_fetched_by_an_operator_alone(site, visitor):
    viewer = visitor.open("/services", user=site.add_user("vera", Role.VIEWER))
    expect(viewer.get_by_text("An operator can fetch it.")).to_be_visible()
    expect(viewer.get_by_role("button", name="Fetch the price list")).to_have_count(0)
    page = visitor.open("/services", user=site.add_user("otto", Role.OPERATOR))
    page.get_by_role("button", name="Fetch the price list").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    assert find_flaws(page) == []


def test_why_a_list_could_not_be_read_is_said_once(site, admin):
    boss = Asker(site, admin)
    site.change_provider(lockout="maintenance")
    form = {"csrf": boss.csrf, "account": "gsm-fusion", "kind": "imei"}
    answer = boss.ask("POST", "/services/fetch", form=form)
    assert (answer.status, answer.body.count("could not be read")) == (502, 1)
    assert "gsm-fusion: the price list could not be read: " in answer.body
    assert boss.ask("GET", "/jobs/new").body.count("could not be fetched") == 1
