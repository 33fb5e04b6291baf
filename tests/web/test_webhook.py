"""The part of Settings about webhooks: where they send, what became of deliveries, a test, and sending again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from imeiflow.domain.notice import DeliveryState, Told
from imeiflow.domain.user import Role
from imeiflow.ledger.delivery import DeliveryAttempt, NewDelivery
from imeiflow.operations.session import Session
from imeiflow.operations.webhook import WebhookSettings
from tests.jobs.receiver import PATH, SECRET, Receiver, open_threaded_receiver
from tests.web import seed
from tests.web.ask import Asker, post
from tests.web.conftest import NARROW, WIDE, Visitor, overflows
from tests.web.look import find_flaws
from tests.web.site import Site, open_site

DELIVERED, FAILED, PENDING = DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.PENDING
HOSTILE = "<img src=x onerror=\"fetch('/evil')\"><script>document.title = 'evil'</script>&amp;"
LONG = "W" * 80
LOOKS = (
    (NARROW, "light"),
    ({"width": 640, "height": 900}, "dark"),
    ({"width": 768, "height": 1024}, "dark"),
    (WIDE, "light"),
)
CHANGES = ("test", "retry", "retry-failed")


class Stage:
    """A site with webhooks, and a browser to look at it with."""

    def __init__(self, site: Site, visitor: Visitor) -> None:
        self.site = site
        self.visitor = visitor
        self.ledger = site.session.ledger
        self.admin = site.add_user("mia", Role.ADMIN)

    def open(self, path: str = "/settings") -> Page:
        return self.visitor.open(path, user=self.admin)

    def states(self) -> list[DeliveryState]:
        return [one.state for one in reversed(self.ledger.deliveries())]

    def actions(self) -> list[str]:
        return [one.data["action"] for one in self.ledger.recent_events(kinds=["user_action"])]


@pytest.fixture
def raise_stage(tmp_path, browser: Browser) -> Iterator[Callable[..., Stage]]:
    """Open a site with these webhooks; `fill` fills its ledger before it starts."""
    with ExitStack() as stack:

        def open_stage(*webhooks: WebhookSettings, fill: Callable[[Session], Any] = lambda _: None) -> Stage:
            seed.seed(tmp_path / "home", fill)
            site = stack.enter_context(open_site(tmp_path / "home", webhooks=webhooks))
            visitor = Visitor(browser, site)
            stack.callback(visitor.close)
            return Stage(site, visitor)

        yield open_stage


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_threaded_receiver() as found:
        yield found


def configure(url: str, name: str = "books", **values: Any) -> WebhookSettings:
    return WebhookSettings(name=name, url=url, secret_env="BOOKS_SECRET", **values)


def add_delivery(
    session: Session, number: int, state: DeliveryState, *, reply: str = "", status: int | None = 500, **values: Any
) -> int:
    """Add a delivery that was tried once: it ended so, or is tried again in three hours."""
    now = session.ledger.clock()
    base = {"event_id": f"evt_{number}", "webhook": "books", "event": "job.finished", "job": None, "count": 1}
    id_ = session.ledger.add_delivery(NewDelivery(**{**base, "body": b'{"id": "evt"}', "at": now, **values}))
    attempt = DeliveryAttempt(
        started_at=now, elapsed_ms=12, http_status=200 if state is DELIVERED else status, problem="", reply=reply
    )
    session.ledger.record_delivery(id_, attempt, state, now + timedelta(hours=3))
    return id_


def add_each(session: Session) -> None:
    """Add a delivery of each state, those of a job, and one for a webhook that is not configured any more."""
    job = seed.add_paused(session)
    add_delivery(session, 1, DELIVERED, event="order.completed", job=job, count=184)
    add_delivery(session, 2, FAILED, reply="the books are closed", job=job)
    add_delivery(session, 3, PENDING, reply="come again", event="job.paused", job=job)
    add_delivery(session, 4, FAILED, status=410, webhook="old")


def row(page: Page, id_: int) -> Locator:
    return page.locator(f"#delivery-{id_}")


def test_where_none_is_set_up_it_says_calmly_how_to(site, visitor, admin):
    page = visitor.open("/settings", user=admin)
    part = page.get_by_role("region", name="Webhooks")
    expect(part).to_contain_text("No webhook is set up, and nothing is sent to anybody.")
    expect(part.locator("pre")).to_contain_text('[[webhooks]]\nurl = "https://shop.example/imeiflow"\nsecret_env = ')
    expect(part).to_contain_text("openssl rand -hex 32")
    expect(part.get_by_role("button")).to_have_count(0)
    expect(part.get_by_role("table")).to_have_count(0)
    assert find_flaws(page) == []
    assert post(site, admin, "/settings/webhooks/test", webhook="books") == 400
    assert site.session.ledger.deliveries() == []


def test_it_shows_where_each_sends_what_for_and_what_became_of_it_without_a_secret(raise_stage):
    shop = "https://mia:her-word@shop.example:8443/hook/token-in-the-path?key=in-the-query"
    quiet = configure(shop, "stock", events=frozenset({Told.JOB_PAUSED}))
    stage = raise_stage(configure("https://books.example"), quiet, fill=add_each)
    page = stage.open()
    first, second = page.locator("#webhook-1"), page.locator("#webhook-2")
    expect(first).to_contain_text("https://books.example is told of job.finished, job.paused, order.completed")
    expect(first).to_contain_text("1 waits")
    expect(first).to_contain_text("1 given up")
    expect(second).to_contain_text("https://shop.example:8443/… is told of job.paused")
    expect(second).not_to_contain_text("given up")
    assert [word for word in ("her-word", "token-in-the-path", "in-the-query", SECRET) if word in page.content()] == []
    expect(row(page, 1)).to_contain_text("184 orders of job 1")
    expect(row(page, 1).get_by_text("delivered", exact=True)).to_be_visible()
    expect(row(page, 2)).to_contain_text("HTTP 500, 12 ms, the books are closed")
    expect(row(page, 2).get_by_text("given up", exact=True)).to_be_visible()
    waiting = stage.ledger.deliveries(state=PENDING)[0]
    expect(row(page, 3)).to_contain_text("next try")
    when = row(page, 3).locator("time[data-exact]").get_attribute("datetime")
    assert when == waiting.next_at.isoformat(timespec="milliseconds")
    expect(row(page, 3).get_by_role("cell", name="Tries").or_(row(page, 3).locator("td.number"))).to_have_text("1")
    expect(row(page, 4)).to_contain_text("not configured any more")
    expect(row(page, 4).get_by_role("button")).to_have_count(0)
    assert find_flaws(page) == []
    page.get_by_role("link", name="Given up 2").click()
    expect(page.locator(".deliveries tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Waiting 1").click()
    expect(page.locator(".deliveries tbody tr")).to_have_count(1)
    row(page, 3).get_by_role("link", name="job 1").click()
    expect(page).to_have_url(f"{stage.site.base_url}/jobs/1")


def test_a_test_is_sent_at_once_also_where_the_last_failed_and_its_answer_is_told(raise_stage, receiver):
    receiver.answers = [418]
    stage = raise_stage(configure(receiver.url))
    page = stage.open()
    expect(page.get_by_text("Nothing was told yet.")).to_be_visible()
    button = page.get_by_role("button", name="Send a test to books")
    button.focus()
    page.keyboard.press("Enter")
    said = page.locator("#webhooks-said")
    expect(said).to_contain_text("The test message was not delivered to books: HTTP 418")
    expect(row(page, 1)).to_contain_text("next try")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("The test message was delivered to books: HTTP 200")
    expect(row(page, 2).get_by_text("delivered", exact=True)).to_be_visible()
    assert receiver.types == ["webhook.test"] * 2
    assert [one for one in (SECRET, PATH) if one in page.content()] == []
    page.goto("/activity?person=mia")
    expect(page.locator("tbody tr", has_text="sent a webhook a test")).to_have_count(2)
    expect(page.locator("tbody tr", has_text="webhook: books")).to_have_count(2)


def test_what_was_given_up_or_waits_is_sent_again_with_its_message_and_that_is_in_the_log(raise_stage, receiver):
    stage = raise_stage(configure(receiver.url), fill=add_each)
    page = stage.open("/settings?deliveries=failed")
    page.get_by_role("button", name="Send again: delivery 2").click()
    expect(page.locator("#webhooks-said")).to_contain_text("Delivery 2 was delivered to books: HTTP 200")
    expect(row(page, 2)).to_have_count(0)
    expect(page.get_by_role("link", name="Given up 1")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="All").click()
    page.get_by_role("button", name="Send now: delivery 3").click()
    expect(page.locator("#webhooks-said")).to_contain_text("Delivery 3 was delivered to books: HTTP 200")
    assert [one.id for one in receiver.received] == ["evt", "evt"]
    assert stage.states() == [DELIVERED, DELIVERED, DELIVERED, FAILED]
    assert stage.actions() == ["retry delivery", "retry delivery"]


def test_all_that_was_given_up_is_sent_again_but_to_those_that_are_not_configured_any_more(raise_stage, receiver):
    stage = raise_stage(configure(receiver.url), fill=add_each)
    add_delivery(stage.site.session, 5, FAILED)
    page = stage.open()
    page.get_by_role("button", name="Send again what was given up: 2").click()
    expect(page.locator("#webhooks-said")).to_have_text("2 deliveries will be sent again.")
    for id_ in (2, 5):  # the page hears of it by itself
        expect(row(page, id_).get_by_text("delivered", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Send again what")).to_have_count(0)
    assert stage.states() == [DELIVERED, DELIVERED, PENDING, FAILED, DELIVERED]
    assert stage.actions() == ["retry deliveries"]


def test_what_another_process_has_told_is_seen_without_loading_the_page_again(raise_stage):
    stage = raise_stage(configure("https://books.example"), fill=add_each)
    page = stage.open()
    expect(row(page, 3).get_by_text("waiting", exact=True)).to_be_visible()
    answer = DeliveryAttempt(started_at=stage.ledger.clock(), elapsed_ms=1, http_status=200, problem="", reply="")
    stage.ledger.record_delivery(3, answer, DELIVERED)
    expect(row(page, 3).get_by_text("delivered", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Waiting 0")).to_be_visible()
    add_delivery(stage.site.session, 5, FAILED)
    expect(page.get_by_role("link", name="Given up 3")).to_be_visible()


def test_what_is_sent_again_though_it_was_taken_has_no_problem(raise_stage):
    def fill(session: Session) -> None:
        add_delivery(session, 1, DELIVERED, reply="thank you")
        session.ledger.retry_deliveries([1])

    page = raise_stage(fill=fill).open()
    expect(row(page, 1)).to_contain_text("waiting for its turn")
    expect(row(page, 1)).not_to_contain_text("HTTP 200")


def test_each_try_and_the_message_are_shown_when_asked_for(raise_stage):
    stage = raise_stage(configure("https://books.example"), fill=add_each)
    page = stage.open()
    page.get_by_text("Tries and message").nth(2).click()
    expect(row(page, 2).locator(".evidence-body")).to_contain_text("HTTP 500, 12 ms, the books are closed")
    expect(row(page, 2).locator("pre")).to_contain_text('"id": "evt"')
    assert find_flaws(page) == []
    stage.visitor.watch.expected.add(400)
    assert page.request.get("/settings/webhooks/99").status == 400


def test_older_deliveries_stand_on_the_next_page(raise_stage):
    stage = raise_stage(fill=lambda session: [add_delivery(session, number, FAILED) for number in range(21)])
    page = stage.open("/settings?deliveries=failed")
    expect(page.locator(".deliveries tbody tr")).to_have_count(20)
    page.get_by_role("link", name="Older").click()
    expect(page.locator(".deliveries tbody tr")).to_have_count(1)
    expect(row(page, 1)).to_be_visible()
    page.get_by_role("link", name="To the newest").click()
    expect(row(page, 21)).to_be_visible()


def test_what_a_receiver_answers_and_what_a_webhook_is_called_is_shown_as_text(raise_stage):
    def fill(session: Session) -> None:
        hostile = {"reply": HOSTILE, "webhook": HOSTILE, "event": HOSTILE, "body": b'{"it": "</pre><b>bold</b>"}'}
        add_delivery(session, 1, FAILED, **hostile)
        add_delivery(session, 2, PENDING, reply=f"\x00\x1b[2J\u202e{HOSTILE}")

    stage = raise_stage(configure("https://127.0.0.1:9", HOSTILE), fill=fill)
    asker = Asker(stage.site, stage.admin)
    form = {"csrf": asker.csrf, "delivery": "1", "webhook": HOSTILE}
    seen = [asker.ask("GET", path, hx_request="true") for path in ("/settings", "/settings/webhooks/1")]
    seen += [asker.ask("POST", f"/settings/webhooks/{path}", form=form) for path in (*CHANGES, "nothing")]
    seen += [asker.ask("GET", "/settings"), asker.ask("GET", "/activity")]
    for answer in seen:
        assert "<img" not in answer.body.replace('<img src="/static/', "")
        assert "<script>" not in answer.body
        assert "<b>bold" not in answer.body
        assert not {"\x00", "\x1b", "\u202e"} & set(answer.body)
    assert "&lt;img src=x onerror=" in seen[0].body
    page = stage.open()
    page.get_by_text("Tries and message").first.click()
    expect(row(page, 1)).to_contain_text("<img src=x onerror=")
    expect(page).to_have_title("Settings · imeiflow")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nobody_but_an_administrator_sees_or_sends_anything(raise_stage, receiver, role):
    stage = raise_stage(configure(receiver.url), fill=add_each)
    user = stage.site.add_user("vera", role)
    asker = Asker(stage.site, user)
    for path in ("/settings", "/settings?deliveries=failed", "/settings/webhooks/2"):
        for part in ({}, {"hx_request": "true"}):
            answer = asker.ask("GET", path, **part)
            assert (answer.status, "books" in answer.body) == (403, False), path
    for path in CHANGES:
        assert post(stage.site, user, f"/settings/webhooks/{path}", webhook="books", delivery="2") == 403, path
    assert stage.states() == [DELIVERED, FAILED, PENDING, FAILED]
    assert receiver.received == []
    assert stage.actions() == []


def test_what_is_not_there_is_sent_to_nobody(raise_stage, receiver):
    stage = raise_stage(configure(receiver.url), fill=add_each)
    for path, form in (
        ("test", {"webhook": "nobody"}),
        ("test", {}),
        ("retry", {"delivery": "99"}),
        ("retry", {"delivery": "4"}),
        ("retry", {"delivery": "-1"}),
        ("retry", {}),
    ):
        assert post(stage.site, stage.admin, f"/settings/webhooks/{path}", **form) == 400, (path, form)
    assert stage.states() == [DELIVERED, FAILED, PENDING, FAILED]
    assert stage.actions() == []


def test_long_names_and_answers_stay_within_the_page(raise_stage):
    def fill(session: Session) -> None:
        long = {"reply": LONG * 6, "webhook": LONG, "event": "order.unconfirmed", "count": 10**9}
        long |= {"job": seed.add_paused(session), "at": session.ledger.clock() - timedelta(days=9)}
        for number, state in enumerate((DELIVERED, FAILED, PENDING)):
            add_delivery(session, number, state, **long)
        add_delivery(session, 9, FAILED, reply=LONG, webhook="خدمة فتح شبكة آيفون جميع الدول بدون استثناء")

    host = ".".join(["w" * 60] * 3)
    stage = raise_stage(configure(f"https://{host}.example:8443/{LONG}", LONG), fill=fill)
    page = stage.open()
    for summary in page.get_by_text("Tries and message").all():
        summary.click()
    expect(page.locator(".evidence-body pre")).to_have_count(4)
    assert find_flaws(page, LOOKS) == []
    assert not overflows(page)
