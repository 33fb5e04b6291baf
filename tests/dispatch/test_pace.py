"""The pace obeys what the provider says, settles just under what it allows, and remembers it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.pace import Pace
from imeiflow.dispatch.rate import Bucket, Window, spread
from tests.dispatch.lane_model import ServerModel


def _begin(pace: Pace, now: float, count: int = 1) -> float:
    """Begin so many calls, each as soon as it may; say when the last one did."""
    for _ in range(count):
        at = pace.ready_at(now)
        while at > now:
            now = at
            at = pace.ready_at(now)
        pace.started(now)
    return now


def _drive(pace: Pace, server: ServerModel, until: float) -> tuple[list[float], int]:
    """Call whenever the pace allows, refused at once; say when calls were admitted, and how many were not."""
    now, admitted, refused = 0.0, [], 0
    while now < until:
        now = _begin(pace, now)
        _, refusal, _ = server.handle(now)
        if refusal is None:
            admitted.append(now)
        else:
            refused += 1
            pace.refused(now + 0.002, began_at=now, retry_after_s=refusal.retry_after_s, is_ban=refusal.is_ban)
        now += 0.003
    return admitted, refused


def test_without_any_refusal_there_is_no_pace() -> None:
    pace = Pace()
    assert _begin(pace, 0.0, 1000) == 0.0
    assert not pace.is_limiting


def test_the_users_rate_is_kept_from_the_first_call() -> None:
    pace = Pace(ceiling=Window(60, 60.0))
    assert _begin(pace, 0.0, 5) == pytest.approx(4.0)
    assert pace.ready_at(4.1) == pytest.approx(5.0)
    assert pace.is_at_ceiling


def test_silence_lasts_as_long_as_the_provider_says() -> None:
    pace = Pace()
    pace.started(0.0)
    pace.refused(0.1, began_at=0.0, retry_after_s=30.0)
    assert pace.ready_at(1.0) >= 30.1


def test_one_call_at_a_time_asks_whether_calls_are_admitted_again() -> None:
    pace = Pace()
    pace.started(0.0)
    pace.refused(0.1, began_at=0.0)
    now = _begin(pace, 0.1)
    assert pace.ready_at(now) > now


def test_unanswered_questions_are_asked_less_and_less_often() -> None:
    pace = Pace()
    pace.started(0.0)
    pace.refused(0.002, began_at=0.0)
    asked = [0.0]
    for _ in range(6):
        now = _begin(pace, asked[-1] + 0.002)
        pace.refused(now + 0.002, began_at=now)
        asked.append(now)
    gaps = [later - earlier for earlier, later in pairwise(asked[1:])]
    assert gaps[-1] > 4 * gaps[0]


@pytest.mark.parametrize("says", ["plain", "retry-after"])
@pytest.mark.parametrize(
    "limit", [("fixed", 100, 10.0), ("sliding", 100, 10.0), ("bucket", 10.0, 20.0), ("fixed", 20, 1.0)]
)
def test_it_settles_just_under_what_a_limiter_allows(limit: tuple[str, float, float], says: str) -> None:
    pace = Pace()
    _drive(pace, ServerModel(limit=limit, says=says), 60.0)
    allowed = limit[1] if limit[0] == "bucket" else limit[1] / limit[2]
    assert pace.model is not None
    assert 0.88 * allowed <= pace.model.rate <= 1.1 * allowed


def test_once_settled_hardly_a_call_is_refused() -> None:
    pace = Pace()
    _drive(pace, ServerModel(limit=("bucket", 10.0, 20.0)), 60.0)
    learned = Pace(model=pace.model)
    admitted, refused = _drive(learned, ServerModel(limit=("bucket", 10.0, 20.0)), 300.0)
    assert len(admitted) >= 0.9 * 3000
    assert refused <= 0.01 * 3000


def test_a_second_refusal_gives_the_rate_between_the_two_and_is_said_in_words() -> None:
    pace = Pace()
    _drive(pace, ServerModel(limit=("bucket", 10.0, 20.0)), 10.0)
    assert pace.reason.startswith(("slower, ", "trying "))


def test_a_ban_is_waited_out_before_the_provider_is_asked_again() -> None:
    pace = Pace()
    pace.started(0.0)
    pace.refused(0.1, began_at=0.0, is_ban=True)
    first = _begin(pace, 0.1)
    pace.refused(first + 0.1, began_at=first, is_ban=True)
    second = _begin(pace, first + 0.1)
    assert first >= 10.0
    assert second - first > first
    assert pace.bans == 1


def test_where_the_first_refusal_was_a_ban_nothing_more_is_ever_tried() -> None:
    pace = Pace(model=spread(5.0), caution=Caution(bans=1, warnings=0, run=100))
    _begin(pace, 0.0, 5000)
    assert pace.model == spread(5.0)


def test_after_a_ban_with_warnings_more_is_tried_by_leaps() -> None:
    pace = Pace(model=spread(5.0), caution=Caution(bans=1, warnings=2, run=100, floor_s=2.0))
    _begin(pace, 0.0, 5000)
    assert pace.model is not None
    assert pace.model.rate == pytest.approx(97.5 / 5.0, rel=0.3)


def test_a_refusal_soon_after_a_ban_leads_back_to_what_was_sure() -> None:
    pace = Pace(model=spread(9.3), caution=Caution(bans=1, warnings=1))
    now = _begin(pace, 0.0, 1500)
    assert pace.model is not None
    assert pace.model.rate > 9.3
    now = _begin(pace, now)
    pace.refused(now + 0.002, began_at=now)
    _begin(pace, now + 0.003, 2)
    assert pace.model == spread(9.3)


def test_what_an_earlier_session_used_up_does_not_make_the_pace_slower() -> None:
    pace = Pace(model=Window(100, 10.05))
    now = _begin(pace, 0.0, 3)
    pace.refused(now + 0.002, began_at=now)
    _begin(pace, now + 0.003, 2)
    assert pace.model == Window(100, 10.05)
    now = _begin(pace, 30.0)
    pace.refused(now + 0.002, began_at=now)
    _begin(pace, now + 0.003, 2)
    assert pace.model.rate < 9.0


def test_a_pace_that_holds_nothing_back_any_more_is_not_raised() -> None:
    pace = Pace(model=spread(10.0))
    now = _begin(pace, 0.0, 5)
    for _ in range(60):
        now = _begin(pace, now + 1.0)
    assert pace.model == spread(10.0)


def test_a_limit_that_was_lifted_is_found_out() -> None:
    pace = Pace(model=spread(5.0))
    admitted, _ = _drive(pace, ServerModel(), 120.0)
    assert sum(1 for at in admitted if at > 100.0) > 1.5 * sum(1 for at in admitted if at < 20.0)


def test_a_ban_for_what_an_earlier_session_used_up_slows_the_pace_a_little() -> None:
    """Its refusals may have counted, too; the calls of this session say nothing of what is allowed."""
    pace = Pace(model=Window(100, 10.0))
    pace.started(0.0)
    pace.admitted(0.5, began_at=0.0)
    pace.started(0.1)
    pace.refused(0.11, began_at=0.1, is_ban=True)
    asks_at = pace.ready_at(0.2)
    assert asks_at >= 10.0
    pace.started(asks_at)
    pace.admitted(asks_at + 0.5, began_at=asks_at)
    assert pace.model == spread(9.0)


def test_calls_that_began_before_a_refusal_came_back_are_the_same_event() -> None:
    pace = Pace()
    for _ in range(10):
        pace.started(0.0)
    pace.refused(0.1, began_at=0.0)
    until = pace.blocked_until
    for _ in range(5):
        pace.refused(0.12, began_at=0.0)
    assert pace.blocked_until == until


def test_a_refusal_of_what_left_before_the_question_is_not_its_answer() -> None:
    pace = Pace()
    for _ in range(10):
        pace.started(0.0)
    pace.refused(1.0, began_at=0.0)
    asked_at = _begin(pace, 1.0)
    pace.refused(asked_at + 0.01, began_at=0.0)
    assert pace.ready_at(asked_at + 0.02) > asked_at + 0.5


def test_a_refusal_that_comes_after_the_question_was_answered_asks_no_other() -> None:
    pace = Pace()
    for at in (0.0, 0.01, 0.02, 0.03):
        pace.started(at)
    pace.admitted(0.1, began_at=0.0)
    pace.refused(1.0, began_at=0.01)
    asked_at = _begin(pace, 1.0)
    pace.admitted(asked_at + 0.1, began_at=asked_at)
    assert not pace.is_probing
    pace.refused(asked_at + 0.2, began_at=0.03)
    assert not pace.is_probing


def test_a_burst_at_the_start_is_no_pace_where_what_was_admitted_between_refusals_is_known() -> None:
    pace = Pace()
    for at in (0.0, 0.001, 0.002, 0.003, 0.004, 0.005):
        pace.started(at)
    pace.note_spent(0.005)  # refused, and taken for a matter of number
    pace.discount(0.005)
    for at in (0.3, 0.5, 0.7, 0.9):
        pace.started(at)
    pace.refused(0.92, began_at=0.9)
    asked_at = _begin(pace, 0.92)
    pace.admitted(asked_at + 0.1, began_at=asked_at)
    assert pace.model is not None
    assert pace.model.rate == pytest.approx(3 / 0.895, rel=0.05)


def _climb(grace_s: float, calls: int) -> Pace:
    """Call as often as a pace allows that a ban has made far too slow."""
    pace = Pace(model=spread(0.1), grace_s=grace_s, caution=Caution(bans=1, warnings=2, run=5, is_climbing=True))
    _begin(pace, 0.0, calls)
    return pace


def test_after_a_ban_that_was_warned_of_the_pace_climbs_by_a_half_every_few_calls() -> None:
    pace = _climb(0.1, 22)
    assert pace.model is not None
    assert pace.model.rate > 0.1 * 1.5**5


def test_nothing_climbs_where_more_calls_would_leave_before_a_refusal_is_back() -> None:
    pace = _climb(3.0, 22)
    assert pace.model is not None
    assert pace.model.rate < 0.5


def test_after_a_climb_the_pace_is_what_surely_comes_back_in_a_bucket() -> None:
    pace = _climb(0.1, 40)
    first = pace.model
    now = _begin(pace, pace.ready_at(1000.0), 1)
    pace.refused(now + 0.1, began_at=now)
    again = _begin(pace, now + 0.1)
    pace.admitted(again + 0.1, began_at=again)
    assert first is not None
    assert pace.model is not None
    assert 0.1 <= pace.model.rate < first.rate / 1.5


@pytest.mark.parametrize(("refusals", "left", "tries"), [(0, 100.0, True), (5, 100.0, False), (5, 5_000.0, True)])
def test_more_is_tried_where_few_calls_were_refused_or_much_is_to_be_gained(
    refusals: int, left: float, tries: bool
) -> None:
    pace = Pace(model=spread(10.0))
    pace.growth.calls_left, pace.growth.refusals = left, refusals
    _begin(pace, 0.0, 60)
    assert (pace.model != spread(10.0)) == tries


@given(
    model=st.one_of(
        st.builds(Window, st.integers(1, 500), st.floats(0.5, 600)), st.builds(spread, st.floats(0.01, 100))
    ),
    gaps=st.lists(st.floats(0, 5), max_size=60),
)
def test_no_window_of_time_holds_more_calls_than_the_pace_allows(model: Window | Bucket, gaps: list[float]) -> None:
    pace, now, starts = Pace(model=model), 0.0, []
    for gap_s in gaps:
        now = _begin(pace, now + gap_s)
        starts.append(now)
        if pace.model != model:
            return  # it tries more by now
    period_s = model.period_s if isinstance(model, Window) else 10.0
    most = model.calls if isinstance(model, Window) else model.rate * period_s + 1
    for start in starts:
        assert sum(1 for at in starts if start <= at < start + period_s * (1 - 1e-9)) <= most + 1e-6


def test_what_is_learned_are_json_values() -> None:
    pace = Pace()
    _drive(pace, ServerModel(limit=("bucket", 10.0, 20.0)), 20.0)
    learned = pace.as_learned()
    assert learned is not None
    assert json.loads(json.dumps(learned)) == learned
    assert Pace().as_learned() is None
