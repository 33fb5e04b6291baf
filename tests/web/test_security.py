"""An attacker before the doors, and one inside with the least of roles (OWASP ASVS 4.0.3, level 2).

The tests that walk all routes hold for every page that is added: none has to be named here.
"""

from __future__ import annotations

import re
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import imeiflow.web
from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role
from imeiflow.errors import ConfigurationError
from imeiflow.ledger.record import PricedService
from imeiflow.operations.identity import SESSION_IDLE, invite_user, open_web_session
from imeiflow.web import thread
from imeiflow.web.access import make_cookie
from imeiflow.web.gate import POLICY
from imeiflow.web.setting import WebSettings, check_exposure
from imeiflow.web.throttle import Throttle, network_of
from tests.web.ask import UNSAFE, Asker, find_port, list_routes, wait_for_runner
from tests.web.site import PASSWORD, open_site

#: What anybody may ask for. To add a line here is a decision about security.
PUBLIC = {
    "GET /healthz",
    "HEAD /healthz",
    "GET /invitation/{secret}",
    "GET /metrics",
    "GET /readyz",
    "HEAD /readyz",
    "GET /sign-in",
    "GET /static/{digest}/{name}",
    "POST /invitation/{secret}",
    "POST /sign-in",
}
#: What every user may change: what is their own.
OF_ALL = {"POST /sign-out", "POST /orders", "POST /password"}
ROOT = Path(imeiflow.web.__file__).parent
HOSTILE = "<b data-x=\"1\" data-y='2'>evil&\r\nx-injected: 1"


def is_page(route) -> bool:
    return not route.path.startswith("/api/")


@pytest.fixture
def anybody(site):
    return Asker(site)


# every route


def test_only_what_is_meant_for_all_is_open_to_all(site, anybody):
    routes = list_routes(site)
    assert {str(route) for route in routes if route.is_public and is_page(route)} == PUBLIC
    for route in routes:
        if route.is_public:
            continue
        answer = anybody.ask(route.method, route.fill(), form={} if route.method in UNSAFE else None)
        is_sent_away = answer.status == 303 and answer.headers["location"].startswith("/sign-in")
        assert is_sent_away or answer.status == 401, f"{route}: {answer.status}"


def test_what_changes_something_needs_a_form_of_the_own_session(site, admin):
    somebody, other = Asker(site, admin), Asker(site, admin)
    routes = [route for route in list_routes(site) if route.method in UNSAFE and not route.is_public and is_page(route)]
    assert routes
    for route in routes:
        for given in ("", other.csrf, somebody.csrf.upper()):
            answers = [
                somebody.ask(route.method, route.fill(), form={"csrf": given}),
                somebody.ask(route.method, route.fill(), body=b"x", x_csrf_token=given, content_type="text/plain"),
            ]
            for answer in answers:
                assert answer.status == 403, f"{route}: {answer.status}"
                assert "older than your session" in answer.body, str(route)
    assert len(site.session.ledger.list_web_sessions(admin.id)) == 2


def test_no_page_takes_a_change_from_another_site(site, admin):
    somebody = Asker(site, admin)
    for route in list_routes(site):
        if route.method not in UNSAFE:
            continue
        for header in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://["},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
        ):
            answer = somebody.ask(route.method, route.fill(), form={"csrf": somebody.csrf}, **header)
            assert (answer.status, answer.body) == (403, "This request comes from another site.\n"), str(route)


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_it_may_and_no_more(site, role):
    user = site.add_user(f"a-{role.value}", role)
    for route in list_routes(site):
        if route.path in {"/live", "/sign-out"} or route.is_public:
            continue
        somebody = Asker(site, user)  # a new session for each: one of them may end it
        form = {"csrf": somebody.csrf} if route.method in UNSAFE else None
        answer = somebody.ask(route.method, route.fill(job_id=9999), form=form, x_csrf_token=somebody.csrf)
        is_denied = answer.status == 403 and "This needs the role" in answer.body
        assert is_denied == (route.role is not None and not role.allows(route.role)), f"{route}: {answer.status}"
        assert answer.status not in {401, 500}, f"{route}: {answer.status}"


def test_who_only_looks_changes_nothing(site):
    for route in list_routes(site):
        if route.method in UNSAFE and not route.is_public and is_page(route) and str(route) not in OF_ALL:
            assert route.role in {Role.OPERATOR, Role.ADMIN}, f"{route} asks for no role"


