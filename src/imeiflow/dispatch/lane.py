"""The gate that all calls to one account pass: how many at once, how many in a time.

Pure: times are passed in, nothing sleeps. The engine asks `ready_at`, then tells `claim`, `leave` (when what must be
recorded first is) and `end`. Every call ends as success, ignore or dropped (Netflix, concurrency-limits).

What a refusal without words means is found out here. It is taken for a matter of number first, because heeding that
is safe, and asked again soon: one more call at once, taken although none has ended, shows that it was the rate. So
do refusals that a limit of number cannot explain: among fewer calls than were admitted or refused before, again and
again. If it is still the wrong answer, little is lost: the pace measures what was admitted, whatever the limit was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from imeiflow.dispatch.call import Call, CallEnd, Refusal
from imeiflow.dispatch.learned import name_reason, read_count, read_pace, read_reasons, recall_reason
from imeiflow.dispatch.limit import ConcurrencyLimit
from imeiflow.dispatch.rate import Model, Window, per_time
from imeiflow.dispatch.suspicion import Suspicion, surely_at_once

#: How many calls at once the canaries' neighbours may prove; beyond, only calls of the real size are worth a slot.
_CANARY_BOUND = 20
#: How long after a refusal without words one more call asks whether it was their number or their rate.
_VERIFY_GAPS_S = (0.4, 1.5)
#: So many refusals that a limit of number cannot explain, within so long, speak for the rate.
_MAX_UNEXPLAINED = 2
_UNEXPLAINED_FOR_S = 60.0
_MAX_GRACE_S = 3.0
#: A provider that has just refused is not asked again at once: some ban whoever insists.
_HOLD_S = 0.25
_MAX_ALONE_S = 1.0
_REFUSALS = 256
_SUSPECT_S = 1.5
_HALF_FULL = 0.75


@dataclass(frozen=True, slots=True)
class LaneView:
    """What a person sees of a lane. `reason` says in a sentence what the speed comes from."""

    in_flight: int
    concurrency: int
    concurrency_reason: str
    pace: Model | None
    pace_reason: str
    blocked_until: float
    refused: int
    bans: int
    reason: str


class Lane:
    """Concurrency and pace of one account. All jobs of the account share it.

    `learned` is what an earlier session gave as learned, stored at `learned_at` in the lane's own time.
    """

    def __init__(
        self,
        *,
        ceiling: int = 64,
        rate: Window | None = None,
        learned: Mapping[str, object] | None = None,
        learned_at: float | None = None,
    ) -> None:
        learned = learned or {}
        reasons = read_reasons(learned)
        self.limit = ConcurrencyLimit(
            ceiling=ceiling,
            proven=read_count(learned.get("proven")) or 0,
            cap=read_count(learned.get("cap")),
            queued=read_count(learned.get("queued")),
            why=recall_reason(reasons.get("concurrency")),
        )
        self.pace = read_pace(rate, learned.get("pace"), why=reasons.get("pace"), learned_at=learned_at)
        self._sure = self.limit.proven  #: an earlier session had so many at once
        self._is_cap_recalled = self.limit.cap is not None
        self.in_flight = 0
        self.refused = 0
        self._hold_until = -math.inf
        self._is_cautious = False  #: the next call goes alone: the others wait until its refusal would be back
        self._refused_at = -math.inf  #: when the last refusal was heard
        self._refusals: deque[tuple[float, float]] = deque(maxlen=_REFUSALS)  #: when each left, and was heard
        #: For a refusal, or since an earlier session: the way back is taken in steps.
        self._has_waited = self.pace.model is not None
        self._suspicion: Suspicion | None = None
        self._unexplained: deque[float] = deque(maxlen=_MAX_UNEXPLAINED)
        self._speaks_of_rate = False  #: whoever says so when it is the rate means something else when silent
        self._rate_refused_at = -math.inf
        self._verify_began_at: float | None = None
        self._ended_at = -math.inf
        self._ends: deque[float] = deque()  #: when calls ended within the last grace
        self._grace_s = 0.020
        self._holder = _Holder.NOTHING

    def hold_ramp(self, *, is_canary_phase: bool) -> None:
        """Keep the ramp low while the calls are still of trial size."""
        self.limit.bound = max(_CANARY_BOUND, self.limit.cap or 0) if is_canary_phase else None

    def ready_at(self, now: float) -> float:
        """Say when the next call may begin: `now`, later, or infinity (only after a call has ended)."""
        self._verify(now)
        at = self.pace.ready_at(now)
        if at > now:
            self._holder = _Holder.SILENCE if at <= self.pace.blocked_until else _Holder.PACE
            return max(at, self._hold_until)
        if now < self._hold_until:
            return self._hold_until
        if (at := self._heard_at(now)) > now:
            self._holder = _Holder.HEARING
            return at
        at = self.limit.room_at(now, self.in_flight)
        self._holder = _Holder.NUMBER if at > now else _Holder.NOTHING
        if self._verify_began_at is not None:
            return min(at, self._verify_began_at + self._grace_s)
        return at

    def begin(self, now: float, size: int = 1) -> Call:
        """Count a call that leaves now, for nothing has to be recorded first."""
        call = self.claim(now, size)
        self._depart(now, call)
        return call

    def claim(self, now: float, size: int = 1) -> Call:
        """Count a call that is to leave as soon as its intent is recorded."""
        if self._has_waited or self._is_refilling(now):
            self._has_waited = False
            self.limit.ease(now, self.in_flight)
        if self._is_cautious:
            self._hold_until = now + _HOLD_S
        self.in_flight += 1
        self.pace.claim(now)
        return Call(now, now, size, is_trial=self.limit.is_trying and self.in_flight >= (self.limit.cap or 0))

    def _is_refilling(self, now: float) -> bool:
        """Say whether many have ended at once, soon after a refusal without words: others follow one by one."""
        suspicion, limit = self._suspicion, self.limit
        is_recent = suspicion is not None and suspicion.is_news and now < suspicion.refused_at + _SUSPECT_S
        return is_recent and not limit.is_eased and self.in_flight < limit.allowed * _HALF_FULL

    @property
    def is_asking(self) -> bool:
        """Say whether one call goes alone, and the others wait for it to leave."""
        return self._is_cautious or self.pace.is_probing

    def leave(self, now: float, call: Call) -> bool:
        """Say whether a claimed call may leave now, and count that it does.

        What the provider refused meanwhile may stand against it; it is then to be withheld.
        """
        pace = self.pace
        if call.began_at < self._refused_at and (
            pace.is_probing or now < pace.blocked_until or self.in_flight > self.limit.allowed
        ):
            return False
        self._depart(now, call)
        return True

    def _heard_at(self, now: float) -> float:
        """Say when enough calls have left so long ago that a refusal would have been heard, to risk one more."""
        if self.pace.is_limiting or self.limit.cap is not None or self.in_flight < self._sure:
            return now
        return self.pace.departures.heard_at(now, self.limit.step_s)

    def withhold(self, call: Call) -> None:
        """Take back a claimed call that does not leave."""
        self.in_flight -= 1
        self.pace.withhold(call.claimed_at)

    @property
    def _away(self) -> int:
        """Count the calls in flight that have left."""
        return self.in_flight - self.pace.departures.claimed

    def _depart(self, now: float, call: Call) -> None:
        call.began_at, call.crowd = now, self._away
        # Others may have ended while its intent was written, or not left yet: then it is not one more.
        call.is_trial = call.is_trial and call.crowd + 1 >= (self.limit.cap or 0)
        call.sample = self.limit.begun(now, crowd=call.crowd, size=call.size)
        self.pace.left(now)
        if self._is_cautious:
            self._is_cautious = False
            self._hold_until = now + min(self._grace_s, _MAX_ALONE_S)
        if self._suspicion is not None and call.is_trial and self.limit.is_trying:
            self._verify_began_at = now

    def end(self, now: float, call: Call, end: CallEnd, refusal: Refusal | None = None) -> None:
        """Count a call that left and has ended, and learn from it."""
        self.in_flight -= 1
        if end is not CallEnd.DROPPED:
            self._ends.append(now)
            self._ended_at = now
        while self._ends and self._ends[0] < now - _MAX_GRACE_S:
            self._ends.popleft()
        match end:
            case CallEnd.SUCCESS:
                self._serve(now, call)
            case CallEnd.DROPPED:
                self.refused += 1
                self._refused_at = now
                self._refuse(now, call, refusal or Refusal())
            case CallEnd.IGNORE:
                self._drop_sample(call)

    def as_learned(self) -> dict[str, object]:
        """Give what is worth remembering, as JSON values; `__init__` takes it back."""
        queued = int(self.limit.value) if self.limit.is_queued else None
        limits = {"proven": self.limit.proven, "cap": self.limit.cap, "queued": queued, "pace": self.pace.as_learned()}
        why = {"concurrency": name_reason(self.limit.reason), "pace": name_reason(self.pace.reason)}
        return {**limits, "why": why}

    def view(self) -> LaneView:
        """Give what a person sees."""
        return LaneView(
            in_flight=self.in_flight,
            concurrency=self.limit.allowed,
            concurrency_reason=self.limit.reason,
            pace=self.pace.model or self.pace.ceiling,
            pace_reason=self.pace.reason if self.pace.model or not self.pace.ceiling else "set by you",
            blocked_until=self.pace.blocked_until,
            refused=self.refused,
            bans=self.pace.bans,
            reason=self._explain(),
        )

    def _explain(self) -> str:
        """Say what the speed comes from, as of the last time that the lane was asked."""
        limit, pace = self.limit, self.pace
        match self._holder:
            case _Holder.SILENCE:
                return f"waiting: {pace.reason}"
            case _Holder.PACE if pace.model is None or pace.is_at_ceiling:
                return f"{per_time(pace.ceiling.rate)}, set by you" if pace.ceiling else pace.reason
            case _Holder.PACE:
                return f"as fast as the pace allows: {pace.reason}"
            case _Holder.NUMBER if limit.allowed >= limit.ceiling:
                return f"{limit.ceiling} calls at once, the most that are allowed (max_concurrency)"
            case _Holder.NUMBER if limit.bound is not None and limit.allowed >= limit.bound:
                return f"{limit.bound} calls at once, until it is known how many orders a call may carry"
            case _Holder.NUMBER:
                return f"{limit.allowed} calls at once: {limit.reason}"
            case _Holder.HEARING:
                return "starting with few calls: more follow when these are seen not to be refused"
            case _Holder.NOTHING:
                return "as fast as orders come"

    # what ends teach

    def _serve(self, now: float, call: Call) -> None:
        suspicion = self._suspicion
        if suspicion is not None and call.began_at > suspicion.began_at:
            suspicion.in_a_row = 0
            sure = surely_at_once(call.crowd)
            if sure > suspicion.crowd and sure > suspicion.crowd + self._count_ends(call.began_at):
                self._unexplained.append(now)
                self._drop_suspicion()
        self.pace.admitted(now, began_at=call.began_at)
        if call.sample is not None:
            crowd = call.crowd - self._count_turned_away(call.began_at)
            self.limit.admitted(now, call.sample, size=call.size, crowd=crowd, is_trial=call.is_trial)

    def _count_turned_away(self, at: float) -> int:
        """Count the calls that seemed to be at the provider at a time, and had been refused already."""
        if at > self._refused_at:
            return 0
        return sum(1 for left_at, heard_at in self._refusals if left_at < at <= heard_at)

    def _drop_sample(self, call: Call) -> None:
        if call.sample is not None:
            self.limit.ended(call.sample, size=call.size)

    def _refuse(self, now: float, call: Call, refusal: Refusal) -> None:
        took_s = now - call.began_at
        self._grace_s = min(_MAX_GRACE_S, max(self._grace_s, 1.5 * took_s))
        self._drop_sample(call)
        self.limit.note_refusal_latency(now - call.claimed_at)
        self._refusals.append((call.began_at, now))
        self.pace.growth.refusals += 1
        suspicion = self._suspicion
        if refusal.says_rate or refusal.is_ban or refusal.retry_after_s is not None:
            if suspicion is not None and not self._speaks_of_rate:
                self._free_limit(suspicion)
            self._speaks_of_rate = self._speaks_of_rate or not refusal.is_ban
            self._refuse_rate(now, call, refusal)
        elif call.began_at <= self._rate_refused_at:
            self._refuse_rate(now, call, refusal)  # it left before the refusal that was one of rate
        elif suspicion is not None and call.began_at <= suspicion.refused_at:
            self.pace.discount(call.began_at)
            self.pace.caution.warn(now)
            self.limit.lower(call.crowd)
        elif self._speaks_of_rate:
            self._suspect(now, call)
        elif self._is_paced(call) or self._is_inexplicable(now, call):
            self._conclude_rate(now, call)
        else:
            self._suspect(now, call)

    def _is_paced(self, call: Call) -> bool:
        """Say whether a known pace explains a refusal better than a number of calls that was never admitted before."""
        return self.pace.is_limiting and (self.pace.is_unsettled or call.crowd < surely_at_once(self.limit.proven))

    def _is_inexplicable(self, now: float, call: Call) -> bool:
        """Say whether a limit of number cannot explain a refusal any more, with those before it."""
        suspicion = self._suspicion
        is_trial = call.is_trial and self.limit.is_trying
        admits = surely_at_once(self.limit.admits)
        if not is_trial and call.crowd < admits and call.crowd + self._count_ends(call.began_at) < admits:
            self._unexplained.append(now)
        while self._unexplained and self._unexplained[0] < now - _UNEXPLAINED_FOR_S:
            self._unexplained.popleft()
        if len(self._unexplained) >= _MAX_UNEXPLAINED:
            return True
        return suspicion is not None and not is_trial and max(suspicion.in_a_row, suspicion.falls) >= _MAX_UNEXPLAINED

    def _count_ends(self, at: float) -> int:
        """Count the calls whose end the server may not have seen as we did, at a time just past."""
        return sum(1 for end in self._ends if abs(end - at) <= self._grace_s)

    def _suspect(self, now: float, call: Call) -> None:
        """Take a refusal for one call too many, and plan to ask once more."""
        limit, before = self.limit, self._suspicion
        is_trial = call.is_trial and limit.is_trying
        is_sure = self._is_cap_recalled or (before is not None and before.verified >= len(_VERIFY_GAPS_S))
        is_news = not (is_sure and is_trial and call.crowd >= limit.admits)
        if before is None:
            self._suspicion = before = Suspicion(call.began_at, call.began_at, now, call.crowd, limit.value, is_news)
        else:
            before.falls += not is_trial and call.crowd < surely_at_once(limit.cap or 0)
            before.in_a_row += not is_trial and call.crowd < surely_at_once(limit.cap or limit.proven)
            before.began_at, before.refused_at, before.crowd, before.is_news = call.began_at, now, call.crowd, is_news
        self._has_waited = self._has_waited or is_news
        self.pace.discount(call.began_at)
        self.pace.caution.warn(now)
        limit.refused(now, crowd=call.crowd)
        self._verify_began_at = None
        self._hold_until = now + max(self._grace_s, _HOLD_S if is_news else 0.0)
        self._is_cautious = True
        if before.verified < len(_VERIFY_GAPS_S):
            gap_s = max(_VERIFY_GAPS_S[before.verified], 3 * self._grace_s)
            before.verified += 1
            limit.verify(self.pace.good_moment(now, gap_s))

    def _verify(self, now: float) -> None:
        """Conclude from a call beyond the cap that was not refused, although none had ended: it is the rate."""
        began_at, suspicion = self._verify_began_at, self._suspicion
        if began_at is None or suspicion is None or now < began_at + self._grace_s:
            return
        self._verify_began_at = None
        if self._ended_at >= began_at:
            return
        self._free_limit(suspicion)
        if self._speaks_of_rate or self._ended_at >= suspicion.refused_at:
            self._unexplained.append(now)
            return
        self.pace.refused(suspicion.refused_at, began_at=suspicion.began_at)
        self.pace.admitted(now, began_at=began_at)

    def _conclude_rate(self, now: float, call: Call) -> None:
        """Take a refusal without words for one of rate, and so those before it that were taken for number."""
        if self._suspicion is not None:
            self._free_limit(self._suspicion)
        self._refuse_rate(now, call, Refusal())

    def _free_limit(self, suspicion: Suspicion) -> None:
        self.pace.note_spent(suspicion.first_at)
        if self.limit.cap is not None:
            self.limit.free(value=max(suspicion.value, self.limit.value))
        self._is_cap_recalled = False
        self._drop_suspicion()
        self._unexplained.clear()

    def _drop_suspicion(self) -> None:
        """Let go of it together with its verification, which nobody would conclude any more."""
        self._suspicion, self._verify_began_at = None, None

    def _refuse_rate(self, now: float, call: Call, refusal: Refusal) -> None:
        self._has_waited = True
        if call.began_at > self._rate_refused_at:
            self._rate_refused_at = now
        self.pace.refused(now, began_at=call.began_at, retry_after_s=refusal.retry_after_s, is_ban=refusal.is_ban)


class _Holder(StrEnum):
    """What the next call waits for."""

    NOTHING = "nothing"
    NUMBER = "number"
    HEARING = "hearing"
    PACE = "pace"
    SILENCE = "silence"
