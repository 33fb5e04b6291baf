"""The writer's inbox: nothing is lost or given twice, and nobody waits for company that cannot come."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import pytest

from imeiflow.ledger.inbox import Inbox, choose_company, choose_linger

LONG_S = 60.0
MANY_PER_S = 30_000.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as opened:
        yield opened


def make_busy_inbox() -> Inbox[int]:
    """Make an inbox that has seen many changes in a short time, and would wait a minute for company."""
    ticks = count()
    inbox: Inbox[int] = Inbox(now=lambda: next(ticks) / MANY_PER_S, choose_linger=lambda _: LONG_S)
    for _ in range(20):
        inbox.put(0)
        inbox.put(0)
        inbox.take(is_patient=False)
    return inbox


def take_patiently(pool: ThreadPoolExecutor, inbox: Inbox[int], under_way: int = 0) -> Future[list[int]]:
    return pool.submit(inbox.take, is_patient=True, under_way=under_way)


@pytest.mark.parametrize(
    ("waiting", "under_way", "per_s", "company"),
    [
        (1, 100, 10, 1),
        (1, 60, MANY_PER_S, 60),
        (60, 40, MANY_PER_S, 60),
        (1, 0, MANY_PER_S, 1),
        (1, 1, MANY_PER_S, 1),
    ],
)
def test_company_is_waited_for_only_where_it_comes_soon(waiting: int, under_way: int, per_s: float, company: int):
    assert choose_company(waiting, under_way, per_s) == company


@pytest.mark.parametrize(("takes_s", "linger_s"), [(0.0, 0.003), (0.005, 0.005), (0.5, 0.01)])
def test_company_is_waited_for_as_long_as_a_transaction_takes(takes_s: float, linger_s: float):
    assert choose_linger(takes_s) == linger_s


def test_how_long_the_writer_is_away_decides_how_long_a_change_waits():
    now_s, asked = 0.0, [0.0]

    def note(takes_s: float) -> float:
        asked.append(takes_s)
        return 0.0

    inbox: Inbox[int] = Inbox(now=lambda: now_s, choose_linger=note)
    for _ in range(20):
        inbox.put(0)
        inbox.take(is_patient=True)
        now_s += 0.008
    assert asked[-1] == pytest.approx(0.008, rel=0.01)
    assert asked[2] < asked[-1]


def test_a_lone_change_is_taken_at_once(pool: ThreadPoolExecutor):
    inbox: Inbox[int] = Inbox(choose_linger=lambda _: LONG_S)
    future = take_patiently(pool, inbox)
    inbox.put(7)
    assert future.result(timeout=60) == [7]


def test_beside_a_busy_loop_the_writer_waits_for_what_is_under_way(pool: ThreadPoolExecutor):
    inbox = make_busy_inbox()
    inbox.put(1)
    future = take_patiently(pool, inbox, under_way=3)
    inbox.put(2)
    inbox.put(3)
    assert future.result(timeout=60) == [1, 2, 3]


def test_a_thread_that_waits_makes_it_go_on_at_once(pool: ThreadPoolExecutor):
    inbox = make_busy_inbox()
    inbox.put(1)
    future = take_patiently(pool, inbox, under_way=100)
    inbox.put(2, is_urgent=True)
    assert future.result(timeout=60) == [1, 2]


def test_it_goes_on_alone_when_no_company_comes():
    inbox = make_busy_inbox()
    inbox._choose_linger = lambda _: 0.0
    inbox.put(1)
    assert inbox.take(is_patient=True, under_way=100) == [1]
    inbox.put(2)
    assert inbox.take(is_patient=True, under_way=100) == [2]


def test_closing_ends_every_wait_and_lets_the_rest_be_taken(pool: ThreadPoolExecutor):
    inbox = make_busy_inbox()
    inbox.put(1)
    future = take_patiently(pool, inbox, under_way=100)
    inbox.close()
    assert future.result(timeout=60) == [1]
    assert not inbox.put(2)
    assert inbox.take(is_patient=True) == []


def test_what_many_threads_put_in_is_taken_once_each(pool: ThreadPoolExecutor):
    inbox: Inbox[tuple[int, int]] = Inbox(choose_linger=lambda _: 0.0001)
    writers, each = 4, 2000

    def put(writer: int) -> None:
        for number in range(each):
            inbox.put((writer, number), is_urgent=number % 100 == 0)

    jobs = [pool.submit(put, writer) for writer in range(writers)]
    taken: list[tuple[int, int]] = []
    while len(taken) < writers * each:
        taken += inbox.take(is_patient=True, under_way=50)
    for job in jobs:
        job.result()
    for writer in range(writers):
        assert [number for who, number in taken if who == writer] == list(range(each))
