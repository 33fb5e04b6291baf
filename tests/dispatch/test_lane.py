"""The gate that all calls to one account pass: it tells number from rate, says why, and remembers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imeiflow.dispatch.call import Call, CallEnd, Refusal
from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.pace import Pace
from imeiflow.dispatch.rate import Window, spread
from tests.dispatch.lane_model import ServerModel, run_lane, steady

NO_WORDS = Refusal()
RATE = Refusal(says_rate=True)


def _fill(lane: Lane, now: float) -> list[Call]:
    """Begin as many calls as may at one moment."""
    calls = []
    while lane.ready_at(now) <= now:
        calls.append(lane.begin(now, 100))
        assert lane.in_flight <= lane.limit.ceiling, "more at once than the ceiling"
    return calls


def _learned(server: ServerModel, calls: int = 400, **options: int) -> dict[str, object]:
    lane = Lane(**{"ceiling": 256, **options})  # type: ignore[arg-type]
    run_lane(lane, server, calls)
    return json.loads(json.dumps(lane.as_learned()))


def test_calls_under_way_are_counted_from_begin_to_end() -> None:
    lane = Lane(learned={"proven": 5})
    calls = _fill(lane, 0.0)
    assert lane.in_flight == len(calls) >= 5
    for call, end in zip(
        calls, [CallEnd.SUCCESS, CallEnd.IGNORE, CallEnd.DROPPED, *[CallEnd.SUCCESS] * 9], strict=False
    ):
        lane.end(1.0, call, end)
    assert lane.in_flight == 0
    assert lane.refused == 1


def test_when_all_slots_are_taken_it_waits_for_an_end() -> None:
    lane = Lane(ceiling=3)
    _fill(lane, 0.0)
    _fill(lane, 1.0)
    assert lane.in_flight == 3
    assert lane.ready_at(2.0) == math.inf


def test_while_the_chunk_size_is_unknown_few_calls_are_under_way() -> None:
    lane = Lane(learned={"proven": 60})
    lane.hold_ramp(is_canary_phase=True)
    assert len(_fill(lane, 0.0)) == 20
    lane.hold_ramp(is_canary_phase=False)
    assert len(_fill(lane, 0.1)) >= 40


def test_a_refusal_without_words_is_taken_for_one_call_too_many_first() -> None:
    lane = Lane(learned={"proven": 40})
    calls = _fill(lane, 0.0)
    lane.end(0.01, calls[30], CallEnd.DROPPED, NO_WORDS)
    assert lane.limit.cap == 30
    assert lane.pace.model is None


def test_of_calls_refused_together_the_one_among_the_fewest_shows_the_number() -> None:
    lane = Lane(learned={"proven": 40})
    calls = _fill(lane, 0.0)
    lane.end(0.01, calls[31], CallEnd.DROPPED, NO_WORDS)
    lane.end(0.01, calls[30], CallEnd.DROPPED, NO_WORDS)
    assert lane.limit.cap == 30


def test_a_refusal_that_speaks_of_a_rate_does_not_touch_the_number() -> None:
    lane = Lane(learned={"proven": 40})
    calls = _fill(lane, 0.0)
    lane.end(0.01, calls[30], CallEnd.DROPPED, RATE)
    assert lane.limit.cap is None
    assert lane.pace.is_limiting


def test_one_more_call_that_is_admitted_although_none_has_ended_shows_that_it_was_the_rate() -> None:
    lane = Lane(ceiling=256)
    run_lane(lane, ServerModel(latency=steady(30.0), limit=("bucket", 20.0, 20.0)), 500, until=10.0)
    assert lane.limit.cap is None
    assert lane.pace.model is not None
    assert 15 <= lane.pace.model.rate <= 26


def test_refusals_among_fewer_calls_than_were_admitted_before_show_that_it_is_the_rate() -> None:
    lane = Lane(ceiling=256)
    run_lane(lane, ServerModel(latency=steady(0.2), limit=("fixed", 50, 10.0)), 120)
    assert lane.limit.cap is None
    assert isinstance(lane.pace.model, Window)


def test_a_full_server_is_never_taken_for_a_rate() -> None:
    lane = Lane(ceiling=256)
    run_lane(lane, ServerModel(latency=steady(1.0), slots=30, on_full="refuse"), 1000)
    assert lane.limit.cap == 30
    assert lane.pace.model is None


@pytest.mark.parametrize("says", ["rate", "retry-after"])
def test_a_rate_and_a_full_server_are_both_found(says: str) -> None:
    lane = Lane(ceiling=256)
    server = ServerModel(slots=30, on_full="refuse", limit=("bucket", 10.0, 20.0), says=says)
    run_lane(lane, server, 1000)
    assert lane.limit.cap is not None
    assert 25 <= lane.limit.cap <= 32
    assert lane.pace.model is not None
    assert lane.pace.model.rate >= 8.0


@pytest.mark.parametrize(
    "server",
    [
        {"slots": 30, "on_full": "refuse"},
        {"slots": 30},
        {"limit": ("fixed", 100, 10.0)},
        {"limit": ("bucket", 10.0, 20.0), "says": "retry-after"},
        {"limit": ("bucket", 10.0, 20.0), "ban_after": 2},
        {},
    ],
    ids=str,
)
def test_what_was_learned_is_taken_up_as_it_was(server: dict[str, object]) -> None:
    learned = _learned(ServerModel(**server))  # type: ignore[arg-type]
    again = Lane(ceiling=256, learned=learned).as_learned()
    pace = learned["pace"]
    assert isinstance(pace, dict | None)
    left = pace and pace.pop("left", None)
    assert (left is not None) == (pace is not None and "calls" in pace)
    assert again == learned


def test_whoever_takes_over_during_a_ban_begins_slowly() -> None:
    server = ServerModel(latency=steady(1.0), limit=("fixed", 100, 10.0), ban_after=2, says="rate")
    lane = Lane(ceiling=256)
    run_lane(lane, server, 1000, until=5.0)
    again = Lane(ceiling=256, learned=json.loads(json.dumps(lane.as_learned())))
    assert again.pace.bans == 1
    assert len(_fill(again, 0.0)) == 1
    assert again.ready_at(0.0) > 0.3


def test_whoever_has_learned_is_hardly_refused_at_the_start() -> None:
    learned = _learned(ServerModel(slots=30, on_full="refuse"))
    run = run_lane(Lane(ceiling=256, learned=learned), ServerModel(slots=30, on_full="refuse"), 100)
    assert run.refused == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ["proven", "cap", "queued", "calls", "period_s", "rate", "burst", "step", "bans", "warnings", "run", "floor_s"]
)
paces = json_values | st.dictionaries(names, json_values)


@given(st.dictionaries(names, json_values), paces)
def test_whatever_the_ledger_gives_back_a_lane_works(learned: dict[str, object], pace: object) -> None:
    lane = Lane(learned={**learned, "pace": pace})
    now = max(0.0, lane.ready_at(0.0))
    assert now < math.inf
    lane.end(now + 1, lane.begin(now), CallEnd.SUCCESS)
    lane.view()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (
            ServerModel(latency=steady(1.0), slots=30, on_full="refuse"),
            "30 calls at once: the provider takes 30 calls at once",
        ),
        (ServerModel(latency=steady(1.0), limit=("fixed", 100, 10.0)), "100 calls in 10.1 s"),
        (ServerModel(latency=steady(1.0), limit=("bucket", 10.0, 20.0), says="rate"), "the provider refused calls at"),
        (ServerModel(latency=steady(1.0), slots=30), "calls wait at the server"),
        (ServerModel(latency=steady(0.1)), "256 calls at once, the most that are allowed"),
    ],
    ids=["number", "window", "bucket", "queue", "ceiling"],
)
def test_it_says_what_the_speed_comes_from(server: ServerModel, words: str) -> None:
    reasons = []
    lane = Lane(ceiling=256)
    run_lane(lane, server, 5000, until=25.0, watch=lambda _, watched: reasons.append(watched.view().reason))
    assert any(words in reason for reason in reasons), set(reasons)


def test_it_says_that_the_pace_is_the_users() -> None:
    lane = Lane(rate=Window(60, 60.0))
    _fill(lane, 0.0)
    assert lane.view().reason == "1.0 calls a second, set by you"


def test_it_says_that_it_waits_out_a_silence() -> None:
    lane = Lane()
    call = lane.begin(0.0)
    lane.end(0.1, call, CallEnd.DROPPED, Refusal(retry_after_s=30.0))
    lane.ready_at(1.0)
    assert lane.view().reason.startswith("waiting: ")
    assert lane.view().blocked_until >= 30.0


moves = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from([*CallEnd]),
        st.sampled_from([NO_WORDS, RATE, Refusal(retry_after_s=2.0), Refusal(says_rate=True, is_ban=True)]),
    ),
    max_size=80,
)


_REFUSED_TRIAL = [
    (0.0, CallEnd.DROPPED, NO_WORDS),
    (0.108, CallEnd.IGNORE, NO_WORDS),
    (0.055, CallEnd.DROPPED, RATE),
    (0.262, CallEnd.IGNORE, NO_WORDS),
    (0.111, CallEnd.IGNORE, NO_WORDS),
    (0.129, CallEnd.SUCCESS, NO_WORDS),
    (0.0, CallEnd.SUCCESS, NO_WORDS),
]


@example(ceiling=2, moves=_REFUSED_TRIAL)
@given(ceiling=st.integers(1, 64), moves=moves)
def test_whatever_the_provider_says_calls_stay_under_the_ceiling_and_go_on(
    ceiling: int, moves: list[tuple[float, CallEnd, Refusal]]
) -> None:
    lane, now = Lane(ceiling=ceiling), 0.0
    under_way: list[Call] = []
    for wait_s, end, refusal in moves:
        under_way.extend(_fill(lane, now))
        assert lane.in_flight == len(under_way) <= ceiling
        now += wait_s
        if under_way:
            lane.end(now, under_way.pop(0), end, refusal if end is CallEnd.DROPPED else None)
    while under_way:
        lane.end(now, under_way.pop(), CallEnd.IGNORE)
    for _ in range(100):
        at = lane.ready_at(now)
        if at <= now:
            return
        assert at < math.inf
        now = at
    raise AssertionError("it never goes on")


# from the claim to the departure


def test_a_call_whose_intent_is_written_while_another_is_refused_does_not_leave() -> None:
    lane = Lane(learned={"proven": 5})
    first, second = lane.claim(0.0), lane.claim(0.0)
    assert lane.leave(0.01, first)
    lane.end(0.02, first, CallEnd.DROPPED, RATE)
    assert not lane.leave(0.03, second)
    lane.withhold(second)
    assert lane.in_flight == 0
    assert 0.03 < lane.ready_at(0.03) < math.inf


def test_a_call_within_the_number_that_is_admitted_leaves_though_one_more_was_refused() -> None:
    lane = Lane(learned={"proven": 5})
    calls = [lane.claim(0.0) for _ in range(5)]
    for call in calls[1:]:
        assert lane.leave(0.01, call)
    lane.end(0.02, calls[4], CallEnd.DROPPED, NO_WORDS)
    assert lane.limit.cap == 3
    assert not lane.leave(0.03, calls[0])
    lane.end(0.04, calls[3], CallEnd.SUCCESS)
    assert lane.leave(0.05, calls[0])


def test_a_call_begins_when_it_leaves() -> None:
    """What the provider sees is the crowd and the time of a departure, whatever the ledger took."""
    lane = Lane(learned={"proven": 5})
    early, late = lane.claim(0.0), lane.claim(0.0)
    assert lane.leave(0.1, late)
    assert (late.began_at, late.crowd) == (0.1, 0)
    assert lane.leave(0.2, early)
    assert (early.began_at, early.crowd) == (0.2, 1)


def _refuse_first() -> tuple[Lane, float]:
    """Give a lane whose first call was refused for its rate, and when the next one asks."""
    lane = Lane(learned={"proven": 5})
    refused = lane.claim(0.0)
    assert lane.leave(0.0, refused)
    lane.end(0.02, refused, CallEnd.DROPPED, RATE)
    return lane, lane.ready_at(0.02)


def test_while_one_call_asks_none_follows_before_its_refusal_would_be_back() -> None:
    lane, asks_at = _refuse_first()
    asking = lane.claim(asks_at)
    assert lane.ready_at(asks_at + 30.0) == math.inf
    assert lane.leave(asks_at + 30.0, asking)
    assert lane.ready_at(asks_at + 30.0) == pytest.approx(asks_at + 30.03)


def test_when_the_call_that_was_to_ask_is_withheld_the_next_one_asks() -> None:
    lane, asks_at = _refuse_first()
    lane.withhold(lane.claim(asks_at))
    assert lane.ready_at(asks_at) == asks_at


def test_a_call_that_leaves_when_another_has_ended_does_not_show_that_one_more_is_admitted() -> None:
    lane = Lane(learned={"proven": 5, "cap": 5})
    others = _fill(lane, 0.0)
    lane.limit.verify(1.0)
    assert lane.ready_at(1.0) == 1.0
    late = lane.claim(1.0)
    lane.end(1.01, others.pop(), CallEnd.SUCCESS)
    assert lane.leave(1.02, late)
    lane.end(1.5, late, CallEnd.SUCCESS)
    assert lane.limit.is_trying
    others.append(lane.begin(1.5))
    one_more = lane.claim(1.5)
    assert lane.leave(1.52, one_more)
    lane.end(2.5, one_more, CallEnd.SUCCESS)
    assert not lane.limit.is_trying
    assert lane.limit.cap is None


def test_while_a_call_that_is_to_ask_is_recorded_one_that_is_withheld_lets_no_other_ask() -> None:
    lane = Lane(learned={"proven": 5})
    refused, older = lane.claim(0.0), lane.claim(0.0)
    assert lane.leave(0.0, refused)
    lane.end(0.02, refused, CallEnd.DROPPED, RATE)
    asks_at = lane.ready_at(0.02)
    asking = lane.claim(asks_at)
    lane.withhold(older)
    assert lane.ready_at(asks_at) == math.inf
    assert lane.leave(asks_at, asking)


def test_calls_that_were_refused_already_do_not_count_as_admitted_beside_another() -> None:
    lane = Lane(learned={"proven": 9})
    calls = [lane.begin(0.0) for _ in range(9)]
    beside = lane.begin(0.01)
    for call in calls[4:]:
        lane.end(0.02, call, CallEnd.DROPPED, NO_WORDS)
    lane.limit.proven = 0
    lane.end(1.0, beside, CallEnd.SUCCESS)
    assert lane.limit.proven == 5


def test_where_nothing_is_known_few_leave_before_a_refusal_of_theirs_would_be_back() -> None:
    lane = Lane(ceiling=256)
    lane.limit.value = 200.0
    lane.limit.note_connect(0.1)
    assert len(_fill(lane, 0.0)) == 4
    assert lane.view().reason.startswith("starting with few calls")
    assert lane.ready_at(0.001) == pytest.approx(lane.limit.step_s)
    assert len(_fill(lane, 10.0)) == 4


def test_what_an_earlier_session_had_at_once_leaves_at_once() -> None:
    assert len(_fill(Lane(ceiling=256, learned={"proven": 100}), 0.0)) >= 100


def test_when_many_end_at_once_after_a_refusal_others_follow_one_by_one() -> None:
    """Whether it was their number is not known: the first that is refused spares the others."""
    lane = Lane(learned={"proven": 12})
    calls = _fill(lane, 0.0)
    lane.end(0.1, calls.pop(), CallEnd.DROPPED, NO_WORDS)
    for call in calls:
        lane.end(0.5, call, CallEnd.SUCCESS)
    asking = _fill(lane, 0.5)
    lane.end(0.9, asking[0], CallEnd.SUCCESS)
    assert 0 < len(_fill(lane, 0.9)) <= 2


def test_near_the_end_of_a_job_nothing_more_is_tried() -> None:
    """What was tried before and not refused is good, though."""
    pace = Pace(model=spread(10.0))
    pace.growth.calls_left = 30
    now = 0.0
    for _ in range(200):
        now = max(now, pace.ready_at(now))
        pace.started(now)
    assert pace.model == spread(10.0)
    pace.growth.calls_left = math.inf
    for _ in range(200):
        now = max(now, pace.ready_at(now))
        pace.started(now)
    assert pace.model.rate > 10.0  # type: ignore[union-attr]


@pytest.mark.parametrize("slots", [20, 200])
def test_a_refusal_of_one_beyond_a_number_that_is_known_holds_up_nobody(slots: int) -> None:
    """It was to be expected: no more leave alone, nor in steps, than after any other end."""
    server = {"latency": steady(1.0), "slots": slots, "on_full": "refuse"}
    learned = _learned(ServerModel(**server), slots * 30)  # type: ignore[arg-type]
    run = run_lane(Lane(ceiling=256, learned=learned), ServerModel(**server), slots * 30)  # type: ignore[arg-type]
    assert run.refused > 0
    assert run.seconds <= 30.2
