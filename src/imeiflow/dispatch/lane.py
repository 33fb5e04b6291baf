"""The gate that all calls to one account pass: how many at once, how many in a time.

Pure: times are passed in, nothing sleeps. The engine asks `ready_at`, tells `begin` and `end`. Every call ends as
success, ignore or dropped (Netflix, concurrency-limits).

What a refusal without words means is found out here. It is taken for a matter of number first, because heeding that
is safe, and asked again soon: one more call at once, taken although none has ended, shows that it was the rate. So
do refusals that a limit of number cannot explain: among fewer calls than were admitted before, again and again. If it
is still the wrong answer, little is lost: the pace is a measurement of what was admitted, whatever the limit was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.latency import Sample
from imeiflow.dispatch.limit import ConcurrencyLimit
from imeiflow.dispatch.pace import Pace
from imeiflow.dispatch.rate import Bucket, Model, Window, per_time

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


class CallEnd(StrEnum):
    """How a call ended, as far as the limits care."""

    SUCCESS = "success"  #: served
    IGNORE = "ignore"  #: says nothing about the limits
    DROPPED = "dropped"  #: refused for rate or concurrency


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal said of itself."""

    says_rate: bool = False  #: it speaks of a rate or gives a time to wait
    is_ban: bool = False
    retry_after_s: float | None = None


@dataclass(slots=True)
class Call:
    """One call under way. `crowd` others were under way when it began."""

    began_at: float
    crowd: int
    size: int
    sample: Sample


