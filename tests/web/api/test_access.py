"""Who may do what over the API, and what is turned away."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from imeiflow.domain.user import Role, Scope
from imeiflow.web.api.allowance import Allowance, Buckets
from imeiflow.web.api.catalog import OPERATIONS
from imeiflow.web.api.description import BASE
from tests.operations.stand import make_imei
from tests.web.api.client import Program, check_problem, enter
from tests.web.site import open_site

BODY = {"service": "1", "imeis": [make_imei(1)]}


def test_without_a_token_nothing_is_said(site, admin):
    for operation in OPERATIONS:
        path = operation.path
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", "1")
        answer = Program(site, None).ask(operation.method, path)
        check_problem(answer, 401, "no-token")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_cookie_is_no_token(site, admin):
    cookie = site.sign_in(admin)
    headers = {"cookie": f"{cookie['name']}={cookie['value']}"}
    check_problem(Program(site, None).ask("GET", "/jobs", headers=headers), 401, "no-token")


@pytest.mark.parametrize("secret", ["nonsense", "imeiflow_nonsense", "imeiflow_" + "x" * 300])
def test_a_wrong_token_is_turned_away_and_not_repeated(site, admin, secret):
    answer = Program(site, secret).ask("GET", "/jobs")
    check_problem(answer, 401, "no-token")
    assert secret.encode() not in answer.raw


def test_the_log_says_who_asked_and_not_with_what(site, program):
    with capture_logs() as logs:
        program.get("/jobs", limit=3)
        site.wait_until(lambda: any(one["event"] == "request" for one in logs), "nothing is logged")
    (found,) = [one for one in logs if one["event"] == "request"]
    assert (found["user"], found["route"]) == ("mia", "/api/v1/jobs")
    assert program.secret not in str(logs)


def test_the_tokens_of_a_user_who_is_disabled_are_good_for_nothing_again(site, admin):
    otto = site.add_user("otto", Role.OPERATOR)
    program, other = enter(site, Scope.ORDER, user=otto), enter(site, Scope.READ, user=admin)
    assert program.ask("GET", "/token").status == 200
    ledger = site.session.ledger
    ledger.change_user(otto.id, actor="mia", disabled_at=site.session.clock.now())
    check_problem(program.ask("GET", "/token"), 401, "no-token")
    ledger.change_user(otto.id, actor="mia", disabled_at=None)
    check_problem(program.ask("GET", "/token"), 401, "no-token")
    assert all(token.revoked_at for token in ledger.list_api_tokens(otto.id))
    assert [event.actor for event in ledger.recent_events(kinds=["token_revoked"], limit=9)] == ["mia"]
    assert other.ask("GET", "/token").status == 200


def test_a_stream_tells_nothing_more_once_its_user_is_disabled(site, admin):
    site.change_provider(rate="1/h")
    job = site.add_job(40)
    otto = site.add_user("otto", Role.VIEWER)
    program = enter(site, Scope.READ, user=otto)
    connection = http.client.HTTPConnection(urlsplit(site.base_url).netloc, timeout=60)
    try:
        sent = {"authorization": f"Bearer {program.secret}"}
        connection.request("GET", f"{BASE}/jobs/{job}/events", headers=sent)
        stream = connection.getresponse()
        assert stream.readline() == b"event: job\n"
        site.session.ledger.change_user(otto.id, actor="mia", disabled_at=site.session.clock.now())
        rest = stream.read()  # to its end: it would time out otherwise
        assert b"event: end" not in rest
    finally:
        connection.close()


def test_a_revoked_token_is_good_for_nothing(site, program):
    assert program.ask("GET", "/token").status == 200
    token = site.session.ledger.list_api_tokens()[0]
    assert token.used_at is not None
    site.session.ledger.revoke_api_token(token.id, actor="a test")
    check_problem(program.ask("GET", "/token"), 401, "no-token")


def test_a_scope_is_needed_and_its_role_too(site, admin):
    reader = enter(site, Scope.READ, user=admin)
    told = check_problem(reader.ask("POST", "/drafts", BODY), 403, "scope")
    assert "order" in told["detail"]
    check_problem(reader.ask("POST", "/jobs/1/settlements", {}), 403, "scope")
    check_problem(reader.ask("GET", "/deliveries"), 403, "scope")
    viewer = enter(site, Scope.ORDER, role=Role.VIEWER, name="vera")
    check_problem(viewer.ask("POST", "/drafts", BODY), 403, "role")


def test_what_is_too_large_or_of_the_wrong_kind_is_turned_away(program):
    check_problem(program.ask("POST", "/jobs/1/retry", b"x"), 415, "media-type")
    headers = {"content-type": "application/json"}
    check_problem(program.ask("POST", "/jobs/1/retry", b" " * 1_100_000, headers=headers), 413, "too-large")
    check_problem(program.ask("POST", "/jobs/1/retry", b"{", headers=headers), 400, "malformed")


def test_an_upload_over_the_limit_is_turned_away(tmp_path):
    with open_site(tmp_path / "home", max_upload_bytes=1000) as site:
        program = enter(site)
        body = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"1" * 1500
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = program.ask("POST", "/drafts?", body + b"\r\n--x--\r\n", headers=headers)
        assert answer.status in {413, 422}
        form = b'--x\r\ncontent-disposition: form-data; name="service"\r\n\r\n1\r\n' + body + b"\r\n--x--\r\n"
        check_problem(program.ask("POST", "/drafts", form, headers=headers), 413, "too-large")


def test_an_address_or_method_that_is_none_is_a_problem_too(program):
    check_problem(program.ask("GET", "/nothing"), 404, "not-found")
    answer = program.ask("DELETE", "/jobs")
    check_problem(answer, 405, "method")
    assert "GET" in answer.headers["allow"]


def test_another_site_cannot_use_it(site, program):
    connection = http.client.HTTPConnection(urlsplit(site.base_url).netloc)
    headers = {"authorization": f"Bearer {program.secret}", "origin": "https://example.com"}
    connection.request("POST", f"{BASE}/jobs/1/pause", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 403
    assert answer.getheader("content-type") == "application/problem+json"
    connection.close()


def test_its_pages_need_no_token_and_no_script(site, admin):
    page = Program(site, None).ask("GET", "/docs")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<script" not in page.raw
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for operation in OPERATIONS:
        assert f'id="{operation.name}"'.encode() in page.raw
    assert Program(site, None).ask("GET", "/openapi.json").value["openapi"] == "3.1.0"


def test_who_asks_too_often_waits():
    now = [0.0]
    buckets = Buckets(Allowance(per_s=2, at_once=3), clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert buckets.take("a") == 0
