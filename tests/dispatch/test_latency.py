"""Whether a server queues is told from whether it is merely slow, or merely varies."""

from __future__ import annotations

import random

import pytest

from imeiflow.dispatch.latency import LatencyBook, Queueing
from tests.dispatch.lane_model import Latency, lognormal, pareto, steady


def _observe(
    book: LatencyBook, crowd: int, latency: Latency, *, rng: random.Random, count: int = 16, at: float = 0.0
) -> None:
    """Let `count` calls begin among `crowd` others and all of them end."""
    samples = [book.begin(at, crowd) for _ in range(count)]
    for sample in samples:
        book.end(at + latency(rng), sample)


def _compare(few: Latency, many: Latency, seed: int = 1) -> Queueing | None:
    book, rng = LatencyBook(), random.Random(seed)
    for crowd in range(16):
        _observe(book, crowd, few, rng=rng, count=2)
    _observe(book, 64, many, rng=rng)
    return book.compare(1.0, 64)


def test_calls_that_wait_show_that_the_server_queues() -> None:
    queueing = _compare(steady(1.0), steady(2.0))
    assert queueing is not None
    assert queueing.is_certain
    assert queueing.ratio == pytest.approx(2.0)


def test_calls_of_one_speed_show_that_it_does_not() -> None:
    queueing = _compare(steady(1.0), steady(1.0))
    assert queueing is not None
    assert not queueing.is_certain
    assert queueing.ratio == pytest.approx(1.0)


def test_a_wait_of_milliseconds_is_none() -> None:
    queueing = _compare(steady(0.010), steady(0.050))
    assert queueing is not None
    assert not queueing.is_certain


@pytest.mark.parametrize("latency", [lognormal(2.0, 1.0), pareto(1.0, 1.5)], ids=["lognormal", "pareto"])
def test_latencies_that_merely_vary_hardly_ever_look_like_a_queue(latency: Latency) -> None:
    found = [_compare(latency, latency, seed) for seed in range(1000)]
    assert sum(1 for queueing in found if queueing is not None and queueing.is_certain) <= 1


def test_a_queue_is_seen_through_latencies_that_vary() -> None:
    found = [_compare(lognormal(1.0, 0.5), lognormal(4.0, 0.5), seed) for seed in range(100)]
    assert sum(1 for queueing in found if queueing is not None and queueing.is_certain) >= 95


def test_the_last_calls_to_end_do_not_pass_for_typical_ones() -> None:
    book, rng = LatencyBook(), random.Random(1)
    for crowd in range(16):
        _observe(book, crowd, steady(1.0), rng=rng, count=2)
    slow = [book.begin(0.0, 64) for _ in range(4)]
    quick = [book.begin(0.0, 64) for _ in range(12)]
    assert [book.end(1.0, sample) for sample in quick] == [False] * 11 + [True]
    for sample in slow:
        book.end(100.0, sample)
    queueing = book.compare(100.0, 64)
    assert queueing is not None
    assert not queueing.is_certain


def test_a_cohort_is_not_judged_while_too_many_of_it_are_under_way() -> None:
    book = LatencyBook()
    samples = [book.begin(0.0, 8) for _ in range(16)]
    assert not any(book.end(1.0, sample) for sample in samples[:11])
    assert book.end(1.0, samples[11])


def test_calls_without_a_latency_of_their_own_leave_the_cohort() -> None:
    book = LatencyBook()
    samples = [book.begin(0.0, 8) for _ in range(16)]
    book.drop(samples[0])
    assert not any(book.end(1.0, sample) for sample in samples[1:])


def test_too_few_calls_among_few_are_no_comparison() -> None:
    book, rng = LatencyBook(), random.Random(1)
    _observe(book, 64, steady(1.0), rng=rng)
    assert book.compare(1.0, 64) is None


def test_what_was_forgotten_is_not_compared() -> None:
    book, rng = LatencyBook(), random.Random(1)
    for crowd in range(16):
        _observe(book, crowd, steady(1.0), rng=rng, count=2)
    _observe(book, 64, steady(2.0), rng=rng)
    book.forget(above=30)
    assert book.compare(1.0, 64) is None


def test_calls_long_past_are_no_base() -> None:
    book, rng = LatencyBook(), random.Random(1)
    for crowd in range(16):
        _observe(book, crowd, steady(1.0), rng=rng, count=2)
    _observe(book, 64, steady(2.0), rng=rng, at=1000.0)
    assert book.compare(1001.0, 64) is None
