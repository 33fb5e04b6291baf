"""Which step comes next in a search for limits, when it ends, and what it recommends. Pure: results are passed in.

    concurrency   1, 2, 3, 4, 6, 8, 12 … at once, until one is too much, or more brings no more, or the ceiling
    check         where a step was refused without words: the last good number again, long enough to tell a limit of
                  number from one of rate; and where nothing was refused, but steps were over so soon that a limit of
                  rate could not show
    pace          where it was the rate: what was measured, a little less; slower while that is refused as well. What
                  is borne was perhaps estimated far too low, by rests that a short window does not need: twice as
                  fast is tried for a moment, again and again, and the fastest that was borne kept up for long

A ban ends the search at once, and so does a time to wait that is longer than a person would. The estimate of a rate
is that of `cycle`: what was admitted between two refusals, when nothing was left at either, is what the limit allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from imeiflow.dispatch.cycle import rate_between
from imeiflow.dispatch.rate import per_time
from imeiflow.dispatch.step import Fate, Grade, Measured, Sample, Step, StepGate, StepKind, measure_step

_RUNGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000)
#: Fewer calls could not tell a share of 5% from none.
MIN_CALLS = 20
_CALLS_A_SLOT = 3
_GAIN = 1.1
_FLAT = 2  #: so many steps that bring no more end the climb
_MARGIN = 0.9
_SLOWER = 1.5
_MAX_PACE_STEPS = 4
_MAX_CHECK_CALLS = 400
#: A pace that was kept up for so long is no mere burst.
_SUSTAINED_S = 5.0
_LONGEST_WAIT_S = 120.0
#: So long a pace is tried: a minute counted by the clock lies within it, wherever the trial begins.
_PACE_S = 125.0
_MOST_SLOWER = 4.0
#: So long a pace is tried that is twice as fast, and so often it is doubled.
_TRIAL_S = 15.0
_MAX_TRIALS = 6
_MAX_PACE_CALLS = 1000
#: A pace that cannot be kept up for so long with that many calls is not tried: a bucket may hold as many.
_SHORTEST_PACE_S = 20.0
_FIRST_WAIT_S = 10.0
_LOOK_BACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the search found: the calls at once, and calls a second where a limit of rate was found; and why."""

    concurrency: int
    per_s: float | None
    reason: str

    @property
    def per_min(self) -> float | None:
        """Give the pace in calls a minute, rounded down to what can be said."""
        return None if self.per_s is None else math.floor(self.per_s * 600) / 10 or 0.1


