"""When a pace is raised, and by how much: a little, after quiet, where it was what held calls back.

Pure: times are passed in. What refusals teach stands in `pace`, how much may be risked after bans in `caution`.
"""

from __future__ import annotations

import math

from imeiflow.dispatch.caution import QUIET_S, Caution
from imeiflow.dispatch.cycle import MAX_STEP, MIN_STEP
from imeiflow.dispatch.rate import Bucket, Model, Window, spread

MAX_FIRST_STEP = 4 * MIN_STEP
_QUIET_S = 2.0
_MAX_QUIET_S = 3600.0
_QUIET_BETWEEN_S = 10.0  #: after a ban, where more than one refusal can be borne
_FINE_STEP = 0.05
_QUIET_CALLS = 12
_MAX_QUIET_CALLS = 400
_SPREAD = 1.1
_WORTH_S = 6.0
_GAIN_S = 2.0
#: Where more of a job's calls would be refused than this, what more may gain has to be worth it.
_FEW_REFUSALS = 0.02
_DEAR_GAIN_S = 3.0
_A_TRY_COSTS = 2  #: refusals, at most, as a rule
_WORTH_AFTER_BAN_S = 12.0
#: After a ban so many calls that were not refused are enough to try so much more, until one is.
_CLIMB_CALLS = 3
_CLIMB_STEP = 0.5


class Growth:
    """What a pace is raised by. `learned` is the pace of an earlier session, `step` the share that is tried next."""

    def __init__(self, *, step: float, caution: Caution, learned: Model | None) -> None:
        self.calls_left = math.inf  #: as far as is known, how many are still to be made
        self.refusals = 0  #: calls of this session that were refused, for whatever reason
        self.good: Model | None = None  #: what was not refused, while more is being tried
        self.before_good: Model | None = None  #: the same, before the last success
        self.step = min(max(MIN_STEP, step), MAX_FIRST_STEP)
        self.may_spread = False  #: a window that bears no more may be a bucket: the same, evenly, is worth a try
        #: After a ban: the pace at which the climb began; None where there is none.
        self.climbed_from = learned.rate if learned is not None and caution.is_climbing else None
        self._caution = caution
        self._wins = 0  #: how often in a row a little more was admitted
        self._quiet_s = QUIET_S if caution.bans else _QUIET_S
        self._quiet_since: float | None = None
        self._quiet_calls = _QUIET_CALLS
        self._calls_since_change = 0
        self._calls = 0  #: of this session
        self._bound_at = -math.inf  #: when the pace last was what a call waited for

    def note_bound(self, now: float) -> None:
        """Note that the pace is what a call waits for."""
        self._bound_at = now

    def note_claim(self) -> None:
        """Count a call that is about to leave."""
        self._calls_since_change += 1

    def note_left(self) -> None:
        """Count a call that leaves."""
        self._calls += 1

    def end_quiet(self) -> None:
        """Note a refusal: quiet begins anew once calls are admitted again."""
        self._quiet_since = None

    def begin_quiet(self, now: float) -> None:
        """Note that calls are admitted again."""
        self._wins = 0
        self._quiet_since, self._calls_since_change = now, 0

    def wait_longer(self) -> None:
        """Ask for twice the quiet: the pace was refused."""
        self._quiet_s = min(_MAX_QUIET_S, self._quiet_s * 2)
        self._quiet_calls = min(_MAX_QUIET_CALLS, self._quiet_calls * 2)

    def wait_after_ban(self) -> None:
        """Ask for the quiet that whoever was banned keeps."""
        self._quiet_s = max(QUIET_S, self._quiet_s)

    def hurry(self) -> None:
        """Try much more, and soon: the pace is a rough guess."""
        self.step, self._quiet_s, self._quiet_calls = MAX_STEP, _QUIET_S, _QUIET_CALLS

    def raise_pace(self, now: float, model: Model, grace_s: float) -> Model | None:
        """Give a pace that allows a little more where it is time to try it; None where not."""
        caution = self._caution
        if caution.forbids:
            return None
        if self._quiet_since is None:
            self._quiet_since = now
        if self._bound_at < (self._quiet_since + now) / 2 or (caution.bans and not caution.spare(now)):
            return None
        if self.step < _FINE_STEP and caution.was_refused_lately(now):
            return None  # little is to be gained, and some ban whoever is refused a few times in a minute
        period_s = caution.next_period(model, now)
        is_climbing = self._is_climbing(model, grace_s)
        wait_s, calls = self._choose_quiet(model, period_s, is_climbing=is_climbing)
        if not caution.run and caution.spare(now) > 1 and model.rate * grace_s <= 1:
            wait_s = min(wait_s, _QUIET_BETWEEN_S)  # the rate was measured before the ban, if only roughly
        if now - self._quiet_since < max(wait_s, 2.5 * grace_s) or self._calls_since_change < calls:
            return None
        self._quiet_since, self._calls_since_change = now, 0
        if self.calls_left < model.rate * self._worth_s(model):
            self.good = None  # what was tried is good, and too little is left to gain from more
            return None
        self._count_win(model)
        if period_s is None:
            return self._step_up(model, is_climbing=is_climbing)
        self.climbed_from = None
        return caution.leap(period_s)

    def _choose_quiet(self, model: Model, period_s: float | None, *, is_climbing: bool) -> tuple[float, float]:
        """Give for how many seconds, and for how many calls, none may have been refused before more is tried."""
        if period_s is not None:
            wait_s = self._caution.wait_s(model)
            return wait_s, wait_s * model.rate - 1
        if is_climbing:
            return _QUIET_S, _CLIMB_CALLS
        return self._quiet_s, max(self._quiet_calls, model.calls + 1 if isinstance(model, Window) else 0)

    def _is_climbing(self, model: Model, grace_s: float) -> bool:
        """Say whether the pace is still far too slow, and a refusal would be back before one more call leaves."""
        return self._caution.is_climbing and (1 + _CLIMB_STEP) * model.rate * grace_s <= 1

    def _worth_s(self, model: Model) -> float:
        """Say how many seconds of calls must be left for more to be worth a refusal."""
        if self._caution.bans:
            return _WORTH_AFTER_BAN_S
        if self.refusals and self.refusals + _A_TRY_COSTS >= _FEW_REFUSALS * (self._calls + self.calls_left):
            return _DEAR_GAIN_S / self.step
        # What a bucket lets through is measured less well than a window: it may be far too slow.
        return max(_WORTH_S, _GAIN_S / self.step) if isinstance(model, Window) else _WORTH_S

    def _count_win(self, model: Model) -> None:
        """Take what was tried for good; what succeeds again and again is tried sooner and in larger steps."""
        if self.good is not None:
            self.step = min(MAX_STEP, self.step * 1.5)
            self._wins += 1
            if self._wins > 1 and not self._caution.bans:
                self._quiet_s = max(_QUIET_S, self._quiet_s / 2)
        self.before_good, self.good = self.good, model

    def _step_up(self, model: Model, *, is_climbing: bool) -> Model:
        """Allow a step more; where refusals lead to bans, a single call more."""
        self._caution.take_step()
        match model:
            case Bucket(rate=rate, burst=burst):
                return Bucket(rate * (1 + (_CLIMB_STEP if is_climbing else self.step)), burst)
            case Window() if self.may_spread and not self._caution.bans:
                self.may_spread = False
                return spread(model.rate * _SPREAD)
            case Window(calls=calls, period_s=period_s):
                return Window(calls + (1 if self._caution.bans else max(1, round(calls * self.step))), period_s)
