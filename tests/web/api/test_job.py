"""Jobs over the API: listed, shown, followed, steered."""

from __future__ import annotations

from decimal import Decimal

from imeiflow.domain.order import JobState
from tests.web.api.client import check_problem, check_schema


def test_jobs_are_listed_newest_first_in_pages(site, program):
    jobs = [site.add_job(2, start=10 * number) for number in range(3)]
    for job in jobs:
        site.wait_for(job, JobState.FINISHED)
    first = program.get("/jobs", limit=2)
    check_schema(first, "JobPage")
    assert [one["job"] for one in first["jobs"]] == jobs[:0:-1]
    second = program.get("/jobs", limit=2, cursor=first["next"])
    assert [one["job"] for one in second["jobs"]] == jobs[:1]
    assert second["next"] is None
    assert first["jobs"][0]["spent"] == Decimal("0.16")


def test_a_job_is_shown_as_the_command_line_shows_it(site, program):
    job = site.add_job(3)
    site.wait_for(job, JobState.FINISHED)
    shown = program.get(f"/jobs/{job}")
    check_schema(shown, "ShownJob")
    assert shown["accepted"] == 3
    assert shown["state"] == "finished"


def test_what_is_not_there_is_a_problem_with_a_remedy(site, program):
    told = check_problem(program.ask("GET", "/jobs/77"), 404, "unknown-job")
    assert "77" in told["detail"]
    assert told["remedy"]
    check_problem(program.ask("GET", "/jobs/none"), 404, "not-found")
    check_problem(program.ask("GET", f"/jobs/{10**30}"), 404, "not-found")


def test_a_parameter_that_is_not_right_is_named_with_its_value_and_form(site, program):
    told = check_problem(program.ask("GET", "/jobs?limit=many"), 422, "invalid")
    assert told["errors"] == [
        {
            "field": "query.limit",
            "problem": "expected int, got str",
            "value": "many",
            "remedy": "The most to list: 1 to 1000.",
        }
    ]
    told = check_problem(program.ask("GET", "/jobs?stat=paused"), 422, "invalid")
    assert "query.stat" in told["detail"]
    assert "state" in told["remedy"]


def test_too_many_streams_of_one_user_are_turned_away(site, program):
    job = site.add_job(1)
    held = [site.server.office.streams.enter("mia") for _ in range(64)]
    answer = program.ask("GET", f"/jobs/{job}/events")
    check_problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "10"
    for place in held:
        place.leave()
    site.wait_for(job, JobState.FINISHED)
    assert program.ask("GET", f"/jobs/{job}/events").status == 200


def test_following_a_job_ends_with_its_end(site, program):
    job = site.add_job(5)
    answer = program.ask("GET", f"/jobs/{job}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    last = answer.raw.decode().strip().split("\n\n")[-1]
    assert last.startswith("event: end\n")
    assert '"accepted": 5' in last
