"""What a test of pages waits for in vain ends with words of its own, and leaves the browser to the next test."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error, expect

from tests.web import conftest
from tests.web.conftest import await_in, bounded

NEVER = "() => new Promise(() => {})"


def test_windows_are_closed_under_a_test_that_does_not_end(chromium, browser, visitor, admin):
    page = visitor.open("/jobs", user=admin)
    match = r"the test has not ended within 1 s: its windows were closed"
    with bounded(*chromium, most_s=1.0), pytest.raises(Error, match=match):
        page.evaluate(NEVER)
    again = visitor.open("/jobs", user=admin)
    expect(again.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_a_promise_that_is_not_kept_is_given_up(visitor, admin, monkeypatch):
    page = visitor.open("/jobs", user=admin)
    assert await_in(page, "(number) => Promise.resolve(number + 1)", 1) == 2
    monkeypatch.setattr(conftest, "PATIENCE_MS", 300)
    with pytest.raises(Error, match=r"a promise was not kept within 300 ms"):
        await_in(page, NEVER)
