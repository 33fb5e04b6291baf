"""Signing in and out, and the first user's link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.operations.identity import invite_user
from imeiflow.web.server import prepare_link
from imeiflow.web.throttle import Throttle
from tests.web.conftest import NARROW, WIDE, find_violations, overflows
from tests.web.site import PASSWORD


def test_the_first_link_makes_an_administrator_once(site, visitor):
    link = prepare_link(site.session, "")
    page = visitor.open(link)
    page.get_by_label("Name").fill("Mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page).to_have_url(re.compile("/dashboard$"))
    expect(page.get_by_text("mia admin")).to_be_visible()
    assert prepare_link(site.session, "") is None
    visitor.watch.expected.add(400)
    again = visitor.open(link)
    expect(again.get_by_text("This link was used before, or is too old.")).to_be_visible()


def test_a_new_first_link_takes_the_place_of_the_one_before(site, visitor):
    old = prepare_link(site.session, "")
    prepare_link(site.session, "")
    visitor.watch.expected.add(400)
    expect(visitor.open(old).get_by_text("used before, or is too old")).to_be_visible()


def test_a_short_password_is_turned_away_with_the_remedy(site, visitor):
    visitor.watch.expected.add(400)
    page = visitor.open(prepare_link(site.session, ""))
    page.get_by_label("Name").fill("mia")
    page.get_by_label("Password").evaluate("field => field.removeAttribute('minlength')")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("Take 12 or more")
    assert site.session.ledger.count_users() == 0


def test_who_is_not_signed_in_is_asked_to_and_comes_back(site, visitor, admin):
    page = visitor.open("/jobs?before=7")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_label("Name").fill("MIA")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/jobs\?before=7$"))


def test_signing_in_leads_to_no_other_site(site, visitor, admin):
    page = visitor.open("/sign-in?next=//example.com/")
    page.get_by_label("Name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(f"^{site.base_url}/dashboard$"))


def test_a_wrong_password_and_an_unknown_name_look_alike_and_wait_after_five(site, visitor, admin):
    visitor.watch.expected |= {401, 429}
    site.server.office.throttle = Throttle(lambda: 0.0)  # however long the browser takes, no wait ends meanwhile
    page = visitor.open("/sign-in")
    said = []
    for name in ("mia", "nobody", "mia", "mia", "mia", "mia"):
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill("not the password")
        with page.expect_navigation():
            page.get_by_role("button", name="Sign in").click()
        said.append(page.get_by_role("alert").text_content())
    assert len(set(said[:5])) == 1
    assert "Name or password are wrong." in said[0]
    assert "Too many attempts. Try again in" in said[5]
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")


def test_signing_out_ends_the_session_on_the_server(site, visitor, admin):
    page = visitor.open("/jobs", user=admin)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    assert site.session.ledger.list_web_sessions(admin.id) == []


def test_a_link_for_a_new_password_signs_everybody_out(site, visitor, admin):
    visitor.watch.expected.add(401)  # the open page asks on
    page = visitor.open("/jobs", user=admin)
    secret = invite_user(site.session, role=admin.role, actor="a test", user=admin.id)
    other = visitor.open(f"/invitation/{secret}")
    other.get_by_label("Password").fill("another four words here")
    other.get_by_role("button", name="Set password").click()
    expect(other).to_have_url(re.compile("/dashboard$"))
    asked = page.context.request.get("/jobs", max_redirects=0)
    assert (asked.status, asked.headers["location"].split("?")[0]) == (303, "/sign-in")
    expect(page).to_have_url(re.compile("/sign-in"))  # by itself: what is open asks on, and is led there


def test_the_last_administrator_stays_one(site, admin):
    with pytest.raises(UsageError, match="only administrator"):
        site.session.ledger.change_user(admin.id, actor="mia", role=Role.VIEWER)
    assert site.session.ledger.list_users()[0].role is Role.ADMIN


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_doors_are_open_to_all(site, visitor, viewport, scheme):
    for path in ("/sign-in", prepare_link(site.session, "")):
        page = visitor.open(path, viewport=viewport, scheme=scheme)
        assert find_violations(page) == []
        assert not overflows(page)
