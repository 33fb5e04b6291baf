"""What was spent, given back and may have been spent: exact, by time of the call, and quick over a million orders."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AccountName, JobId, Reference
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger import spending
from imeiflow.ledger.change import AttemptKind, StatusUpdate
from imeiflow.ledger.charge import sum_up
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Expense, PricedService
from imeiflow.ledger.spending import SpendingFilter
from tests.ledger.conftest import ACCOUNT, PRICE, SERVICE, Clock, Desk
from tests.ledger.older import make_older

S = OrderState
EVERYTHING = SpendingFilter()
MIDNIGHT = datetime(2025, 6, 1, tzinfo=UTC)


async def place(desk: Desk, *positions: int, state: OrderState = S.ACCEPTED, **values: object) -> None:
    attempt = await desk.send(*positions)
    await desk.end(attempt, *(desk.change(n, state, **{"reference": Reference(f"R{n}"), **values}) for n in positions))


async def test_charges_are_summed_up_by_the_quarter_of_an_hour_in_which_their_calls_left(desk: Desk):
    await place(desk, 0, 1)
    desk.clock.move(minutes=14)
    await place(desk, 2)
    desk.clock.move(minutes=1)
    await place(desk, 3, price=Decimal("0.10"))
    assert desk.ledger.charges(EVERYTHING) == [
        Expense(desk.job, MIDNIGHT, PRICE, 3),
        Expense(desk.job, MIDNIGHT + timedelta(minutes=15), Decimal("0.10"), 1),
    ]
    assert str(desk.ledger.spending(desk.job)) == "$0.34"


async def test_only_what_was_asked_for_is_told(desk: Desk):
    await place(desk, 0)
    desk.clock.move(days=1)
    await place(desk, 1)
    desk.clock.move(days=1)
    await place(desk, 2)
    day = SpendingFilter(since=MIDNIGHT + timedelta(days=1), until=MIDNIGHT + timedelta(days=2))
    assert [one.at for one in desk.ledger.charges(day)] == [MIDNIGHT + timedelta(days=1)]
    assert desk.ledger.charges(SpendingFilter(account=AccountName("other"))) == []
    assert sum(one.times for one in desk.ledger.charges(SpendingFilter(account=ACCOUNT, jobs=[desk.job]))) == 3


async def test_a_doubt_may_have_been_charged_and_counts_as_charged_when_the_user_says_so_at_the_time_of_its_call(
    desk: Desk,
):
    await place(desk, 0, 1, state=S.UNCONFIRMED, reference=None, price=PRICE)
    assert desk.ledger.possible_charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 2)]
    desk.clock.move(days=2)
    desk.ledger.mark_placed(desk.ids(0), note="seen")
    assert desk.ledger.charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 1)]
    assert desk.ledger.possible_charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 1)]


def list_price(desk: Desk, price: str, *, asked_s_ago: float = 0) -> None:
    """Let a list be seen that was asked for some seconds ago."""
    service = PricedService(id=SERVICE, name="check", price=Money(Decimal(price), "USD"))
    desk.ledger.record_prices(ACCOUNT, [service], asked_at=desk.clock() - timedelta(seconds=asked_s_ago))


async def test_what_was_placed_while_a_price_rose_unseen_may_have_cost_more_at_the_time_of_its_call(desk: Desk):
    list_price(desk, "0.08")
    await place(desk, 0)
    desk.clock.move(minutes=16)
    list_price(desk, "0.08", asked_s_ago=1)
    known_at = desk.clock() - timedelta(seconds=1)
    await place(desk, 1, 2)
    await place(desk, 3, state=S.UNCONFIRMED, outcome=Outcome.UNCONFIRMED, reference=None, charges=0)
    await place(desk, 4, state=S.REFUSED, outcome=Outcome.REFUSED, charges=0)
    desk.clock.move(minutes=1)
    list_price(desk, "0.20")
    rise = desk.ledger.price_rise(desk.job)
    assert rise is not None
    assert (rise.since, rise.until, rise.orders) == (known_at, desk.clock(), 3)
    assert str(rise.more) == "$0.36"
    summary = desk.ledger.summary(desk.job)
    assert (str(summary.spent), str(summary.in_doubt), str(summary.doubtful)) == ("$0.24", "$0.44", "$0.08")
    for state in (JobState.RUNNING, JobState.PAUSED):
        if state is not JobState.RUNNING:
            desk.ledger.change_job(desk.job, {JobState.RUNNING}, state, "enough")
        possible = desk.ledger.possible_charges(SpendingFilter(account=ACCOUNT, since=known_at))
        assert sum(one.price * one.times for one in possible) == Decimal("0.44")
        assert {one.at for one in possible} == {MIDNIGHT + timedelta(minutes=15)}
        assert desk.ledger.possible_charges(SpendingFilter(until=known_at)) == []


async def test_a_rise_is_logged_once_until_it_is_another(desk: Desk):
    list_price(desk, "0.08")
    await place(desk, 0)
    assert desk.ledger.note_price_rise(desk.job) is None
    desk.clock.move(seconds=1)
    list_price(desk, "0.20")
    for _ in range(2):
        desk.ledger.note_price_rise(desk.job)
    [event] = desk.ledger.events(job=desk.job, kinds=["price_rose_unseen"])
    assert (event.data["from"], event.data["to"], event.data["more_at_most"]) == ("0.08", "0.20", "0.12")


async def test_what_is_under_way_may_be_charged(desk: Desk):
    await desk.send(0)
    assert desk.ledger.possible_charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 1)]


async def test_a_doubt_that_a_repeat_shows_to_be_there_was_charged_by_its_first_call_at_the_price_of_that(desk: Desk):
    await place(desk, 0, state=S.UNCONFIRMED, reference=None, price=PRICE)
    desk.clock.move(days=1)
    attempt = await desk.send(0, kind=AttemptKind.AGAIN, expected=S.UNCONFIRMED)
    found = desk.change(0, S.DUPLICATE, charges=1, price=Decimal("0.99"))
    await desk.end(attempt, found)
    assert desk.ledger.charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 1)]
    assert next(row.price for row in desk.ledger.order_rows(desk.job)) == PRICE


async def test_a_probe_that_was_charged_costs_what_its_time_asks_and_one_without_answer_may_have(desk: Desk):
    await place(desk, 0)
    desk.clock.move(hours=1)
    attempt = await desk.send(0, kind=AttemptKind.PROBE, expected=S.ACCEPTED)
    assert desk.ledger.possible_charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT + timedelta(hours=1), PRICE, 1)]
    seen = RepeatEvidence(desk.clock(), timedelta(hours=1), is_refusal=False)
    await desk.end(attempt, desk.change(0, S.ACCEPTED, price=Decimal("0.10")), seen=(seen,))
    assert desk.ledger.possible_charges(EVERYTHING) == []
    assert desk.ledger.charges(EVERYTHING)[-1] == Expense(desk.job, MIDNIGHT + timedelta(hours=1), Decimal("0.10"), 1)
    assert str(desk.ledger.spending(desk.job)) == "$0.18"


async def test_a_rejected_order_is_given_back_when_it_is_seen_to_be_rejected(desk: Desk):
    await place(desk, 0, 1)
    desk.clock.move(days=1)
    first = desk.orders[0].id
    desk.ledger.update_statuses(ACCOUNT, [StatusUpdate(order=first, status=ResultStatus.REJECTED)])
    assert desk.ledger.refunds(EVERYTHING) == [Expense(desk.job, MIDNIGHT + timedelta(days=1), PRICE, 1)]
    assert str(desk.ledger.spending(desk.job)) == "$0.16"


async def test_nothing_is_given_back_for_a_rejected_order_that_was_never_charged(desk: Desk):
    """The provider had it before: that nobody knows what it cost makes no sum unknown."""
    await place(desk, 0)
    await place(desk, 1, state=S.DUPLICATE)
    rejected = [StatusUpdate(order=order, status=ResultStatus.REJECTED) for order in desk.ids(0, 1)]
    desk.ledger.update_statuses(ACCOUNT, rejected)
    assert desk.ledger.refunds(EVERYTHING) == [Expense(desk.job, MIDNIGHT, PRICE, 1)]
    assert str(desk.ledger.summary(desk.job).refunded) == "$0.08"


async def test_for_a_cap_what_was_agreed_to_within_a_quarter_of_an_hour_holds_for_all_that_it_charged(desk: Desk):
    """Sums do not tell which of its charges came before the new price: rather too much is counted than too little."""

    async def place_at_five_cents(position: int) -> Decimal:
        was = desk.ledger.charged_as_agreed(EVERYTHING)
        await place(desk, position, price=Decimal("0.05"))
        return desk.ledger.charged_as_agreed(EVERYTHING) - was

    def agree_to(price: str) -> None:
        desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, "the price changed")
        desk.ledger.accept_price(desk.job, Decimal(price))
        desk.ledger.change_job(desk.job, {JobState.PAUSED}, JobState.RUNNING, None)

    assert await place_at_five_cents(0) == PRICE
    desk.clock.move(minutes=5)
    agree_to("0.12")
    desk.clock.move(minutes=3)
    assert desk.ledger.charged_as_agreed(EVERYTHING) == Decimal("0.12")
    assert await place_at_five_cents(1) == Decimal("0.12")
    desk.clock.move(minutes=10)
    assert await place_at_five_cents(2) == Decimal("0.12")
    agree_to("0.06")
    desk.clock.move(minutes=15)
    assert await place_at_five_cents(3) == Decimal("0.06")


async def test_a_price_that_was_agreed_to_later_changes_nothing_of_what_was_charged_before(desk: Desk):
    await place(desk, 0)
    desk.clock.move(minutes=15)
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, "the price rose")
    desk.ledger.accept_price(desk.job, Decimal("0.12"))
    assert desk.ledger.charged_as_agreed(EVERYTHING) == PRICE


async def test_a_price_that_is_not_known_is_said_to_be_unknown(desk: Desk):
    await place(desk, 0, price=None)
    assert desk.ledger.charges(EVERYTHING) == [Expense(desk.job, MIDNIGHT, None, 1)]
    assert desk.ledger.spending(desk.job) is None


def test_charges_of_orders_of_an_older_ledger_are_summed_up_when_it_is_opened(tmp_path: Path, clock: Clock):
    make_older(tmp_path / "old.db", "0002", _OLD)
    with Ledger.open(tmp_path / "old.db", clock=clock) as opened:
        assert opened.charges(EVERYTHING) == [
            Expense(JobId(1), MIDNIGHT, PRICE, 3),
            Expense(JobId(1), MIDNIGHT + timedelta(hours=1), None, 1),
        ]


_OLD = """
    INSERT INTO job (id, account, provider, service, service_name, name, source, state, priority, policy, currency,
    has_header, created_at, worked_s) VALUES (1, 'a', 'gsm-fusion', '1', '', '', '', 'finished', 0, 'settle', 'USD', 0,
    0, 0);
    INSERT INTO attempt (id, job_id, account, kind, size, token, started_at)
    VALUES (1, 1, 'a', 'place', 2, 1, 1748736180000000);
    INSERT INTO orders (id, job_id, line, imei, state, attempts, attempt_id, price, charges, accepted_at) VALUES
    (1, 1, 2, '356938030000005', 'accepted', 1, 1, '0.08', 1, 5),
    (2, 1, 3, '356938030000013', 'duplicate', 1, 1, '0.08', 2, NULL),
    (3, 1, 4, '356938030000021', 'accepted', 1, NULL, NULL, 1, 1748739600000000),
    (4, 1, 5, '356938030000039', 'refused', 1, 1, '0.08', 0, NULL);