class Ladder:
    """A search for the limits of one account. `calls` is the least a step makes, `rest_s` the rest between steps."""

    def __init__(
        self, *, ceiling: int, per_s: float | None = None, calls: int = MIN_CALLS, rest_s: float = 5.0
    ) -> None:
        self.measured: list[Measured] = []
        self.end_reason: str | None = None
        self.is_banned = False
        self._ceiling = ceiling
        self._ceiling_per_s = per_s
        self._calls = calls
        self._rest_s = rest_s
        self._rungs = [rung for rung in _RUNGS if rung < ceiling] + [ceiling]
        self._climbed: list[Measured] = []
        self._proven = 0  #: the most at once that were good, and none of them refused
        self._next: Step | None = None
        self._samples: list[Sample] = []
        self._pace: Measured | None = None
        self._guess: float | None = None
        self._paced = 0
        self._is_checked = False
        self._is_flat = False
        self._end_if_sustained = ""
        self._is_trial = False
        self._trials = 0
        self._is_doubled = False
        self._tried: float | None = None  #: the fastest pace that was borne for a moment

    def next_step(self) -> Step | None:
        """Give the next step; None when the search has ended."""
        if self.end_reason is not None:
            return None
        if self._next is None:
            rung = self._rungs[len(self._climbed)]
            rest_s = self._rest_s if self.measured else 0.0
            calls = max(self._calls, _CALLS_A_SLOT * rung)
            self._next = Step(StepKind.CONCURRENCY, rung, calls, self._ceiling_per_s, rest_s)
        return self._next

    def note(self, gate: StepGate) -> Measured:
        """Take in what a step came to, and decide what comes next."""
        step, self._next = gate.step, None
        found = measure_step(step, gate.samples)
        self.measured.append(found)
        self._samples += gate.samples
        if gate.is_banned:
            self.is_banned = True
            self._end("the provider shut us out for a while; nothing more was sent")
        elif not found.calls:
            self._end("no call was made")
        else:
            match step.kind:
                case StepKind.CONCURRENCY:
                    self._note_rung(found, gate)
                case StepKind.CHECK:
                    self._note_check(found, gate)
                case StepKind.PACE:
                    self._note_pace(found, gate)
        return found

    def stop(self, reason: str) -> None:
        """End the search: there is nothing more to send, or somebody wants it."""
        self._end(reason)

    def recommend(self) -> Recommendation | None:
        """Say what to allow; None where no step was good."""
        good = [one for one in self._climbed if one.grade is Grade.GOOD]
        if not good:
            return self._recommend_pace_alone()
        last = good[-1]
        if self.is_banned and self._pace is None:
            per_s = _MARGIN * min(last.per_s, self._admitted_per_s())
            return Recommendation(max(1, self._proven), per_s, "it shut us out above; this is what it bore before")
        if self._guess is not None:
            per_s, why = self._found_pace()
            return Recommendation(max(1, self._proven), per_s, why)
        if self._is_flat:
            needed = self._slots(good)
            most = max(one.per_s for one in good)
            return Recommendation(needed, None, f"more at once only wait at the server: {per_time(most)} is all")
        if last.step.concurrency >= self._ceiling:
            return self._recommend_at_ceiling(good)
        if self.measured[-1].grade is Grade.TOO_MUCH or self._is_checked:
            above = next((one.step.concurrency for one in self._climbed if one.grade is Grade.TOO_MUCH), None)
            why = f"{above} at once was too much" if above else "more was not tried"
            return Recommendation(max(1, self._proven), None, why)
        return Recommendation(max(1, self._proven), None, "the search ended before a limit was found")

    def _recommend_at_ceiling(self, good: Sequence[Measured]) -> Recommendation:
        """Give the ceiling, or fewer where as many did as much; a pace that was given keeps calls few by itself."""
        why = "the ceiling was reached, and nothing was refused"
        if self._ceiling_per_s is None and self._enough(good) < self._ceiling:
            return Recommendation(self._slots(good), None, f"{why}; more at once only wait at the server")
        return Recommendation(self._ceiling, None, why)

    # what steps teach

    def _note_rung(self, found: Measured, gate: StepGate) -> None:
        self._climbed.append(found)
        is_inexplicable = self._is_below_proven(gate.samples)
        if found.grade is Grade.GOOD:
            refused = [sample.crowd for sample in gate.samples if sample.fate is Fate.REFUSED]
            self._proven = max(self._proven, min([found.step.concurrency, *refused]))
        if found.grade is not Grade.TOO_MUCH:
            self._climb(found)
        elif is_inexplicable or any(sample.says_rate for sample in gate.samples):
            self._begin_pace(gate)
        elif all(sample.fate is not Fate.REFUSED for sample in gate.samples):
            self._end("too many calls failed")
        else:
            self._check()

    def _climb(self, found: Measured) -> None:
        """Go on upwards, unless the last steps brought nothing more."""
        rates = [one.per_s for one in self._climbed]
        tail = rates[-_FLAT:]
        if len(rates) > _FLAT and max(tail) < _GAIN * max(rates[:-_FLAT]) and self._ceiling_per_s is None:
            self._is_flat = True
            self._sustain("more at once brings no more")
        elif found.step.concurrency >= self._ceiling:
            self._sustain("the ceiling is reached")

    def _sustain(self, reason: str) -> None:
        """End the climb, but where all its steps were mere bursts let what it would recommend be kept up for longer."""
        self._end_if_sustained = reason
        if any(sample.fate is Fate.REFUSED for sample in self._samples):
            self._check()
            return
        good = [one for one in self._climbed if one.grade is Grade.GOOD]
        if not good or self._ceiling_per_s is not None or max(one.took_s for one in good) >= _SUSTAINED_S:
            self._end(reason)
            return
        best = max(one.per_s for one in good)
        calls = min(_MAX_CHECK_CALLS, max(self._calls, math.ceil(best * _SUSTAINED_S)))
        self._next = Step(StepKind.CHECK, self._enough(good), calls, None, self._rest_s)

    def _is_below_proven(self, samples: Sequence[Sample]) -> bool:
        """Say whether a call was refused among fewer than were good before: it cannot be their number.

        All that were under way at any time of it count, for calls overtake each other, and those that ended just
        before: a server may hold a place for a moment after it has answered.
        """
        took = [sample.ended_at - sample.began_at for sample in self._samples if sample.fate is Fate.SERVED]
        moment_s = min(took, default=0.0)
        for refused in samples:
            if refused.fate is Fate.REFUSED:
                beside = sum(
                    1
                    for one in samples
                    if one.began_at <= refused.ended_at and one.ended_at >= refused.began_at - moment_s
                )
                if beside - 1 < max(1, self._proven):
                    return True
        return False

    def _check(self) -> None:
        """Ask whether the last good number is still good, with more calls than were admitted lately."""
        refused_at = min(sample.began_at for sample in self._samples if sample.fate is Fate.REFUSED)
        lately = sum(
            1
            for sample in self._samples
            if sample.fate is Fate.SERVED and refused_at - _LOOK_BACK_S <= sample.began_at <= refused_at
        )
        calls = min(_MAX_CHECK_CALLS, max(self._calls, math.ceil(1.5 * lately)))
        self._next = Step(StepKind.CHECK, max(1, self._proven), calls, self._ceiling_per_s, self._rest_s)

    def _note_check(self, found: Measured, gate: StepGate) -> None:
        self._is_checked = True
        if found.grade is Grade.TOO_MUCH or any(sample.fate is Fate.REFUSED for sample in gate.samples):
            self._begin_pace(gate)
        else:
            self._end(self._end_if_sustained or "a step was too much")

    # pace

    def _begin_pace(self, gate: StepGate) -> None:
        wait_s = gate.retry_after_s
        self._guess = _MARGIN * self._estimate(wait_s)
        if wait_s is not None and wait_s > _LONGEST_WAIT_S:
            self._end(f"the provider asks to wait for {wait_s:.0f} s, which was not tried out")
        else:
            self._plan_pace(wait_s)

    def _plan_pace(self, wait_s: float | None) -> None:
        """Try the guessed pace after the time to wait, or longer each time where none was said."""
        guess = min(self._guess or 0.0, self._ceiling_per_s or math.inf)
        rest_s = max(self._rest_s, wait_s + 0.5 if wait_s is not None else _FIRST_WAIT_S * 2**self._paced)
        calls = min(_MAX_PACE_CALLS, max(self._calls, math.ceil(guess * _PACE_S)))
        self._next = Step(StepKind.PACE, max(1, self._proven), calls, guess, rest_s, 1.2 * _PACE_S)

    def _note_pace(self, found: Measured, gate: StepGate) -> None:
        is_borne = found.grade is not Grade.TOO_MUCH and all(one.fate is not Fate.REFUSED for one in gate.samples)
        if self._is_trial:
            self._note_trial(found, gate, is_borne=is_borne)
            return
        self._paced += 1
        if is_borne:
            self._is_doubled = self._pace is not None
            self._pace = found
            self._try_faster(found)
            return
        if self._pace is not None:
            self._end("a pace that it bears is found")
            return
        wait_s = gate.retry_after_s
        guess, between = self._guess or 0.0, self._between()
        floor = max(_MARGIN * between, guess / _MOST_SLOWER) if between else guess / _SLOWER
        self._guess = min(guess / _SLOWER, floor)
        if self._paced >= _MAX_PACE_STEPS or (wait_s or 0.0) > _LONGEST_WAIT_S:
            self._end("no pace was found that it bears")
        else:
            self._plan_pace(wait_s)

    def _try_faster(self, borne: Measured) -> None:
        """Try twice what was borne for a moment, unless that was done already, or cannot be had."""
        faster = 2 * (borne.step.per_s or 0.0)
        most = min(self._ceiling_per_s or math.inf, max(one.per_s for one in self._climbed))
        most = min(most, _MAX_PACE_CALLS / _SHORTEST_PACE_S)
        is_slow = borne.per_s < (borne.step.per_s or 0.0) / _SLOWER  # the calls themselves take longer
        if (self._trials and self._tried is None) or self._trials >= _MAX_TRIALS or faster > most or is_slow:
            self._confirm(None)
            return
        self._is_trial = True
        self._trials += 1
        calls = max(self._calls, math.ceil(faster * _TRIAL_S))
        self._next = Step(StepKind.PACE, max(1, self._proven), calls, faster, self._rest_s, 1.2 * _TRIAL_S)

    def _note_trial(self, found: Measured, gate: StepGate, *, is_borne: bool) -> None:
        self._is_trial = False
        if is_borne:
            self._tried = found.step.per_s
            self._try_faster(found)
        else:
            self._confirm(gate.retry_after_s)

    def _confirm(self, wait_s: float | None) -> None:
        """Keep the fastest pace up for long that was borne for a moment; without one the search has ended."""
        if self._tried is None or (wait_s or 0.0) > _LONGEST_WAIT_S:
            self._end("a pace that it bears is found")
            return
        self._guess, self._tried = _MARGIN * self._tried, None
        self._plan_pace(wait_s)

    def _estimate(self, wait_s: float | None) -> float:
        """Give the calls a second that the limit seems to allow."""
        between = self._between()
        if between is not None:
            return between
        began_at, refused_at, served = self._until_refusal()
        return served / max(1.0, refused_at - began_at + (wait_s if wait_s is not None else _FIRST_WAIT_S))

    def _between(self) -> float | None:
        """Give what was admitted a second between the first refusal and the last one, where they are apart."""
        refused = sorted(sample.began_at for sample in self._samples if sample.fate is Fate.REFUSED)
        if not refused or refused[-1] - refused[0] < 2.0:
            return None
        starts = [sample.began_at for sample in self._samples if sample.fate is Fate.SERVED]
        return rate_between(starts, refused[:1], refused[-1])

    def _until_refusal(self) -> tuple[float, float, int]:
        """Give when calls began, when one was refused first, and how many were served before."""
        began_at = min(sample.began_at for sample in self._samples)
        refused = [sample.began_at for sample in self._samples if sample.fate is Fate.REFUSED]
        refused_at = min(refused, default=max(sample.ended_at for sample in self._samples))
        served = sum(1 for one in self._samples if one.fate is Fate.SERVED and one.began_at <= refused_at)
        return began_at, refused_at, served

    def _admitted_per_s(self) -> float:
        """Give what was admitted a second in the whole search, its rests included: surely no more than is allowed."""
        served = [sample for sample in self._samples if sample.fate is Fate.SERVED]
        if not served:
            return 0.0
        span_s = max(one.ended_at for one in self._samples) - min(one.began_at for one in self._samples)
        return len(served) / max(_LOOK_BACK_S, span_s)

    def _found_pace(self) -> tuple[float, str]:
        if self._pace is not None and self._pace.step.per_s is not None:
            # A bucket that was full bears more than its rate, for longer than this was tried.
            margin = _MARGIN if self._is_doubled else 1.0
            return margin * self._pace.step.per_s, f"it bore {per_time(self._pace.step.per_s)}, and refused more"
        per_s = min(self._guess or math.inf, self._admitted_per_s())
        return _MARGIN * per_s, "it refused calls for their rate; this is less than what it admitted"

    def _recommend_pace_alone(self) -> Recommendation | None:
        if self._guess is None or not any(sample.fate is Fate.SERVED for sample in self._samples):
            return None
        return Recommendation(1, *self._found_pace())

    def _slots(self, good: Sequence[Measured]) -> int:
        """Give the calls at once that keep the server busy, by Little's law: none of them waits."""
        best = max(one.per_s for one in good)
        alone = next(one for one in good if one.median_s is not None)
        return max(1, min(self._enough(good), math.ceil(best * (alone.median_s or 0.0))))

    def _enough(self, good: Sequence[Measured]) -> int:
        """Give the fewest calls at once that did about as much as any."""
        best = max(one.per_s for one in good)
        return min(one.step.concurrency for one in good if one.per_s >= best / _GAIN)

    def _end(self, reason: str) -> None:
        self.end_reason = self.end_reason or reason
