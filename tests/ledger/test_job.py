"""Jobs: drafts, states, counts, reasons, and the rows that an export reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from imeiflow.domain.ident import JobId, Reference, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import GuardError, JobStateError, UnknownJobError
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder, PricedService
from tests.ledger.conftest import ACCOUNT, SERVICE, Clock, Desk, make_imei

S = OrderState
DRAFT = JobDraft(account=ACCOUNT, provider="gsm-fusion", service=SERVICE, columns=("IMEI", "Shop"))


def test_a_draft_is_hidden_takes_rows_and_becomes_a_job(ledger: Ledger):
    job = ledger.create_draft(DRAFT)
    ledger.add_orders(job, [NewOrder(line=2, imei=make_imei(1), columns=(make_imei(1), 'a "é" \n'))])
    assert ledger.list_jobs() == []
    ledger.start_job(job, name="June", max_spend=Decimal("12.30"), unit_price=Decimal("0.080"), currency="USD")
    (found,) = ledger.list_jobs()
    assert (found.id, found.state, found.name, found.columns) == (job, JobState.RUNNING, "June", ("IMEI", "Shop"))
    assert (str(found.max_spend), str(found.unit_price)) == ("12.30", "0.080")
    (row,) = ledger.order_rows(job)
    assert row.columns == (make_imei(1), 'a "é" \n')
    with pytest.raises(JobStateError):
        ledger.add_orders(job, [NewOrder(line=3, imei=make_imei(2))])
    with pytest.raises(JobStateError):
        ledger.discard_draft(job)


def test_stale_drafts_are_discarded_with_their_rows_and_fresh_ones_kept(ledger: Ledger, clock: Clock):
    stale = ledger.create_draft(DRAFT)
    ledger.add_orders(stale, [NewOrder(line=2, imei=make_imei(1))])
    clock.move(days=2)
    fresh = ledger.create_draft(DRAFT)
    assert ledger.discard_stale_drafts(clock() - timedelta(days=1)) == 1
    assert ledger.find_job(stale) is None
    assert ledger.find_job(fresh) is not None
    ledger.discard_draft(fresh)
    assert ledger.create_draft(DRAFT) not in {stale, fresh}


@pytest.mark.parametrize("state", sorted(set(S) - {S.QUEUED, S.INVALID, S.REPEATED}))
def test_a_row_is_never_read_in_as_anything_that_was_sent(ledger: Ledger, state: OrderState):
    job = ledger.create_draft(DRAFT)
    with pytest.raises(GuardError):
        ledger.add_orders(job, [NewOrder(line=2, imei=make_imei(1), state=state)])


def test_a_job_changes_only_from_the_expected_state(ledger: Ledger, add_job: Callable[..., JobId]):
    job = add_job()
    ledger.request(job, JobState.PAUSED)
    ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, "Not enough credits")
    found = ledger.find_job(job)
    assert found is not None
    assert (found.state, found.reason, found.wanted) == (JobState.PAUSED, "Not enough credits", None)
    with pytest.raises(JobStateError):
        ledger.change_job(job, {JobState.RUNNING}, JobState.FINISHED, None)
    with pytest.raises(JobStateError):
        ledger.request(job, JobState.PAUSED)
    with pytest.raises(UnknownJobError):
        ledger.change_job(JobId(99), {JobState.RUNNING}, JobState.PAUSED, None)


async def test_the_summary_adds_up(desk: Desk):
    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED))
    desk.ledger.add_worked(desk.job, 1.5)
    desk.ledger.add_worked(desk.job, 1.0)
    summary = desk.ledger.summary(desk.job)
    assert summary.tally.total == 6
    assert (summary.tally[S.ACCEPTED], summary.tally[S.QUEUED], summary.attempts) == (1, 5, 1)
    assert (summary.spent, summary.seconds) == (Money(Decimal("0.08"), "USD"), 2.5)


async def test_reasons_that_differ_in_numbers_only_are_one(desk: Desk):
    attempt = await desk.send(0, 1, 2, 3)
    await desk.end(
        attempt,
        *(desk.change(n, S.REFUSED, message=f"Invalid IMEI: {desk.orders[n].imei}") for n in range(3)),
        desk.change(3, S.UNCONFIRMED, message="HTTP 502"),
    )
    first, second = desk.ledger.reasons(desk.job)
    assert (first.state, first.message, first.count, first.line) == (S.REFUSED, "Invalid IMEI: …", 3, 2)
    assert (second.message, second.count, second.imei) == ("HTTP 502", 1, desk.orders[3].imei)


async def test_texts_with_ids_of_their_own_are_one_reason_and_reasons_are_bounded(desk: Desk):
    attempt = await desk.send(0, 1, 2, 3)
    texts = ["ticket a81f-07c2 at 12:04:59", "ticket 99be-11d0 at 12:05:07", "no", "busy"]
    await desk.end(attempt, *(desk.change(n, S.REFUSED, message=text) for n, text in enumerate(texts)))
    first, *others = desk.ledger.reasons(desk.job)
    assert (first.message, first.count, first.imei) == ("ticket … at …", 2, desk.orders[0].imei)
    assert sorted(reason.message for reason in others) == ["busy", "no"]
    told = [(reason.message, reason.count) for reason in desk.ledger.reasons(desk.job, limit=1)]
    assert told == [("ticket … at …", 2), ("other texts", 2)]


async def test_rows_stream_in_file_order_and_a_repeated_row_carries_the_first_ones_result(ledger: Ledger, clock: Clock):
    job = ledger.create_draft(DRAFT)
    ledger.add_orders(
        job,
        [
            NewOrder(line=2, imei=make_imei(1)),
            NewOrder(line=3, imei=None, state=S.INVALID, value="abc", flaw="not_digits"),
            NewOrder(line=4, imei=make_imei(1), state=S.REPEATED, repeated_of=2),
            NewOrder(line=5, imei=make_imei(2)),
        ],
    )
    ledger.start_job(job)
    token, _ = ledger.take_lane(ACCOUNT, "w")
    desk = Desk(ledger, clock, job, token, ledger.queued_orders(job))
    await desk.end(await desk.send(0), desk.change(0, S.ACCEPTED))
    rows = list(ledger.order_rows(job, batch=2))
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert (rows[2].state, rows[2].first, rows[2].reference, rows[2].charges) == (S.REPEATED, S.ACCEPTED, "R1", 0)
    assert (rows[1].value, rows[1].flaw, rows[1].imei) == ("abc", "not_digits", None)
    assert [row.line for row in ledger.order_rows(job, {S.QUEUED})] == [5]


async def test_history_finds_what_was_or_may_have_been_placed_under_the_same_service(
    desk: Desk, add_job: Callable[..., JobId]
):
    attempt = await desk.send(0, 1, 2, 3)
    states = [S.ACCEPTED, S.DUPLICATE, S.UNCONFIRMED, S.REFUSED]
    await desk.end(attempt, *(desk.change(n, state) for n, state in enumerate(states)))
    await desk.send(4)
    imeis = [order.imei for order in desk.orders]
    found = desk.ledger.find_ordered_before(ACCOUNT, SERVICE, imeis)
    assert {imei: past.state for imei, past in found.items()} == {
        imeis[0]: S.ACCEPTED,
        imeis[1]: S.DUPLICATE,
        imeis[2]: S.UNCONFIRMED,
        imeis[4]: S.SENDING,
    }
    assert desk.ledger.find_ordered_before(ACCOUNT, SERVICE, imeis, exclude_job=desk.job) == {}
    assert desk.ledger.find_ordered_before(ACCOUNT, ServiceId("9"), imeis) == {}
    assert desk.ledger.known_references(ACCOUNT, [(Reference("R1"), ""), (Reference("R9"), "")]).keys() == {"R1"}
    assert [row.id for row in desk.ledger.search_orders(imeis=imeis[:2])] == list(reversed(desk.ids(0, 1)))
    assert [one.order for one in desk.ledger.oldest_accepted(ACCOUNT, SERVICE)] == list(desk.ids(0))


def test_a_pinned_value_is_never_overwritten_by_what_is_learned(ledger: Ledger):
    assert ledger.learn(ACCOUNT, SERVICE, "chunk_size", 20, "50 were cut")
    ledger.pin(ACCOUNT, SERVICE, "chunk_size", 5, "by hand")
    assert not ledger.learn(ACCOUNT, SERVICE, "chunk_size", 100, "all answered")
    assert [(one.value, one.pinned) for one in ledger.learned(ACCOUNT)] == [(5, True)]
    assert ledger.unpin(ACCOUNT, SERVICE, "chunk_size")
    assert ledger.learn(ACCOUNT, SERVICE, "chunk_size", 100, "all answered")
    assert ledger.forget(ACCOUNT) == 1


def test_what_was_learned_of_a_service_bears_its_newest_name(ledger: Ledger):
    ledger.learn(ACCOUNT, SERVICE, "chunk_size", 20, "50 were cut")
    ledger.learn(ACCOUNT, ServiceId(""), "lane", {}, "just begun")
    for name in ("Chek", "Check"):
        ledger.record_prices(ACCOUNT, [PricedService(id=SERVICE, name=name)])
    ledger.record_prices(ACCOUNT, [PricedService(id=SERVICE, name="Unlock by file")], OrderKind.FILE)
    assert [(one.service, one.service_name) for one in ledger.learned(ACCOUNT)] == [
        (ServiceId(""), ""),
        (SERVICE, "Check"),
    ]


def test_a_price_is_stored_again_only_when_it_changed(ledger: Ledger, clock: Clock):
    cheap = PricedService(id=SERVICE, name="Check", price=Money(Decimal("0.08"), "USD"))
    dear = PricedService(id=SERVICE, name="Check", price=Money(Decimal("0.10"), "USD"))
    other = PricedService(id=ServiceId("9"), name="Unlock")
    assert ledger.record_prices(ACCOUNT, [cheap, other]) == 2
    assert ledger.record_prices(ACCOUNT, [cheap, other]) == 0
    clock.move(days=1)
    assert ledger.record_prices(ACCOUNT, [dear]) == 2
    assert [(one.id, one.price, one.seen_at) for one in ledger.price_list(ACCOUNT)] == [(SERVICE, dear.price, clock())]
    assert [one.price for one in ledger.price_history(ACCOUNT, SERVICE)] == [cheap.price, dear.price]


def test_a_service_that_comes_back_is_listed_again_though_its_price_is_the_same(ledger: Ledger, clock: Clock):
    cheap = PricedService(id=SERVICE, name="Check", price=Money(Decimal("0.08"), "USD"))
    other = PricedService(id=ServiceId("9"), name="Unlock", price=Money(Decimal(20), "USD"))
    ledger.record_prices(ACCOUNT, [cheap, other])
    clock.move(days=1)
    assert ledger.record_prices(ACCOUNT, [cheap]) == 1
    assert [one.id for one in ledger.price_list(ACCOUNT)] == [SERVICE]
    assert [one.price for one in ledger.price_history(ACCOUNT, other.id)] == [other.price]
    clock.move(days=1)
    assert ledger.record_prices(ACCOUNT, [cheap]) == 0
    assert ledger.record_prices(ACCOUNT, [cheap, other]) == 1
    assert {one.id: one.seen_at for one in ledger.price_list(ACCOUNT)}[other.id] == clock()
    assert [one.price for one in ledger.price_history(ACCOUNT, other.id)] == [other.price, other.price]


def test_price_lists_of_different_kinds_keep_out_of_each_other_though_their_ids_are_the_same(ledger: Ledger):
    """An id of one kind may be that of another: its price, delivery time and name are not this one's."""
    check = PricedService(id=SERVICE, name="Check", price=Money(Decimal("0.08"), "USD"), delivery="Instant")
    unlock = PricedService(id=SERVICE, name="Unlock by file", price=Money(Decimal("3.75"), "USD"), delivery="3 days")
    assert ledger.record_prices(ACCOUNT, [check]) == 1
    assert ledger.prices_fetched_at(ACCOUNT, OrderKind.FILE) is None
    assert ledger.record_prices(ACCOUNT, [unlock], OrderKind.FILE) == 1
    assert ledger.record_prices(ACCOUNT, [check]) == 0
    for kind, one in ((OrderKind.IMEI, check), (OrderKind.FILE, unlock)):
        assert [(kept.name, kept.price) for kept in ledger.price_list(ACCOUNT, kind)] == [(one.name, one.price)]
        assert [kept.price for kept in ledger.price_history(ACCOUNT, SERVICE, kind)] == [one.price]
        assert ledger.delivery(ACCOUNT, SERVICE, kind) == one.delivery
        assert ledger.prices_fetched_at(ACCOUNT, kind) == ledger.priced_at(ACCOUNT, kind) == ledger.clock()
    assert ledger.price_list(ACCOUNT, OrderKind.SERVER) == []
    assert ledger.priced_at(ACCOUNT, OrderKind.SERVER) is None
    assert ledger.known_services(ACCOUNT)[SERVICE] == {"Check"}


def test_services_are_listed_in_the_order_in_which_people_count(ledger: Ledger):
    ids = ["10", "2", "x9", "1", "a1", "100"]
    ledger.record_prices(ACCOUNT, [PricedService(id=ServiceId(one), name="Check") for one in ids])
    assert [one.id for one in ledger.price_list(ACCOUNT)] == ["1", "2", "10", "100", "a1", "x9"]
