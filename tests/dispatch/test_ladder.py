"""A search for limits finds less than the truth and not much less, and stops where it hurts."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imeiflow.dispatch.call import Refusal
from imeiflow.dispatch.ladder import Ladder, Recommendation
from imeiflow.dispatch.step import Fate, Grade, Sample, Step, StepGate, StepKind, grade_share, measure_step
from imeiflow.simulator.limiter import BanRule, Rate, RateGate, RateKind, make_limiter

NO_BAN = BanRule(0, 60.0, 60.0)


@dataclass
class Server:
    """A provider in virtual time: slots that queue or refuse, limits of rate, bans."""

    latency_s: float = 0.3
    slots: int = 0
    queues: bool = True
    rates: str = ""
    kind: RateKind = RateKind.SLIDING
    burst: int = 0
    ban: BanRule = NO_BAN
    says_wait: bool = False
    late: Iterator[float] = field(default_factory=lambda: itertools.repeat(0.0))  #: a place is free so long after
    gate: RateGate = field(init=False)
    busy: list[float] = field(default_factory=list)
    calls: int = 0
    calls_after_ban: int = 0

    def __post_init__(self) -> None:
        limiters = [make_limiter(self.kind, rate, self.burst) for rate in Rate.parse(self.rates)]
        self.gate = RateGate(limiters, self.ban)

    def answer(self, now: float) -> tuple[float, Fate, Refusal | None]:
        """Give when a call that came now is answered, and how."""
        self.calls += 1
        was_banned = self.gate.bans
        turned = self.gate.admit(now)
        if turned is not None:
            self.calls_after_ban += bool(was_banned)
            wait_s = math.ceil(turned.wait) if self.says_wait and not turned.is_ban else None
            return now + 0.02, Fate.REFUSED, Refusal(is_ban=turned.is_ban, retry_after_s=wait_s)
        self.busy = [end for end in self.busy if end > now]
        if self.slots and len(self.busy) >= self.slots:
            if not self.queues:
                return now + 0.02, Fate.REFUSED, Refusal()
            start = heapq.nsmallest(len(self.busy) - self.slots + 1, self.busy)[-1]
        else:
            start = now
        self.busy.append(start + self.latency_s + next(self.late))
        return start + self.latency_s, Fate.SERVED, None


def search(server: Server, **values) -> Ladder:
    """Search to the end, in virtual time."""
    ladder = Ladder(**{"ceiling": 64, **values})
    now = 1000.0
    for steps in itertools.count():
        assert steps < 40
        step = ladder.next_step()
        if step is None:
            return ladder
        now += step.rest_s
        now = climb(server, ladder, step, now)
    raise AssertionError


def climb(server: Server, ladder: Ladder, step: Step, now: float) -> float:
    gate = StepGate(step, now)
    under_way: list[tuple[float, int, float, int, Fate, Refusal | None]] = []
    numbers = itertools.count()
    while not gate.is_over:
        ready_at = gate.ready_at(now)
        if under_way and under_way[0][0] <= ready_at:
            now, _, began_at, crowd, fate, refusal = heapq.heappop(under_way)
            gate.end(Sample(began_at, now, crowd, fate, refusal))
        elif ready_at < math.inf:
            now = ready_at
            assert gate.in_flight < step.concurrency
            crowd = gate.begin(now)
            ended_at, fate, refusal = server.answer(now)
            heapq.heappush(under_way, (ended_at, next(numbers), now, crowd, fate, refusal))
    ladder.note(gate)
    return now


def note_calls(ladder: Ladder, number: int, calls: list[tuple[float, float, Fate]]) -> None:
    """Let the next step, of so many at once, come to these calls: when they began and ended, and how."""
    step = ladder.next_step()
    assert step is not None
    assert step.concurrency == number
    gate = StepGate(step, 0.0)
    crowds = [gate.begin(began_at) for began_at, _, _ in calls]
    for crowd, (began_at, ended_at, fate) in zip(crowds, calls, strict=True):
        gate.end(Sample(began_at, ended_at, crowd, fate, Refusal() if fate is Fate.REFUSED else None))
    ladder.note(gate)


def found(server: Server, **values) -> Recommendation:
    recommendation = search(server, **values).recommend()
    assert recommendation is not None
    return recommendation


@pytest.mark.parametrize(
    ("share", "grade"),
    [
        (0.0, Grade.GOOD),
        (0.0499, Grade.GOOD),
        (0.05, Grade.BORDERLINE),
        (0.10, Grade.BORDERLINE),
        (0.1001, Grade.TOO_MUCH),
        (1.0, Grade.TOO_MUCH),
    ],
)
def test_under_5_percent_is_good_up_to_10_borderline_and_above_too_much(share, grade):
    assert grade_share(share) is grade


def test_a_server_without_limits_gets_the_ceiling():
    one = found(Server())
    assert (one.concurrency, one.per_s) == (64, None)


def test_more_than_a_server_works_on_is_not_recommended_where_only_the_ceiling_ends_the_search():
    ladder = search(Server(slots=5), ceiling=8)
    one = ladder.recommend()
    assert (ladder.end_reason, one.concurrency, one.per_s) == ("the ceiling is reached", 5, None)
    assert one.reason == "the ceiling was reached, and nothing was refused; more at once only wait at the server"
    paced = found(Server(slots=5), ceiling=8, per_s=1.0)  # it is the pace that keeps the calls few
    assert (paced.concurrency, paced.reason) == (8, "the ceiling was reached, and nothing was refused")


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.sampled_from([0.1, 0.5, 3.5]))
def test_slots_that_queue_are_found_and_no_pace_is_made_up(slots, latency_s):
    one = found(Server(slots=slots, latency_s=latency_s))
    assert one.per_s is None
    assert 0.65 * slots - 1 <= one.concurrency <= slots + 1


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 50), st.sampled_from([0.1, 0.5, 3.5]))
def test_slots_that_refuse_are_found_from_below(slots, latency_s):
    one = found(Server(slots=slots, queues=False, latency_s=latency_s))
    assert one.per_s is None
    assert 0.6 * slots <= one.concurrency <= slots


def test_calls_that_overtake_each_other_do_not_look_like_a_limit_of_rate():
    ladder = Ladder(ceiling=64)
    for number in (1, 2):
        note_calls(ladder, number, [(0.05 * turn, 0.05 * turn + 0.04, Fate.SERVED) for turn in range(number * 3)])
    # The first of three that began at once came last.
    note_calls(ladder, 3, [(0.0, 0.01, Fate.REFUSED), (0.001, 0.05, Fate.SERVED), (0.002, 0.05, Fate.SERVED)])
    assert ladder.next_step().kind is StepKind.CHECK


def test_a_place_that_is_free_only_after_the_answer_does_not_look_like_a_limit_of_rate():
    ladder = search(Server(slots=4, queues=False, latency_s=0.1, late=itertools.cycle([0.0] * 30 + [0.03])))
    one = ladder.recommend()
    assert 3 <= one.concurrency <= 4
    assert one.per_s is None
    assert StepKind.PACE not in {step.step.kind for step in ladder.measured}


RATES = st.sampled_from(["30/10s", "60/min", "120/min", "20/5s", "5/s", "100/20s"])


@settings(deadline=None, max_examples=60)
@given(RATES, st.sampled_from(RateKind), st.booleans(), st.sampled_from([0.05, 0.3]))
def test_a_limit_of_rate_is_found_from_below_and_tried_out(text, kind, says_wait, latency_s):
    server = Server(rates=text, kind=kind, says_wait=says_wait, latency_s=latency_s)
    one = found(server)
    (rate,) = Rate.parse(text)
    truth = rate.calls / rate.period
    if one.per_s is None:  # so few at once are slower than the limit
        assert one.concurrency / latency_s <= 1.01 * truth
        return
    assert 0.2 * truth <= one.per_s <= 1.01 * truth


@pytest.mark.parametrize("kind", RateKind)
@pytest.mark.parametrize("calls", [10, 20])
@pytest.mark.parametrize("latency_s", [0.001, 0.05])
@pytest.mark.parametrize("text", ["5/s", "10/s", "20/s", "200/10s"])
def test_a_short_limit_of_rate_shows_though_every_step_is_over_at_once(text, latency_s, calls, kind):
    one = found(Server(rates=text, kind=kind, latency_s=latency_s), calls=calls)
    (rate,) = Rate.parse(text)
    assert one.per_s is not None
    assert 0.35 <= one.per_s * rate.period / rate.calls <= 1.0


def test_what_is_recommended_was_kept_up_for_longer_than_a_burst():
    ladder = search(Server(latency_s=0.001, slots=2), ceiling=8, calls=10)
    last = ladder.measured[-1]
    assert (last.step.kind, last.step.concurrency, last.calls) == (StepKind.CHECK, ladder.recommend().concurrency, 400)
    longer = search(Server(latency_s=2.0), ceiling=2)
    assert {one.step.kind for one in longer.measured} == {StepKind.CONCURRENCY}


@settings(deadline=None, max_examples=60)
@given(RATES, st.integers(1, 8), st.booleans(), st.sampled_from([0.05, 0.3]))
def test_a_ban_ends_it_and_nothing_is_sent_into_it(text, calls, says_wait, latency_s):
    server = Server(rates=text, ban=BanRule(calls, 60.0, 300.0), says_wait=says_wait, latency_s=latency_s)
    ladder = search(server)
    assert server.gate.bans <= 1
    assert ladder.is_banned == (server.gate.bans == 1)
    most_under_way = max(one.step.concurrency for one in ladder.measured)
    assert server.calls_after_ban < most_under_way
    recommendation = ladder.recommend()
    if ladder.is_banned and recommendation is not None:
        (rate,) = Rate.parse(text)
        assert recommendation.per_s <= 1.01 * rate.calls / rate.period


def test_the_first_step_that_is_too_much_ends_the_climb():
    ladder = search(Server(slots=5, queues=False))
    rungs = [one for one in ladder.measured if one.step.kind is StepKind.CONCURRENCY]
    assert [one.grade for one in rungs] == [*[Grade.GOOD] * (len(rungs) - 1), Grade.TOO_MUCH]
    assert ladder.measured[-1].step.kind is StepKind.CHECK


def test_there_is_a_rest_before_every_step_but_the_first():
    steps = [one.step for one in search(Server(), rest_s=7.0).measured]
    assert [step.rest_s for step in steps] == [0.0, *[7.0] * (len(steps) - 1)]


def test_the_user_s_own_pace_is_kept():
    ladder = search(Server(), per_s=5.0)
    assert max(one.per_s for one in ladder.measured) <= 5.5


def test_a_time_to_wait_is_obeyed():
    gate = StepGate(Step(StepKind.CONCURRENCY, 1, 100), 0.0)
    gate.begin(0.0)
    gate.end(Sample(0.0, 1.0, 0, Fate.REFUSED, Refusal(retry_after_s=30.0)))
    assert gate.retry_after_s == 30.0
    assert gate.is_over
    ladder = search(Server(rates="20/10s", kind=RateKind.FIXED, says_wait=True, latency_s=0.05))
    (pace, *_) = [one for one in ladder.measured if one.step.kind is StepKind.PACE]
    assert pace.step.rest_s >= 5.0
    assert pace.grade is Grade.GOOD


def test_refusals_without_words_are_not_insisted_on():
    gate = StepGate(Step(StepKind.CONCURRENCY, 1, 40), 0.0)
    now, gaps = 0.0, deque()
    for _ in range(4):
        gate.begin(now)
        gate.end(Sample(now, now, 0, Fate.REFUSED, Refusal()))
        ready_at = gate.ready_at(now)
        gaps.append(ready_at - now)
        now = ready_at
    assert list(gaps) == [1.0, 2.0, 4.0, 8.0]


def test_a_step_does_not_last_for_ever():
    gate = StepGate(Step(StepKind.CONCURRENCY, 1, 1000), 0.0)
    now = 0.0
    while gate.ready_at(now) < math.inf:
        gate.begin(now)
        gate.end(Sample(now, now + 18.0, 0, Fate.SERVED))
        now += 18.0
    assert len(gate.samples) == 4


def test_latencies_are_those_of_calls_that_were_served():
    step = Step(StepKind.CONCURRENCY, 1, 20)
    samples = [Sample(float(n), n + 0.1 * (n + 1), 0, Fate.SERVED) for n in range(20)]
    found_ = measure_step(step, [*samples, Sample(30.0, 99.0, 0, Fate.FAILED)])
    assert (found_.median_s, found_.p95_s) == (pytest.approx(1.0), pytest.approx(1.9))
    assert found_.errors == 1
    assert found_.grade is Grade.GOOD


def test_a_server_that_fails_is_not_taken_for_one_that_refuses():
    class Broken(Server):
        def answer(self, now):
            ended_at, _, _ = super().answer(now)
            return ended_at, Fate.FAILED, None

    ladder = search(Broken())
    assert len(ladder.measured) == 1
    assert ladder.recommend() is None


def test_of_steps_that_bring_no_more_it_names_the_fastest():
    ladder = Ladder(ceiling=64, calls=5)
    for number, took_s in ((1, 0.10), (2, 0.25), (3, 0.33)):
        note_calls(ladder, number, [(at * took_s, (at + 1) * took_s, Fate.SERVED) for at in range(5)])
    note_calls(ladder, 1, [(at * 0.1, (at + 1) * 0.1, Fate.SERVED) for at in range(50)])
    one = ladder.recommend()
    assert ladder.next_step() is None
    assert one is not None
    assert one.reason == "more at once only wait at the server: 10.0 calls a second is all"