"""


def test_money_is_added_up_from_sums_and_from_what_is_out_of_the_ordinary_never_from_all_orders(ledger: Ledger):
    for query in (spending._charges, spending._refunds, spending._doubts, spending._probes):
        sql = sum_up(query).compile(compile_kwargs={"literal_binds": True})
        with ledger._read() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if re.match(r"SCAN (orders|attempt|attempt_order)$", step)], plan
        assert not [step for step in plan if "AUTOMATIC" in step], plan


async def test_what_running_jobs_may_yet_be_charged_is_what_waits_what_is_under_way_and_what_may_be_settled(desk: Desk):
    limits, waiting = {ACCOUNT: PRICE}, desk.count(S.QUEUED)

    def outstanding() -> Decimal:
        return desk.ledger.outstanding(ACCOUNT, limits)["USD"]

    assert outstanding() == PRICE * (waiting + 1)  # and a repeat probe
    assert desk.ledger.outstanding(ACCOUNT, {}) == {"USD": PRICE * waiting}
    attempt = await desk.send(0, 1)
    assert outstanding() == PRICE * (waiting + 1)
    await desk.end(attempt, desk.change(0, S.ACCEPTED), desk.change(1, S.UNCONFIRMED, reference=None, price=PRICE))
    assert outstanding() == PRICE * waiting  # the doubt may not have been charged by now
    assert desk.ledger.outstanding(AccountName("other"), limits) == {}
    desk.ledger.change_job(desk.job, {JobState.RUNNING}, JobState.PAUSED, None)
    assert desk.ledger.outstanding(ACCOUNT, limits) == {}
