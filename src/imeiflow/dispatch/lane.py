"""The gate that all calls to one account pass: how many at once, how many in a time.

Pure: times are passed in, nothing sleeps. The engine asks `ready_at`, tells `begin` and `end`. Every call ends as
success, ignore or dropped (Netflix, concurrency-limits). What a refusal without words means is found out here:
a refusal among more calls than were ever admitted is a matter of concurrency; one among fewer is a matter of rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from imeiflow.dispatch.limit import ConcurrencyLimit
from imeiflow.dispatch.pace import Bucket, Model, Pace, Window

#: How many calls at once the canaries' neighbours may prove; beyond, only calls of the real size are worth a slot.
_CANARY_BOUND = 20
#: How long after a refusal without words one more call asks whether it was their number or their rate.
_VERIFY_AFTER_S = 0.5


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


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A refusal without words, and the limit as it was before it."""

    began_at: float
    refused_at: float
    value: float
    cap: int | None


@dataclass(frozen=True, slots=True)
class LaneView:
    """What a person sees of a lane."""

    in_flight: int
    concurrency: int
    concurrency_reason: str
    pace: Model | None
    pace_reason: str
    blocked_until: float
    refused: int
    bans: int


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
        proven, cap, queued = learned.get("proven"), learned.get("cap"), learned.get("queued")
        self.limit = ConcurrencyLimit(
            ceiling=ceiling,
            proven=proven if isinstance(proven, int) else 0,
            cap=cap if isinstance(cap, int) else None,
            queued=queued if isinstance(queued, int) else None,
        )
        self.pace = Pace(ceiling=rate, model=_model_of(learned.get("pace")))
        self.in_flight = 0
        self.refused = 0
        self._hold_until = -math.inf
        self._suspect: _Suspect | None = None
        self._verify_began_at: float | None = None
        self._ends = 0
        self._ends_at_refusal = -1
        self._grace_s = 0.020

    def hold_ramp(self, *, is_canary_phase: bool) -> None:
        """Keep the ramp low while the calls are still of trial size."""
        self.limit.bound = max(_CANARY_BOUND, self.limit.cap or 0) if is_canary_phase else None

    def ready_at(self, now: float) -> float:
        """Say when the next call may begin: `now`, later, or infinity (only after a call has ended)."""
        self._verify(now)
        if now < self._hold_until:
            return self._hold_until
        at = self.pace.ready_at(now)
        if at > now:
            return at
        return self.limit.room_at(now, self.in_flight)

    def begin(self, now: float, size: int = 1) -> Call:
        """Count a call that leaves now."""
        call = Call(now, self.in_flight, size)
        if self.limit.is_trying and self._suspect is not None and self._ends == self._ends_at_refusal:
            self._verify_began_at = now
        self.in_flight += 1
        self.limit.begun(crowd=call.crowd, size=size)
        self.pace.started(now)
        if self._suspect is not None:
            self._hold_until = now + self._grace_s
        return call

    def end(self, now: float, call: Call, end: CallEnd, refusal: Refusal | None = None) -> None:
        """Count a call that ended, and learn from it."""
        self.in_flight -= 1
        self._ends += end is not CallEnd.DROPPED
        match end:
            case CallEnd.SUCCESS:
                self._served(now, call)
            case CallEnd.DROPPED:
                self.refused += 1
                self._refused(now, call, refusal or Refusal())
            case CallEnd.IGNORE:
                self.limit.ended(crowd=call.crowd, size=call.size)

    def as_learned(self) -> dict[str, object]:
        """Give what is worth remembering, as JSON values; `__init__` takes it back."""
        model = self.pace.model
        pace: dict[str, object] | None = None
        match model:
            case Window(calls=calls, period_s=period):
                pace = {"calls": calls, "period_s": period}
            case Bucket(rate=rate, burst=burst):
                pace = {"rate": rate, "burst": burst}
            case None:
                pass
        queued = int(self.limit.value) if self.limit.is_queued else None
        return {"proven": self.limit.proven, "cap": self.limit.cap, "queued": queued, "pace": pace}

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
        )

    def _served(self, now: float, call: Call) -> None:
        if self._suspect is not None and call.began_at > self._suspect.began_at:
            self._suspect, self._verify_began_at = None, None
        self.pace.admitted(now, began_at=call.began_at)
        self.limit.admitted(now, crowd=call.crowd, latency_s=now - call.began_at, size=call.size)

    def _refused(self, now: float, call: Call, refusal: Refusal) -> None:
        took_s = now - call.began_at
        self._grace_s = min(2.0, max(self._grace_s, 2.0 * took_s))
        self.limit.ended(crowd=call.crowd, size=call.size)
        self.limit.note_refusal_latency(took_s)
        suspect = self._suspect
        if refusal.says_rate or refusal.is_ban or refusal.retry_after_s is not None:
            self._refuse_rate(now, call, refusal)
        elif suspect is not None and call.began_at <= suspect.refused_at:
            self.limit.refused(now, crowd=min(call.crowd, self.limit.cap or call.crowd))
        elif call.crowd < self.limit.admits:
            self._refuse_among_few(now, call)
        elif self.pace.is_limiting and not self.limit.is_trying and self.limit.cap is None:
            self._refuse_rate(now, call, refusal)
        else:
            self._refuse_among_many(now, call)

    def _refuse_among_few(self, now: float, call: Call) -> None:
        """Refused among fewer calls than were admitted before: the rate, if it is so a second time."""
        self._hold_until = now + self._grace_s
        if self._suspect is not None:
            self._overrule(now, call)
        elif self.pace.is_limiting:
            self._refuse_rate(now, call, Refusal())
        else:
            self._suspect = _Suspect(call.began_at, now, self.limit.value, self.limit.cap)

    def _refuse_among_many(self, now: float, call: Call) -> None:
        """Refused among more calls than were ever admitted: their number, unless one more is taken a moment later."""
        is_repeat = self.limit.cap is not None
        self._suspect = _Suspect(call.began_at, now, self.limit.value, self.limit.cap)
        self._verify_began_at = None
        self.limit.refused(now, crowd=call.crowd)
        self._hold_until = now + self._grace_s
        if not is_repeat:
            self._ends_at_refusal = self._ends
            self.limit.verify(now + max(_VERIFY_AFTER_S, 3 * self._grace_s))

    def _verify(self, now: float) -> None:
        """Conclude from a call beyond the cap that was not refused, although none had ended: it is the rate."""
        began_at, suspect = self._verify_began_at, self._suspect
        if began_at is None or suspect is None or now < began_at + self._grace_s:
            return
        self._verify_began_at = None
        self.limit.overrule(value=suspect.value, cap=suspect.cap)
        self.pace.refused(suspect.refused_at, began_at=suspect.began_at)
        self.pace.admitted(now, began_at=began_at)
        self._suspect = None

    def _overrule(self, now: float, call: Call) -> None:
        """Take the cap back: it is the rate, and was when the suspicion arose."""
        suspect = self._suspect
        if suspect is not None:
            self.limit.overrule(value=suspect.value, cap=suspect.cap)
            self.pace.refused(now, began_at=suspect.began_at)
        self._suspect, self._verify_began_at = None, None
        self._refuse_rate(now, call, Refusal())

    def _refuse_rate(self, now: float, call: Call, refusal: Refusal) -> None:
        self.pace.refused(
            now, began_at=call.began_at, retry_after_s=refusal.retry_after_s, is_ban=refusal.is_ban
        )


def _model_of(value: object) -> Model | None:
    match value:
        case {"calls": int(calls), "period_s": float() | int() as period}:
            return Window(max(1, calls), float(period))
        case {"rate": float() | int() as rate, "burst": float() | int() as burst}:
            return Bucket(float(rate), float(burst))
        case _:
            return None
