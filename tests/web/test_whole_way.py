"""The whole way in a browser, on a wide screen and on a phone, from a dropped workbook of 20,000 rows to its results.

Paused, reloaded, gone on with by another server, doubted, settled, exported; and the provider's book agrees with the
ledger, order by order.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from playwright.sync_api import Page, expect

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from tests.operations.stand import make_imei
from tests.web.conftest import NARROW, Visitor
from tests.web.look import SOME, find_flaws
from tests.web.site import Site

ROWS = 20_000
#: Rows that are no order: two flaws, and one that repeats the first.
REST = ("no sticker", f"{make_imei(7)[:-1]}{(int(make_imei(7)[-1]) + 1) % 10}", make_imei(0))
VALID = ROWS - len(REST)
PROVIDER = {
    "latency": "0.15",
    "capacity": 12,
    "faults": ("reset:after@#60",),
    "repeats": "charge",
    "pending_for": "0",
    "process_for": "0",
}
_DROP = """([zone, name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    for (const kind of ['dragenter', 'dragover', 'drop']) {
        const event = new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true});
        document.querySelector(zone).dispatchEvent(event);
    }
}"""


def write_list(path: Path) -> Path:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["Box", "IMEI", "Model"])
    for number in range(VALID):
        sheet.append([f"B{number // 100}", str(make_imei(number)), "iPhone 13"])
    for text in REST:
        sheet.append(["B-rest", text, "?"])
    book.save(path)
    return path


def drop(page: Page, path: Path) -> None:
    """Drop a file on the page, as a mouse does."""
    page.evaluate(_DROP, ["[data-drop]", path.name, base64.b64encode(path.read_bytes()).decode("ascii")])


def order(site: Site, page: Page, path: Path) -> JobId:
    """Drop the list, look at its preview, and order it by a double click."""
    page.locator("input[name=service]").first.check()
    drop(page, write_list(path))
    expect(page.locator("[data-file-name]")).to_contain_text(path.name)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name=f"{VALID:,} to order")).to_be_visible()
    expect(page.get_by_text("2 invalid rows")).to_be_visible()
    expect(page.get_by_text(f"{VALID:,} × $0.08")).to_be_visible()
    assert find_flaws(page, SOME) == []
    assert site.sim.stats.actions["placeorder"] == 0
    page.set_viewport_size(NARROW)  # type: ignore[arg-type] # and the rest of the way on a phone
    page.get_by_label("Type 1,599.76 to order").fill("1,599.76")
    page.get_by_role("button", name=f"Order {VALID:,} for $1,599.76").dblclick()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    return JobId(int(page.url.rpartition("/")[2]))


def interrupt(site: Site, page: Page, job: JobId) -> None:
    """Pause the job, load its page again, go on, and let another server take over."""
    ledger = site.session.ledger
    site.wait_until(lambda: ledger.tally(job)[OrderState.ACCEPTED] > 500, "nothing is accepted")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused by the user")).to_be_visible()
    site.change_provider(**PROVIDER)
    waiting = ledger.tally(job)[OrderState.QUEUED]
    assert 0 < waiting < VALID
    page.reload()
    expect(page.locator("#count-queued")).to_contain_text(f"{waiting:,}")
    assert find_flaws(page, SOME) == []
    page.get_by_role("button", name="Go on").click()
    site.wait_until(lambda: ledger.tally(job)[OrderState.QUEUED] < waiting, "it does not go on")
    page.goto("about:blank")
    site.restart()
    page.goto(f"{site.base_url}/jobs/{job}")


def settle(site: Site, page: Page, job: JobId) -> int:
    """Look at the evidence of what is in doubt, say that it was placed, and give how many orders it was."""
    count = site.session.ledger.tally(job)[OrderState.UNCONFIRMED]
    page.get_by_role("link", name="See the evidence, and settle them").click()
    page.get_by_role("button", name="Evidence").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("placeorder")
    page.get_by_role("button", name="Close").click()
    assert find_flaws(page, SOME) == []
    page.get_by_label(f"All {count}, also on other pages").check()
    page.get_by_label("They were placed").check()
    page.get_by_role("button", name="Settle", exact=True).click()
    page.wait_for_url(re.compile(r"/jobs/\d+$"))
    expect(page.locator("#count-accepted")).to_contain_text(f"{VALID:,}")
    expect(page.locator("#live")).to_contain_text(f"= {ROWS:,} rows")
    return count


def export(page: Page) -> list[dict[str, object]]:
    """Take the list back."""
    with page.expect_download() as download:
        page.get_by_role("link", name="XLSX", exact=True).click()
    sheet = load_workbook(io.BytesIO(download.value.path().read_bytes()), read_only=True).active
    headings, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(headings, row, strict=True)) for row in rows]


@pytest.mark.long
@pytest.mark.timeout(960)
def test_twenty_thousand_rows_from_the_drop_to_the_results(make_site, browser, tmp_path):
    site = make_site(**{**PROVIDER, "latency": "2"})  # slow until the job is paused: half a minute at the least
    visitor = Visitor(browser, site)
    page = visitor.open("/jobs/new", user=site.add_user())
    job = order(site, page, tmp_path / "May stock.xlsx")
    interrupt(site, page, job)
    site.wait_for(job, JobState.FINISHED, JobState.PAUSED)
    expect(page.locator(".progress-line .tag")).to_have_text("finished")
    doubtful = settle(site, page, job)
    assert 0 < doubtful <= 100
    known, ledger = VALID - doubtful, site.session.ledger
    # The reply to an order may say that it is completed; its result is asked for after that.
    site.wait_until(lambda: ledger.count_open(job) == 0, "results are missing")
    assert ledger.status_counts(job)[ResultStatus.COMPLETED] == known
    rows = export(page)
    assert Counter(row["state"] for row in rows) == {"accepted": VALID, "invalid": 2, "repeated": 1}
    assert [row["Box"] for row in rows[99:101]] == ["B0", "B1"]
    completed = [row for row in rows if row["status"] == "completed"]
    assert len(completed) == known + 1  # and the repeated row, with the first one's
    assert all(row["result"] for row in completed)
    site.judge()
    visitor.close()