@dataclass(slots=True)
class _Suspicion:
    """Refusals without words, taken for a matter of number."""

    first_at: float  #: when the first refused call began
    began_at: float  #: when the last one did
    refused_at: float
    crowd: int
    value: float  #: the limit before the first of them
    in_a_row: int = 1  #: refusals since a call was last served
    verified: int = 0


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
    """Concurrency and pace of one account. All jobs of the account share it."""

    def __init__(
        self,
        *,
        ceiling: int = 64,
        rate: Window | None = None,
        learned: Mapping[str, object] | None = None,
    ) -> None:
        learned = learned or {}
        self.limit = ConcurrencyLimit(
            ceiling=ceiling,
            proven=_count_of(learned.get("proven")) or 0,
            cap=_count_of(learned.get("cap")),
            queued=_count_of(learned.get("queued")),
        )
        self.pace = _pace_of(rate, learned.get("pace"))
        self.in_flight = 0
        self.refused = 0
        self._hold_until = -math.inf
        #: For a refusal, or since an earlier session: the way back is taken in steps.
        self._has_waited = self.pace.model is not None
        self._suspicion: _Suspicion | None = None
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
        at = self.limit.room_at(now, self.in_flight)
        self._holder = _Holder.NUMBER if at > now else _Holder.NOTHING
        if self._verify_began_at is not None:
            return min(at, self._verify_began_at + self._grace_s)
        return at

    def begin(self, now: float, size: int = 1) -> Call:
        """Count a call that leaves now."""
        crowd = self.in_flight
        if self._has_waited:
            self._has_waited = False
            self.limit.ease(crowd)
        call = Call(now, crowd, size, self.limit.begun(now, crowd=crowd, size=size))
        if self._suspicion is not None and self.limit.is_trying:
            self._verify_began_at = now
        self.in_flight += 1
        self.pace.started(now)
        return call

    def end(self, now: float, call: Call, end: CallEnd, refusal: Refusal | None = None) -> None:
        """Count a call that ended, and learn from it."""
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
                self._refuse(now, call, refusal or Refusal())
            case CallEnd.IGNORE:
                self.limit.ended(call.sample, size=call.size)

    def as_learned(self) -> dict[str, object]:
        """Give what is worth remembering, as JSON values; `__init__` takes it back."""
        queued = int(self.limit.value) if self.limit.is_queued else None
        return {"proven": self.limit.proven, "cap": self.limit.cap, "queued": queued, "pace": self.pace.as_learned()}

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
            case _Holder.NOTHING:
                return "as fast as orders come"

    # what ends teach

    def _serve(self, now: float, call: Call) -> None:
        suspicion = self._suspicion
        if suspicion is not None and call.began_at > suspicion.began_at:
            suspicion.in_a_row = 0
            if call.crowd > suspicion.crowd + self._count_ends(call.began_at):
                self._unexplained.append(now)
                self._drop_suspicion()
        self.pace.admitted(now, began_at=call.began_at)
        self.limit.admitted(now, call.sample, size=call.size)

    def _refuse(self, now: float, call: Call, refusal: Refusal) -> None:
        took_s = now - call.began_at
        self._grace_s = min(_MAX_GRACE_S, max(self._grace_s, 1.5 * took_s))
        self.limit.ended(call.sample, size=call.size)
        self.limit.note_refusal_latency(took_s)
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
        return self.pace.is_limiting and (self.pace.is_unsettled or call.crowd < self.limit.proven)

    def _is_inexplicable(self, now: float, call: Call) -> bool:
        """Say whether a limit of number cannot explain a refusal any more, with those before it."""
        suspicion = self._suspicion
        is_trial = self.limit.is_trying and call.crowd + 1 >= (self.limit.cap or 0)
        if not is_trial and call.crowd + self._count_ends(call.began_at) < self.limit.admits:
            self._unexplained.append(now)
        while self._unexplained and self._unexplained[0] < now - _UNEXPLAINED_FOR_S:
            self._unexplained.popleft()
        if len(self._unexplained) >= _MAX_UNEXPLAINED:
            return True
        return suspicion is not None and not is_trial and suspicion.in_a_row >= _MAX_UNEXPLAINED

    def _count_ends(self, at: float) -> int:
        """Count the calls whose end the server may not have seen as we did, at a time just past."""
        return sum(1 for end in self._ends if abs(end - at) <= self._grace_s)

    def _suspect(self, now: float, call: Call) -> None:
        """Take a refusal for one call too many, and plan to ask once more."""
        limit, before = self.limit, self._suspicion
        is_trial = limit.is_trying and call.crowd + 1 >= (limit.cap or 0)
        if before is None:
            self._suspicion = before = _Suspicion(call.began_at, call.began_at, now, call.crowd, limit.value)
        else:
            before.in_a_row += not is_trial
            before.began_at, before.refused_at, before.crowd = call.began_at, now, call.crowd
        self._has_waited = True
        self.pace.discount(call.began_at)
        self.pace.caution.warn(now)
        limit.refused(now, crowd=call.crowd)
        self._verify_began_at = None
        self._hold_until = now + max(self._grace_s, _HOLD_S)
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

    def _free_limit(self, suspicion: _Suspicion) -> None:
        self.pace.note_spent(suspicion.first_at)
        if self.limit.cap is not None:
            self.limit.free(value=max(suspicion.value, self.limit.value))
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
    PACE = "pace"
    SILENCE = "silence"


def _count_of(value: object) -> int | None:
    return max(1, value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number_of(value: object) -> float:
    return float(value) if isinstance(value, float | int) and math.isfinite(value) and value > 0 else 0.0


def _pace_of(ceiling: Window | None, value: object) -> Pace:
    """Read what `Pace.as_learned` gave; whatever it cannot be is as if nothing were known."""
    known = value if isinstance(value, Mapping) else {}
    match known:
        case {"calls": int(calls), "period_s": float() | int() as period} if calls > 0 and period > 0:
            model: Model = Window(calls, float(period))
        case {"rate": float() | int() as rate, "burst": float() | int() as burst} if rate > 0 and burst > 0:
            model = Bucket(float(rate), float(burst))
        case _:
            return Pace(ceiling=ceiling)
    warnings = known.get("warnings")
    return Pace(
        ceiling=ceiling,
        model=model,
        step=_number_of(known.get("step")),
        grace_s=_number_of(known.get("grace_s")),
        caution=Caution(
            bans=_count_of(known.get("bans")) or 0,
            warnings=warnings if isinstance(warnings, int) else None,
            run=_count_of(known.get("run")) or 0,
            floor_s=_number_of(known.get("floor_s")),
        ),
    )
