"""Pictures of the web application: a list's preview, its job half way, and the dashboard meanwhile."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from imeiflow.simulator import Behaviour
from pictures.stage import Account, Stage, make_list, open_stage

_SIZE = {"width": 1280, "height": 820}
_COLOURS = 256
_MOST_BYTES = 150_000
#: The list of the pictures: 20,000 rows at $0.08.
_SERVICE = "Apple Basic Info"
_BEHAVIOUR = {
    "latency": "1.0-1.6",
    "capacity": 10,
    "bad_share": "0.01",
    "pending_for": "2",
    "process_for": "2-9",
    "credit": "2500",
}


def draw_pages(folder: Path) -> None:
    """Order two lists from a simulated provider, and draw what a user sees on the way."""
    with open_stage([Account("north-unlock", Behaviour.parse(_BEHAVIOUR))]) as stage:
        first = _upload(stage, make_list(stage.home / "Trade-ins.csv", 120, start=30_000))
        first.get_by_label(re.compile("Send the first")).check()
        _order(first)
        first.context.close()
        page = _upload(stage, make_list(stage.home / "Stock May.csv", 20_000, flawed=True))
        _draw(page, folder / "web-preview.png")
        page.get_by_label(re.compile("^Type ")).fill(page.locator("label strong.mono").inner_text())
        _order(page)
        page.get_by_text(re.compile(r"^(4[5-9]|5\d)%$")).wait_for(timeout=120_000)
        page.get_by_role("region", name="Table of reasons").wait_for()
        _draw(page, folder / "web-job.png")
        page.goto("/dashboard")
        page.get_by_text("orders/s").wait_for()
        _draw(page, folder / "web-dashboard.png")


def _upload(stage: Stage, path: Path) -> Page:
    page = stage.open("/jobs/new", **_SIZE)
    page.locator("label.service", has_text=_SERVICE).locator("input").check()
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("heading", name="to order").wait_for()
    return page


def _order(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Order ")).click()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))


def _draw(page: Page, target: Path) -> None:
    """Draw the window, in as few colours as it takes."""
    page.mouse.move(0, 0)
    drawn = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    drawn.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target.name}: {size / 1000:.0f} kB")
    if size > _MOST_BYTES:
        raise SystemExit(f"{target} is larger than {_MOST_BYTES:,} bytes")
