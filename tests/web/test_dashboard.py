"""The dashboard: what is under way, what waits for a person, money, results, limits."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role
from imeiflow.ledger.record import PricedService
from imeiflow.operations.job_control import ask_to_cancel
from tests.operations.stand import ACCOUNT
from tests.web import seed
from tests.web.conftest import NARROW, Visitor
from tests.web.look import find_flaws


@pytest.fixture
def seeded(tmp_path):
    def fill(session):
        seed.add_learned(session)
        session.ledger.record_prices(ACCOUNT, [PricedService(id=ServiceId("1"), name="Apple GSX Check")])
        return seed.add_paused(session)

    return seed.seed(tmp_path / "home", fill)


def test_it_shows_what_waits_what_was_spent_what_came_of_it_and_the_limits(seeded, site, visitor, admin):
    page = visitor.open("/", user=admin)
    waiting = page.get_by_role("region", name="Waits for a person")
    expect(waiting).to_contain_text(seed.REASON, ignore_case=True)
    expect(waiting.get_by_role("link", name="1 unconfirmed")).to_be_visible()
    money = page.get_by_role("region", name="Spending").locator(".fact dd")
    expect(money).to_have_text([re.compile(rf"^\s*\{sum_}") for sum_ in ("$0.24", "$0.24", "$0.08", "$0.08")])
    results = page.get_by_role("region", name="Results").locator("li")
    expect(results).to_have_text(["1 completed", "1 rejected", "1 in process"])
    lanes = page.get_by_role("region", name="Lanes")
    expect(lanes).to_contain_text("60 calls in 60 s")
    expect(lanes).to_contain_text("Service 1 Apple GSX Check: 50 orders a call")
    expect(lanes).to_contain_text("of 100 only 50 were accounted for")
    assert find_flaws(page) == []
    waiting.get_by_role("link", name="1 unconfirmed").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_menu_of_a_telephone_is_closed_by_the_key_that_closes_things(visitor, admin):
    page = visitor.open("/dashboard", user=admin, viewport=NARROW)
    button, menu = page.get_by_role("button", name="Menu"), page.get_by_role("navigation", name="Main")
    expect(menu).to_be_hidden()
    button.click()
    expect(menu).to_be_visible()
    menu.get_by_role("link", name="Jobs").focus()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_a_job_under_way_is_counted_live_and_goes_when_it_ends(make_site, browser):
    site = make_site(latency="0.3")  # the job would take ten minutes: it is seen under way, then it is cancelled
    visitor = Visitor(browser, site)
    page = visitor.open("/dashboard", user=site.add_user("vera", Role.VIEWER))
    under_way = page.get_by_role("region", name="Under way")
    expect(under_way).to_contain_text("Nothing is under way.")
    job = site.add_job(4000, name="live.csv", chunk_size=1, max_concurrency=2)
    expect(under_way).to_contain_text("live.csv")
    expect(under_way).to_contain_text(re.compile(r"[1-9]\d* of 4,000 answered"))
    ask_to_cancel(site.session, job, "a test")
    site.wait_for(job, JobState.CANCELLED)
    expect(under_way).to_contain_text("Nothing is under way.")
    visitor.close()
