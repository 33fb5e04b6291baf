"""What is uploaded is not trusted: neither what it unfolds to, nor its name, nor how long it is."""

from __future__ import annotations

import http.client
import resource
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.domain.user import Scope
from tests.intake.hostile import HOSTILE
from tests.operations.stand import make_imei
from tests.web.api.client import check_problem, enter
from tests.web.api.test_draft import BOUNDARY, make_form, wait_until_read
from tests.web.ask import Asker
from tests.web.site import open_site

MOST_MB = 400
LIST = f"IMEI\n{make_imei(1)}\n".encode()


def test_hostile_workbooks_are_turned_away_in_words_by_api_and_page_and_the_server_goes_on(site, program):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job = site.add_answered({2: OrderState.UNCONFIRMED})
    person = Asker(site, site.session.ledger.list_users()[0])
    for name in ("two corners", "cells without a place", "zeros that unfold"):
        content = HOSTILE[name]()
        body, headers = make_form(content, "phones.xlsx", service="1")
        draft = wait_until_read(program, program.ask("POST", "/drafts", body, headers=headers).value)
        assert draft["problem"]["status"] == 409
        assert draft["problem"]["detail"].startswith("phones.xlsx: it ")
        program.ask("DELETE", f"/drafts/{draft['id']}")
        body, headers = make_form(content, "orders.xlsx", dry_run="true")
        told = program.ask("POST", f"/jobs/{job}/settlements/export", body, headers=headers)
        assert told.status == 409
        assert told.value["detail"].startswith("orders.xlsx: it ")
        answer = person.ask("POST", f"/jobs/{job}/unconfirmed/export", body=content, x_csrf_token=person.csrf)
        assert answer.status == 400
        assert "The export: it " in answer.body
    assert program.ask("GET", "/token").status == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MB * 1024


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\\\..\\\\boot.ini", "boot.ini"),
        ('a\\"b.csv', 'a"b.csv'),
        ("nul\0l.csv", "null.csv"),
        ("bell\x07.csv", "bell.csv"),
        ("\u202egnp.csv", "gnp.csv"),
        ("größe 日本.csv", "größe 日本.csv"),
        ("...", "list"),
        ("x" * 500 + ".csv", "x" * 116 + ".csv"),
    ],
)
def test_a_name_is_only_ever_shown(site, program, sent, shown):
    body, headers = make_form(LIST, sent, service="1")
    draft = wait_until_read(program, program.ask("POST", "/drafts", body, headers=headers).value)
    assert draft["stage"] == "ready", draft
    assert draft["proposal"]["source"] == shown


def test_a_name_with_a_line_end_adds_no_header_and_no_field(site, program):
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="service"\r\n\r\n1\r\n--{BOUNDARY}\r\n'
    head += 'content-disposition: form-data; name="file"; filename="a\r\nx-evil: 1\r\n\r\nb.csv"\r\n\r\n'
    body = head.encode() + LIST + f"\r\n--{BOUNDARY}--\r\n".encode()
    answer = program.ask("POST", "/drafts", body, headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
    assert answer.status in {201, 400, 422}
    assert "x-evil" not in answer.headers


def test_a_job_s_name_does_not_get_into_the_headers_of_its_export(site, program):
    job = site.add_job(1, name='x"\r\nx-evil: 1', source="evil\r\n.csv")
    answer = program.ask("GET", f"/export?job={job}")
    assert answer.status == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="job-{job}-results.csv"'
    assert "x-evil" not in answer.headers


# The framework leaves the file of a form that it gives up to be closed when it is forgotten.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_an_upload_without_a_length_is_cut_off_at_the_limit(tmp_path):
    with open_site(tmp_path / "home", max_upload_bytes=100_000) as site:
        program = enter(site, Scope.ORDER)
        connection = http.client.HTTPConnection(urlsplit(site.base_url).netloc, timeout=120)
        headers = {
            "authorization": f"Bearer {program.secret}",
            "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            "transfer-encoding": "chunked",
        }
        body, _ = make_form(b"1" * 3_000_000, "phones.csv", service="1")
        parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
        with suppress(BrokenPipeError, ConnectionResetError):  # it does not read what it does not take
            connection.request("POST", "/api/v1/drafts", parts, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert list((tmp_path / "home").glob("uploads/*/*")) == []


def test_a_form_of_too_many_fields_or_files_is_turned_away(program):
    parts = [f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="f{n}"\r\n\r\n1\r\n' for n in range(5000)]
    body = ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert program.ask("POST", "/drafts", body, headers=headers).status in {400, 413, 422}
    one, _ = make_form(LIST, service="1")
    two = one.replace(f"--{BOUNDARY}--\r\n".encode(), one)
    check_problem(program.ask("POST", "/drafts", two, headers=headers), 422, "invalid")


def send_parts(program, *parts):
    body = b"".join(b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + b"--x--\r\n"
    return program.ask("POST", "/drafts", body, headers={"content-type": "multipart/form-data; boundary=x"})


FIELD = b'content-disposition: form-data; name="%s"'
FILE = b'content-disposition: form-data; name="file"; filename="a.csv"'


def test_a_field_that_is_as_long_as_a_list_is_turned_away(program):
    told = check_problem(send_parts(program, (FIELD % b"name", b"a" * 3_000_000)), 413, "too-large")
    assert "'name' is too long" in told["detail"]
    halves = [(FIELD % b"name", b"a" * 60_000), (FIELD % b"service", b"a" * 60_000)]
    check_problem(send_parts(program, *halves), 413, "too-large")


def test_a_form_of_many_parts_or_that_is_none_is_turned_away(program):
    check_problem(send_parts(program, *[(FIELD % b"name", b"a")] * 101), 413, "too-large")
    for body, kind in [
        (b"nothing", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"--x--\r\n", "multipart/form-data"),
        (b"--x\r\n" + FIELD % b"name" + b"\r\n\r\n\xff\xfe\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ]:
        answer = program.ask("POST", "/drafts", body, headers={"content-type": kind})
        assert "The body is no form" in check_problem(answer, 400, "malformed")["detail"]


def test_a_form_has_one_file(program):
    service = (FIELD % b"service", b"1")
    told = check_problem(send_parts(program, service), 422, "invalid")
    assert "it is missing" in told["detail"]
    told = check_problem(send_parts(program, service, (FILE, b"IMEI\r\n"), (FILE, b"IMEI\r\n")), 422, "invalid")
    assert "one file" in told["detail"]
