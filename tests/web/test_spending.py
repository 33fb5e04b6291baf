"""The page of spending: by day, service, job and account, exact, what is given back and in doubt apart."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web import seed
from tests.web.conftest import NARROW
from tests.web.look import find_flaws


def test_sums_are_exact_and_rejected_and_doubtful_stand_apart(tmp_path, request):
    job = seed.seed(tmp_path / "home", seed.add_paused)
    visitor, admin = request.getfixturevalue("visitor"), request.getfixturevalue("admin")
    page = visitor.open("/spending", user=admin)
    for axis, name in (("day", None), ("service", "1 SimLock check"), ("job", f"{job} stock.csv"), ("account", None)):
        if axis != "day":
            page.get_by_role("link", name=f"By {axis}").click()
        expect(page.get_by_role("link", name=f"By {axis}")).to_have_attribute("aria-current", "page")
        cells = page.locator("tbody td")
        expect(cells).to_have_text([name or re.compile("."), "3", "$0.24", "$0.08", "$0.08"])
    expect(page.locator("svg.plot")).to_be_visible()
    hint = page.get_by_text("slide it sideways")
    expect(hint).to_be_hidden()
    assert find_flaws(page) == []
    page.set_viewport_size(NARROW)
    expect(hint).to_be_visible()


def test_a_range_without_spending_says_so_and_a_wrong_one_what_is_wrong(visitor, admin):
    page = visitor.open("/spending?first=2020-01-01&last=2020-01-31", user=admin)
    expect(page.get_by_text("Nothing was spent from 2020-01-01 to 2020-01-31.")).to_be_visible()
    for query in ("first=2020-02-01&last=2020-01-31", "first=1&last=", "last=9999-12-31"):
        assert page.request.get(f"/spending?{query}").status == 400