def test_every_answer_bears_the_headers_of_safety(site, admin, anybody):
    somebody = Asker(site, admin)
    asked = [(who, route.method, route.fill()) for route in list_routes(site) for who in (somebody, anybody)]
    asked += [(anybody, "GET", "/nothing"), (anybody, "BREW", "/"), (anybody, "GET", "/%00")]
    for who, method, path in asked:
        if path == "/live":
            continue
        answer = who.ask(method, path)
        said = f"{method} {path}: {answer.status}"
        assert answer.headers["content-security-policy"] == POLICY, said
        assert answer.headers["x-content-type-options"] == "nosniff", said
        assert answer.headers["x-frame-options"] == "DENY", said
        assert answer.headers["referrer-policy"] == "same-origin", said
        assert "server" not in answer.headers, said
        if not path.startswith("/static/"):
            assert answer.headers["cache-control"] == "no-store", said
        if "text/html" in answer.headers.get("content-type", ""):
            assert "charset=utf-8" in answer.headers["content-type"], said
        for trace in ("Traceback", 'File "', str(ROOT), "litestar"):
            assert trace not in answer.body, said


def test_the_policy_allows_nothing_inline_and_the_templates_need_nothing():
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    for path in [*ROOT.rglob("*.html")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:|\|\s*safe\b|hx-on|autoescape", text), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", text), path


# who signs in


def sign_in(asker, *, password=PASSWORD, name="mia", **form):
    return asker.ask("POST", "/sign-in", form={"name": name, "password": password, **form})


def test_signing_in_makes_a_new_session_and_continues_none_that_was_planted(site, admin):
    planted = Asker(site, admin)
    cookie = planted._cookie
    answer = sign_in(planted, csrf=planted.csrf)
    assert answer.status == 303
    assert answer.headers["set-cookie"].partition(";")[0] != cookie
    forged = Asker(site)
    forged._cookie = "imeiflow=chosen-by-the-attacker"
    given = sign_in(forged).headers["set-cookie"]
    assert "chosen-by-the-attacker" not in given
    assert forged.ask("GET", "/jobs").status == 303


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(site, admin, anybody):
    given = sign_in(anybody).headers["set-cookie"].lower()
    assert "httponly" in given
    assert "samesite=lax" in given
    assert "domain" not in given
    secure = make_cookie(WebSettings(public_url="https://flow.example.com"), "secret").to_header(header="").lower()
    assert secure.startswith("__host-")
    assert "secure" in secure.replace("=secret", "")
    assert "path=/" in secure


def test_signing_out_takes_the_cookie_from_the_browser(site, admin):
    somebody = Asker(site, admin)
    taken = somebody.ask("POST", "/sign-out", form={"csrf": somebody.csrf}).headers["set-cookie"].lower()
    assert taken.partition(";")[0].strip('"') in {"imeiflow=", 'imeiflow="'}
    assert "max-age=0" in taken


def test_a_session_ends_when_its_user_is_shut_out_or_changes_the_password(site, admin):
    other = site.add_user("ann", Role.VIEWER)
    somebody = Asker(site, other)
    assert somebody.ask("GET", "/jobs").status == 200
    site.session.ledger.change_user(other.id, actor="mia", disabled_at=site.session.clock.now())
    assert somebody.ask("GET", "/jobs").status == 303
    assert SESSION_IDLE.total_seconds() <= 12 * 3600


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\r\nx-injected: 1",
        "//[",
        "http://[::1",
        " //evil.example",
    ],
)
def test_nobody_is_sent_to_another_site(site, admin, target, anybody):
    answer = sign_in(anybody, next=target)
    assert answer.status == 303
    assert answer.headers["location"] == "/"
    assert "x-injected" not in answer.headers


def test_whoever_knows_the_old_password_sets_another_and_every_other_browser_is_signed_out(site, admin):
    user = site.add_user("vera", Role.VIEWER)
    here, there = Asker(site, user), Asker(site, user)
    new = "nine copper lanterns hum"
    assert "New password for vera" in here.ask("GET", "/password").body

    def change(old, new):
        return here.ask("POST", "/password", form={"csrf": here.csrf, "old": old, "new": new})

    assert (change("wrong", new).status, change(PASSWORD, "short").status) == (400, 400)
    assert there.ask("GET", "/jobs").status == 200
    answer = change(PASSWORD, new)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert "set-cookie" in answer.headers
    assert there.ask("GET", "/jobs").status == 303
    assert here.ask("GET", "/jobs").status == 303  # with the cookie before
    form = {"name": "vera", "password": new}
    assert Asker(site).ask("POST", "/sign-in", form=form).status == 303


