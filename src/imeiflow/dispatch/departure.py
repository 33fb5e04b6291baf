"""When calls left, and when a rate lets the next one begin. Pure: times are passed in; it learns nothing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import chain

from imeiflow.dispatch.rate import REMEMBER_S, Bucket, Model, Window

#: A claimed call has left by then, or is withheld.
_SOON_S = 0.05
_FEW_UNHEARD = 4
_UNHEARD_SHARE = 0.07
#: What left within a window's period is remembered for the next session in so many parts of it.
_PARTS = 20


class Departures:
    """The calls that left and were not refused, as far back as it matters; `ceiling` is the user's own rate.

    `model` is the rate that is known at the start: a bucket begins full, and a window with what an earlier session
    `carried` over.
    """

    def __init__(self, *, ceiling: Window | None, model: Model | None, carried: Sequence[float] = ()) -> None:
        self.ceiling = ceiling
        self.starts: deque[float] = deque()
        self._carried = tuple(carried)
        self.claimed = 0  #: calls that are to leave as soon as their intent is recorded
        self.last_at = -math.inf  #: when the last call was claimed, or left
        self._under_ceiling: deque[float] = deque()
        self._tokens = model.burst if isinstance(model, Bucket) else 0.0
        self._tokens_at: float | None = None

    def by_ceiling(self, now: float) -> float:
        """Say when the user's own rate lets a call begin: `now` or a later time."""
        ceiling, begun = self.ceiling, self._under_ceiling
        if ceiling is None:
            return now
        while begun and begun[0] <= now - ceiling.period_s:
            begun.popleft()
        spacing = begun[-1] + ceiling.period_s / ceiling.calls if begun else now
        if len(begun) < ceiling.calls:
            return spacing
        return max(spacing, begun[len(begun) - ceiling.calls] + ceiling.period_s)

    def by_model(self, now: float, model: Model | None) -> float:
        """Say when a learned rate lets a call begin: `now`, or a time that may also lie in the past."""
        match model:
            case None:
                return now
            case Window(calls=calls, period_s=period_s):
                return self._when_room(calls, period_s, now)
            case Bucket(rate=rate):
                self._refill(model, now)
                return now if self._tokens >= 1 else now + (1 - self._tokens) / rate

    def heard_at(self, now: float, within_s: float) -> float:
        """Say when few enough calls are younger than `within_s` to risk one more: `now` or a later time.

        Whoever runs into a limit that nobody knew of has at most these refused.
        """
        return max(now, self._when_few(max(_FEW_UNHEARD, int(len(self.starts) * _UNHEARD_SHARE)), within_s, now))

    def is_full(self, window: Window, now: float) -> bool:
        """Say whether a window's calls have begun within its period."""
        return self._when_room(window.calls, window.period_s, now) > now

    def count_parts(self, window: Window) -> list[int]:
        """Count what left within a window's period before the last call, by parts of it, the newest first.

        A call has left in this session.
        """
        parts = [0] * _PARTS
        for at in chain(self._carried, self.starts):
            part = int((self.starts[-1] - at) / window.period_s * _PARTS)
            if part < _PARTS:
                parts[part] += 1
        return parts

    def claim(self, now: float, model: Model | None) -> None:
        """Count a call that is to leave soon, under a learned rate."""
        self.claimed += 1
        self.last_at = now
        if self.ceiling is not None:
            self._under_ceiling.append(now)
        if isinstance(model, Bucket):
            self._refill(model, now)
            self._tokens -= 1

    def leave(self, now: float, model: Model | None) -> None:
        """Count a claimed call as one that leaves now."""
        self.claimed -= 1
        self.last_at = now
        self.starts.append(now)
        keep_s = max(REMEMBER_S, model.period_s if isinstance(model, Window) else 0.0)
        while self.starts[0] <= now - keep_s:
            self.starts.popleft()

    def take_back(self, model: Model | None) -> None:
        """Take back a claim, as if it had never been made; the user's own rate counts it all the same."""
        self.claimed -= 1
        if isinstance(model, Bucket):
            self._tokens = min(model.burst, self._tokens + 1)

    def discount(self, began_at: float) -> None:
        """Take a call that was refused out of them."""
        for back, at in enumerate(reversed(self.starts), start=1):
            if at == began_at:
                del self.starts[-back]
            if at <= began_at:
                return

    def empty(self) -> None:
        """Begin a bucket without tokens: the provider has just refused a call."""
        self._tokens, self._tokens_at = 0.0, None

    def _when_room(self, calls: int, period_s: float, now: float) -> float:
        """Say when a window has room for one more, counting what an earlier session has sent; it may be past."""
        carried = self._carried
        missing = calls - self.claimed - len(self.starts)
        if not 0 < missing <= len(carried):
            return self._when_few(calls, period_s, now)
        return max(carried[-missing] + period_s, now)

    def _when_few(self, calls: int, period_s: float, now: float) -> float:
        """Say when fewer than `calls` lie within a period, those included that are to leave; it may be past."""
        room = calls - self.claimed
        if room <= 0:
            return now + min(period_s, _SOON_S)
        return self.starts[-room] + period_s if len(self.starts) >= room else now

    def _refill(self, model: Bucket, now: float) -> None:
        if self._tokens_at is not None:
            self._tokens = min(model.burst, self._tokens + (now - self._tokens_at) * model.rate)
        self._tokens_at = now


def spread_parts(parts: Sequence[int], window: Window, until: float) -> list[float]:
    """Give back the times that `count_parts` counted, each at its part's end; the last call left by `until`."""
    length_s = window.period_s / _PARTS
    return [until - part * length_s for part, count in reversed(list(enumerate(parts))) for _ in range(count)]
