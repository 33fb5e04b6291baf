"""Searching over all jobs: complete, in order, page by page, and led by an index whatever is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Select, event, text
from sqlalchemy.dialects import sqlite

from imeiflow.domain.ident import AccountName, JobId, Reference, ServiceId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import FoundOrder, JobDraft, NewOrder
from imeiflow.ledger.search import end_with, select_jobs, select_named, select_of_job, select_rows
from imeiflow.ledger.search_condition import Key, TimeKey
from imeiflow.ledger.search_time import Few, find_by_time, select_by_time, select_in_job, select_latest
from tests.ledger.conftest import ACCOUNT, SERVICE, Clock, Desk, make_imei

S = OrderState
OTHER = ServiceId("9")


@pytest.fixture
async def filled(desk: Desk, clock: Clock, add_job: Callable[..., JobId]) -> Ledger:
    """Fill three jobs: orders of the first in several states and at several times, the others waiting; and a draft."""
    ledger = desk.ledger
    for position, state in enumerate((S.ACCEPTED, S.REFUSED, S.ACCEPTED, S.UNCONFIRMED, S.ACCEPTED)):
        more = {"reference": Reference(f"R{position}")} if state is S.ACCEPTED else {}
        await desk.end(await desk.send(position), desk.change(position, state, **more))
        clock.move(hours=1)
    first, _, third, _, fifth = desk.ids(0, 1, 2, 3, 4)
    ledger.update_statuses(ACCOUNT, [StatusUpdate(order=first, status=ResultStatus.COMPLETED, result="Model: X")])
    clock.move(hours=1)
    ledger.update_statuses(
        ACCOUNT,
        [
            StatusUpdate(order=third, status=ResultStatus.REJECTED),
            StatusUpdate(order=fifth, status=ResultStatus.PENDING),
        ],
    )
    add_job(4, first=2)
    add_job(3, first=100, service=OTHER)
    draft = ledger.create_draft(JobDraft(account=ACCOUNT, provider="p", service=SERVICE))
    ledger.add_orders(draft, [NewOrder(line=2, imei=make_imei(1))])
    return ledger


def list_all(ledger: Ledger, wanted: Filter, size: int = 100) -> list[FoundOrder]:
    found: list[FoundOrder] = []
    after: Cursor | None = None
    while True:
        page = ledger.page_orders(wanted, after=after, limit=size)
        assert len(page.orders) == size or page.next is None
        found += page.orders
        if page.next is None:
            return found
        assert page.next == end_with(wanted, page.orders[-1])
        after = Cursor.parse(str(page.next))


def wishes(start: Clock) -> list[Filter]:
    """List what can be asked for, alone and together."""
    begin = start.now - timedelta(hours=6)
    single: list[dict[str, object]] = [
        {},
        {"imeis": [make_imei(n) for n in (0, 2, 3, 100, 999)]},
        {"references": [Reference("R0"), Reference("R4"), Reference("none")]},
        {"states": frozenset({S.ACCEPTED})},
        {"states": frozenset({S.QUEUED, S.REFUSED})},
        {"states": frozenset({S.ACCEPTED, S.DUPLICATE, S.REFUSED})},
        {"states": frozenset({S.DUPLICATE})},
        {"statuses": frozenset({ResultStatus.COMPLETED, ResultStatus.PENDING})},
        {"statuses": frozenset({ResultStatus.PENDING})},
        {"jobs": [JobId(1), JobId(3)]},
        {"service": OTHER},
        {"account": AccountName("another")},
        {"accepted": Span(begin, begin + timedelta(hours=3))},
        {"accepted": Span(end=begin + timedelta(hours=2))},
        {"completed": Span(end=start.now)},
        {"completed": Span(begin)},
    ]
    pairs = [one | other for one, other in itertools.combinations(single, 2)]
    return [Filter(**values) for values in single + pairs]  # type: ignore[arg-type]


EARLY, LATE = Clock().now, Clock().now + timedelta(days=10)
DUPLICATES, REFUSED = frozenset({S.DUPLICATE}), frozenset({S.REFUSED})
PENDING, ENDS = frozenset({ResultStatus.PENDING}), frozenset({ResultStatus.COMPLETED, ResultStatus.REJECTED})


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(states=REFUSED, accepted=Span(EARLY)),
        Filter(states=DUPLICATES, accepted=Span(EARLY)),
        Filter(states=REFUSED, statuses=ENDS),
        Filter(states=REFUSED, completed=Span(EARLY)),
        Filter(statuses=PENDING, completed=Span(EARLY)),
        Filter(accepted=Span(LATE), completed=Span(end=EARLY)),
        Filter(accepted=Span(LATE, EARLY)),
    ],
)
def test_what_no_order_can_meet_is_not_looked_for(ledger: Ledger, add_job: Callable[..., JobId], wanted: Filter):
    add_job(3)
    asked: list[str] = []
    event.listen(ledger._readers, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert wanted.reduce() is None
    assert ledger.page_orders(wanted).orders == []
    assert ledger.page_rows(JobId(1), wanted) == ([], None)
    assert asked == []


def test_what_follows_from_the_rest_is_not_asked_for():
    every = frozenset({S.ACCEPTED, S.DUPLICATE, S.REFUSED})
    assert Filter(states=every, accepted=Span(EARLY)).reduce() == Filter(accepted=Span(EARLY))
    assert Filter(states=every, statuses=ENDS).reduce() == Filter(statuses=ENDS)
    assert Filter(statuses=ENDS | PENDING, completed=Span(EARLY)).reduce() == Filter(completed=Span(EARLY))
    for kept in (Filter(), Filter(states=REFUSED), Filter(statuses=PENDING, accepted=Span(EARLY)), Filter(imeis=[])):
        assert kept.reduce() == kept


def test_a_time_that_ends_with_the_calendar_is_no_error(filled: Ledger):
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    forever = Span(first, last)
    assert len(list_all(filled, Filter(accepted=forever, completed=forever, service=SERVICE))) == 2


def matches(order: FoundOrder, wanted: Filter) -> bool:
    return (
        (wanted.imeis is None or order.imei in wanted.imeis)
        and (wanted.references is None or order.reference in wanted.references)
        and (wanted.states is None or order.state in wanted.states)
        and (wanted.statuses is None or order.status in wanted.statuses)
        and (wanted.jobs is None or order.job in wanted.jobs)
        and (wanted.service is None or order.service == wanted.service)
        and (wanted.account is None or order.account == wanted.account)
        and (wanted.accepted is None or order.accepted_at in wanted.accepted)
        and (wanted.completed is None or order.completed_at in wanted.completed)
    )


def test_whatever_is_asked_for_all_that_matches_is_found_once_in_one_order_in_pages_of_any_size(
    filled: Ledger, clock: Clock
):
    everything = list_all(filled, Filter())
    assert [(order.job, order.id) for order in everything] == sorted(
        ((order.job, order.id) for order in everything), reverse=True
    )
    assert len(everything) == 13
    asked = wishes(clock)
    assert sum(bool(list_all(filled, wanted)) for wanted in asked) > 30
    for wanted in asked:
        found = list_all(filled, wanted)
        assert {order.id for order in found} == {order.id for order in everything if matches(order, wanted)}, wanted
        for size in (1, 2, 5):
            assert list_all(filled, wanted, size) == found, wanted


@pytest.mark.parametrize("few", [Few(jobs=0), Few(jobs=0, orders=0), Few(jobs=2)])
def test_by_time_the_same_is_found_whatever_leads(filled: Ledger, clock: Clock, few: Few):
    compared = 0
    for wanted in wishes(clock):
        reduced = wanted.reduce()
        if reduced is None or reduced.led_by() is None or wanted.imeis is not None or wanted.references is not None:
            continue
        for size in (1, 2, 100):
            after: Cursor | None = None
            while True:
                page = filled.page_orders(wanted, after=after, limit=size)
                with filled._read() as connection:
                    rows = find_by_time(connection, reduced, after, size, few)
                assert [row.id for row in rows] == [order.id for order in page.orders], (wanted, after)
                compared += len(rows)
                if page.next is None:
                    break
                after = page.next
    assert compared > 50


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_no_more_jobs_are_read_than_a_page_has_orders(ledger: Ledger, add_job: Callable[..., JobId], limit: int):
    """Each has orders in the wanted time, and orders of the wanted status, and few have both."""
    jobs = [add_job(2) for _ in range(40)]
    at = int(EARLY.timestamp()) * 1_000_000
    fill = """
        UPDATE orders SET state = 'accepted', accepted_at = :at + id, completed_at = :at + id + 3600000000,
        status = CASE WHEN line = 2 THEN 'rejected' ELSE 'completed' END;
        UPDATE orders SET accepted_at = :at - 1000000 WHERE line = 2 AND job_id % 8 <> 0
    """
    for statement in fill.split(";"):
        ledger._write(lambda connection, sql=statement: connection.execute(text(sql), {"at": at}))
    asked: list[str] = []
    event.listen(ledger._readers, "before_cursor_execute", lambda *told: asked.append(told[2]))
    rejected = frozenset({ResultStatus.REJECTED})
    found = ledger.page_orders(Filter(statuses=rejected, accepted=Span(EARLY)), limit=limit).orders
    expected = [job for job in reversed(jobs) if job % 8 == 0]
    assert [order.job for order in found] == expected[:limit]
    assert len(asked) <= 3 + min(limit + 1, len(expected))
    asked.clear()
    assert not ledger.page_orders(
        Filter(statuses=rejected, accepted=Span(EARLY, EARLY + timedelta(seconds=0.00001)))
    ).orders
    assert len(asked) <= 4


def test_with_a_time_the_latest_come_first(filled: Ledger):
    found = list_all(filled, Filter(accepted=Span()))
    assert [order.reference for order in found] == ["R4", "R2", "R0"]
    assert [order.reference for order in list_all(filled, Filter(completed=Span()))] == ["R2", "R0"]


def test_a_page_knows_whether_it_is_the_last(filled: Ledger):
    assert filled.page_orders(Filter(service=OTHER), limit=3).next is None
    assert filled.page_orders(Filter(service=OTHER), limit=2).next is not None
    assert filled.page_orders(Filter(jobs=[]), limit=2).orders == []


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"states": frozenset({S.ACCEPTED})},
        {"states": frozenset({S.REFUSED, S.UNCONFIRMED, S.ACCEPTED})},
        {"statuses": frozenset({ResultStatus.PENDING, ResultStatus.COMPLETED})},
        {"imeis": [make_imei(n) for n in (4, 0, 2, 999)]},
        {"imeis": [make_imei(n) for n in (4, 0, 1)], "states": frozenset({S.ACCEPTED})},
    ],
)
@pytest.mark.parametrize("job", [1, 2, 3])
def test_the_rows_of_a_job_come_in_the_order_of_its_file_in_pages_of_any_size(
    filled: Ledger, job: int, wanted: dict[str, object]
):
    newest_first = filled.page_orders(Filter(jobs=[JobId(job)], **wanted)).orders  # type: ignore[arg-type]
    expected = newest_first[::-1]
    assert [order.line for order in expected] == sorted(order.line for order in expected)
    for size in (1, 2, 100):
        found: list[FoundOrder] = []
        after = None
        while True:
            rows, after = filled.page_rows(JobId(job), Filter(**wanted), after=after, limit=size)  # type: ignore[arg-type]
            found += rows
            if after is None:
                break
            assert len(rows) == size
        assert found == expected


def test_a_draft_s_rows_are_not_shown(filled: Ledger):
    assert filled.page_rows(JobId(3), Filter()) != ([], None)
    assert filled.page_rows(JobId(4), Filter()) == ([], None)


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "a-b", "1-2-3", "²-1", "9" * 30 + "-1"])
def test_what_is_no_cursor_is_told(text: str):
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse(text)


ALL = Filter(
    imeis=[make_imei(1)],
    references=[Reference("R1")],
    states=frozenset({S.ACCEPTED, S.REFUSED}),
    statuses=frozenset({ResultStatus.COMPLETED}),
    jobs=[JobId(1)],
    service=SERVICE,
    account=ACCOUNT,
    accepted=Span(Clock().now, Clock().now),
    completed=Span(Clock().now, Clock().now),
)
NO_TIME = replace(ALL, imeis=None, references=None, accepted=None, completed=None)
NO_NAME = replace(ALL, imeis=None, references=None)
BEHIND = Cursor(5, 6)
KEY = TimeKey("completed", "accepted")
ACCEPTED = "(job_id=? AND status=? AND accepted_at>? AND accepted_at<?)"
COMPLETED = "(job_id=? AND status=? AND state=? AND completed_at>? AND completed_at<?)"
PLANS: list[tuple[Select[object], str]] = [
    (select_named(Filter(imeis=[])), "orders USING INDEX ix_orders_imei (imei=?)"),
    (select_named(ALL, BEHIND), "orders USING INDEX ix_orders_imei (imei=?)"),
    (select_named(replace(ALL, imeis=None), BEHIND), "orders USING INDEX ix_orders_reference (reference=?)"),
    (select_by_time(Filter(accepted=ALL.accepted)), "INDEX ix_orders_accepted_at (accepted_at>? AND accepted_at<?)"),
    (
        select_by_time(replace(NO_NAME, completed=None), BEHIND),
        "ix_orders_accepted_at (accepted_at>? AND accepted_at<?)",
    ),
    (
        select_by_time(Filter(accepted=Span(end=Clock().now), completed=Span(Clock().now))),
        "ix_orders_accepted_at (accepted_at>? AND accepted_at<?)",
    ),
    (select_by_time(NO_NAME, BEHIND), "ix_orders_completed_at (completed_at>? AND completed_at<?)"),
    (
        select_by_time(NO_NAME, BEHIND, is_few=True),
        "ix_orders_job_completed_at (job_id=? AND status=? AND state=?)",
    ),
    (
        select_by_time(replace(NO_NAME, statuses=None), is_few=True),
        "ix_orders_job_completed_at (job_id=? AND status=? AND state=?)",
    ),
    (
        select_by_time(replace(NO_NAME, completed=None), is_few=True),
        "ix_orders_status (job_id=? AND status=? AND state=?)",
    ),
    (
        select_by_time(replace(NO_NAME, statuses=None, states=None), is_few=True),
        "orders USING INDEX ix_orders_job_completed_at (job_id=?)",
    ),
    (select_latest(NO_NAME), f"USING COVERING INDEX ix_orders_job_completed_at {COMPLETED}"),
    (select_latest(NO_NAME), f"ix_orders_job_accepted_at {ACCEPTED}"),
    (select_latest(NO_NAME, BEHIND), f"ix_orders_job_completed_at {COMPLETED}"),
    (select_latest(replace(NO_NAME, completed=None)), f"USING COVERING INDEX ix_orders_job_accepted_at {ACCEPTED}"),
    (select_latest(replace(NO_NAME, accepted=None)), f"USING COVERING INDEX ix_orders_job_completed_at {COMPLETED}"),
    (
        select_latest(replace(NO_NAME, completed=None, statuses=None)),
        f"USING COVERING INDEX ix_orders_job_accepted_at {ACCEPTED}",
    ),
    (select_in_job(NO_NAME, KEY), f"USING COVERING INDEX ix_orders_job_completed_at {COMPLETED}"),
    (select_in_job(NO_NAME, KEY, BEHIND), f"USING COVERING INDEX ix_orders_job_completed_at {COMPLETED}"),
    (select_in_job(replace(NO_NAME, completed=None), KEY, BEHIND), f"ix_orders_job_accepted_at {ACCEPTED}"),
    (
        select_in_job(replace(NO_NAME, completed=None), TimeKey(None, "accepted"), BEHIND),
        f"ix_orders_job_accepted_at {ACCEPTED}",
    ),
    (select_jobs(NO_TIME, 9), "orders USING INDEX ix_orders_status (job_id=? AND status=? AND state=?)"),
    (select_jobs(Filter(states=ALL.states), 9), "orders USING INDEX ix_orders_claim (job_id=? AND state=?)"),
    (
        select_of_job(NO_TIME, Key("accepted", "completed")),
        "ix_orders_status (job_id=? AND status=? AND state=? AND id<?)",
    ),
    (select_of_job(Filter(states=ALL.states), Key("refused")), "ix_orders_claim (job_id=? AND state=? AND id<?)"),
    (select_of_job(Filter()), "orders USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    (select_rows(Filter(imeis=[])), "orders USING INDEX ix_orders_imei (imei=?)"),
    (select_rows(replace(ALL, references=None)), "orders USING INDEX ix_orders_imei (imei=?)"),
    (
        select_rows(NO_TIME, Key("accepted", "completed")),
        "ix_orders_status (job_id=? AND status=? AND state=? AND id>?)",
    ),
    (select_rows(Filter(states=ALL.states), Key("refused")), "ix_orders_claim (job_id=? AND state=? AND id>?)"),
    (select_rows(Filter()), "orders USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
]


@pytest.mark.parametrize(("query", "uses"), PLANS, ids=range(len(PLANS)))
def test_every_query_is_led_by_an_index_and_none_reads_all_orders(ledger: Ledger, query: Select[object], uses: str):
    nothing = {"imeis": "[]", "refs": "[]", "jobs": "[]"} | {
        "job_id": 1,
        "below": 1,
        "first": 1,
        "after": 1,
        "last": 1,
        "floor": 1,
    }
    compiled = (
        query.params(**nothing).limit(50).compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    )
    sql = str(compiled)
    with ledger._read() as connection:
        cursor = connection.connection.cursor()
        plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))]
    assert any(uses in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN orders")], plan
