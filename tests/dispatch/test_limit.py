"""How many calls at once: it grows fast, heeds refusals and waits at the server, and never passes the ceiling."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.limit import ConcurrencyLimit

SIZE = 100


def _ramp(limit: ConcurrencyLimit, until: float) -> int:
    """Begin as many calls as may until a time, none of which ends; say how many."""
    now, in_flight = 0.0, 0
    while True:
        at = limit.room_at(now, in_flight)
        if at > until:
            return in_flight
        if at > now:
            now = at
            continue
        limit.begun(now, crowd=in_flight, size=SIZE)
        in_flight += 1


def _serve(limit: ConcurrencyLimit, crowd: int, latency_s: float, *, at: float = 0.0, count: int = 16) -> None:
    samples = [limit.begun(at, crowd=crowd, size=SIZE) for _ in range(count)]
    for sample in samples:
        is_trial = limit.is_trying and crowd + 1 >= (limit.cap or 0)
        limit.admitted(at + latency_s, sample, size=SIZE, crowd=crowd, is_trial=is_trial)


def _queue(limit: ConcurrencyLimit) -> None:
    """Show that a server of about 16 slots, a second a call, makes 64 calls wait."""
    for crowd in range(16):
        _serve(limit, crowd, 1.0, count=2)
    _serve(limit, 63, 4.0)


def test_it_grows_from_two_to_hundreds_in_seconds_without_waiting_for_an_end() -> None:
    assert _ramp(ConcurrencyLimit(ceiling=64), 0.0) <= 3
    assert _ramp(ConcurrencyLimit(ceiling=1000), 2.0) >= 150


def test_a_number_proved_earlier_is_used_at_once() -> None:
    assert 40 <= _ramp(ConcurrencyLimit(ceiling=64, proven=40), 0.0) <= 44


def test_a_learned_number_does_not_pass_the_ceiling() -> None:
    assert _ramp(ConcurrencyLimit(ceiling=8, proven=40), 60.0) == 8


def test_a_bound_holds_the_ramp_while_the_chunk_size_is_unknown() -> None:
    limit = ConcurrencyLimit(ceiling=64)
    limit.bound = 20
    assert _ramp(limit, 60.0) == 20


def test_over_a_long_wire_a_step_takes_as_long_as_a_refusal_would() -> None:
    limit = ConcurrencyLimit(ceiling=1000)
    for _ in range(20):
        limit.note_connect(0.1)
    assert _ramp(limit, 0.29) <= 5


def test_a_refusal_shows_the_most_that_is_admitted() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.refused(1.0, crowd=30)
    assert limit.allowed == 30
    assert limit.room_at(1.0, 30) > 1.0
    assert "takes 30 calls at once" in limit.reason


def test_of_calls_refused_together_the_one_among_the_fewest_counts() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.refused(1.0, crowd=31)
    limit.lower(30)
    limit.lower(35)
    assert limit.allowed == 30


def test_one_more_is_tried_after_a_while_and_many_calls() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.refused(0.0, crowd=30)
    assert limit.room_at(0.0, 30) > 0.0
    _serve(limit, 29, 0.1, at=1.0, count=250)
    assert limit.room_at(60.0, 30) == 60.0
    assert limit.allowed == 31
    assert limit.room_at(60.0, 31) == math.inf


def test_when_one_more_is_admitted_the_ramp_goes_on() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.refused(0.0, crowd=30)
    limit.verify(1.0)
    assert limit.room_at(1.0, 30) == 1.0
    _serve(limit, 30, 0.5, at=1.0, count=1)
    assert limit.cap is None
    assert _ramp(limit, 60.0) == 64


def test_when_one_more_is_refused_it_is_tried_later_and_later() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.refused(0.0, crowd=30)
    waits = []
    now = 0.0
    for _ in range(3):
        _serve(limit, 29, 0.001, at=now, count=250)
        at = limit.room_at(now, 30)
        waits.append(at - now)
        limit.room_at(at, 30)
        limit.refused(at, crowd=30)
        now = at
    assert waits == sorted(waits)
    assert waits[-1] >= 2 * waits[0]


def test_after_a_silence_calls_come_back_in_steps() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=40)
    limit.ease(0.0, 3)
    assert limit.allowed == 4
    assert _ramp(limit, 0.0) < 10
    limit.ease(0.0, 3)
    assert _ramp(limit, 1.0) >= 40


def test_calls_that_wait_at_the_server_shrink_it_to_what_keeps_the_server_busy() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=64)
    _queue(limit)
    assert limit.is_queued
    assert 16 < limit.value <= 24
    assert "calls wait at the server" in limit.reason


def test_a_shrunk_number_is_taken_back_when_calls_are_no_faster() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=64)
    _queue(limit)
    _serve(limit, limit.allowed - 1, 4.0, at=10.0)
    assert limit.value == 64
    assert not limit.is_queued
    assert "not because of the number" in limit.reason


def test_a_shrunk_number_stays_when_calls_are_faster() -> None:
    limit = ConcurrencyLimit(ceiling=64, proven=64)
    _queue(limit)
    before = limit.value
    _serve(limit, limit.allowed - 1, 1.3, at=10.0)
    assert limit.is_queued
    assert limit.value == before


def test_a_shrunk_number_grows_again_faster_and_faster_while_calls_do_not_wait() -> None:
    limit = ConcurrencyLimit(ceiling=500, proven=64)
    _queue(limit)
    values = [limit.value]
    for round_ in range(5):
        _serve(limit, limit.allowed - 1, 1.0, at=10.0 + 2 * round_)
        values.append(limit.value)
    steps = [after / before for before, after in pairwise(values)]
    assert all(step > 1 for step in steps)
    assert steps[-1] > steps[1]


def test_it_does_not_grow_while_the_server_is_just_busy() -> None:
    limit = ConcurrencyLimit(ceiling=500, proven=64)
    _queue(limit)
    _serve(limit, limit.allowed - 1, 1.3, at=10.0)
    before = limit.value
    for round_ in range(5):
        _serve(limit, limit.allowed - 1, 1.3, at=12.0 + 2 * round_)
    assert limit.value == before


@given(
    ceiling=st.integers(1, 200),
    proven=st.integers(0, 400),
    cap=st.none() | st.integers(1, 400),
    queued=st.none() | st.integers(1, 400),
    moves=st.lists(
        st.tuples(st.sampled_from(["room", "refused", "serve", "free", "ease", "verify"]), st.integers(0, 300)),
        max_size=40,
    ),
)
def test_whatever_happens_at_least_one_call_may_leave_and_never_more_than_the_ceiling(
    ceiling: int, proven: int, cap: int | None, queued: int | None, moves: list[tuple[str, int]]
) -> None:
    limit = ConcurrencyLimit(ceiling=ceiling, proven=proven, cap=cap, queued=queued)
    for now, (move, crowd) in enumerate(moves):
        match move:
            case "room":
                limit.room_at(float(now), crowd)
            case "refused":
                limit.refused(float(now), crowd=crowd)
            case "serve":
                _serve(limit, crowd, 0.1 + crowd, at=float(now))
            case "free":
                limit.free(value=float(crowd))
            case "ease":
                limit.ease(float(now), crowd)
            case _:
                limit.verify(float(now))
        assert 1 <= limit.allowed <= ceiling


@pytest.mark.parametrize("crowd", [0, 1])
def test_a_refusal_among_none_leaves_one(crowd: int) -> None:
    limit = ConcurrencyLimit(ceiling=64)
    limit.refused(0.0, crowd=crowd)
    assert limit.allowed == 1


def test_calls_of_a_step_leave_one_after_the_other() -> None:
    limit = ConcurrencyLimit(ceiling=1000, proven=100)
    assert _ramp(limit, 0.0) <= 101
    assert _ramp(limit, 0.020) <= 114


def test_whoever_comes_late_in_a_step_is_owed_what_was_due_since() -> None:
    prompt, late = ConcurrencyLimit(ceiling=1000, proven=100), ConcurrencyLimit(ceiling=1000, proven=100)
    _ramp(late, 0.0)
    late.room_at(0.015, 101)
    assert _ramp(prompt, 0.015) - 2 <= _ramp(late, 0.015) <= _ramp(prompt, 0.015) + 2
