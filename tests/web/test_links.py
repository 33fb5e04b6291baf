"""One-time links: each ends with what it was made by, and with what it was made for; they lead to where people go."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from imeiflow.domain.user import Role
from imeiflow.ledger.user import User
from imeiflow.operations.identity import change_password
from imeiflow.web.server import prepare_link
from tests.web.ask import Asker, find_port
from tests.web.look import find_flaws
from tests.web.site import PASSWORD, Site, open_site

NEW = "brass kettles sing seven"


def make_link(site: Site, maker: User, of: User | None = None) -> str:
    """Have a user make a link by the page of settings; give its path."""
    asker = Asker(site, maker)
    path, form = ("invite", {"role": "admin"}) if of is None else ("password-link", {"user": str(of.id)})
    answer = asker.ask("POST", f"/settings/{path}", form={**form, "csrf": asker.csrf})
    found = re.search(r'class="secret">([^<]*)', answer.body)
    assert found is not None, answer.status
    return urlsplit(found[1]).path


def is_good(site: Site, link: str) -> bool:
    return Asker(site).ask("GET", link).status == 200


def change(site: Site, who: User, path: str, **form: str) -> None:
    asker = Asker(site, who)
    assert asker.ask("POST", f"/settings/{path}", form={**form, "csrf": asker.csrf}).status == 200


@pytest.mark.parametrize("how", ["disabled", "demoted", "new password"])
def test_links_end_with_the_role_of_whoever_made_them(site, how):
    boss, mole = site.add_user("boss", Role.ADMIN), site.add_user("mole", Role.ADMIN)
    links = [make_link(site, mole), make_link(site, mole, of=boss)]
    kept = make_link(site, boss)
    assert all(is_good(site, link) for link in links)
    if how == "disabled":
        change(site, boss, "disable", user=str(mole.id))
    elif how == "demoted":
        change(site, boss, "user", user=str(mole.id), role="viewer")
    else:
        own = make_link(site, boss, of=mole)
        assert Asker(site).ask("POST", own, form={"password": NEW}).status == 303
    stranger = Asker(site)
    assert stranger.ask("POST", links[0], form={"name": "ghost", "password": NEW}).status == 400
    assert stranger.ask("POST", links[1], form={"password": NEW}).status == 400
    assert [user.name for user in site.session.ledger.list_users()] == ["boss", "mole"]
    assert Asker(site).ask("POST", "/sign-in", form={"name": "boss", "password": PASSWORD}).status == 303
    assert is_good(site, kept)


@pytest.mark.parametrize("how", ["disabled", "demoted"])
def test_tokens_for_others_end_with_the_role_of_whoever_made_them(site, how):
    boss, mole, olga = (site.add_user(name, Role.ADMIN) for name in ("boss", "mole", "olga"))
    make = {"name": "till", "user": str(olga.id), "scope": "order", "days": "30"}
    change(site, mole, "token", **make)
    change(site, boss, "token", **{**make, "name": "shop"})
    change(site, mole, "token", **{**make, "name": "own", "user": str(mole.id)})
    asker = Asker(site, boss)
    form = {"user": str(mole.id), "csrf": asker.csrf, **({"role": "operator"} if how == "demoted" else {})}
    answer = asker.ask("POST", f"/settings/{'disable' if how == 'disabled' else 'user'}", form=form)
    tokens = site.session.ledger.list_api_tokens()
    good = {one.name for one in tokens if one.revoked_at is None}
    assert good == ({"shop"} if how == "disabled" else {"shop", "own"})
    assert "till of olga" in answer.body
    assert "shop of olga" not in answer.body
    change(site, boss, "user", user=str(mole.id), role="admin")
    assert {one.name for one in site.session.ledger.list_api_tokens() if one.revoked_at is None} == good


def test_another_role_of_an_operator_and_another_password_end_no_token(site):
    boss, olga = site.add_user("boss", Role.ADMIN), site.add_user("olga", Role.ADMIN)
    otto = site.add_user("otto", Role.OPERATOR)
    for name, user in (("till", boss), ("shop", otto)):
        change(site, olga, "token", name=name, user=str(user.id), scope="order", days="30")
    change(site, boss, "user", user=str(otto.id), role="viewer")
    change_password(site.session, olga, old=PASSWORD, new=NEW)
    link = make_link(site, boss, of=olga)
    assert Asker(site).ask("POST", link, form={"password": f"{NEW} again"}).status == 303
    tokens = site.session.ledger.list_api_tokens()
    assert [(one.name, one.created_by, one.revoked_at) for one in reversed(tokens)] == [
        ("till", "olga", None),
        ("shop", "olga", None),
    ]


def test_a_password_that_is_set_ends_all_links_that_would_set_it(site):
    boss, olga, otto = (site.add_user(name, Role.ADMIN) for name in ("boss", "olga", "otto"))
    first, second = make_link(site, boss, of=otto), make_link(site, olga, of=otto)
    assert Asker(site).ask("POST", first, form={"password": NEW}).status == 303
    assert not is_good(site, second)


def test_another_limit_ends_no_link(site):
    boss, olga = site.add_user("boss", Role.ADMIN), site.add_user("olga", Role.ADMIN)
    link = make_link(site, olga)
    change(site, boss, "user", user=str(olga.id), role="admin", spend_limit="5")
    assert is_good(site, link)


def test_the_link_for_the_first_user_ends_when_there_is_one(site):
    link = prepare_link(site.session, site.base_url)
    assert link is not None
    site.add_user("boss", Role.ADMIN)  # by the command line
    form = {"name": "ghost", "password": NEW}
    assert Asker(site).ask("POST", urlsplit(link).path, form=form).status == 400
    assert [user.name for user in site.session.ledger.list_users()] == ["boss"]


def test_open_links_are_listed_and_revoked(site, visitor, admin):
    olga = site.add_user("olga", Role.OPERATOR)
    link, other = make_link(site, admin), make_link(site, admin, of=olga)
    page = visitor.open("/settings", user=admin)
    table = page.get_by_role("region", name="Table of open links")
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table).to_contain_text("a new password of olga")
    assert find_flaws(page) == []
    page.get_by_role("button", name="Revoke the link for a new admin").click()
    expect(table.locator("tbody tr")).to_have_count(1)
    assert not is_good(site, link)
    assert is_good(site, other)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_revoke_links(site, role):
    boss, vera = site.add_user("boss", Role.ADMIN), site.add_user("vera", role)
    link = make_link(site, boss)
    asker = Asker(site, vera)
    (found,) = site.session.ledger.list_invitations()
    form = {"link": found.digest, "csrf": asker.csrf}
    assert asker.ask("POST", "/settings/link/revoke", form=form).status == 403
    assert is_good(site, link)


def test_a_link_leads_to_where_people_reach_the_server(tmp_path):
    port = find_port()
    with open_site(tmp_path / "home", public_url="https://flow.example.com", port=port) as site:
        site.base_url = f"http://127.0.0.1:{port}"
        asker = Asker(site, site.add_user("boss", Role.ADMIN))
        for host in ("flow.example.com", urlsplit(site.base_url).netloc):
            answer = asker.ask("POST", "/settings/invite", form={"role": "admin", "csrf": asker.csrf}, host=host)
            assert re.findall(r'class="secret">(https://flow\.example\.com/invitation/)', answer.body), host
