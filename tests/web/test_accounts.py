"""The page of accounts: credit, limits with why, pins, and a search for limits that runs in the background."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from playwright.sync_api import expect

from imeiflow.domain.user import Role
from tests.operations.stand import ACCOUNT
from tests.web import seed
from tests.web.ask import post
from tests.web.look import find_flaws
from tests.web.site import PATIENCE_S


def test_limits_are_shown_with_why_pinned_unpinned_and_forgotten(tmp_path, request):
    seed.seed(tmp_path / "home", seed.add_learned)
    site, visitor = request.getfixturevalue("site"), request.getfixturevalue("visitor")
    page = visitor.open("/accounts", user=request.getfixturevalue("admin"))
    expect(page.get_by_text("60 calls in 60 s")).to_be_visible()
    expect(page.get_by_text("of 100 only 50 were accounted for")).to_be_visible()
    expect(page.locator("#credit-1 dd")).to_contain_text("$")
    assert site.sim.api_key not in page.content()
    page.get_by_role("textbox", name="Calls at once").fill("7")
    page.get_by_label("Calls a minute").fill("90")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_text("7 calls at once, 90 calls a minute")).to_be_visible()
    pinned = [one for one in site.session.ledger.learned(ACCOUNT) if one.pinned]
    assert [one.value for one in pinned] == [{"concurrency": 7, "per_min": 90}]
    page.get_by_role("button", name="Unpin").click()
    expect(page.get_by_text("7 calls at once")).to_have_count(0)
    page.get_by_role("button", name="Forget service 1").click()
    expect(page.get_by_text("of 100 only 50 were accounted for")).to_have_count(0)
    assert [one.kind for one in site.session.ledger.learned(ACCOUNT)] == ["lane"]
    actions = [one.data["action"] for one in site.session.ledger.recent_events(kinds=["user_action"])]
    assert actions == ["forget limits", "unpin limits", "pin limits"]
    assert find_flaws(page) == []


def test_a_search_shows_its_steps_and_plot_and_is_ended_by_a_click(site, visitor, admin):
    page = visitor.open("/accounts", user=admin)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("begun by mia")).to_be_visible()
    expect(page.locator("svg.plot")).to_be_visible()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("It ended: interrupted.")).to_be_visible()
    assert site.sim.stats.actions["placeorder"] == 0
    assert find_flaws(page) == []


def test_two_searches_at_once_are_told_apart(site, visitor, admin):
    accounts = site.session.configuration.accounts
    accounts["other"] = replace(accounts[ACCOUNT], name="other", rate_per_min=6000.0)
    page = visitor.open("/accounts", user=admin)
    for name in (ACCOUNT, "other"):
        card = page.locator("section.card", has=page.get_by_role("heading", name=name, exact=True))
        card.get_by_role("button", name="Search", exact=True).focus()
        page.keyboard.press("Enter")
        expect(card).to_be_focused()  # the button is gone
        expect(page.get_by_role("region", name=f"Plot of the search of {name}")).to_be_visible()
    expect(page.get_by_text("6000 a minute")).to_be_visible()
    assert find_flaws(page) == []
    for end in page.get_by_role("button", name="End it").all():
        end.click()


def test_what_a_search_recommends_is_pinned_and_unpinned(site, visitor, admin):
    accounts = site.session.configuration.accounts
    accounts[ACCOUNT] = replace(accounts[ACCOUNT], max_concurrency=1)  # one step, and no rest
    page = visitor.open("/accounts", user=admin)
    page.get_by_role("button", name="Search", exact=True).focus()
    page.keyboard.press("Enter")
    found = page.locator(".notice-good")
    expect(found).to_contain_text("Recommended: 1 call at once.")
    expect(found).to_contain_text("No pace was found: a limit that counts over more time")
    expect(page.locator("#pinned-found-1")).to_have_count(0)
    page.get_by_role("button", name="Pin what is recommended").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#pinned-found-1")).to_have_text("This is pinned: the account is never asked for more.")
    expect(page.get_by_role("button", name="Pin what is recommended")).to_have_count(0)
    assert [one.value for one in site.session.ledger.learned(ACCOUNT)] == [{"concurrency": 1, "per_min": None}]
    assert find_flaws(page) == []
    page.get_by_role("button", name="Unpin").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pin what is recommended")).to_be_visible()
    assert site.session.ledger.learned(ACCOUNT) == []
    assert site.sim.stats.actions["placeorder"] == 0


def test_a_search_that_finds_the_account_at_work_says_so_without_commands(site, visitor, admin):
    lock = site.session.lane_lock(ACCOUNT)
    assert lock.acquire()
    try:
        page = visitor.open("/accounts", user=admin)
        page.get_by_role("button", name="Search", exact=True).click()
        told = page.get_by_text("is worked for just now: a job of it runs, or results are asked for.")
        expect(told).to_be_visible()
        expect(told).not_to_contain_text("imeiflow ")
    finally:
        lock.release()


def test_a_stop_ends_a_search_at_once_whatever_else_is_under_way(site, admin):
    site.change_provider(read_latency="600")
    assert post(site, admin, "/accounts/find-limits", account=ACCOUNT) == 200
    server, desk = site.server, site.server.office.limits
    found = desk.find(ACCOUNT)

    async def stop():
        server.stop()
        return desk._is_stopping  # the server itself ends later: when what places orders has ended

    assert asyncio.run_coroutine_threadsafe(stop(), site._loop).result(PATIENCE_S)
    site.wait_until(lambda: found.is_over, "the search goes on")
    assert found.found.was_interrupted


def test_only_an_administrator_changes_limits(site, visitor, admin):
    for name, role in (("vera", Role.VIEWER), ("otto", Role.OPERATOR)):
        user = site.add_user(name, role)
        page = visitor.open("/accounts", user=user)
        expect(page.get_by_role("button", name="Pin")).to_have_count(0)
        for path in ("pin", "pin-found", "unpin", "forget", "find-limits", "find-limits/end"):
            assert post(site, user, f"/accounts/{path}", account=ACCOUNT, concurrency="3") == 403, path
    assert site.session.ledger.learned(ACCOUNT) == []
    assert post(site, admin, "/accounts/pin", account=ACCOUNT, concurrency="0") == 400
    assert post(site, admin, "/accounts/pin", account="nobody", concurrency="3") == 409
