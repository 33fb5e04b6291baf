"""What providers are asked for pages and programs: once for all, not again for a while, and nobody waits for long."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from imeiflow.dispatch.errand import LeftLaneError
from imeiflow.domain.user import Role, Scope
from imeiflow.web.enquiry import KEPT_S, Enquiries
from tests.web.api.client import enter
from tests.web.ask import Asker

PATIENCE_S = 60.0


def count_calls(site) -> int:
    return sum(site.sim.stats.actions.values())


def test_the_provider_is_asked_once_for_all_who_want_to_know(site):
    vera = site.add_user("vera", Role.VIEWER)
    asker, program = Asker(site, vera), enter(site, Scope.READ, user=vera)
    now = 1000.0
    site.server.office.enquiries._clock = lambda: now
    before = count_calls(site)
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: asker.ask("GET", "/accounts/credit?account=gsm-fusion"), range(12)))
        told = list(pool.map(lambda _: program.get("/accounts/gsm-fusion"), range(12)))
        lists = list(pool.map(lambda _: program.get("/services?fresh=true"), range(12)))
    assert {page.status for page in pages} == {200}
    assert all("$" in page.body and "as of" in page.body for page in pages)
    assert len({one["credit_as_of"] for one in told}) == 1
    assert {one["is_fresh"] for one in lists} == {True}
    assert count_calls(site) - before == 2
    now += KEPT_S
    assert program.get("/accounts/gsm-fusion")["credit_as_of"] > told[0]["credit_as_of"]
    assert count_calls(site) - before == 3


def test_a_slow_provider_keeps_no_page_waiting_and_what_was_known_is_told(site, admin):
    boss = Asker(site, admin)
    site.change_provider(read_latency="600")
    enquiries = site.server.office.enquiries
    account = site.session.configuration.choose_account("gsm-fusion")

    async def ask_often():
        asking = [asyncio.create_task(enquiries.credit(account)) for _ in range(20)]
        await asyncio.sleep(0)
        return asking

    asking = asyncio.run_coroutine_threadsafe(ask_often(), site._loop).result(PATIENCE_S)
    assert boss.ask("GET", "/jobs").status == 200
    assert not any(one.done() for one in asking)

    async def ask_impatiently():
        impatient = Enquiries(site.session, site.server.office.runner, patience_s=0.01)
        told = await impatient.credit(account), await impatient.prices(account)
        await impatient.close()
        return told

    credit, prices = asyncio.run_coroutine_threadsafe(ask_impatiently(), site._loop).result(PATIENCE_S)
    assert (credit.balance, credit.problem) == (None, "the provider has not answered yet")
    assert (prices.is_fresh, prices.problem) == (False, "the provider has not answered yet")


class Leaving:
    """A runner that stops: it gives up what is asked in its lanes."""

    is_stopping = True

    def errands(self, _):
        return self

    async def ask(self, _):
        raise LeftLaneError


def test_a_question_that_a_stop_has_given_up_is_not_put_in_another_way(site):
    account = site.session.configuration.choose_account("gsm-fusion")
    before = count_calls(site)

    async def ask():
        leaving = Enquiries(site.session, Leaving())
        return await leaving.credit(account), await leaving.prices(account)

    credit, prices = asyncio.run_coroutine_threadsafe(ask(), site._loop).result(PATIENCE_S)
    assert (credit.balance, prices.is_fresh) == (None, False)
    assert credit.problem == prices.problem == "The lane was given up before the provider could be asked."
    assert count_calls(site) == before
