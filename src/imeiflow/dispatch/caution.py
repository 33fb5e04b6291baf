"""What bans teach: how carefully more may be tried. Pure: times are passed in.

Nothing is risked where the first refusal is already a ban. Where refusals came before the ban, a single one is
borne, if none was near. A ban of unknown length hides the length of a window: it is found by leaps, from one usual
period to the next shorter one, with as many calls as were once admitted in a row spread over it.
"""

from __future__ import annotations

from collections import deque

from imeiflow.dispatch.rate import MARGIN, USUAL_PERIODS_S, Bucket, Model, spread

#: After a refusal nothing more is tried for so long.
QUIET_S = 120.0
_WINDOW_S = 60.0
_LEAST_WAIT_S = 5.0
_MIN_RUN = 10


class Caution:
    """Bans, the refusals before them, and what they hid."""

    def __init__(self, *, bans: int = 0, warnings: int | None = None, run: int = 0, floor_s: float = 0.0) -> None:
        self.bans = bans
        self.warnings = warnings  #: the fewest refusals that came before a ban
        self.run = run  #: the calls that were admitted until the first refusal; 0 once their rate was measured
        self.floor_s = floor_s  #: no window is shorter: so long after its first call it still refused
        self._refusals: deque[float] = deque()
        self._leapt_s: float | None = None

    @property
    def forbids(self) -> bool:
        """Say whether nothing more may be tried."""
        return self.bans > 0 and not self.warnings

    def warn(self, now: float) -> None:
        """Count a refusal, which may lead to a ban."""
        while self._refusals and self._refusals[0] < now - _WINDOW_S:
            self._refusals.popleft()
        self._refusals.append(now)

    def note_ban(self, now: float) -> None:
        """Count a ban, and how many refusals within a minute came before it."""
        self.bans += 1
        count = sum(1 for at in self._refusals if at >= now - _WINDOW_S)
        self.warnings = count if self.warnings is None else min(count, self.warnings)

    def wait_s(self, model: Model | None) -> float:
        """Say how long a window that admits the longest run can be, at a rate that was not refused."""
        return _LEAST_WAIT_S if model is None else max(_LEAST_WAIT_S, 1.1 * self.run / model.rate)

    def next_period(self, model: Model | None) -> float | None:
        """Give the next shorter period that the hidden window may have; None where nothing is hidden."""
        if not self.bans or not isinstance(model, Bucket) or self.run < _MIN_RUN:
            return None
        periods = (period_s for period_s in USUAL_PERIODS_S if period_s > self.floor_s)
        return max((period_s for period_s in periods if MARGIN * self.run / period_s > 1.1 * model.rate), default=None)

    def leap(self, period_s: float) -> Model:
        """Spread the longest run over a period."""
        self._leapt_s = period_s
        return spread(MARGIN * self.run / period_s)

    def take_step(self) -> None:
        """Note that what is being tried is no leap."""
        self._leapt_s = None

    def end_leap(self) -> None:
        """Note that what was tried was refused: if it was a leap, the window is longer."""
        self.floor_s = max(self.floor_s, self._leapt_s or 0.0)
        self._leapt_s = None

    def as_learned(self) -> dict[str, object]:
        """Give what is worth remembering, as JSON values."""
        return {"bans": self.bans, "warnings": self.warnings, "run": self.run, "floor_s": self.floor_s}
