"""A lane in every regime, in virtual time: nearly as fast as whoever knows all limits, and banned at most once."""

from __future__ import annotations

import math

import pytest

from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.rate import Bucket
from tests.dispatch.lane_model import Limit, ServerModel, by, ideal_ends, run_lane, steady
from tests.dispatch.regime import REGIMES, Regime, show_regime

#: What loopback and a ledger cost a real job is not in the model.
CALLS_OF_A_JOB = 200
CANARY_ROUNDS_S = 7.0


@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_it_is_nearly_as_fast_as_whoever_knows_the_limits(regime: Regime) -> None:
    showings = list(show_regime(regime))
    assert [fault for showing in showings for fault in showing.faults] == [], "; ".join(map(str, showings))
    assert sum(showing.run.bans for showing in showings) <= regime.bans


def test_every_regime_has_a_name_of_its_own() -> None:
    assert len({regime.name for regime in REGIMES}) == len(REGIMES)


def test_thirty_slots_that_queue_take_20000_imeis_in_32_seconds_when_nothing_is_known() -> None:
    run = run_lane(Lane(), ServerModel(slots=30), CALLS_OF_A_JOB + 39, canary_phase_s=CANARY_ROUNDS_S)
    assert run.seconds <= 32.0
    assert run.refused == 0


def test_thirty_slots_that_queue_take_20000_imeis_within_5_percent_of_the_ideal_when_learned() -> None:
    learned = None
    for _ in range(3):
        lane = Lane(learned=learned)
        run = run_lane(lane, ServerModel(slots=30), CALLS_OF_A_JOB)
        learned = lane.as_learned()
        assert run.seconds <= 25.7
    assert run.most_at_once <= 64


def test_a_server_that_takes_any_number_takes_20000_imeis_in_12_seconds_and_in_5_when_learned() -> None:
    lane = Lane(ceiling=256)
    run = run_lane(lane, ServerModel(), CALLS_OF_A_JOB + 39, canary_phase_s=CANARY_ROUNDS_S)
    assert run.seconds <= 12.0
    assert run_lane(Lane(ceiling=256, learned=lane.as_learned()), ServerModel(), CALLS_OF_A_JOB).seconds <= 5.0


def test_refusals_among_ever_fewer_calls_are_taken_for_a_matter_of_rate() -> None:
    """Far away, calls end all the time, so that no call shows whether it was one too many."""
    learned, runs = None, []
    for _ in range(2):
        lane = Lane(ceiling=256, learned=learned)
        server = ServerModel(latency=steady(0.5), limit=("bucket", 10.0, 10.0), refusal_latency_s=0.1, wire_s=0.05)
        runs.append(run_lane(lane, server, 300, intent_s=0.03))
        learned = lane.as_learned()
    assert lane.limit.cap is None
    assert isinstance(lane.pace.model, Bucket)
    assert runs[-1].refused <= 4


@pytest.mark.parametrize("ceiling", [1, 3, 64])
def test_the_users_ceiling_is_never_exceeded(ceiling: int) -> None:
    run = run_lane(Lane(ceiling=ceiling), ServerModel(latency=steady(0.5)), 300)
    assert run.most_at_once == ceiling


def test_what_is_learned_of_a_queueing_server_keeps_its_slots_busy() -> None:
    lane = Lane(ceiling=512)
    run_lane(lane, ServerModel(slots=30, latency=steady(1.0)), 900)
    assert 30 <= lane.as_learned()["queued"] <= 60  # type: ignore[operator]


@pytest.mark.parametrize("canary_phase_s", [0.0, 2.0])
@pytest.mark.parametrize(("slots", "latency_s"), [(5, 1.0), (2, 1.0), (5, 3.5)])
def test_of_a_server_with_few_slots_few_calls_are_asked_at_once(
    slots: int, latency_s: float, canary_phase_s: float
) -> None:
    lane = Lane(ceiling=64)
    calls = int(60 / latency_s) * slots + 64
    run = run_lane(lane, ServerModel(slots=slots, latency=steady(latency_s)), calls, canary_phase_s=canary_phase_s)
    assert run.seconds <= math.ceil(calls / slots) * latency_s + 0.5
    assert slots <= lane.limit.value <= 2 * slots + 4
    assert lane.limit.is_queued


