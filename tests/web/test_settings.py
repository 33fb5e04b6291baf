"""The page of settings: users, links, sessions, tokens; for administrators alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role
from imeiflow.operations.identity import find_api_token, find_invitation
from tests.web.ask import Asker, post
from tests.web.conftest import await_in
from tests.web.look import find_flaws

#: Keeps a promise when the answer to a form has been drawn, not one of those that a page fetches by itself.
_HEAR_THE_END = """() => {
    window.isDrawn = new Promise((done) => document.body.addEventListener('htmx:afterSettle', (event) => {
        if (event.detail.requestConfig?.verb === 'post') done(true);
    }));
}"""
CHANGES = ("invite", "password-link", "user", "disable", "sign-out", "token", "token/revoke", "link/revoke")


def send(page: Page, button: Locator) -> None:
    """Send a form, and wait until its answer is drawn."""
    page.evaluate(_HEAR_THE_END)
    button.click()
    await_in(page, "() => window.isDrawn")


def test_a_link_for_a_new_user_is_shown_once(site, visitor, admin):
    page = visitor.open("/settings", user=admin)
    page.get_by_label("Role of the new user").select_option("viewer")
    page.get_by_role("button", name="Invite").click()
    link = page.locator("code.secret").inner_text()
    assert link.startswith(f"{site.base_url}/invitation/")
    assert find_invitation(site.session, link.rpartition("/")[2]).role is Role.VIEWER
    page.reload()
    expect(page.locator("code.secret")).to_have_count(0)
    assert find_flaws(page) == []


def test_a_user_gets_another_role_and_limit_and_is_signed_out_and_disabled(site, visitor, admin):
    otto = site.add_user("otto", Role.OPERATOR)
    site.sign_in(otto)
    page = visitor.open("/settings", user=admin)
    line = page.locator("li.stack", has=page.get_by_role("heading", name="otto"))
    line.get_by_label("Most to spend in a day").fill("250.50")
    send(page, line.get_by_role("button", name="Save"))
    expect(line.get_by_label("Most to spend in a day")).to_have_value("250.50")
    assert len(site.session.ledger.list_web_sessions(otto.id)) == 1
    line.get_by_text("Signed in: 1 browser").click()
    line.get_by_role("button", name="Sign otto out everywhere").click()
    expect(line.get_by_text("Signed in:")).to_have_count(0)
    line.get_by_label("Role").select_option("viewer")
    send(page, line.get_by_role("button", name="Save"))
    expect(line.get_by_label("Role")).to_have_value("viewer")
    send(page, line.get_by_role("button", name="Disable otto"))
    expect(line.get_by_text("may not sign in")).to_be_visible()
    (found,) = (user for user in site.session.ledger.list_users() if user.id == otto.id)
    assert (found.role, str(found.spend_limit), found.disabled_at is None) == (Role.VIEWER, "250.50", False)
    assert site.session.ledger.list_web_sessions(otto.id) == []


def test_a_token_is_shown_once_does_no_more_than_its_user_and_is_revoked(site, visitor, admin):
    visitor.watch.expected.add(400)
    vera = site.add_user("vera", Role.VIEWER)
    page = visitor.open("/settings", user=admin)
    page.get_by_label("Name").fill("reports")
    page.get_by_label("Of user").select_option("vera")
    page.get_by_label("order").check()
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_text("The role of vera is viewer, which may not order")).to_be_visible()
    page.get_by_label("order").uncheck()
    page.get_by_role("button", name="Make a token").click()
    secret = page.locator("code.secret").inner_text()
    found = find_api_token(site.session, secret)
    assert (found.user.id, found.name, tuple(found.scopes)) == (vera.id, "reports", ("read",))
    page.reload()
    assert secret not in page.content()
    expect(page.get_by_role("cell", name=f"…{secret[-4:]}")).to_be_visible()
    page.get_by_role("button", name="Revoke reports").click()
    expect(page.get_by_text("No token yet.")).to_be_visible()
    assert find_api_token(site.session, secret) is None


def test_what_was_spent_today_stands_beside_the_limit_and_that_what_runs_goes_on(site, visitor, admin):
    site.add_user("otto", Role.OPERATOR)
    site.wait_for(site.add_job(5, submitted_by="otto"), JobState.FINISHED)
    page = visitor.open("/settings", user=admin)
    line = page.locator("li.stack", has=page.get_by_role("heading", name="otto"))
    expect(line.locator(".limit-said")).to_have_count(0)
    line.get_by_label("Most to spend in a day").fill("1")
    line.get_by_role("button", name="Save").click()
    expect(line.locator(".limit-said")).to_have_text("$0.40 of $1.00 spent or committed today.")
    line.get_by_label("Most to spend in a day").fill("0.30")
    line.get_by_role("button", name="Save").click()
    expect(line.locator(".limit-said")).to_contain_text("nothing more can be ordered; what runs goes on, unless it is")
    page.reload()
    assert find_flaws(page) == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nobody_else_sees_or_changes_anything(site, visitor, admin, role):
    user = site.add_user("vera", role)
    page = visitor.open("/jobs", user=user)
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)
    assert page.request.get("/settings").status == 403
    for path in CHANGES:
        assert post(site, user, f"/settings/{path}", user=str(admin.id), role="viewer") == 403, path
    assert site.session.ledger.list_users()[0].role is Role.ADMIN


def test_a_form_of_another_session_changes_nothing_and_the_last_administrator_stays_one(site, visitor, admin):
    page = visitor.open("/settings", user=admin)
    assert page.request.post("/settings/invite", form={"role": "admin", "csrf": "not this one"}).status == 403
    assert post(site, admin, "/settings/user", user=str(admin.id), role="viewer") == 400
    assert post(site, admin, "/settings/user", user=str(admin.id), role="admin", spend_limit="-1") == 400
    assert re.search("mia", page.content())
    assert site.session.ledger.list_users()[0].role is Role.ADMIN


def test_a_form_that_is_sent_twice_makes_one_token(site, admin):
    asker = Asker(site, admin)
    form = {"user": str(admin.id), "name": "reports", "scope": "read", "days": "30", "csrf": asker.csrf}
    assert asker.ask("POST", "/settings/token", form=form).status == 200
    again = asker.ask("POST", "/settings/token", form=form)
    assert again.status == 400
    assert "There is a good token reports of mia already." in again.body
    (token,) = site.session.ledger.list_api_tokens()
    assert site.session.ledger.revoke_api_token(token.id, actor="a test")
    assert asker.ask("POST", "/settings/token", form=form).status == 200
