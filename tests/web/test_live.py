"""What is drawn anew while a page is open leaves alone what a person has typed, chosen, ticked, opened and looks at."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

import imeiflow.web
from tests.operations.stand import make_imei
from tests.web import seed
from tests.web.conftest import PATIENCE_MS, await_in
from tests.web.look import find_flaws, wait_until_drawn
from tests.web.test_settings import send

#: Fills every field of a page with what was not there, ticks every box, opens what can be opened, marks some words.
_FILL = """() => {
    for (const one of document.querySelectorAll('main details')) one.open = true;
    for (const one of document.querySelectorAll('main input, main select, main textarea')) {
        if (one.disabled || one.type === 'hidden' || one.type === 'file') continue;
        if (one.type === 'checkbox' || one.type === 'radio') {
            one.checked = !one.checked;
            one.dispatchEvent(new Event('change', {bubbles: true}));
        }
        else if (one.type === 'date') one.value = '2026-01-02';
        else if (one.tagName === 'SELECT') one.selectedIndex = one.options.length - 1;
        else one.value = 'typed ' + (one.id || one.name);
    }
    const last = [...document.querySelectorAll('main input, main summary, main a')]
        .filter((one) => one.type !== 'hidden').at(-1);
    last.focus();
    if (last.type === 'text' || last.type === 'search') last.setSelectionRange(1, 3);
    getSelection().selectAllChildren(document.querySelector('main h1'));
    last.focus();
}"""
_READ = """() => {
    const all = (which) => [...document.querySelectorAll(which)];
    const focused = document.activeElement;
    return {
        fields: all('main input, main select, main textarea').map((one) => [one.name, one.value, one.checked === true]),
        open: all('main details, dialog').map((one) => one.open),
        focus: [focused.tagName, focused.id, focused.textContent, focused.selectionStart, focused.selectionEnd],
        marked: String(getSelection()),
    };
}"""
_CHANGE = "htmx.trigger(document.body, 'slowly:job-1')"
#: Tells of a change when another filter's orders were drawn a moment ago.
_CHANGE_WHEN_DRAWN = """() => {
    document.body.addEventListener('htmx:afterRequest', (event) => {
        if (event.detail.elt.id === 'orders-filter') htmx.trigger(document.body, 'slowly:job-1');
    });
}"""
#: Marks the page when a refresh has drawn the orders.
_MARK_WHEN_REFRESHED = """() => document.body.addEventListener('htmx:afterSwap', (event) => {
    if (event.detail.requestConfig.elt.id === 'orders-live') document.body.dataset.isRefreshed = 'yes';
})"""
#: A page hears of no change but those that a test tells it of.
_HEAR_NOTHING = "delete window.EventSource; Object.defineProperty(document, 'hidden', {get: () => true});"
_UNDER_WAY = re.compile("Reading …|asking the provider")
#: Draws each live part anew, by the very request that a change makes; gives what moved on the page for nothing.
_DRAW_AGAIN = """async () => {
    const parts = [...document.querySelectorAll('main [hx-trigger*="from:body"], main [hx-trigger*="every"]')];
    const moved = [];
    const isBlank = (one) => one.nodeType === 3 && !one.data.trim();
    const watch = new MutationObserver((records) => moved.push(...records.filter((one) =>
        !(one.type === 'attributes' && one.attributeName === 'class')
        && !(one.type === 'childList' && [...one.addedNodes, ...one.removedNodes].every(isBlank))
        && !(one.type === 'characterData' && isBlank(one.target))).map((one) =>
            `${one.type} ${one.attributeName || ''} of ${(one.target.outerHTML || one.target.data).slice(0, 90)}`)));
    const all = {subtree: true, childList: true, attributes: true, characterData: true};
    watch.observe(document.querySelector('main'), all);
    for (const part of parts) {
        const target = part.getAttribute('hx-target');
        const settled = new Promise((done) => document.body.addEventListener('htmx:afterSettle', done, {once: true}));
        await htmx.ajax('GET', part.getAttribute('hx-get'), {
            source: part, target: target ? document.querySelector(target) : part, swap: part.getAttribute('hx-swap'),
        });
        await settled;
    }
    await new Promise((done) => setTimeout(done));
    return [parts.length, moved];
}"""


@pytest.fixture
def seeded(tmp_path):
    def fill(session):
        seed.add_learned(session)
        seed.add_prices(session, 12)
        return seed.add_paused(session)

    return seed.seed(tmp_path / "home", fill)


def draw_again(page: Page) -> tuple[dict[str, Any], dict[str, Any], int, list[str]]:
    wait_until_drawn(page)
    page.wait_for_load_state("networkidle")  # the chart fetches by itself, too, and nothing goes on in this ledger
    page.evaluate(_FILL)
    expect(page.locator("main")).not_to_contain_text(_UNDER_WAY)  # what is opened is fetched
    before = page.evaluate(_READ)
    parts, moved = await_in(page, _DRAW_AGAIN)
    return before, page.evaluate(_READ), parts, moved


def test_a_live_part_that_is_drawn_anew_changes_nothing_of_a_person_s_and_moves_nothing(seeded, site, visitor, admin):
    order = site.session.ledger.search_orders(imeis=[make_imei(5)])[0].id
    site.add_user("otto")
    page = visitor.open("/dashboard", user=admin)
    for path, live in (
        ("/dashboard", 2),
        ("/jobs", 1),
        (f"/jobs/{seeded}", 3),
        (f"/jobs/{seeded}?state=refused", 3),
        ("/unconfirmed", 1),
        (f"/orders/{order}", 1),
        ("/accounts", 1),
    ):
        page.goto(path)
        before, after, parts, moved = draw_again(page)
        assert before["marked"] != "", path
        assert parts >= live, path
        assert after == before, path
        assert moved == [], path


def test_the_answer_to_one_form_leaves_what_was_typed_into_another(site, visitor, admin):
    site.add_user("otto")
    page = visitor.open("/settings", user=admin)
    limits = page.get_by_label("Most to spend in a day")
    limits.nth(0).fill("100.00")
    limits.nth(1).fill("250.00")
    page.get_by_label("Name").fill("reports")
    send(page, page.get_by_role("button", name="Save").nth(1))
    values = [limits.nth(0).input_value(), limits.nth(1).input_value(), page.get_by_label("Name").input_value()]
    assert values == ["100.00", "250.00", "reports"]
    send(page, page.get_by_role("button", name="Make a token"))
    expect(page.locator("code.secret")).to_be_visible()
    assert (page.get_by_label("Name").input_value(), limits.nth(0).input_value()) == ("", "100.00")


@pytest.fixture
def accepted(seeded, visitor, admin):
    """Open a job's accepted orders; the page hears of no change by itself, and says when a refresh has drawn them."""
    page = visitor.open("/dashboard", user=admin)
    page.add_init_script(_HEAR_NOTHING)
    page.goto(f"/jobs/{seeded}?state=accepted")
    expect(page.locator("#orders tbody tr")).to_have_count(3)
    wait_until_drawn(page)
    page.evaluate(_MARK_WHEN_REFRESHED)
    return page


