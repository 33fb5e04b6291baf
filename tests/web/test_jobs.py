"""The page of all jobs: how far each is, what it spent, what of it is in doubt."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web import seed
from tests.web.look import find_flaws


def test_what_is_unconfirmed_does_not_count_as_answered(tmp_path, request):
    job = seed.seed(tmp_path / "home", seed.add_paused)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/jobs", user=admin)
    row = page.locator(f"#job-{job}")
    expect(row).to_contain_text("4 of 5 answered")
    expect(row).to_contain_text("1 unconfirmed")
    expect(row).to_contain_text("$0.24")
    assert find_flaws(page) == []
    page.goto(f"/jobs/{job}")
    expect(page.locator(".progress-line")).to_contain_text("4 of 5 orders answered · 1 unconfirmed")
