"""Sending again on a page what costs more by now: the price is asked about, and nothing waits before that is agreed."""

from __future__ import annotations

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
