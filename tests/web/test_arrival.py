"""What no request of a page may cost or break: numbers beyond all measure, forms without end."""

from __future__ import annotations

import http.client
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from litestar._parsers import parse_url_encoded_form_data

from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role
from tests.web.ask import Asker
from tests.web.site import PASSWORD, Site, open_site

FORM = "application/x-www-form-urlencoded"
UPLOAD = "/jobs/new/upload?service=1&account=gsm-fusion"
HUGE = [10**25, 2**63, 2**63 - 1, 10**18]


def test_numbers_that_name_nothing_are_told_so_and_break_nothing(site, admin):
    job = site.add_job(3)
    site.wait_for(job, JobState.FINISHED)
    somebody = Asker(site, admin)
    for number in HUGE:
        named = [
            *(
                f"/jobs/{number}{more}"
                for more in ("", "/orders", "/export", "/reasons", "/chart.json", "/unconfirmed")
            ),
            f"/orders/{number}",
            f"/jobs/{job}/attempts/{number}",
            f"/orders/1/attempts/{number}",
        ]
        assert {path: somebody.ask("GET", path).status for path in named} == dict.fromkeys(named, 404)
        changed = [f"/jobs/{number}/pause", f"/jobs/{number}/cancel", f"/jobs/{number}/resume"]
        form = {"csrf": somebody.csrf}
        assert {path: somebody.ask("POST", path, form=form).status for path in changed} == dict.fromkeys(changed, 404)
        places = [
            f"/jobs?before={number}",
            f"/activity?before={number}",
            f"/unconfirmed?before={number}",
            f"/jobs/{job}/unconfirmed?after={number}",
            f"/jobs/{job}/unconfirmed?after=-{number}",
            f"/services?start={number}",
        ]
        assert {path: somebody.ask("GET", path).status for path in places} == dict.fromkeys(places, 400)


@pytest.mark.parametrize("path", ["/sign-in", "/invitation/abc"])
@pytest.mark.parametrize("piece", [b"a=&", b"name=%41%41%41"])
def test_a_stranger_s_long_form_is_turned_away_unread(site, path, piece):
    answer = Asker(site).ask("POST", path, body=piece * (1_500_000 // len(piece)), content_type=FORM)
    assert answer.status == 413


def test_a_form_of_many_fields_is_turned_away(site, admin):
    somebody = Asker(site, admin)
    body = b"csrf=" + somebody.csrf.encode() + b"&a=" * 1000
    answer = somebody.ask("POST", "/orders", body=body, content_type=FORM)
    assert answer.status == 400
    assert "more than 1,000 fields" in answer.body


def test_what_is_typed_into_forms_is_kept_by_nobody(site):
    site.add_user("mia", Role.ADMIN)
    before = parse_url_encoded_form_data.cache_info()
    answer = Asker(site).ask("POST", "/sign-in", form={"name": "mia", "password": PASSWORD})
    assert answer.status == 303
    after = parse_url_encoded_form_data.cache_info()
    assert (after.hits, after.misses, after.currsize) == (before.hits, before.misses, before.currsize)


def test_a_body_of_parts_is_no_form_of_a_page(site, admin):
    body = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    somebody = Asker(site, admin)
    for asker, path in ((Asker(site), "/sign-in"), (somebody, "/orders")):
        kind = "multipart/form-data; boundary=x"
        answer = asker.ask("POST", path, body=body, content_type=kind, x_csrf_token=somebody.csrf)
        assert answer.status == 415


def test_a_list_that_says_it_is_a_form_is_not_searched_for_its_token(site, admin):
    somebody = Asker(site, admin)
    body = b"csrf=" + somebody.csrf.encode() + b"&a=" + b"1" * 3_000_000
    assert somebody.ask("POST", UPLOAD, body=body, content_type=FORM).status == 403


@pytest.fixture
def narrow(tmp_path: Path):
    with open_site(tmp_path / "home", max_upload_bytes=1_048_576) as opened:
        yield opened


def test_a_list_that_says_it_is_too_large_is_turned_away_unread(narrow: Site, tmp_path):
    somebody = Asker(narrow, narrow.add_user())
    answer = somebody.ask("POST", UPLOAD, content_length="1048577", x_csrf_token=somebody.csrf)
    assert answer.status == 413
    assert "The file is larger than 1 MB." in answer.body
    assert list((tmp_path / "home" / "uploads").iterdir()) == []


def test_a_list_that_does_not_say_how_long_it_is_is_cut_off_at_the_limit(narrow: Site, tmp_path):
    somebody = Asker(narrow, narrow.add_user())
    headers = {"cookie": somebody._cookie, "x-csrf-token": somebody.csrf, "transfer-encoding": "chunked"}
    parts = [b"1" * 65_536] * 16
    with closing(http.client.HTTPConnection(urlsplit(narrow.base_url).netloc, timeout=120)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it does not read what it does not take
            connection.request("POST", UPLOAD, iter([*parts, b"1"]), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert list((tmp_path / "home" / "uploads").iterdir()) == []