def test_an_open_browser_is_not_enough_to_guess_the_password(site, admin):
    here = Asker(site, admin)
    form = {"csrf": here.csrf, "old": "wrong", "new": "nine copper lanterns hum"}
    assert [here.ask("POST", "/password", form=form).status for _ in range(6)] == [400] * 5 + [429]


def test_a_page_that_is_left_open_does_not_keep_its_session_alive(site, admin):
    somebody = Asker(site, admin)
    ledger = site.session.ledger
    [begun] = ledger.list_web_sessions(admin.id)
    now = ledger.clock
    ledger.clock = lambda: now() + timedelta(hours=11)
    try:
        assert somebody.ask("GET", "/jobs", hx_request="true", x_unattended="1").status == 200
        assert somebody.ask("GET", "/live?topic=jobs").status == 200
        assert ledger.list_web_sessions(admin.id)[0].seen_at == begun.seen_at
        assert somebody.ask("GET", "/jobs").status == 200
        assert ledger.list_web_sessions(admin.id)[0].seen_at > begun.seen_at
    finally:
        ledger.clock = now


def test_many_guesses_at_once_are_counted_like_many_in_a_row(site, admin):
    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(lambda _: sign_in(Asker(site), password="a wrong guess").status, range(24)))
    assert statuses.count(401) <= 5
    assert set(statuses) <= {401, 429, 503}


def test_whoever_is_turned_away_unheard_has_not_guessed(site, admin, anybody):
    waiting = [object() for _ in range(32)]
    thread._checks.update(waiting)
    form = {"name": "mia", "password": PASSWORD}
    try:
        assert [anybody.ask("POST", "/sign-in", form=form).status for _ in range(6)] == [503] * 6
    finally:
        thread._checks.difference_update(waiting)
    assert anybody.ask("POST", "/sign-in", form=form).status == 303


def test_guesses_elsewhere_shut_nobody_out_of_where_they_work(site, admin, anybody):
    for _ in range(12):
        site.server.office.throttle.fail("name mia")
    form = {"name": "mia", "password": PASSWORD}
    assert anybody.ask("POST", "/sign-in", form=form).status == 429
    assert anybody.ask("POST", "/sign-in", form={**form, "name": " MIA "}).status == 429
    open_web_session(site.session, admin, address="192.0.2.7", agent="")
    assert anybody.ask("POST", "/sign-in", form=form).status == 429
    site.sign_in(admin)
    wrong = {**form, "password": "wrong"}
    assert anybody.ask("POST", "/sign-in", form=form).status == 303
    assert [anybody.ask("POST", "/sign-in", form=wrong).status for _ in range(5)] == [401] * 5
    assert anybody.ask("POST", "/sign-in", form=form).status == 429


def test_what_is_ticked_is_acted_on_as_a_whole_or_not_at_all(site, admin):
    job = site.add_job(1)
    site.wait_for(job, JobState.FINISHED)
    boss = Asker(site, admin)
    body = "&".join(["csrf=" + boss.csrf, *(f"order={number}" for number in range(1, 202))]).encode()
    kind = "application/x-www-form-urlencoded"
    answer = boss.ask("POST", f"/jobs/{job}/chosen", body=body, content_type=kind)
    assert answer.status == 400
    assert "201 orders are ticked, and 200 can be at most" in answer.body


def test_what_is_typed_as_a_name_is_kept_only_where_it_is_one(site, admin, anybody):
    for typed in ("correct horse battery staple", "Mia"):
        assert anybody.ask("POST", "/sign-in", form={"name": typed, "password": "x"}).status == 401
    events = site.session.ledger.events(kinds=["sign_in_failed"])
    assert sorted(event.data.get("name", "") for event in events) == ["", "mia"]
    assert "correct horse" not in Asker(site, admin).ask("GET", "/activity").body


