"""Which requests are let in, from where, and the headers of every answer; what must not be served is refused."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.web.setting import WebSettings, check_exposure

PATHS = ["/sign-in", "/jobs", "/healthz", "/no-such-page", "/static/x/app.css", "/static/x/none.css"]


def ask(site, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(site.base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_every_answer_has_the_headers_that_protect_it(site):
    for path in PATHS:
        answer = ask(site, path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["x-frame-options"] == "DENY", path
        assert "server" not in answer.headers, path
        assert answer.headers["cache-control"] in {"no-store", "no-cache"}, path


def test_a_name_that_is_not_ours_is_turned_away(site):
    assert ask(site, "/sign-in", Host="evil.example").status == 421


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
def test_a_change_from_another_site_is_turned_away(site, headers):
    assert ask(site, "/sign-in", "POST", **headers).status == 403


def test_who_is_not_signed_in_gets_nothing(site):
    assert ask(site, "/jobs").status == 303
    assert ask(site, "/live?topic=jobs").status == 401
    assert ask(site, "/jobs/1/pause", "POST").status == 401


def test_it_says_that_it_lives_and_is_ready(site):
    assert ask(site, "/healthz").status == 200
    assert ask(site, "/readyz").status == 200


def test_nobody_outside_reaches_it_while_nobody_has_a_password():
    with pytest.raises(ConfigurationError, match="nobody has a password yet"):
        check_exposure(WebSettings(host="192.0.2.1"), users=0)


def test_no_password_crosses_the_network_unencrypted():
    with pytest.raises(ConfigurationError, match="unencrypted"):
        check_exposure(WebSettings(host="192.0.2.1"), users=1)
    check_exposure(WebSettings(host="192.0.2.1", public_url="https://flow.example.com"), users=1)
    check_exposure(WebSettings(), users=0)