@pytest.mark.parametrize("says", ["plain", "rate", "retry-after"])
@pytest.mark.parametrize("limit", [("fixed", 100, 10.0), ("sliding", 100, 10.0), ("bucket", 10.0, 20.0)])
@pytest.mark.parametrize("latency_s", [0.3, 3.5])
def test_a_job_that_follows_at_once_keeps_to_what_was_learned(limit: Limit, says: str, latency_s: float) -> None:
    server = ServerModel(latency=steady(latency_s), limit=limit, says=says)
    lane = Lane(ceiling=64)
    run = run_lane(lane, server, 300)
    for _ in range(3):
        learned, ended_at = lane.as_learned(), run.ends[-1]
        lane = Lane(ceiling=64, learned=learned, learned_at=ended_at)
        run = run_lane(lane, server, 300, at=ended_at + 0.1)
        assert run.seconds - ended_at <= (34.0 if limit[0] == "bucket" else 31.0) + latency_s
        assert run.refused <= (15 if limit[0] == "bucket" else 0)


@pytest.mark.parametrize("phase_s", [0.0, 2.8, 4.9, 7.7, 8.4])
def test_a_ban_for_what_the_job_before_used_up_does_not_stop_the_next_one(phase_s: float) -> None:
    """The first is banned, or refused four times, and then the first refusal of the second one bans."""
    limit: Limit = ("fixed", 100, 10.0)
    server = ServerModel(latency=steady(0.5), limit=limit, says="rate", ban_after=5, ban_s=30.0, phase_s=phase_s)
    lane = Lane(ceiling=256)
    first = run_lane(lane, server, 300)
    again = Lane(ceiling=256, learned=lane.as_learned(), learned_at=first.ends[-1])
    second = run_lane(again, server, 300, at=first.ends[-1])
    assert second.ends[-1] - first.ends[-1] <= 150.0


@pytest.mark.parametrize("says", ["plain", "rate", "retry-after"])
@pytest.mark.parametrize("limit", [("fixed", 100, 10.0), ("fixed", 60, 60.0), ("sliding", 60, 60.0)])
def test_who_begins_when_others_have_used_up_a_limit_is_nearly_as_fast_as_whoever_knows_it(
    limit: Limit, says: str
) -> None:
    server = ServerModel(latency=steady(0.5), limit=limit, says=says)
    assert run_lane(Lane(ceiling=256), server, limit[1], until=6.0).refused == 0
    run = run_lane(Lane(ceiling=256), server, 3 * limit[1], at=4.0)
    assert run.ends[-1] - 4.0 <= 4 * limit[2]
    assert run.refused <= 20


@pytest.mark.parametrize("ban_s", [30.0, 60.0, 300.0])
def test_who_begins_during_a_ban_that_others_brought_about_is_not_slow_for_it(ban_s: float) -> None:
    limit: Limit = ("fixed", 100, 10.0)
    server = ServerModel(latency=steady(0.5), limit=limit, says="rate", ban_after=5, ban_s=ban_s)
    assert run_lane(Lane(ceiling=256), server, 150, until=6.0).bans == 1
    run = run_lane(Lane(ceiling=256), server, 300, at=6.5)
    assert run.ends[-1] - 6.5 <= 1.5 * ban_s + 150.0
    assert run.bans == 1


def test_who_takes_over_from_a_session_that_was_shut_out_from_the_start_begins_with_a_call_a_second() -> None:
    limit: Limit = ("fixed", 100, 10.0)
    server = ServerModel(latency=steady(0.5), limit=limit, says="rate", ban_after=5, ban_s=60.0)
    run_lane(Lane(ceiling=256), server, 150, until=6.0)
    shut_out = Lane(ceiling=256)
    run_lane(shut_out, server, 150, at=6.5, until=20.0)
    assert Lane(ceiling=256, learned=shut_out.as_learned()).pace.model == Bucket(1.0, 1.0)


def test_the_ideal_is_an_ideal() -> None:
    server = ServerModel(latency=steady(1.0), limit=("fixed", 100, 10.0), slots=30)
    run = run_lane(Lane(ceiling=512), ServerModel(latency=steady(1.0), limit=("fixed", 100, 10.0), slots=30), 300)
    assert by(ideal_ends(server, 300, ceiling=512), 1.0) <= run.seconds