def test_passwords_that_are_checked_hold_up_no_page(site, admin):
    somebody = Asker(site, admin)

    def guess(number: int) -> int:
        return sign_in(Asker(site), name=f"nobody{number}", password="x" * 1000).status

    with ThreadPoolExecutor(5) as pool:
        guesses = [pool.submit(guess, number) for number in range(5)]
        assert somebody.ask("GET", "/jobs").status == 200
        assert {one.result() for one in guesses} <= {401, 429, 503}


def test_who_has_signed_in_cannot_wash_an_address_clean(site, admin):
    now = 0.0
    throttle = Throttle(lambda: now)
    for _ in range(4):
        throttle.fail("address 1")
        throttle.undo("address 1", throttle.fail("address 1"))  # an account of the attacker's own, between two guesses
    number = throttle.fail("address 1")
    assert throttle.wait_s("address 1") > 0
    throttle.undo("address 1", number)
    assert throttle.wait_s("address 1") == 0


def test_an_account_of_one_s_own_between_guesses_washes_no_address_clean(site, admin, anybody):
    site.server.office.throttle = Throttle(lambda: 0.0)
    site.add_user("ann", Role.VIEWER)
    for number in range(4):
        assert sign_in(anybody, name=f"nobody{number}").status == 401
    assert sign_in(anybody, name="ann").status == 303
    assert sign_in(anybody, password="wrong").status == 401
    assert sign_in(anybody, name="ann").status == 429


def test_one_visitor_has_no_more_addresses_than_one():
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("unknown") == "unknown"


def test_what_was_typed_wrong_is_not_told_with_its_secret(site, anybody):
    secret = invite_user(site.session, role=Role.VIEWER, actor="a test")
    answer = anybody.ask("POST", f"/invitation/{secret}", form={})
    assert answer.status == 400
    assert secret not in answer.body


# what others have written


def test_what_others_have_written_is_shown_as_text(make_site):
    hostile = HOSTILE.replace("\r\n", " ")
    site = make_site(chunk_max=1, chunk_max_error=hostile)
    user = site.add_user("ann", Role.ADMIN)
    texts = {"name": HOSTILE, "source": f"{HOSTILE}.csv", "service_name": HOSTILE, "columns": [HOSTILE, "IMEI"]}
    wait_for_runner(site)
    job = site.add_job(3, chunk_size=3, **texts)
    site.wait_for(job, JobState.PAUSED, JobState.FINISHED)
    with closing(sqlite3.connect(site.session.ledger.path)) as ledger:
        order, error = ledger.execute("SELECT id, error FROM orders LIMIT 1").fetchone()
    assert "evil" in error
    was = site.session.find_job(job).state
    site.session.ledger.change_job(job, {was}, JobState.RUNNING, None)
    site.session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, hostile)
    # After the job: the list is asked for once more when it ends.
    note = f"<svg onload=x><img onerror=x>{HOSTILE}"
    sold = PricedService(id=ServiceId("1"), name=HOSTILE, category=HOSTILE, delivery=HOSTILE, note=note)
    site.session.ledger.record_prices(AccountName("gsm-fusion"), [sold])
    somebody = Asker(site, user)
    seen = ""
    for route in list_routes(site):
        if route.method != "GET" or route.path == "/live":
            continue
        for part in ({}, {"hx_request": "true"}):
            answer = somebody.ask("GET", route.fill(job_id=job, order_id=order), **part)
            assert "x-injected" not in answer.headers, str(route)
            if "text/html" in answer.headers.get("content-type", ""):
                assert "<b data-x" not in answer.body, str(route)
                assert "data-y='2'" not in answer.body, str(route)
                assert not re.search("<(svg|img)[^>]* on", answer.body), str(route)
                seen += answer.body
    assert "&lt;b data-x" in seen
    assert "&lt;svg onload=x&gt;&lt;img onerror=x&gt;" in seen


def test_what_visitors_send_is_shown_as_text_and_not_logged(site, admin, anybody):
    answer = sign_in(anybody, name=HOSTILE, password="wrong", next="/" + HOSTILE)
    assert answer.status == 401
    assert "<b data-x" not in answer.body
    event = site.session.ledger.events(kinds=["sign_in_failed"])[-1]
    assert event.data is not None
    assert "name" not in event.data  # it is nobody's: often it is a password
    assert HOSTILE not in str(event)
    assert anybody.ask("GET", "/jobs", cookie=f'theme="><script>{HOSTILE[:20]}').status == 303


