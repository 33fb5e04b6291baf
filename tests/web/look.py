"""Looking at a page as its visitors do: wide and narrow, light and dark, with what helps those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

from tests.web.conftest import NARROW, WIDE, await_in, find_violations, overflows

#: Colours that are on their way from light to dark are no flaw. What moves is looked for frame by frame: a transition
#: within closed details may end without its promise being kept.
_COME_TO_REST = """() => new Promise((done) => {
    const isMoving = (one) => one.playState === 'running' && one.effect.getComputedTiming().iterations !== Infinity;
    const look = () => document.getAnimations().some(isMoving) ? requestAnimationFrame(look) : done(true);
    requestAnimationFrame(() => requestAnimationFrame(look));
})"""

#: A page is drawn when it is loaded and nothing that it asked for is awaited, for two frames. A page that is asked for
#: anew all the time is never idle as a browser counts it, but it has such moments.
_BE_DRAWN = """() => new Promise((done) => {
    let quiet = 0;
    const look = () => {
        const isDrawn = document.readyState === 'complete' && !document.querySelector('.htmx-request');
        quiet = isDrawn ? quiet + 1 : 0;
        if (quiet > 2) done(true);
        else requestAnimationFrame(look);
    };
    look();
})"""

#: Sums that begin on one line and end on another; whoever looks at money at a glance reads another one.
_FIND_BROKEN_SUMS = r"""() => {
    const broken = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode());) {
        for (const sum of text.data.matchAll(/[$€£]\s?\d[\d,]*(?:\.\d+)?/g)) {
            const range = document.createRange();
            range.setStart(text, sum.index);
            range.setEnd(text, sum.index + sum[0].length);
            if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.add(sum[0]);
        }
    }
    return [...broken];
}"""
#: What is told by rows or tabs has no part that only whoever slides it sideways comes to see.
_FIND_HIDDEN_PARTS = """() => [...document.querySelectorAll('.table-wrap, .tabs')]
    .filter((part) => part.scrollWidth > part.clientWidth).map((part) => part.getAttribute('aria-label'))"""


SOME = ((WIDE, "light"), (NARROW, "dark"))
ALL = ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark"))


def wait_until_drawn(page: Page) -> None:
    """Wait until a page shows all that it fetches by itself when it is opened."""
    page.wait_for_load_state()
    await_in(page, _BE_DRAWN)


def find_flaws(page: Page, looks: Sequence[tuple[dict[str, int], str]] = ALL) -> list[str]:
    """Say what axe-core finds on an open page, where it is wider than its window, hides parts or breaks sums."""
    wait_until_drawn(page)
    flaws = []
    for viewport, scheme in looks:
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await_in(page, _COME_TO_REST)
        name = f"{viewport['width']} {scheme}"
        flaws += [f"{name}: {flaw}" for flaw in find_violations(page)]
        if overflows(page):
            flaws.append(f"{name}: wider than its window")
        flaws += [f"{name}: {part}: slides sideways" for part in page.evaluate(_FIND_HIDDEN_PARTS)]
        flaws += [f"{name}: {one}: breaks" for one in page.evaluate(_FIND_BROKEN_SUMS)]
    return flaws
