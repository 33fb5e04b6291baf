import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.simulator.limiter import (
    BanRule,
    Capacity,
    Rate,
    RateGate,
    RateKind,
    Seat,
    SlidingWindow,
    TokenBucket,
    make_limiter,
)

NO_BAN = BanRule(0, 60, 60)
rates = st.builds(Rate, st.integers(1, 8), st.sampled_from([0.5, 1.0, 2.0, 60.0]))
#: Times are multiples of 1/64: sums and differences of them are exact.
steps = st.lists(st.integers(0, 64 * 20).map(lambda ticks: ticks / 64), max_size=80)


def admitted_times(gate: RateGate, gaps: list[float]) -> list[float]:
    times = list(itertools.accumulate(gaps, initial=1000.0))
    return [now for now in times if gate.admit(now) is None]


@given(rates, steps)
def test_a_sliding_window_never_admits_more_than_its_limit_in_any_period(rate, gaps):
    admitted = admitted_times(RateGate([SlidingWindow(rate)], NO_BAN), gaps)
    for start in admitted:
        assert sum(start <= now < start + rate.period for now in admitted) <= rate.calls


@given(rates, steps)
def test_a_fixed_window_admits_exactly_its_limit_in_a_window_that_had_enough_calls(rate, gaps):
    times = list(itertools.accumulate(gaps, initial=1000.0))
    admitted = admitted_times(RateGate([make_limiter(RateKind.FIXED, rate)], NO_BAN), gaps)
    for window in {now // rate.period for now in times}:
        asked = sum(now // rate.period == window for now in times)
        assert sum(now // rate.period == window for now in admitted) == min(asked, rate.calls)


@given(rates, st.integers(1, 6), steps)
def test_a_token_bucket_never_admits_more_than_its_burst_and_the_refill(rate, burst, gaps):
    admitted = admitted_times(RateGate([TokenBucket(rate, burst)], NO_BAN), gaps)
    for (i, start), (j, end) in itertools.combinations_with_replacement(enumerate(admitted), 2):
        assert j - i + 1 <= burst + (end - start) * rate.calls / rate.period + 1e-6


@given(st.sampled_from(list(RateKind)), rates, steps)
def test_a_call_is_admitted_after_the_wait_that_was_said(kind, rate, gaps):
    gate = RateGate([make_limiter(kind, rate)], NO_BAN)
    now = 1000.0
    for gap in gaps:
        now += gap
        turned = gate.admit(now)
        if turned is not None:
            now += turned.wait + 1e-6
            assert gate.admit(now) is None


@given(rates, rates, steps)
def test_two_rates_hold_together_and_a_refused_call_spends_nothing_of_either(first, second, gaps):
    admitted = admitted_times(RateGate([SlidingWindow(first), SlidingWindow(second)], NO_BAN), gaps)
    for rate, start in itertools.product((first, second), admitted):
        assert sum(start <= now < start + rate.period for now in admitted) <= rate.calls


def test_refused_calls_that_count_keep_a_client_out_that_does_not_slow_down():
    gate = RateGate([SlidingWindow(Rate(2, 10.0))], NO_BAN, counts_refused=True)
    assert sum(gate.admit(float(now)) is None for now in range(100)) == 2
    assert gate.admit(200.0) is None


def test_a_ban_follows_so_many_refusals_within_its_time_and_ends_after_its_length():
    gate = RateGate([SlidingWindow(Rate(1, 1000.0))], BanRule(3, 10.0, 30.0))
    assert gate.admit(0.0) is None
    assert [gate.admit(now).is_ban for now in (1.0, 2.0, 3.0)] == [False, False, True]
    assert gate.bans == 1
    assert gate.admit(20.0).is_ban
    assert gate.admit(20.0).wait == pytest.approx(13.0)
    assert not gate.admit(33.0).is_ban


def test_refusals_that_are_far_apart_lead_to_no_ban():
    gate = RateGate([SlidingWindow(Rate(1, 1000.0))], BanRule(3, 10.0, 30.0))
    gate.admit(0.0)
    assert not any(gate.admit(now).is_ban for now in (1.0, 8.0, 15.0, 22.0, 29.0))
    assert gate.bans == 0


def test_a_call_during_a_ban_that_extends_starts_it_anew():
    gate = RateGate([SlidingWindow(Rate(1, 1.0))], BanRule(1, 10.0, 30.0, extends=True))
    gate.admit(0.0)
    gate.admit(0.5)
    assert gate.admit(29.0).is_ban
    assert gate.admit(58.0).is_ban
    assert gate.admit(88.5) is None


@given(st.integers(1, 5), st.integers(0, 4), st.lists(st.booleans(), max_size=60))
def test_a_server_never_works_on_more_calls_than_its_capacity_and_serves_in_order(limit, queue_limit, moves):
    capacity: Capacity[int] = Capacity(limit, queues=True, queue_limit=queue_limit)
    expected: list[int] = []
    tickets = itertools.count()
    for is_arrival in moves:
        if is_arrival:
            ticket = next(tickets)
            seat = capacity.enter(ticket)
            if seat is Seat.QUEUED:
                expected.append(ticket)
            elif seat is Seat.REFUSED:
                assert capacity.busy == limit
                assert capacity.waiting == queue_limit > 0
        elif capacity.busy:
            capacity.leave()
            assert capacity.call_next() == (expected.pop(0) if expected else None)
        assert 0 <= capacity.busy <= limit
        assert capacity.waiting == len(expected)


def test_a_server_without_a_queue_refuses_the_call_above_its_capacity():
    capacity: Capacity[str] = Capacity(1, queues=False)
    assert [capacity.enter("first"), capacity.enter("second")] == [Seat.TAKEN, Seat.REFUSED]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("60/min", (Rate(60, 60.0),)),
        ("5/s, 1000/h", (Rate(5, 1.0), Rate(1000, 3600.0))),
        ("10/2.5s", (Rate(10, 2.5),)),
    ],
)
def test_a_rate_is_read_from_its_text(text, expected):
    assert Rate.parse(text) == expected


@pytest.mark.parametrize("text", ["60", "0/s", "x/min", "5/fortnight", "5/0s", "-1/s"])
def test_a_malformed_rate_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for whoever catches it
        Rate.parse(text)
