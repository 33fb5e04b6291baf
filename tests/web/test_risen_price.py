"""Sending again on a page what costs more by now: the price is asked about, and nothing waits before that is agreed."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Role
from imeiflow.ledger.record import PricedService
from tests.operations.stand import ACCOUNT, SERVICE
from tests.web.ask import Answer, Asker
from tests.web.site import Site

STATES = {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.REFUSED}


def rise(site: Site, price: str) -> None:
    told = PricedService(id=SERVICE, name="SimLock check", price=Money(Decimal(price), "USD"))
    site.session.ledger.record_prices(ACCOUNT, [told])


@pytest.fixture
def job(site) -> JobId:
    """Give a paused job: line 2 accepted, 3 and 4 refused, 5 waits."""
    return site.add_answered(STATES, more=1, state=JobState.PAUSED)


def check_asked(site: Site, job: JobId, answer: Answer, price: str) -> None:
    """See that a price is asked about, in the place for questions, and that nothing was queued."""
    assert answer.status == 200
    assert answer.headers["hx-retarget"] == "#question"
    assert f"rose from $0.08 to ${price}" in answer.body
    assert f'name="accept_price" value="{price}"' in answer.body
    assert f"Send again at ${price}" in answer.body
    assert "imeiflow " not in answer.body
    tally = site.session.ledger.tally(job)
    assert (tally[OrderState.REFUSED], tally[OrderState.QUEUED]) == (2, 1)
    assert site.session.find_job(job).state is JobState.PAUSED


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("retry", {"refused": "yes", "seen-refused": "2"}),
        ("chosen/retry", {"scope": "all", "state": "refused", "seen": "2"}),
    ],
    ids=["all", "chosen"],
)
def test_what_costs_more_is_sent_again_only_at_the_price_that_was_shown(site, job, path, form):
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    sent = {**form, "price": "0.08", "waiting": "1", "csrf": asker.csrf}

    def send(**more: str) -> Answer:
        return asker.ask("POST", f"/jobs/{job}/{path}", form={**sent, **more}, hx_request="true")

    rise(site, "0.10")
    check_asked(site, job, send(), "0.10")
    rise(site, "0.12")  # again, while it is looked at
    check_asked(site, job, send(accept_price="0.10"), "0.12")
    assert send(accept_price="0.12").status == 200
    site.wait_for(job, JobState.FINISHED)
    assert site.session.find_job(job).unit_price == Decimal("0.12")
    assert site.session.ledger.tally(job)[OrderState.ACCEPTED] == 4


def read_paused(asker: Asker, job: JobId) -> str:
    body = asker.ask("GET", f"/jobs/{job}").body
    notice = re.search(r'id="paused-notice">(.*?)</p>', body, re.DOTALL)
    assert notice is not None
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", notice[1]))


def test_what_waits_is_said_at_the_price_that_it_would_cost_today(site, job):
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    assert "1 order waits, at most $0.08; nothing is sent before you press “Go on”." in read_paused(asker, job)
    rise(site, "0.10")
    told = read_paused(asker, job)
    assert "1 order waits, at most $0.10 at today’s price of $0.10; nothing is sent before you press" in told
    assert "and agree to that." in told
    other = PricedService(id="9", name="Another", price=Money(Decimal("0.10"), "USD"))
    site.session.ledger.record_prices(ACCOUNT, [other])
    assert "1 order waits; nothing is sent as long as the price list does not have service 1 any more." in read_paused(
        asker, job
    )


def test_the_question_says_beforehand_what_it_costs_now(site, job):
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    rise(site, "0.10")
    told = asker.ask("GET", f"/jobs/{job}/retry", hx_request="true").body
    assert "rose from $0.08 to $0.10" in told
    assert "at most $0.20" in told  # the two that were refused
    assert "at most $0.10" in told  # the one that waits


def test_what_the_price_list_does_not_have_any_more_cannot_be_sent(site, job):
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    other = PricedService(id="9", name="Another", price=Money(Decimal("0.10"), "USD"))
    site.session.ledger.record_prices(ACCOUNT, [other])
    form = {"refused": "yes", "seen-refused": "2", "price": "0.08", "waiting": "1", "csrf": asker.csrf}
    told = asker.ask("POST", f"/jobs/{job}/retry", form=form, hx_request="true")
    assert "does not have service 1 any more" in told.body
    assert '<button class="button button-main"' not in told.body
    assert site.session.ledger.tally(job)[OrderState.QUEUED] == 1


def test_a_price_that_rose_while_orders_were_placed_is_said_with_what_they_may_have_cost(site):
    rise(site, "0.08")
    accepted = dict.fromkeys((2, 3, 4), OrderState.ACCEPTED)
    job = site.add_answered(accepted, then=lambda: rise(site, "0.20"), max_spend=Decimal("0.50"))
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", asker.ask("GET", f"/jobs/{job}").body))
    assert "Up to $0.60 may have been charged. The price rose from $0.08 to $0.20 between 20" in page
    assert "while 3 orders were placed. So the cap of $0.50 may have been passed." in page
    assert "$0.24 as far as is known" in page
    assert "of at most" not in page
    told = asker.ask("GET", f"/jobs/{job}").body
    assert told.count("data-exact") == 2, "the browser shows both times to the second"


def test_a_price_that_rose_after_the_job_is_not_said_of_it(site):
    rise(site, "0.08")
    job = site.add_answered({2: OrderState.ACCEPTED})
    rise(site, "0.20")
    asker = Asker(site, site.add_user("olga", Role.OPERATOR))
    assert "may have been charged" not in asker.ask("GET", f"/jobs/{job}").body
