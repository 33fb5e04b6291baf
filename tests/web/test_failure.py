"""What goes wrong is told on a page with the navigation and a way back, to whoever is signed in; else at the door."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from imeiflow.domain.user import Role, Scope
from imeiflow.errors import LedgerBusyError, LedgerFullError
from imeiflow.ledger.identity_schema import web_session
from imeiflow.operations.identity import create_api_token
from imeiflow.operations.upload_folder import UploadFolders
from tests.operations.stand import make_imei
from tests.web.api.client import check_problem, enter
from tests.web.ask import Asker
from tests.web.look import ALL, find_flaws


@pytest.mark.parametrize(
    ("path", "status", "title", "back"),
    [
        ("/nothing/here", 404, "There is no such page", None),
        ("/jobs/99/nothing", 404, "There is no such page", "Jobs"),
        ("/orders/99", 404, "There is no such page", "Orders"),
        ("/spending?first=abc", 400, "That did not work", "Spending"),
        ("/services/service?account=nobody&service=1", 409, "That cannot be done as things stand", "Services"),
    ],
)
def test_who_is_signed_in_keeps_the_navigation_and_has_a_way_back(visitor, admin, path, status, title, back):  # noqa: PLR0917
    visitor.watch.expected.add(status)
    page = visitor.open(path, user=admin)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Dashboard")).to_be_visible()
    ways = page.locator("#content").get_by_role("link")
    assert ways.all_inner_texts() == [*([f"To “{back}”"] if back else []), "To the start page"]
    assert find_flaws(page, ALL) == []
    ways.first.click()
    page.wait_for_url(re.compile(f"/{back.lower()}$" if back else "/dashboard$"))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "The address is mistyped, or what it showed is not here any more."),
        ("/spending?first=abc", "&#39;abc&#39; is no day.</p><p>Write it as 20"),
        ("/jobs/77", "There is no job 77."),
    ],
)
def test_it_is_told_in_sentences(site, admin, path, words):
    assert words in Asker(site, admin).ask("GET", path).body


def test_nobody_else_is_shown_what_there_is(site, visitor):
    visitor.watch.expected.add(404)
    page = visitor.open("/jobs/99/nothing")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    assert page.get_by_role("navigation").count() == 0
    assert find_flaws(page, ALL) == []


def test_no_way_leads_to_where_one_may_not_go(site):
    viewer = Asker(site, site.add_user("vic", Role.VIEWER))
    answer = viewer.ask("GET", "/settings/nothing")
    assert (answer.status, "Settings" in answer.body) == (404, False)


def test_a_ledger_that_cannot_tell_who_asks_is_said_to_whoever_has_a_session(site, admin):
    boss = Asker(site, admin)
    find = site.session.ledger.find_web_session

    def fail(*_, **__):
        raise LedgerBusyError(path=site.session.ledger.path)

    site.session.ledger.find_web_session = fail
    answers = [boss.ask("GET", path) for path in ("/jobs", "/nothing", "/healthz")]
    site.session.ledger.find_web_session = find
    assert [one.status for one in answers] == [503, 404, 200]
    assert "The ledger ledger.sqlite is locked by another program." in answers[0].body
    assert str(site.session.configuration.home) not in "".join(one.body for one in answers)
    assert boss.ask("GET", "/jobs").status == 200


def test_a_ledger_that_cannot_be_written_keeps_nobody_from_looking(site, admin):
    ledger = site.session.ledger
    how = {"scopes": [Scope.READ], "expires_at": None, "actor": "mia", "maker": "mia"}
    token = create_api_token(site.session, admin, name="reports", **how)
    boss, program = Asker(site, admin), Asker(site)
    long_ago = site.session.clock.now() - timedelta(hours=1)
    ledger._write(lambda c: c.execute(update(web_session).values(seen_at=long_ago)))
    ledger._write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20"))
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        answers = [boss.ask("GET", "/jobs"), program.ask("GET", "/api/v1/jobs", authorization=f"Bearer {token}")]
        refused = boss.ask("POST", "/settings/invite", form={"csrf": boss.csrf, "role": "viewer"}, hx_request="true")
        rival.execute("ROLLBACK")
    assert [one.status for one in answers] == [200, 200]
    assert refused.status == 503
    assert "The ledger ledger.sqlite is locked by another program." in refused.body


class FullPath(type(Path())):
    """A place on a disk without room: what is in it is there, and nothing can be added."""

    def open(self, mode="r", **options):
        if set(mode) & set("wax"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().open(mode, **options)


def test_a_list_that_the_disk_has_no_room_for_is_said_to_be_so_and_ordered_nothing(site, admin, tmp_path):
    boss, program = Asker(site, admin), enter(site, user=admin)
    preparations = site.server.office.preparations
    preparations._folders, kept = UploadFolders(FullPath(tmp_path / "full")), preparations._folders
    path = "/jobs/new/upload?service=1&account=gsm-fusion"
    page = boss.ask("POST", path, body=b"1", x_csrf_token=boss.csrf, hx_request="true")
    problem = program.ask("POST", "/drafts", {"service": "1", "imeis": [make_imei(1)]})
    preparations._folders = kept
    assert (page.status, problem.status) == (503, 503)
    assert "There is no room left for it on the disk of the server." in page.body
    assert "nothing was ordered" in page.body
    check_problem(problem, 503, "no-room")


class Hindered:
    """A runner whose jobs wait for room on the disk, and that is as it was in all else."""

    def __init__(self, runner, trouble):
        self._runner, self._trouble = runner, trouble

    def view(self, job):
        view = self._runner.view(job)
        return view and replace(view, trouble=self._trouble)

    def __getattr__(self, name):
        return getattr(self._runner, name)


def test_what_a_job_waits_for_is_told_without_where_the_ledger_lies(make_site):
    site = make_site(latency="0.3")
    boss, office = Asker(site, site.add_user()), site.server.office
    job = site.add_job(1000, chunk_size=1, max_concurrency=1)
    site.wait_until(lambda: office.runner.view(job) is not None, "nobody works on it")
    runner, office.runner = office.runner, Hindered(office.runner, LedgerFullError(path=site.session.ledger.path))
    told = boss.ask("GET", f"/jobs/{job}").body
    office.runner = runner
    assert "There is no room left for the ledger ledger.sqlite." in told
    assert str(site.session.configuration.home) not in told


def test_a_bug_is_told_as_ours_on_a_page_and_beside_what_asked_for_a_part(site, admin):
    boss = Asker(site, admin)
    find = site.session.ledger.find_job

    def fail(*_, **__):
        raise RuntimeError("a secret")

    site.session.ledger.find_job = fail
    page, part = boss.ask("GET", "/jobs/1"), boss.ask("GET", "/jobs/1/cancel", hx_request="true")
    done = boss.ask("POST", "/jobs/1/pause", form={"csrf": boss.csrf}, hx_request="true")
    site.session.ledger.find_job = find
    assert [one.status for one in (page, part, done)] == [500] * 3
    assert "secret" not in page.body + part.body + done.body
    assert "<h1>An error of ours</h1>" in page.body
    assert "<strong>An error of ours.</strong> It is in the log of the server. Try it again." in part.body
    assert "<strong>An error of ours.</strong>" in done.body
    assert "It may have been done all the same" in done.body