# the wire


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "[::1", "127.0.0.1.evil"]
)
def test_a_name_that_is_not_ours_is_not_answered_to(site, anybody, host):
    assert anybody.ask("GET", "/sign-in", host=host).status == 421


def test_links_and_redirects_never_take_their_host_from_the_request(site, anybody):
    port = urlsplit(site.base_url).port
    answer = anybody.ask(
        "GET", "/jobs", host=f"localhost:{port}", x_forwarded_host="evil.example", x_forwarded_for="1.2.3.4"
    )
    assert answer.headers["location"].startswith("/sign-in")
    assert "evil" not in str(answer.headers)


def test_a_body_that_is_too_large_is_turned_away(site, anybody):
    answer = anybody.ask(
        "POST", "/sign-in", body=b"name=" + b"x" * 2_100_000, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status == 413


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n0\r\n\r\nGET /",
    ],
    ids=["two hosts", "no host", "two lengths"],
)
def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(site, text):
    parts = urlsplit(site.base_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=120) as connection:
        connection.sendall(text.encode())
        assert connection.recv(200).split(b" ")[1][:1] == b"4"


# the stream


def test_too_many_streams_of_one_user_are_turned_away(site, admin):
    somebody = Asker(site, admin)
    streams = site.server.office.streams
    held = [streams.enter("mia") for _ in range(64)]
    answer = somebody.ask("GET", "/live?topic=jobs")
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    other = Asker(site, site.add_user("ann", Role.VIEWER))
    assert other.ask("GET", "/live?topic=jobs").status == 200
    held.pop().leave()
    assert somebody.ask("GET", "/live?topic=jobs").status == 200


# where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "flow.example.com"])  # noqa: S104
def test_others_are_not_let_in_before_there_are_users_and_encryption(host):
    with pytest.raises(Exception, match="nobody has a password yet"):
        check_exposure(WebSettings(host=host, public_url="https://flow.example.com"), users=0)
    with pytest.raises(Exception, match="unencrypted"):
        check_exposure(WebSettings(host=host), users=1)
    check_exposure(WebSettings(host=host, public_url="https://flow.example.com"), users=1)


@pytest.mark.parametrize("text", ["*", "", " ", "nonsense", "127.0.0.1,", "0.0.0.0/0", "::/0", "10.0.0.1/8"])
def test_nobody_is_believed_to_be_a_proxy_who_is_not_named(text):
    with pytest.raises(ConfigurationError, match="--trusted-proxy") as error:
        check_exposure(WebSettings(trusted_proxy=text), users=1)
    assert "172.17.0.0/16" in error.value.remedy


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "172.17.0.0/16", "127.0.0.1, 10.1.0.0/16"])
def test_a_proxy_is_named_by_address_or_network(text):
    check_exposure(WebSettings(trusted_proxy=text), users=1)


@pytest.mark.parametrize(
    "url",
    [
        "flow.example.com",
        "https://",
        "https://flow.example.com/x",
        "https://flow.example.com?x=1",
        "https://flow.example.com/#x",
        "https://mia:secret@flow.example.com",
        "https://flow.example.com:99999",
        "https://[::1",
        "ftp://flow.example.com",
    ],
)
def test_what_people_type_is_the_address_of_a_site_and_nothing_more(url):
    with pytest.raises(ConfigurationError, match="is no address of a site"):
        check_exposure(WebSettings(public_url=url), users=1)
    check_exposure(WebSettings(public_url="https://flow.example.com:8443/"), users=1)


def test_a_certificate_that_is_none_is_told_before_anything_is_served(tmp_path):
    """And before a link for the first user is made."""
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    for content in (b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", b"", None):
        for path in (certificate, key):
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="--tls-cert") as error:
            check_exposure(WebSettings(tls_cert=certificate, tls_key=key), users=1)
        assert "as PEM" in error.value.remedy


def test_behind_tls_browsers_are_told_to_stay_there(tmp_path):
    port = find_port()
    with open_site(tmp_path / "home", public_url="https://flow.example.com", port=port) as site:
        site.base_url = f"http://127.0.0.1:{port}"
        answer = Asker(site).ask("GET", "/sign-in", host="flow.example.com")
        assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert answer.status == 200
