"""From a list to a running job over the API: taken in, previewed, confirmed once."""

from __future__ import annotations

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role, Scope
from imeiflow.errors import LedgerBusyError
from tests.operations.stand import make_imei
from tests.web.api.client import PATIENCE_S, Program, check_problem, check_schema, enter, with_key
from tests.web.ask import Asker

BOUNDARY = "a-line-that-stands-in-no-list"


def make_form(content: bytes, name: str = "phones.csv", **fields: str) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
    return body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def wait_until_read(program: Program, draft: dict[str, Any]) -> dict[str, Any]:
    pause = threading.Event()
    while draft["stage"] == "reading":
        pause.wait(0.02)
        draft = program.get(f"/drafts/{draft['id']}")
    return draft


def make_draft(program: Program, count: int, **more: Any) -> dict[str, Any]:
    imeis = [make_imei(number) for number in range(count)]
    return wait_until_read(program, program.post("/drafts", {"service": "1", "imeis": imeis, **more}))


def test_a_list_is_previewed_confirmed_and_ordered(site, program):
    draft = make_draft(program, 5)
    check_schema(draft, "Draft")
    assert draft["stage"] == "ready"
    assert draft["proposal"]["valid"] == 5
    assert draft["proposal"]["cost"] == Decimal("0.40")
    assert draft["proposal"]["probe_up_to"] == Decimal("1.00")
    assert draft["figure"] is None
    summary = program.post(f"/drafts/{draft['id']}/confirm")
    check_schema(summary, "JobSummary")
    site.wait_for(JobId(summary["job"]), JobState.FINISHED)
    assert program.get(f"/jobs/{summary['job']}")["accepted"] == 5
    assert site.judge().problems == []


def test_a_file_is_taken_in_with_its_columns(site, program):
    content = f"Model;IMEI\niPhone;{make_imei(1)}\niPad;{make_imei(2)}\nnone;123\n".encode()
    body, headers = make_form(content, service="1", name="from a form")
    answer = program.ask("POST", "/drafts", body, headers=headers)
    assert answer.status == 201
    assert answer.headers["location"] == f"/api/v1/drafts/{answer.value['id']}"
    draft = wait_until_read(program, answer.value)
    assert (draft["proposal"]["valid"], draft["proposal"]["invalid"]) == (2, 1)


def test_what_cannot_be_read_is_a_problem_of_the_draft(program):
    body, headers = make_form(b"PK\x03\x04 no workbook", "phones.xlsx", service="1")
    draft = wait_until_read(program, program.ask("POST", "/drafts", body, headers=headers).value)
    assert draft["stage"] == "failed"
    assert draft["problem"]["status"] == 409
    assert draft["problem"]["detail"].startswith("phones.xlsx: ")
    assert draft["problem"]["remedy"]
    check_problem(program.ask("POST", f"/drafts/{draft['id']}/confirm", {}), 409, "busy-preparation")


def test_a_large_sum_has_to_be_repeated(program):
    draft = make_draft(program, 1300)
    assert draft["figure"] == "104.00"
    path = f"/drafts/{draft['id']}/confirm"
    told = check_problem(program.ask("POST", path, {"figure": "103"}), 409, "not-typed")
    assert "104.00" in told["detail"]
    assert program.get("/jobs")["jobs"] == []
    assert program.post(path, {"figure": "104.00", "trial": 5})["queued"] > 0


def test_a_draft_that_another_session_has_changed_is_not_ordered_by_what_was_seen(site, program):
    draft = make_draft(program, 3)
    path = f"/drafts/{draft['id']}"
    theirs = wait_until_read(program, program.ask("PATCH", path, {"service": "2"}).value)
    assert theirs["version"] != draft["version"]
    told = program.ask("POST", f"{path}/confirm", {"version": draft["version"]})
    assert "Nothing was ordered" in check_problem(told, 409, "changed-preparation")["remedy"]
    assert program.get("/jobs")["jobs"] == []
    job = program.post(f"{path}/confirm", {"version": theirs["version"]})["job"]
    assert site.session.find_job(JobId(job)).service == "2"
    assert program.post(f"{path}/confirm", {"version": draft["version"]})["job"] == job


