"""A lane through any sequence of moves: claims that leave or do not, ends and refusals of every kind, and time.

Whatever happens, it knows how many calls it has let go, keeps to the ceiling, and goes on when all have ended.
"""

from __future__ import annotations

import json
import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imeiflow.dispatch.call import Call, CallEnd, Refusal
from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.rate import Window

_DAY_S = 86_400.0
_MOST_WAITS = 100

refusals = st.builds(
    Refusal,
    says_rate=st.booleans(),
    is_ban=st.booleans(),
    retry_after_s=st.sampled_from([None, None, 0.0, 1.0, 30.0]),
)
#: What an engine takes over an intent, a refusal, a call, a silence.
waits = st.sampled_from([0.0, 0.001, 0.02, 0.03, 0.1, 0.25, 0.4, 1.0, 3.5, 20.0, 70.0]) | st.floats(0.0, 5.0)


class LaneMoves(RuleBasedStateMachine):
    """What an engine may do with its lane, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lane = Lane()
        self.claimed: list[Call] = []
        self.away: list[Call] = []
        self.ceiling = 64

    @initialize(ceiling=st.sampled_from([1, 2, 5, 64]), rate=st.sampled_from([None, None, Window(30, 60.0)]))
    def begin_with_nothing(self, ceiling: int, rate: Window | None) -> None:
        self.ceiling = ceiling
        self.lane = Lane(ceiling=ceiling, rate=rate)

    @rule(most=st.integers(1, 12))
    def claim(self, most: int) -> None:
        for _ in range(most):
            if self.lane.ready_at(self.now) > self.now:
                return
            self.claimed.append(self.lane.claim(self.now, 100))

    @rule()
    def ask_for_results(self) -> None:
        """Nothing is recorded before such a call: it leaves at once."""
        if self.lane.ready_at(self.now) <= self.now:
            self.away.append(self.lane.begin(self.now, -100))

    @precondition(lambda self: self.claimed)
    @rule(most=st.integers(1, 12), is_newest_first=st.booleans())
    def leave(self, most: int, *, is_newest_first: bool) -> None:
        for _ in range(min(most, len(self.claimed))):
            call = self.claimed.pop(-1 if is_newest_first else 0)
            if self.lane.leave(self.now, call):
                self.away.append(call)
            else:
                self.lane.withhold(call)

    @precondition(lambda self: self.claimed)
    @rule(index=st.integers(0, 63))
    def withhold(self, index: int) -> None:
        """The ledger could not record it, or somebody said stop."""
        self.lane.withhold(self.claimed.pop(index % len(self.claimed)))

    @precondition(lambda self: self.away)
    @rule(most=st.integers(1, 12), end=st.sampled_from([CallEnd.SUCCESS, CallEnd.IGNORE]))
    def answer(self, most: int, end: CallEnd) -> None:
        for _ in range(min(most, len(self.away))):
            self.lane.end(self.now, self.away.pop(0), end)

    @precondition(lambda self: self.away)
    @rule(most=st.integers(1, 4), index=st.integers(0, 63), refusal=refusals)
    def refuse(self, most: int, index: int, refusal: Refusal) -> None:
        for _ in range(min(most, len(self.away))):
            self.lane.end(self.now, self.away.pop(index % len(self.away)), CallEnd.DROPPED, refusal)

    @rule(seconds=waits)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_until_ready(self) -> None:
        if (at := self.lane.ready_at(self.now)) < math.inf:
            self.now = max(self.now, at)

    @rule(is_canary_phase=st.booleans())
    def hold_ramp(self, *, is_canary_phase: bool) -> None:
        self.lane.hold_ramp(is_canary_phase=is_canary_phase)

    @rule(calls=st.sampled_from([0.0, 3.0, 50.0, math.inf]))
    def tell_what_is_left(self, calls: float) -> None:
        self.lane.pace.growth.calls_left = calls

    @precondition(lambda self: not self.claimed and not self.away)
    @rule()
    def go_on_in_another_session(self) -> None:
        learned = json.loads(json.dumps(self.lane.as_learned()))
        self.lane = Lane(ceiling=self.ceiling, rate=self.lane.pace.ceiling, learned=learned)

    @invariant()
    def it_counts_what_is_under_way(self) -> None:
        lane = self.lane
        assert lane.in_flight == len(self.claimed) + len(self.away) <= self.ceiling
        assert lane._away == len(self.away)
        assert lane.view().reason

    @invariant()
    def it_waits_for_ever_only_for_what_is_under_way(self) -> None:
        assert self.lane.ready_at(self.now) < math.inf or self.claimed or self.away

    def teardown(self) -> None:
        for call in self.claimed:
            self.lane.withhold(call)
        for call in self.away:
            self.lane.end(self.now, call, CallEnd.IGNORE)
        given_up_at = self.now + _DAY_S
        for _ in range(_MOST_WAITS):
            at = self.lane.ready_at(self.now)
            assert at < given_up_at, "it goes on far too late"
            if at <= self.now:
                break
            self.now = at
        else:
            raise AssertionError("it never goes on")
        assert self.lane.leave(self.now, self.lane.claim(self.now)), "a call that nothing stands against is withheld"


TestLaneMoves = LaneMoves.TestCase
