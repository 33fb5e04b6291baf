"""What a user may spend in a day, kept to over the API and on the pages."""

from __future__ import annotations

from decimal import Decimal

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role, Scope
from tests.operations.stand import make_imei
from tests.web.api.client import Program, check_problem, enter
from tests.web.api.test_draft import make_draft
from tests.web.ask import Asker


@pytest.fixture
def otto(site, admin) -> Program:
    """Give a program of `otto`, who may spend 0.40 a day, that is 5 orders."""
    user = site.add_user("otto", Role.OPERATOR)
    site.session.ledger.change_user(user.id, actor="a test", spend_limit=Decimal("0.40"))
    return enter(site, Scope.ORDER, user=user)


def test_a_list_beyond_the_limit_is_not_ordered_and_its_trial_is(site, otto):
    draft = make_draft(otto, 6)
    path = f"/drafts/{draft['id']}/confirm"
    told = check_problem(otto.ask("POST", path, {}), 409, "spend-limit")
    assert "may spend $0.40 a day" in told["detail"]
    assert "this may cost $0.48 more" in told["detail"]
    assert told["remedy"].startswith("Nothing was sent. $0.40 are left until")
    assert told["remedy"].endswith("A spending cap that leaves it no more than that lets it begin.")
    assert len(site.sim.book) == 0
    job = otto.post(path, {"trial": 4})["job"]
    site.wait_for(JobId(job), JobState.PAUSED)
    assert len(site.sim.book) == 4
    check_problem(otto.ask("POST", f"/jobs/{job}/resume", {}), 409, "spend-limit")
    assert site.session.find_job(JobId(job)).state is JobState.PAUSED
    assert len(site.sim.book) == 4


def test_a_list_that_fits_the_limit_begins_with_a_cap_that_leaves_no_repeat_probe(site, otto):
    draft = make_draft(otto, 5)
    job = JobId(otto.post(f"/drafts/{draft['id']}/confirm", {})["job"])
    site.wait_for(job, JobState.FINISHED)
    assert site.session.find_job(job).max_spend == Decimal("0.40")
    assert len(site.sim.book) == 5


def test_a_job_is_weighed_by_the_cap_that_it_is_given_and_keeps_its_own_where_it_may_not_go_on(site, otto):
    draft = make_draft(otto, 6, max_spend="0.40")
    job = JobId(otto.post(f"/drafts/{draft['id']}/confirm", {"trial": 1})["job"])
    site.wait_for(job, JobState.PAUSED)
    check_problem(otto.ask("POST", f"/jobs/{job}/resume", {"max_spend": 5}), 409, "spend-limit")
    assert site.session.find_job(job).max_spend == Decimal("0.40")
    otto.post(f"/jobs/{job}/resume", {"max_spend": "0.16"})
    site.wait_for(job, JobState.PAUSED)
    assert site.session.find_job(job).max_spend == Decimal("0.16")
    assert len(site.sim.book) == 2


def test_what_a_repeat_probe_of_a_running_job_may_cost_is_held_to_the_limit(site, otto, admin):
    theirs, runner = JobId(add_running(site, "mia")), site.server.office.runner
    granted, allow = [], runner.allow_probe
    runner.allow_probe = lambda job, amount: (granted.append(amount), allow(job, amount))
    told = check_problem(otto.ask("POST", f"/jobs/{theirs}/resume", {"probe_up_to": 20}), 409, "not-theirs")
    assert "mia's" in told["detail"]
    own = JobId(add_running(site, "otto"))
    check_problem(otto.ask("POST", f"/jobs/{own}/resume", {"probe_up_to": 20}), 409, "spend-limit")
    limits = runner._probe_limits
    assert (limits, granted) == ({}, [])  # not for a moment: the job may come to its doubts at once
    otto.post(f"/jobs/{own}/resume", {"probe_up_to": "0.08"})
    enter(site, Scope.ORDER, user=admin).post(f"/jobs/{theirs}/resume", {"probe_up_to": 20})
    assert limits == {own: Decimal("0.08"), theirs: Decimal(20)}
    check_problem(otto.ask("POST", f"/jobs/{own}/resume", {"max_spend": 5}), 409, "job-state")
    assert limits == {own: Decimal("0.08"), theirs: Decimal(20)}  # what is refused takes nothing back


def add_running(site, owner: str) -> int:
    """Add a job of somebody that runs on: its second call may leave in an hour and more."""
    start = 100 * len(site.session.ledger.list_jobs())
    job = site.add_job(2, start=start, rate=0.01, chunk_size=1, submitted_by=owner)
    site.wait_until(lambda: site.server.office.runner.view(job) is not None, "it is not worked on")
    return job


def test_somebody_else_s_job_is_not_let_go_on(site, otto, admin):
    theirs = enter(site, Scope.ORDER, user=admin)
    draft = make_draft(theirs, 3)
    job = theirs.post(f"/drafts/{draft['id']}/confirm", {"trial": 1, "max_spend": "0.40"})["job"]
    site.wait_for(JobId(job), JobState.PAUSED)
    told = check_problem(otto.ask("POST", f"/jobs/{job}/resume", {"max_spend": 1000}), 409, "not-theirs")
    assert site.session.find_job(JobId(job)).max_spend == Decimal("0.40")
    assert "mia's" in told["detail"]
    user, _ = site.session.ledger.find_user("otto")
    person = Asker(site, user)
    answer = person.ask("POST", f"/jobs/{job}/resume", form={"csrf": person.csrf})
    assert answer.status == 400
    assert "mia&#39;s" in answer.body
    theirs.post(f"/jobs/{job}/resume")
    site.wait_for(JobId(job), JobState.FINISHED)


def test_what_was_refused_is_not_sent_again_beyond_the_limit(site, otto):
    job = site.add_job(2, submitted_by="otto")
    site.wait_for(job, JobState.FINISHED)
    draft = make_draft(otto, 2, service="2")
    otto.ask("DELETE", f"/drafts/{draft['id']}")
    site.session.ledger.change_user(
        site.session.ledger.find_user("otto")[0].id, actor="a test", spend_limit=Decimal("0.16")
    )
    body = {"service": "1", "imeis": [make_imei(50)]}
    draft = otto.post("/drafts", body)
    while draft["stage"] == "reading":
        draft = otto.get(f"/drafts/{draft['id']}")
    told = check_problem(otto.ask("POST", f"/drafts/{draft['id']}/confirm", {}), 409, "spend-limit")
    assert "$0.16 of it are spent or committed today" in told["detail"]
