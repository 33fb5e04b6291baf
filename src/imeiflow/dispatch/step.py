"""One step of a search for limits: so many calls at once, at such a pace, and what came of them.

Pure: times are passed in, nothing sleeps. `StepGate` lets calls begin as a lane does, and stops the step as soon as it
is known to be too much: whoever goes on is banned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from imeiflow.dispatch.call import Refusal

#: Shares of calls that failed: below the first a step is good, up to the second borderline, above it too much.
GOOD_BELOW = 0.05
BORDERLINE_UP_TO = 0.10
#: So long a step lasts where nothing else is said.
LONGEST_S = 60.0
_FIRST_HOLD_S = 1.0


class Grade(StrEnum):
    """What a step showed."""

    GOOD = "good"
    BORDERLINE = "borderline"
    TOO_MUCH = "too much"


class StepKind(StrEnum):
    """What a step is to find out."""

    CONCURRENCY = "concurrency"  #: so many at once, as fast as they come
    CHECK = "check"  #: is what was good still good, or was it the pace?
    PACE = "pace"  #: so many in a time, evenly


class Fate(StrEnum):
    """How a call ended, as far as the search cares."""

    SERVED = "served"
    REFUSED = "refused"  #: for its rate or the number of calls
    FAILED = "failed"  #: no connection, no answer, an error of the server


@dataclass(frozen=True, slots=True)
class Step:
    """So many `calls`, `concurrency` at once, `per_s` calls a second at most; after a rest of `rest_s`.

    It ends after `lasts_s`, whatever is left of its calls.
    """

    kind: StepKind
    concurrency: int
    calls: int
    per_s: float | None = None
    rest_s: float = 0.0
    lasts_s: float = LONGEST_S


@dataclass(frozen=True, slots=True)
class Sample:
    """One call. `crowd` others were under way when it began."""

    began_at: float
    ended_at: float
    crowd: int
    fate: Fate
    refusal: Refusal | None = None

    @property
    def says_rate(self) -> bool:
        """Say whether it was refused with words of a rate, or a time to wait."""
        return self.refusal is not None and (self.refusal.says_rate or self.refusal.retry_after_s is not None)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a step came to. Latencies are those of calls that were served."""

    step: Step
    calls: int
    errors: int
    grade: Grade
    per_s: float
    median_s: float | None
    p95_s: float | None
    took_s: float

    @property
    def error_share(self) -> float:
        """Give the share of calls that failed."""
        return self.errors / self.calls if self.calls else 0.0


def grade_share(share: float) -> Grade:
    """Grade a share of calls that failed."""
    if share < GOOD_BELOW:
        return Grade.GOOD
    return Grade.BORDERLINE if share <= BORDERLINE_UP_TO else Grade.TOO_MUCH


def measure_step(step: Step, samples: Sequence[Sample]) -> Measured:
    """Sum a step up. A step without a call shows nothing, which is not good."""
    served = sorted(sample.ended_at - sample.began_at for sample in samples if sample.fate is Fate.SERVED)
    errors = len(samples) - len(served)
    share = errors / len(samples) if samples else 1.0
    began_at = min((sample.began_at for sample in samples), default=0.0)
    took_s = max((sample.ended_at for sample in samples), default=0.0) - began_at
    return Measured(
        step=step,
        calls=len(samples),
        errors=errors,
        grade=grade_share(share),
        per_s=len(served) / took_s if took_s > 0 else 0.0,
        median_s=_quantile(served, 0.5),
        p95_s=_quantile(served, 0.95),
        took_s=took_s,
    )


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Give the smallest of sorted values that so many are not above."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


class StepGate:
    """Lets the calls of one step begin. `stop_reason` says why it ended before its last call."""

    def __init__(self, step: Step, now: float) -> None:
        self.step = step
        self.samples: list[Sample] = []
        self.stop_reason: str | None = None
        self.is_banned = False
        self.retry_after_s: float | None = None
        self._began_at = now
        self._begun = 0
        self._in_flight = 0
        self._next_at = now
        self._hold_until = -math.inf
        self._hold_s = _FIRST_HOLD_S

    @property
    def in_flight(self) -> int:
        """Count the calls under way."""
        return self._in_flight

    @property
    def is_over(self) -> bool:
        """Say whether no call will begin, and none is under way."""
        return not self._in_flight and (self.stop_reason is not None or self._begun >= self.step.calls)

    def ready_at(self, now: float) -> float:
        """Say when the next call may begin: `now`, later, or infinity (only after a call has ended, or never)."""
        if self.stop_reason is None and self._begun < self.step.calls and now >= self._began_at + self.step.lasts_s:
            self.stop("it has lasted long enough")
        if self.stop_reason is not None or self._begun >= self.step.calls or self._in_flight >= self.step.concurrency:
            return math.inf
        return max(now, self._next_at, self._hold_until)

    def begin(self, now: float) -> int:
        """Count a call that begins now, and give the number of those under way beside it."""
        crowd = self._in_flight
        self._begun += 1
        self._in_flight += 1
        if self.step.per_s is not None:
            self._next_at = max(self._next_at, now - 1.0 / self.step.per_s) + 1.0 / self.step.per_s
        return crowd

    def take_back(self) -> None:
        """Take back a call that was not made, or given up: it shows nothing, and another may begin in its stead."""
        self._begun -= 1
        self._in_flight -= 1

    def end(self, sample: Sample) -> None:
        """Count a call that ended; end the step where it shows that this is too much, or a ban."""
        self._in_flight -= 1
        self.samples.append(sample)
        if sample.fate is Fate.SERVED:
            return
        refusal = sample.refusal
        if refusal is not None:
            self._hold(sample, refusal)
        errors = sum(1 for one in self.samples if one.fate is not Fate.SERVED)
        if errors > BORDERLINE_UP_TO * self.step.calls:
            self.stop("too many calls failed")

    def stop(self, reason: str) -> None:
        """Let no more calls begin."""
        self.stop_reason = self.stop_reason or reason

    def _hold(self, sample: Sample, refusal: Refusal) -> None:
        self._hold_until = max(self._hold_until, sample.ended_at + (refusal.retry_after_s or self._hold_s))
        self._hold_s *= 2
        if refusal.retry_after_s is not None:
            self.retry_after_s = max(refusal.retry_after_s, self.retry_after_s or 0.0)
        if refusal.is_ban:
            self.is_banned = True
            self.stop("the provider shut us out for a while")
        elif sample.says_rate:
            self.stop("the provider said: too many in a short time")
