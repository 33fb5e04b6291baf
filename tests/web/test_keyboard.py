"""Everything on a page that can be operated is reached by the Tab key alone, and is seen to have the focus then."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from imeiflow.domain.order import JobState, OrderState
from tests.web import seed
from tests.web.look import wait_until_drawn

PAGES = ("/", "/jobs", "/jobs/1", "/jobs/1/unconfirmed", "/jobs/new", "/unconfirmed", "/orders", "/orders/1")
PAGES += ("/services", "/spending", "/accounts", "/activity", "/settings")

#: What a part is called, by what it says itself: a page may draw it anew while the focus wanders. Of radio buttons one
#: of each group suffices: the arrow keys lead to the others.
_NAME = r"""const name = (one) => one.type === 'radio' ? `radio ${one.name}` : [
    one.tagName, one.id, one.name, one.value, one.getAttribute('href'), one.getAttribute('aria-label'),
    one.textContent.replaceAll(/\s+/g, ' ').trim().slice(0, 40)].filter(Boolean).join(' ');"""
#: The names of all parts that can be operated.
_NAME_ALL = f"""() => {{
    {_NAME}
    const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    const canBe = (one) => !one.disabled && one.getAttribute('tabindex') !== '-1' && !one.closest('[inert]')
        && one.checkVisibility({{visibilityProperty: true, contentVisibilityAuto: true}});
    return [...document.querySelectorAll(wanted)].filter(canBe).map(name);
}}"""
#: Which part has the focus, and whether that is seen: by a ring of its own or of what it is drawn within. Within a date
#: the browser itself shows which of its parts has it.
_SAY_FOCUS = f"""() => {{
    {_NAME}
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const isRinged = (part) => {{
        const style = getComputedStyle(part);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    }};
    return [name(one), isRinged(one) || isRinged(one.parentElement) || one.type === 'date'];
}}"""


@pytest.mark.parametrize("path", PAGES)
def test_every_part_is_reached_by_tab_and_seen_to_be(tmp_path, request, path):
    seed.seed(tmp_path / "home", seed.add_much)
    visitor, admin = (request.getfixturevalue(name) for name in ("visitor", "admin"))
    page = visitor.open(path, user=admin)
    wait_until_drawn(page)
    wanted = set(page.evaluate(_NAME_ALL))
    assert len(wanted) > 10
    stops = []
    for _ in range(3 * len(wanted)):
        page.keyboard.press("Tab")
        stops += [found for found in [page.evaluate(_SAY_FOCUS)] if found is not None]
        if wanted <= {name for name, _ in stops}:
            break
    assert wanted - {name for name, _ in stops} == set()
    assert {name for name, is_seen in stops if not is_seen} == set()


def test_a_job_is_paused_and_goes_on_by_keyboard_and_the_focus_stays_beside_the_buttons(make_site, request):
    site = make_site(latency="1")
    visitor, admin = (request.getfixturevalue(name) for name in ("visitor", "admin"))
    job = site.add_job(1000, chunk_size=1, max_concurrency=2)
    page = visitor.open(f"/jobs/{job}", user=admin)
    wait_until_drawn(page)
    deeds = page.get_by_role("group", name="What to do with the job")
    for deed, then in (("Pause", "Go on"), ("Go on", "Pause")):
        page.get_by_role("button", name=deed, exact=True).focus()
        page.keyboard.press("Enter")
        expect(deeds).to_be_focused()  # the button is gone
        expect(page.get_by_role("button", name=then, exact=True)).to_be_visible()
        expect(deeds).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=then, exact=True)).to_be_focused()


def test_a_button_whose_deed_went_wrong_keeps_the_focus(tmp_path, request):
    job = seed.seed(tmp_path / "home", seed.add_paused)
    visitor, admin = (request.getfixturevalue(name) for name in ("visitor", "admin"))
    visitor.watch.expected.add(503)
    page = visitor.open(f"/jobs/{job}", user=admin)
    wait_until_drawn(page)
    page.route(f"**/jobs/{job}/resume", lambda route: route.fulfill(status=503, body="<p>Not now.</p>"))
    page.locator("#do-resume, #do-finish").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not now.")).to_be_visible()
    expect(page.locator("#do-resume, #do-finish").first).to_be_focused()


def test_that_more_match_while_a_job_runs_is_not_read_aloud_though_what_is_ticked_is(site, visitor, admin):
    job = site.add_answered({2: OrderState.ACCEPTED}, more=60, state=JobState.PAUSED)
    page = visitor.open(f"/jobs/{job}", user=admin)
    wait_until_drawn(page)
    page.locator("#choose-all").focus()
    page.keyboard.press("Space")
    said = page.locator("#chosen-said")
    expect(said).to_have_text("All 61 chosen")
    expect(said).to_have_attribute("aria-live", "polite")
    page.evaluate("document.querySelector('#choose-all').dataset.count = 62")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('htmx:afterSwap', {detail: {target: document.body}}))")
    expect(said).to_have_text("All 62 chosen")
    expect(said).to_have_attribute("aria-live", "off")
