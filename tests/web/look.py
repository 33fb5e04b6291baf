"""Looking at a page as its visitors do: wide and narrow, light and dark, with what helps those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

from tests.web.conftest import NARROW, WIDE, find_violations, overflows

#: Colours that are on their way from light to dark are no flaw.
_COME_TO_REST = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    const ending = document.getAnimations().filter((one) => one.effect.getComputedTiming().iterations !== Infinity);
    Promise.allSettled(ending.map((one) => one.finished)).then(() => done(true));
})))"""


SOME = ((WIDE, "light"), (NARROW, "dark"))
ALL = ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark"))


def find_flaws(page: Page, looks: Sequence[tuple[dict[str, int], str]] = SOME) -> list[str]:
    """Say what axe-core finds on an open page, and where it is wider than its window."""
    page.wait_for_load_state("networkidle")
    flaws = []
    for viewport, scheme in looks:
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate(_COME_TO_REST)
        name = f"{viewport['width']} {scheme}"
        flaws += [f"{name}: {flaw}" for flaw in find_violations(page)]
        if overflows(page):
            flaws.append(f"{name}: wider than its window")
    return flaws
