"""The activity log: who did what, newest first, filtered by kind, job and person."""

from __future__ import annotations

from playwright.sync_api import expect

from imeiflow.domain.order import JobState
from tests.web.look import find_flaws


def test_it_says_who_did_what_and_filters(site, visitor, admin):
    job = site.add_job(3, name="stock.csv")
    site.wait_for(job, JobState.FINISHED)
    for number in range(150):
        site.session.ledger.log_event("user_action", actor="otto", data={"action": f"look {number}"})
    page = visitor.open("/activity", user=admin)
    expect(page.locator("tbody tr", has_text="mia").first).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(100)
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_text("job started").first).to_be_attached()
    expect(page.get_by_text("job finished").first).to_be_attached()
    page.goto(f"/activity?kind=job_started&job={job}")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto("/activity?person=otto")
    expect(page.locator("tbody tr").first).to_contain_text("look 149")
    page.goto("/activity?person=nobody")
    expect(page.get_by_text("Nothing of the kind has happened.")).to_be_visible()
    page.goto("/activity")
    assert find_flaws(page) == []