def test_the_page_orders_only_what_it_showed_and_shows_anew_what_has_changed(site, admin):
    program, person = enter(site, user=admin), Asker(site, admin)
    draft = make_draft(program, 3)
    place = f"/jobs/new/{draft['id']}/order"
    wait_until_read(program, program.ask("PATCH", f"/drafts/{draft['id']}", {"service": "2"}).value)
    for seen in ({"version": str(draft["version"])}, {"version": "²"}, {}):
        answer = person.ask("POST", place, form={"csrf": person.csrf, **seen})
        assert answer.status == 200
        assert "This list is not read any more as it was when it was shown." in answer.body
        assert program.get("/jobs")["jobs"] == []
    version = re.search(r'name="version" value="(\d+)"', answer.body)
    assert version is not None
    answer = person.ask("POST", place, form={"csrf": person.csrf, "version": version[1]})
    assert answer.status == 303
    (job,) = program.get("/jobs")["jobs"]
    assert job["service"] == "2"


def test_a_trial_sends_the_first_and_waits(site, program):
    draft = make_draft(program, 20)
    job = program.post(f"/drafts/{draft['id']}/confirm", {"trial": 5})["job"]
    site.wait_for(JobId(job), JobState.PAUSED)
    assert program.get(f"/jobs/{job}")["accepted"] == 5


def test_the_same_key_gives_the_same_answer_and_another_request_with_it_is_turned_away(site, program):
    body = {"service": "1", "imeis": [make_imei(1)]}
    first = program.ask("POST", "/drafts", body, headers=with_key("k1"))
    again = program.ask("POST", "/drafts", body, headers=with_key("k1"))
    assert again.raw == first.raw
    assert again.headers["idempotency-replayed"] == "true"
    other = program.ask("POST", "/drafts", {**body, "again": True}, headers=with_key("k1"))
    check_problem(other, 409, "key-used")


def test_a_key_of_one_file_is_not_good_for_another_of_the_same_name(program):
    asked = [make_form(f"IMEI\n{make_imei(number)}\n".encode(), "stock.csv", service="1") for number in (1, 2)]
    answers = [program.ask("POST", "/drafts", body, headers={**head, **with_key("k1")}) for body, head in asked]
    assert answers[0].status == 201
    check_problem(answers[1], 409, "key-used")


def test_while_a_request_is_carried_out_the_same_one_is_told_to_wait(site, program, monkeypatch):
    body = {"service": "1", "imeis": [make_imei(1)]}
    preparations, begun, may_go_on = site.server.office.preparations, threading.Event(), threading.Event()
    begin = preparations.begin

    def begin_slowly(*args, **how):
        begun.set()
        assert may_go_on.wait(PATIENCE_S)
        return begin(*args, **how)

    monkeypatch.setattr(preparations, "begin", begin_slowly)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(program.ask, "POST", "/drafts", body, headers=with_key("k1"))
        assert begun.wait(PATIENCE_S)
        told = [program.ask("POST", "/drafts", body, headers=with_key("k1")) for _ in range(2)]
        may_go_on.set()
    assert [one.headers["retry-after"] for one in told] == ["1", "1"]
    for one in told:
        check_problem(one, 409, "under-way")
    again = program.ask("POST", "/drafts", body, headers=with_key("k1"))
    assert (again.raw, again.headers["idempotency-replayed"]) == (first.result().raw, "true")