def keep_waiting(page: Page, url: str, begin: Callable[[], object]) -> Route:
    """Begin something that asks for a URL, whose first request is held back until it is told to go on."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(url, hold, times=1)
    begin()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not held:
        assert time.monotonic() < deadline, f"nobody asked for {url}"
        page.wait_for_timeout(10)
    return held[0]


def test_a_refresh_that_is_under_way_does_not_undo_what_a_person_asked_for_meanwhile(accepted):
    rows = accepted.locator("#orders tbody tr")
    held = keep_waiting(accepted, "**/orders?state=accepted", lambda: accepted.evaluate(_CHANGE))
    accepted.locator("#orders-state").select_option("refused")
    expect(rows).to_have_count(1)
    held.continue_()
    wait_until_drawn(accepted)
    expect(rows).to_have_count(1)
    expect(accepted).to_have_url(re.compile(r"state=refused$"))


def test_a_refresh_right_after_another_filter_was_drawn_fetches_what_is_shown_now(accepted):
    accepted.evaluate(_CHANGE_WHEN_DRAWN)
    accepted.locator("#orders-state").select_option("refused")
    expect(accepted.locator("[data-is-refreshed]")).to_be_attached()
    expect(accepted.locator("#orders tbody tr")).to_have_count(1)
    expect(accepted).to_have_url(re.compile(r"state=refused$"))


def test_a_change_is_shown_though_a_refresh_for_the_filter_before_was_under_way(accepted):
    accepted.evaluate(_CHANGE_WHEN_DRAWN)
    held = keep_waiting(accepted, "**/orders?state=accepted", lambda: accepted.evaluate(_CHANGE))
    accepted.locator("#orders-state").select_option("refused")
    expect(accepted.locator("#orders tbody tr")).to_have_count(1)
    expect(accepted.locator("[data-is-refreshed]")).to_have_count(0)
    held.continue_()
    expect(accepted.locator("[data-is-refreshed]")).to_be_attached()
    expect(accepted.locator("#orders tbody tr")).to_have_count(1)


def test_a_change_is_shown_that_came_while_a_person_waited_for_an_answer(accepted):
    choose = accepted.locator("#orders-state")
    held = keep_waiting(accepted, "**/orders?state=refused*", lambda: choose.select_option("refused"))
    accepted.evaluate(_CHANGE)
    held.continue_()
    expect(accepted.locator("[data-is-refreshed]")).to_be_attached()
    expect(accepted.locator("#orders tbody tr")).to_have_count(1)


def test_whatever_asks_the_server_has_a_name_of_its_own_so_that_no_refresh_turns_it_into_something_else():
    root = Path(imeiflow.web.__file__).parent
    tags = [
        (path.name, tag)
        for path in root.rglob("*.html")
        for tag in re.findall(r"<[a-z]+\s[^>]*hx-(?:get|post)=[^>]*>", path.read_text(encoding="utf-8"))
    ]
    assert len(tags) > 30
    assert [(name, tag) for name, tag in tags if ' id="' not in tag] == []


@pytest.mark.parametrize("status", [None, 503])
def test_a_page_whose_stream_is_held_back_or_refused_asks_by_itself(seeded, site, visitor, admin, status):
    visitor.watch.expected.add(503)
    page = visitor.open("/dashboard", user=admin)
    if status is None:
        page.route("**/live?*", lambda _: None)  # as a proxy that waits for its end
    else:
        page.route("**/live?*", lambda route: route.fulfill(status=status))
    page.goto(f"/jobs/{seeded}")
    expect(page.locator("#count-accepted")).to_contain_text("3")
    site.session.ledger.mark_placed([doubt.order for doubt in site.session.ledger.doubts(seeded)])
    expect(page.locator("#count-accepted")).to_contain_text("4")
    page.unroute_all(behavior="ignoreErrors")


_BROKEN = '<div class="notice notice-bad" role="alert"><strong>An error of ours.</strong></div>'


def fail(route: Route) -> None:
    """Let the server fail."""
    route.fulfill(status=500, body=_BROKEN, content_type="text/html")


def test_what_went_wrong_with_a_refresh_is_said_until_it_is_answered_again(seeded, site, visitor, admin):
    visitor.watch.expected.add(500)
    page = visitor.open(f"/jobs/{seeded}", user=admin)
    wait_until_drawn(page)
    notice = page.locator("#notices").get_by_text("An error of ours.")
    page.route(f"**/jobs/{seeded}", fail)
    page.evaluate(f"htmx.trigger(document.body, 'changed:job-{seeded}')")
    expect(notice).to_be_visible()
    page.evaluate(f"htmx.trigger(document.body, 'slowly:job-{seeded}')")  # other parts are answered
    wait_until_drawn(page)
    expect(notice).to_be_visible()
    page.unroute(f"**/jobs/{seeded}", fail)
    page.evaluate(f"htmx.trigger(document.body, 'changed:job-{seeded}')")
    expect(notice).to_have_count(0)


def test_what_went_wrong_is_said_until_a_person_does_something_else(seeded, site, visitor, admin):
    visitor.watch.expected.add(500)
    page = visitor.open(f"/jobs/{seeded}", user=admin)
    wait_until_drawn(page)
    notice = page.locator("#notices").get_by_text("An error of ours.")
    page.route(f"**/jobs/{seeded}/retry", fail, times=1)
    page.locator("#do-retry").click()
    expect(notice).to_be_visible()
    page.evaluate(f"htmx.trigger(document.body, 'changed:job-{seeded}')")  # which nobody asked for
    wait_until_drawn(page)
    expect(notice).to_be_visible()
    page.locator("#do-retry").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    expect(notice).to_have_count(0)


def test_what_a_person_asked_for_without_an_answer_is_not_said_to_be_done_or_not(seeded, site, visitor, admin):
    visitor.watch.is_cut_off = True
    page = visitor.open(f"/jobs/{seeded}", user=admin)
    wait_until_drawn(page)
    notice = page.locator("#notices [role=alert]")
    page.route(f"**/jobs/{seeded}", lambda route: route.abort())
    with page.expect_event("requestfailed", timeout=PATIENCE_MS):
        page.evaluate(f"htmx.trigger(document.body, 'changed:job-{seeded}')")
    wait_until_drawn(page)  # other parts are answered: the page does not stay without a connection
    expect(notice).to_have_count(0)  # nobody asked for that
    page.unroute_all(behavior="wait")
    path = f"**/jobs/{seeded}/unconfirmed/settle"
    page.goto(f"/jobs/{seeded}/unconfirmed")
    wait_until_drawn(page)
    page.get_by_role("radio", name=re.compile("^All")).check()
    page.get_by_role("radio", name="They were placed").check()
    page.route(path, lambda route: route.abort())
    page.get_by_role("button", name="Settle", exact=True).click()
    expect(notice).to_contain_text("No answer came. Whether it was done is not known")
    assert find_flaws(page) == []
    page.unroute_all(behavior="wait")
    page.get_by_role("button", name="Settle", exact=True).click()
    page.wait_for_url(f"**/jobs/{seeded}")
    expect(notice).to_have_count(0)
