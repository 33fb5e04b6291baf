"""What a person sees of jobs: counts that are remembered while nothing changes, and counted anew when it does."""

from __future__ import annotations

import pytest

from imeiflow.domain.order import JobState, OrderState
from imeiflow.ledger.record import NewOrder
from imeiflow.operations import job_view
from imeiflow.operations.job_view import count_job, group_reasons, warm_counts
from tests.operations.stand import add_job, answer, make_imei, open_session

STATES = {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.REFUSED}


@pytest.fixture
def session(tmp_path):
    with open_session(tmp_path / "home") as opened:
        yield opened


def add_paused(session, *, start: int = 0):
    rows = [NewOrder(line=line, imei=make_imei(start + line)) for line in STATES]
    job = add_job(session, rows)
    answer(session, job, STATES)
    session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, None)
    return job


def test_a_job_at_rest_is_counted_anew_when_something_of_it_changes(session):
    job = add_paused(session)
    line = count_job(session, session.find_job(job))
    assert (line.tally[OrderState.REFUSED], str(line.spent), line.done) == (2, "$0.08", 3)
    assert [(one.state, one.count) for one in group_reasons(session, line.job)] == [(OrderState.REFUSED, 2)]
    assert session.ledger.retry(job, {OrderState.REFUSED}) == 2
    again = count_job(session, session.find_job(job))
    assert (again.tally[OrderState.QUEUED], again.done) == (2, 1)
    assert group_reasons(session, again.job) == []


def test_the_newest_and_the_large_jobs_at_rest_are_counted_beforehand_until_it_is_told_to_stop(session, monkeypatch):
    for number in range(3):
        add_paused(session, start=100 * number)
    add_job(session, [NewOrder(line=2, imei=make_imei(999))])
    assert warm_counts(session) == 3
    assert warm_counts(session, limit=2) == 1  # the newest runs
    monkeypatch.setattr(job_view, "_LARGE", 3)
    assert warm_counts(session, limit=2) == 3  # however old they are, large ones are counted
    monkeypatch.setattr(job_view, "_LARGE", 4)
    assert warm_counts(session, limit=2) == 1
    assert warm_counts(session, is_stopped=lambda: True) == 0