def test_a_key_orders_at_no_price_that_nobody_was_told_of(site, program):
    draft = make_draft(program, 5)
    site.session.configuration = replace(site.session.configuration, price_max_age_s=0.0)
    site.change_provider(price_change=("1=0.10@0",))
    path = f"/drafts/{draft['id']}/confirm"
    for _ in range(2):  # asked again by a library below, after an answer that was lost
        told = program.ask("POST", path, {}, headers=with_key("k1"))
        assert "$0.50 instead of $0.40" in check_problem(told, 409, "price-changed")["detail"]
    assert program.get("/jobs")["jobs"] == []
    assert program.get(f"/drafts/{draft['id']}")["proposal"]["cost"] == Decimal("0.50")
    job = program.post(path, key="k2")["job"]
    assert site.session.find_job(JobId(job)).unit_price == Decimal("0.10")


def test_another_s_key_is_another_key(site, program):
    other = enter(site, Scope.ORDER, role=Role.OPERATOR, name="otto")
    body = {"service": "1", "imeis": [make_imei(1)]}
    mine = program.ask("POST", "/drafts", body, headers=with_key("k1")).value
    theirs = other.ask("POST", "/drafts", body, headers=with_key("k1"))
    assert theirs.value["id"] != mine["id"]
    assert "idempotency-replayed" not in theirs.headers
    check_problem(other.ask("GET", f"/drafts/{mine['id']}"), 404, "unknown-preparation")


def test_a_confirmation_with_a_key_orders_once_also_over_a_restart(site, program):
    draft = make_draft(program, 3)
    path, key = f"/drafts/{draft['id']}/confirm", str(uuid.uuid4())
    first = program.post(path, key=key)
    site.wait_for(JobId(first["job"]), JobState.FINISHED)
    site.restart()
    assert program.post(path, key=key) == first
    assert len(program.get("/jobs")["jobs"]) == 1
    check_problem(program.ask("POST", path, {}), 404, "unknown-preparation")


def test_a_confirmation_that_a_dead_server_had_begun_is_answered_by_its_job(site, program):
    job = site.add_job(2)
    site.wait_for(job, JobState.FINISHED)
    ledger, user = site.session.ledger, site.session.ledger.list_users()[0].id
    draft = make_draft(program, 1)
    path = f"/drafts/{draft['id']}/confirm"
    program.post(path, key="begun")
    kept = ledger.claim_request(user, "begun", digest="", owner="")
    assert kept is not None
    ledger.release_request(user, "dead")
    ledger.claim_request(user, "dead", digest=kept.digest, owner="a process that died")
    ledger.note_request(user, "dead", job)
    assert program.post(path, key="dead")["job"] == job


def test_what_was_ordered_is_told_by_its_key_whatever_went_wrong_after_that(site, program, monkeypatch):
    def refuse(*_: object) -> None:
        raise LedgerBusyError(path=site.session.ledger.path)

    draft = make_draft(program, 2)
    path = f"/drafts/{draft['id']}/confirm"
    with monkeypatch.context() as patch:
        patch.setattr(site.session.ledger, "summary", refuse)
        check_problem(program.ask("POST", path, {}, headers=with_key("k1")), 503, "ledger-busy")
    (job,) = site.session.ledger.list_jobs()
    site.wait_for(job.id, JobState.FINISHED)
    site.restart()
    assert program.post(path, key="k1")["job"] == job.id


@pytest.mark.parametrize("asks_again", [1, 3])
def test_an_answer_that_the_ledger_does_not_take_is_given_all_the_same(site, program, monkeypatch, asks_again):
    def refuse(*_: object, **__: object) -> None:
        raise LedgerBusyError(path=site.session.ledger.path)

    body = {"service": "1", "imeis": [make_imei(1)]}
    with monkeypatch.context() as patch:
        patch.setattr(site.session.ledger, "keep_answer", refuse)
        first = program.ask("POST", "/drafts", body, headers=with_key("k1"))
        assert first.status == 201
        for _ in range(asks_again):
            assert program.ask("POST", "/drafts", body, headers=with_key("k1")).raw == first.raw
    again = program.ask("POST", "/drafts", body, headers=with_key("k1"))
    assert (again.raw, again.headers["idempotency-replayed"]) == (first.raw, "true")
    site.restart()
    assert program.ask("POST", "/drafts", body, headers=with_key("k1")).raw == first.raw


