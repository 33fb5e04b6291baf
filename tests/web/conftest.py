"""The browser of the tests: Debian's Chromium, driven by Playwright, with a watch over what no page may do.

A page that logs an error, or asks another host for anything, fails its test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from imeiflow.domain.user import Role
from imeiflow.ledger.user import User
from tests.web.site import Site, open_site

INSTALL = "apt-get install --no-install-recommends chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
PATIENCE_MS = 90_000
#: So long a test may take that has a browser: then its windows are closed, and whatever it still waits for fails.
MOST_S = 300.0
expect.set_options(timeout=PATIENCE_MS)


def find_chromium() -> str | None:
    """Find Debian's Chromium, that without windows if it is there: the same pages take it two thirds of the time.

    `IMEIFLOW`'s own variables are settings, so this one is not called like them.
    """
    return os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """Start driver and browser once for all tests of this process; between tests its event loop stands still."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"there is no Chromium to test pages in: {INSTALL}")  # a failure in CI, see tests/conftest.py
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield found, loop
        asyncio._set_running_loop(loop)
        found.close()


@pytest.fixture
def browser(chromium: tuple[Browser, asyncio.AbstractEventLoop], request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Give the browser; for as long as a test has it, no other event loop can run in this thread.

    The driver's loop counts as running also while nobody asks it for anything: only a test of pages may find it so.
    """
    found, loop = chromium
    asyncio._set_running_loop(loop)
    is_long = request.node.get_closest_marker("long") is not None
    with bounded(found, loop, MOST_S * 3 if is_long else MOST_S):
        yield found
    asyncio._set_running_loop(None)


@contextmanager
def bounded(browser: Browser, loop: asyncio.AbstractEventLoop, most_s: float = MOST_S) -> Iterator[None]:
    """Close a browser's windows when a test has had them for too long.

    What waits for a page within the driver is freed by nothing else: an alarm that is raised there would end the driver
    itself, and with it every later test of pages of this process.
    """
    closing: list[asyncio.Task[None]] = []

    def give_up() -> None:
        reason = f"the test has not ended within {most_s:g} s: its windows were closed"
        contexts = browser._impl_obj.contexts
        closing.extend(loop.create_task(context.close(reason=reason)) for context in contexts)

    timer = loop.call_later(most_s, give_up)
    try:
        yield
    finally:
        timer.cancel()


def await_in(page: Page, script: str, argument: Any = None) -> Any:
    """Run a function in a page, and give what it promises; what is not kept in time fails the test."""
    late = f"Error('a promise was not kept within {PATIENCE_MS} ms')"
    return page.evaluate(
        f"""(argument) => {{
            let timer;
            const late = new Promise((_, fail) => {{ timer = setTimeout(() => fail({late}), {PATIENCE_MS}); }});
            return Promise.race([({script})(argument), late]).finally(() => clearTimeout(timer));
        }}""",
        argument,
    )


class Watch:
    """What a page has done that it may not do."""

    def __init__(self, base_url: str) -> None:
        self.problems: list[str] = []
        #: Statuses of ours that a test provokes on purpose: the browser logs each as an error.
        self.expected: set[int] = set()
        #: Whether a test lets connections break: the browser and htmx log each as errors.
        self.is_cut_off = False
        self._base_url = base_url

    def look_at(self, page: Page) -> None:
        """Watch a page from now on."""
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str) -> None:
        told = (words.format(status) for status in self.expected for words in ("status of {}", "Error Code {}"))
        broken = ("net::ERR_FAILED", "htmx:sendError", "htmx:afterRequest") if self.is_cut_off else ()
        if kind in {"error", "warning"} and not any(words in text for words in (*told, *broken)):
            self.problems.append(f"console: {text}")

    def _see(self, url: str) -> None:
        if not url.startswith((self._base_url, "data:", "blob:")):
            self.problems.append(f"asked another host: {url}")


#: Until a page has its scripts, it takes no click: who clicks sooner than a person can waits, and is not ignored.
_PATIENTLY = """
    new MutationObserver((_, observer) => {
      if (!document.documentElement) return;
      observer.disconnect();
      document.documentElement.style.pointerEvents = "none";
      addEventListener("load", () => document.documentElement.style.removeProperty("pointer-events"));
    }).observe(document, {childList: true});
"""


class Visitor:
    """Opens pages of a site as somebody, in a window of some size."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self.site = site
        self.watch = Watch(site.base_url)
        self._browser = browser
        self._contexts = ExitStack()

    def open(
        self,
        path: str = "/",
        *,
        user: User | None = None,
        viewport: dict[str, int] | None = None,
        scheme: str = "light",
        **options: Any,
    ) -> Page:
        """Open a page in a browser of its own; `user` is signed in already."""
        context: BrowserContext = self._browser.new_context(
            base_url=self.site.base_url,
            viewport=viewport or WIDE,  # type: ignore[arg-type]
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="UTC",
            locale="en-GB",
            **options,
        )
        self._contexts.callback(context.close)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_PATIENTLY)
        if user is not None:
            context.add_cookies([self.site.sign_in(user)])  # type: ignore[list-item]
        page = context.new_page()
        self.watch.look_at(page)
        page.goto(path)
        return page

    def close(self) -> None:
        """Close all windows; what was wrong with any page fails the test."""
        self._contexts.close()
        assert self.watch.problems == []


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Open a site with options of the simulated provider."""
    with ExitStack() as stack:
        yield lambda **behaviour: stack.enter_context(open_site(tmp_path / "home", behaviour))


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Give a site whose provider is well-behaved."""
    return make_site()


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    found = Visitor(browser, site)
    yield found
    found.close()


@pytest.fixture
def admin(site: Site) -> User:
    return site.add_user("mia", Role.ADMIN)


def find_violations(page: Page) -> list[str]:
    """Run axe-core, and say in a line each what it found."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await_in(page, "() => axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


def overflows(page: Page) -> bool:
    """Say whether a page is wider than its window."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide
