"""How many calls in a time, learned from refusals; the lane's gate enforces it.

Pure: times are passed in, nothing sleeps. What refusals measure stands in `cycle`, what bans teach in `caution`, when
more is tried in `growth`. Each refusal that could not be avoided is also a measurement, and the pace settles just
under it:

    free       nothing known: no pace
    blocked    refused: silence for as long as the provider says, or a growing gap
    probing    one call at a time, each waiting until a refusal of the one before would be back
    paced      by window or bucket; tries a little more after quiet, and goes back to what was good when refused
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.cycle import (
    FIRST_GAP_S,
    GUESS_S,
    MAX_STEP,
    MIN_STEP,
    Cycle,
    Spent,
    ask_again_at,
    correct,
    fall_back,
    is_guess,
    least_refill,
    make_sure,
    measure,
    measure_ban,
)
from imeiflow.dispatch.departure import Departures
from imeiflow.dispatch.growth import MAX_FIRST_STEP, Growth
from imeiflow.dispatch.rate import (
    MARGIN,
    REMEMBER_S,
    Bucket,
    Model,
    Window,
    as_values,
    describe_model,
    good_moment,
    spread,
)

__all__ = ["Bucket", "Model", "Pace", "Window"]

_MIN_GRACE_S = 0.020
_MAX_GRACE_S = 3.0
_AFTER_BAN = 0.9
_TRUST_S = 5.0
_SHUT_OUT = "the provider has shut us out for a while"
_USED_UP = "no limit is known: the provider refused from the start, for what had been sent before"
_REFUSED = "the provider refused a call: too many in a short time"


class Pace:
    """The gate of calls over time. `ceiling` is the user's own rate and is never exceeded.

    `carried` are the times at which an earlier session's calls left, in ascending order.
    """

    def __init__(
        self,
        *,
        ceiling: Window | None = None,
        model: Model | None = None,
        step: float = MIN_STEP,
        grace_s: float = _MIN_GRACE_S,
        caution: Caution | None = None,
        carried: Sequence[float] = (),
    ) -> None:
        self.model = model
        self.caution = caution or Caution()
        self.growth = Growth(step=step, caution=self.caution, learned=model)
        self.reason = f"{describe_model(model)}, learned earlier" if model else "no limit is known"
        self.blocked_until = -math.inf
        self.is_at_ceiling = False
        self.departures = Departures(ceiling=ceiling, model=model, carried=carried)
        self._cycle: Cycle | None = None
        self._refused_at = -math.inf  #: the last time, of any cycle
        self._spent = Spent()
        self._between: float | None = None  #: calls a second that were admitted between two such moments
        self._grace_s = min(_MAX_GRACE_S, max(_MIN_GRACE_S, grace_s))  #: a refusal would be back by then
        self.is_probing = False
        self._gate_at = -math.inf  #: while probing: infinity until the call that asks has left
        self._left_at = -math.inf  #: when the last call left
        self._was_served = False  #: a call of this session
        self._is_rough = False  #: the model is a first guess: its cycle began rested
        self._trust_until = -math.inf  #: until then the provider may still count the calls of an earlier session
        self._is_recalled = model is not None
        self._began_at = math.inf  #: when the first call of this session did

    @property
    def ceiling(self) -> Window | None:
        """Give the user's own rate."""
        return self.departures.ceiling

    @ceiling.setter
    def ceiling(self, ceiling: Window | None) -> None:
        self.departures.ceiling = ceiling

    @property
    def bans(self) -> int:
        """Count the bans that are remembered."""
        return self.caution.bans

    @property
    def is_limiting(self) -> bool:
        """Say whether a rate limit is known or being measured."""
        return self.model is not None or self.is_probing

    @property
    def is_unsettled(self) -> bool:
        """Say whether the limit is being measured, or more than is known to be allowed is being tried."""
        return self.is_probing or self.growth.good is not None

    def is_recalled(self, at: float) -> bool:
        """Say whether the pace comes from an earlier session, whose calls the provider may still have counted then."""
        return at < self._trust_until

    def as_learned(self) -> dict[str, object] | None:
        """Give what is worth remembering, as JSON values; None when no limit is known."""
        model = self.growth.good or self.model
        if model is None and self.bans and self.is_probing and self._cycle is not None:
            # Left while shut out: whoever comes next begins slowly.
            model = spread(self._cycle.count / REMEMBER_S if self._has_sent(before=math.inf) else 1.0)
        extra = {"step": min(self.growth.step, MAX_FIRST_STEP), "grace_s": self._grace_s, **self.caution.as_learned()}
        if isinstance(model, Window) and self.departures.starts:
            extra["left"] = self.departures.count_parts(model)
        return None if model is None else {**as_values(model), **extra}

    def ready_at(self, now: float) -> float:
        """Say when one more call may begin: `now` or a later time."""
        by_ceiling = self.departures.by_ceiling(now)
        ready = max(now, self.blocked_until, by_ceiling)
        if self.is_probing:
            self._settle(now)
        if self.is_probing:
            ready = max(ready, self._gate_at)
        paced = self._by_model(now, self.model)
        if paced > ready:
            self.growth.note_bound(now)
        self.is_at_ceiling = by_ceiling >= max(ready, paced) > now
        return max(ready, paced)

    def started(self, now: float) -> None:
        """Count a call that leaves now, for nothing is to be recorded first."""
        self.claim(now)
        self.left(now)

    def claim(self, now: float) -> None:
        """Count a call that is to leave soon."""
        if self.is_probing:
            self._gate_at = math.inf
        self.growth.note_claim()
        self.departures.claim(now, self.model)
        self._try_more(now)

    def left(self, now: float) -> None:
        """Learn that a claimed call leaves now: only now the provider counts it."""
        if self._cycle is None:
            self._cycle = Cycle(now)
            self._began_at = now
            if self._is_recalled:
                self._trust_until = now + (self.model.period_s if isinstance(self.model, Window) else _TRUST_S)
        self._left_at = now
        self.growth.note_left()
        self._cycle.admitted += 1
        self.departures.leave(now, self.model)
        if self.is_probing:
            self._gate_at = now + self._grace_s

    def withhold(self, claimed_at: float) -> None:
        """Take back a claimed call that does not leave. Where it was to ask, the next one asks."""
        self.departures.take_back(self.model)
        if self.is_probing and self._gate_at == math.inf and claimed_at > self._refused_at:
            self._gate_at = self.blocked_until

    def note_spent(self, began_at: float) -> None:
        """Learn that a call refused earlier, its reason unknown then, was refused for its rate."""
        if not self._spent.moments:
            self._spent.moments.append(began_at)

    def discount(self, began_at: float) -> None:
        """Take a call that was refused out of those that were admitted."""
        if self._cycle is not None and began_at >= self._cycle.began_at:
            self._cycle.admitted = max(0, self._cycle.admitted - 1)
        self.departures.discount(began_at)

    def refused(
        self,
        now: float,
        *,
        began_at: float,
        retry_after_s: float | None = None,
        is_ban: bool = False,
    ) -> None:
        """Learn that the call that began at `began_at` was refused for its rate, after the others now counted."""
        cycle = self._cycle = self._cycle or Cycle(began_at)
        self.discount(began_at)
        self._grace_s = min(_MAX_GRACE_S, max(self._grace_s, 1.5 * (now - began_at)))
        is_same_event = began_at <= self._refused_at
        is_new_ban = is_ban and not cycle.is_banned
        self._warn(now, cycle, is_ban=is_ban)
        if retry_after_s is not None:
            self.blocked_until = max(self.blocked_until, now + retry_after_s + 0.01)
            if not is_ban and cycle.due_at is None:
                cycle.due_at = now + retry_after_s
        elif is_new_ban or not is_same_event:
            self.blocked_until = max(self.blocked_until, self._ask_again_at(now, cycle, is_ban=is_ban))
        if is_same_event and not is_new_ban:
            # It left before the call that asks, and says nothing of its answer, which may even be there.
            self._gate_at = max(self._gate_at, self.blocked_until)
            return
        self._note_event(now, cycle, max(began_at, cycle.began_at), is_ban=is_ban)
        self.is_probing = True
        self._gate_at = self.blocked_until
        self.growth.end_quiet()
        self.reason = _SHUT_OUT if is_ban else _REFUSED

    def admitted(self, now: float, *, began_at: float) -> None:
        """Learn that the call that began at `began_at` was served."""
        cycle = self._cycle
        if cycle is not None and cycle.refused_at < began_at:
            self._close_cycle(cycle, began_at, now)
        self._was_served = True

    def good_moment(self, now: float, gap_s: float) -> float:
        """Give a moment about `gap_s` from now, right after the end of a usual period where one is near."""
        return good_moment(self._cycle.began_at if self._cycle is not None else now, now, gap_s)

    # what the gate allows

    def _try_more(self, now: float) -> None:
        if self.model is None or self.is_probing:
            return
        more = self.growth.raise_pace(now, self.model, self._grace_s)
        if more is not None:
            self.model = more
            self.reason = f"trying {describe_model(more)}: nothing was refused for a while"

    def _by_model(self, now: float, model: Model | None) -> float:
        departures, good = self.departures, self.growth.good
        ready = departures.by_model(now, model)
        if not isinstance(model, Window):
            return ready
        if self.is_recalled(now) and self._refused_at > -math.inf:
            return max(ready, departures.last_at + 1 / model.rate)  # evenly, while we cannot know what is left
        if isinstance(good, Window) and departures.is_full(Window(good.calls, model.period_s), now):
            return max(ready, departures.last_at + self._grace_s)  # more than was good: a refusal ends it
        return ready

    def _settle(self, now: float) -> None:
        """Take a call that was not refused within the grace for admitted."""
        cycle, last = self._cycle, self._left_at
        if cycle is None or cycle.refused_at == math.inf:
            return
        if last > self._refused_at and now >= last + self._grace_s:
            self._close_cycle(cycle, last, now)

    # what refusals teach

    def _warn(self, now: float, cycle: Cycle, *, is_ban: bool) -> None:
        if not is_ban:
            self.caution.warn(now)
        elif not cycle.is_banned:
            cycle.is_banned = True
            self.caution.note_ban(now)
            self.growth.wait_after_ban()

    def _note_event(self, now: float, cycle: Cycle, began_at: float, *, is_ban: bool) -> None:
        """Note a refusal that is not one of many that left together."""
        self._refused_at = now
        if not is_ban or cycle.asked_at == -math.inf:
            cycle.asked_at = max(cycle.asked_at, began_at)
        if cycle.refused_at == math.inf:
            cycle.refused_at, cycle.spent_at = now, began_at
            self.growth.wait_longer()
        self._spent.moments.append(began_at)

    def _ask_again_at(self, now: float, cycle: Cycle, *, is_ban: bool) -> float:
        """Ask when the pace so far would allow it, and then after growing gaps."""
        if is_ban:
            return now + self.caution.next_gap()
        is_first = cycle.refused_at == math.inf
        model = self.growth.good or self.model
        if self.bans:
            if model is None or not is_first:
                return max(now + FIRST_GAP_S, self.caution.next_ask(now, min(now, cycle.refused_at)))
            return max(
                now + FIRST_GAP_S,
                min(now + self.caution.wait_s(model), self.caution.room_again_at(self.departures.starts, model, now)),
            )
        return ask_again_at(cycle, model, now, free_at=self._by_model(now, model))

    def _close_cycle(self, cycle: Cycle, again_at: float, now: float) -> None:
        """One call is admitted again: measure the cycle that ended and begin the next."""
        before = self.model
        is_empty = not self._has_sent(before=again_at)
        if before is None and is_empty:
            self.is_probing, self.reason = False, _USED_UP
        else:
            self._adopt(self._learn(cycle, again_at), before)
        if cycle.is_banned or is_empty:
            self._spent.moments.clear()  # what was not sent while shut out says nothing of what may be
        self._cycle = Cycle(again_at, admitted=1)
        self.growth.begin_quiet(now)

    def _has_sent(self, *, before: float) -> bool:
        """Say whether a call of this session that left before a time was admitted, as far as is known."""
        starts = self.departures.starts
        return self._was_served or (bool(starts) and starts[0] < before)

    def _learn(self, cycle: Cycle, again_at: float) -> Model:
        """Choose the pace after a cycle of refusals; sets the size of the next step, too."""
        before, good, caution = self.model, self.growth.good, self.caution
        self.growth.good = None
        if before is not None and self.is_recalled(cycle.refused_at):
            known = good or before  # what an earlier session used up is the reason
            return spread(_AFTER_BAN * known.rate) if cycle.is_banned else known
        between = self._spent.rate_before(cycle, self.departures.starts, is_least=cycle.is_banned)
        self._between = between or self._between
        if before is None:
            caution.run = cycle.count
        if cycle.is_banned and self._between is not None:
            caution.run = 0
        is_rough, self._is_rough = self._is_rough, before is None
        if good is not None:
            self.growth.step = MAX_STEP if cycle.is_banned else max(MIN_STEP, self.growth.step / 2)
            caution.end_leap()
            if self.bans and not cycle.is_banned:
                caution.exclude(self.departures.starts, cycle.spent_at, since=self._began_at)
            self.growth.may_spread = isinstance(before, Window) and is_guess(before, self._grace_s)
            return self._end_climb(good, cycle) or self._make_sure(fall_back(good, between), cycle)
        if cycle.is_banned and (cycle.due_at is None or cycle.due_at - cycle.began_at < GUESS_S):
            caution.floor_s = max(caution.floor_s, cycle.asked_at - cycle.began_at)
            caution.is_proved = True
            caution.is_climbing = self._between is None and caution.can_err
            found = measure_ban(
                cycle,
                again_at,
                before,
                between=self._between
                or self._spent.rate_before(cycle, self.departures.starts, is_least=True, fewest=2),
            )
        else:
            found = measure(cycle, again_at)
        self.growth.step = found.step
        self.growth.climbed_from = found.model.rate if caution.is_climbing else None
        if before is None and not cycle.is_banned and between is not None and found.model.rate > 1.1 * between:
            return spread(MARGIN * between)  # what the first cycle holds besides is a burst
        if before is None or cycle.is_banned:
            return found.model
        if between is None and not self.bans:  # it may be slowed down by a rough guess: more is tried soon
            self.growth.hurry()
        return correct(
            before,
            found.model,
            cycle,
            again_at,
            between=between,
            roughly=self._spent.rate_before(cycle, self.departures.starts, fewest=1),
            is_rough=is_rough,
            grace_s=self._grace_s,
            starts=[at for at in self.departures.starts if at < cycle.spent_at],
        )

    def _end_climb(self, good: Model, cycle: Cycle) -> Model | None:
        """Give what surely is allowed after a climb, which what had been saved up may have carried too far."""
        least, self.growth.climbed_from = self.growth.climbed_from, None
        if least is None:
            return None
        refill = least_refill(
            [at for at in self.departures.starts if at < cycle.spent_at], cycle.spent_at, self.caution.run
        )
        return spread(min(good.rate, max(least, MARGIN * refill)))

    def _make_sure(self, good: Model, cycle: Cycle) -> Model:
        """Fall back further where no refusal more may be borne."""
        caution, until = self.caution, cycle.refused_at
        if not self.bans or not caution.run or not isinstance(good, Bucket) or caution.spare(until):
            return good
        before = self.growth.before_good.rate if self.growth.before_good else 0.0
        return make_sure(good, before, list(self.departures.starts), until, run=caution.run, can_err=caution.can_err)

    def _adopt(self, model: Model, before: Model | None) -> None:
        self.model = model
        self.is_probing = False
        if isinstance(model, Bucket):
            self.departures.empty()
        if before is None or model == before:
            self.reason = f"{describe_model(model)}: the provider refuses more"
        else:
            self.reason = f"slower, {describe_model(model)}: the provider refused calls at {describe_model(before)}"
