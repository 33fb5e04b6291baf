"""What bans teach: how carefully more may be tried. Pure: times are passed in.

Nothing is risked where the first refusal is already a ban. Where refusals came before it, fewer of them are borne
within a while, and never as many as led to it. A ban of unknown length hides the length of a window: it is found by
leaps, with as many calls as were once admitted in a row spread over a usual period. Where several refusals may be
borne a leap goes to the middle of what is left, or to what is set most often; otherwise only to the next shorter
period.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence

from imeiflow.dispatch.rate import MARGIN, MOST_USUAL_S, USUAL_PERIODS_S, Bucket, Model, spread

#: After a refusal nothing more is tried for so long.
QUIET_S = 120.0
#: When a ban of unknown length is asked about: its end where its length is a usual one, and each gap as long as
#: such a ban, for those that every call during them begins anew.
_GAPS_S = (10.0, 20.0, 30.0, 60.0, 180.0, 300.0, 600.0)
_WINDOW_S = 60.0
_LEAST_WAIT_S = 1.0
_MIN_RUN = 10
_LEAST_RUN = 3
_LEAP = 1.45
_FULL = 0.9


class Caution:
    """Bans, the refusals before them, and what they hid."""

    def __init__(
        self,
        *,
        bans: int = 0,
        warnings: int | None = None,
        run: int = 0,
        floor_s: float = 0.0,
        is_climbing: bool = False,
    ) -> None:
        self.bans = bans
        self.warnings = warnings  #: the fewest refusals that came before a ban
        self.run = run  #: the calls that were admitted until the first refusal; 0 once their rate was measured
        self.floor_s = floor_s  #: no window is shorter: so long after its first call it still refused
        #: The pace is what was admitted in a whole ban's time, far less than what is allowed; none was refused since.
        self.is_climbing = is_climbing
        self._refusals: deque[float] = deque()
        self._leapt_s: float | None = None
        self._asked = 0  #: how often the present ban has refused
        self.is_proved = False  #: the pace comes from a whole ban's time: it need not be tried out

    def next_gap(self) -> float:
        """Say how long after this refusal of a ban of unknown length the provider is asked again."""
        self._asked += 1
        return max(_GAPS_S[min(self._asked, len(_GAPS_S)) - 1], _WINDOW_S if self.bans > 1 else 0.0)

    def next_ask(self, now: float, since: float) -> float:
        """Say when the provider is asked again that has refused since `since`, its ban over or not yet known."""
        least_s = max(_GAPS_S[0] if self.spare(now) else _WINDOW_S, 2 * (now - since))
        return since + min(next((s for s in USUAL_PERIODS_S if s >= least_s), least_s), now - since + _GAPS_S[-1]) + 0.5

    @property
    def forbids(self) -> bool:
        """Say whether nothing more may be tried."""
        return self.bans > 0 and not self.warnings

    @property
    def can_err(self) -> bool:
        """Say whether one refusal more than was meant to be borne would not be a ban yet."""
        return (self.warnings or 0) > 1

    def warn(self, now: float) -> None:
        """Count a refusal, which may lead to a ban."""
        self.is_climbing = False
        while self._refusals and self._refusals[0] < now - QUIET_S:
            self._refusals.popleft()
        self._refusals.append(now)

    def note_ban(self, now: float) -> None:
        """Count a ban, and how many refusals within a minute came before it."""
        self.bans += 1
        count = sum(1 for at in self._refusals if at >= now - _WINDOW_S)
        self.warnings = count if self.warnings is None else min(count, self.warnings)
        self._refusals.clear()
        self._asked = 0

    def was_refused_lately(self, now: float) -> bool:
        """Say whether a call was refused within the last minute."""
        return bool(self._refusals) and self._refusals[-1] >= now - _WINDOW_S

    def spare(self, now: float) -> int:
        """Count the refusals that may be borne now: one is left to chance, where it was not the only one."""
        borne = sum(1 for at in self._refusals if at >= now - QUIET_S)
        return max(0, max(1, (self.warnings or 0) - 1) - borne)

    def wait_s(self, model: Model | None) -> float:
        """Say how long a window that admits the longest run can be, at a rate that was not refused."""
        if self.is_proved or model is None:
            return 0.0
        return max(_LEAST_WAIT_S, 1.1 * self.run / model.rate)

    def room_again_at(self, starts: Sequence[float], model: Model, now: float) -> float:
        """Say when a window of the longest run, as long as `model` shows, has room again; `starts` were admitted.

        Infinity where it is not known, or where no refusal more may be borne if it has not.
        """
        room = int(_FULL * self.run)
        if not room or self.spare(now) < 2:
            return math.inf
        return starts[-room] + self.run / model.rate if len(starts) >= room else now

    def next_period(self, model: Model | None, now: float) -> float | None:
        """Give a shorter period that the hidden window may have; None where nothing is hidden."""
        can_spare = self.spare(now) > 1
        if not self.bans or not isinstance(model, Bucket) or self.run < (_LEAST_RUN if can_spare else _MIN_RUN):
            return None
        periods = [period_s for period_s in USUAL_PERIODS_S if period_s > self.floor_s]
        shorter = [period_s for period_s in periods if MARGIN * self.run / period_s > 1.1 * model.rate]
        if not shorter:
            return None
        if can_spare:
            middle = shorter[len(shorter) // 2]
            usual = MOST_USUAL_S.intersection(shorter) if self.run >= _MIN_RUN else ()  # few may be a bucket's burst
            return min(usual, key=lambda p: abs(math.log(p / middle)), default=middle)
        return max((p for p in shorter if MARGIN * self.run / p >= _LEAP * model.rate), default=shorter[-1])

    def leap(self, period_s: float) -> Model:
        """Spread the longest run over a period."""
        self._leapt_s, self.is_proved, self.is_climbing = period_s, False, False
        return spread(MARGIN * self.run / period_s)

    def take_step(self) -> None:
        """Note that what is being tried is no leap."""
        self._leapt_s = None

    def end_leap(self) -> None:
        """Note that what was tried was refused: if it was a leap, the window is longer."""
        self.floor_s = max(self.floor_s, self._leapt_s or 0.0)
        self._leapt_s = None

    def exclude(self, starts: Collection[float], until: float, *, since: float) -> None:
        """Exclude the windows that would have admitted the call that was refused at `until`.

        `starts` are the calls admitted since `since`: in a window's period there must be as many as in the longest run.
        """
        for period_s in USUAL_PERIODS_S:
            if period_s > until - since or sum(1 for at in starts if until - period_s < at < until) >= _FULL * self.run:
                return
            self.floor_s = max(self.floor_s, period_s)

    def as_learned(self) -> dict[str, object]:
        """Give what is worth remembering, as JSON values."""
        climbing = {"is_climbing": True} if self.is_climbing else {}
        return {"bans": self.bans, "warnings": self.warnings, "run": self.run, "floor_s": self.floor_s, **climbing}