def test_a_key_whose_request_was_turned_away_is_free_though_the_ledger_could_not_say_so(site, program, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise LedgerBusyError(path=site.session.ledger.path)

    job = site.add_job(1)
    site.wait_for(job, JobState.FINISHED)
    with monkeypatch.context() as patch:
        patch.setattr(site.session.ledger, "release_request", refuse)
        check_problem(program.ask("POST", f"/jobs/{job}/pause", None, headers=with_key("k1")), 409, "job-state")
    check_problem(program.ask("POST", f"/jobs/{job}/pause", None, headers=with_key("k1")), 409, "job-state")


def test_confirmations_at_once_order_once(site, program):
    draft = make_draft(program, 4)
    path = f"/drafts/{draft['id']}/confirm"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: program.ask("POST", path, {}, headers=with_key("once")), range(6)))
    assert {answer.status for answer in answers} <= {201, 409}
    jobs = {answer.value["job"] for answer in answers if answer.status == 201}
    assert len(jobs) == 1
    site.wait_for(JobId(jobs.pop()), JobState.FINISHED)
    assert len(program.get("/jobs")["jobs"]) == 1
    assert site.judge().problems == []


def test_a_job_that_runs_is_worked_on_though_it_cannot_be_logged_who_asked(site, admin, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise LedgerBusyError(path=site.session.ledger.path)

    program, person = enter(site, user=admin), Asker(site, admin)
    draft = make_draft(program, 4)
    monkeypatch.setattr(site.session.ledger, "log_event", refuse)
    job = JobId(program.post(f"/drafts/{draft['id']}/confirm", {"trial": 2})["job"])
    site.wait_for(job, JobState.PAUSED)
    assert person.ask("POST", f"/jobs/{job}/resume", form={"csrf": person.csrf}).status == 503
    site.wait_for(job, JobState.FINISHED)
    assert len(site.sim.book) == 4


def test_a_name_that_leads_elsewhere_is_only_shown(site, program):
    body, headers = make_form(f"IMEI\n{make_imei(1)}\n".encode(), "../../../etc/cron.d/x.csv", service="1")
    draft = wait_until_read(program, program.ask("POST", "/drafts", body, headers=headers).value)
    assert draft["proposal"]["source"] == "x.csv"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chunk_size": 0}, "body.chunk_size"),
        ({"max_spend": -1}, "body.max_spend"),
        ({"servic": "1"}, "body.servic"),
        ({"imeis": []}, "body.imeis"),
        ({"imeis": [1]}, "body.imeis[0]"),
    ],
)
def test_a_field_that_is_not_right_is_named(program, change, field):
    answer = program.ask("POST", "/drafts", {"service": "1", "imeis": [make_imei(1)], **change})
    told = check_problem(answer, 422, "invalid")
    assert told["errors"][0]["field"] == field


def test_an_account_that_is_not_there_is_named_with_those_that_are(program):
    answer = program.ask("POST", "/drafts", {"service": "1", "imeis": [make_imei(1)], "account": "none"})
    told = check_problem(answer, 404, "account")
    assert told["errors"][0]["field"] == "body.account"
    assert "gsm-fusion" in told["remedy"]


def test_a_draft_is_changed_and_discarded(program):
    draft = make_draft(program, 2)
    path = f"/drafts/{draft['id']}"
    changed = wait_until_read(program, program.ask("PATCH", path, {"service": "2"}).value)
    assert changed["proposal"]["service"] == "2"
    assert program.ask("DELETE", path).status == 204
    check_problem(program.ask("GET", path), 404, "unknown-preparation")
