"""A provider in virtual time, to drive a lane through half a minute in milliseconds.

Nothing here is imitated of the code under test: it is the server's side only (slots, rate limits, bans, latency).
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from imeiflow.dispatch.lane import Call, CallEnd, Lane, Refusal


@dataclass
class ServerModel:
    """What the server allows, and how it says no."""

    latency: Callable[[random.Random], float] = lambda _: 3.5
    slots: int | None = None
    on_full: str = "queue"  # queue | refuse
    limit: tuple[str, float, float] | None = None  # ("fixed"|"sliding", calls, period) | ("bucket", rate, burst)
    says: str = "plain"  # plain | retry-after | rate
    ban_after: int | None = None  # refusals within ban_window
    ban_window_s: float = 60.0
    ban_s: float = 20.0
    refusal_latency_s: float = 0.002
    seed: int = 1
    rng: random.Random = field(init=False)
    bans: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self._busy: list[float] = []
        self._log: deque[float] = deque()
        self._refusals: deque[float] = deque()
        self._tokens = self.limit[2] if self.limit and self.limit[0] == "bucket" else 0.0
        self._at = 0.0
        self._window = (-1.0, 0)
        self.banned_until = -math.inf

    def handle(self, now: float) -> tuple[float, Refusal | None]:
        """Answer a call that arrives now: when its reply arrives, and the refusal if it is one."""
        if now < self.banned_until:
            return now + self.refusal_latency_s, self._refusal(self.banned_until - now, is_ban=True)
        wait = self._over_rate(now)
        if wait is not None:
            self._refusals.append(now)
            while self._refusals[0] < now - self.ban_window_s:
                self._refusals.popleft()
            if self.ban_after and len(self._refusals) >= self.ban_after:
                self.banned_until = now + self.ban_s
                self.bans += 1
                self._refusals.clear()
                return now + self.refusal_latency_s, self._refusal(self.ban_s, is_ban=True)
            return now + self.refusal_latency_s, self._refusal(wait, is_ban=False)
        return self._serve(now)

    def _refusal(self, wait: float, *, is_ban: bool) -> Refusal:
        return Refusal(
            says_rate=self.says != "plain",
            is_ban=is_ban,
            retry_after_s=math.ceil(wait) if self.says == "retry-after" else None,
        )

    def _serve(self, now: float) -> tuple[float, Refusal | None]:
        while self._busy and self._busy[0] <= now:
            heapq.heappop(self._busy)
        latency = self.latency(self.rng)
        if self.slots is None or len(self._busy) < self.slots:
            heapq.heappush(self._busy, now + latency)
            return now + latency, None
        if self.on_full == "refuse":
            return now + self.refusal_latency_s, Refusal()
        free = heapq.heappop(self._busy)
        heapq.heappush(self._busy, free + latency)
        return free + latency, None

    def _over_rate(self, now: float) -> float | None:
        match self.limit:
            case None:
                return None
            case ("bucket", rate, burst):
                self._tokens = min(burst, self._tokens + (now - self._at) * rate)
                self._at = now
                if self._tokens < 1:
                    return (1 - self._tokens) / rate
                self._tokens -= 1
            case ("sliding", calls, period):
                while self._log and self._log[0] <= now - period:
                    self._log.popleft()
                if len(self._log) >= calls:
                    return self._log[0] + period - now
                self._log.append(now)
            case ("fixed", calls, period):
                start = math.floor(now / period) * period
                count = self._window[1] if self._window[0] == start else 0
                if count >= calls:
                    return start + period - now
                self._window = (start, count + 1)
            case _:
                raise AssertionError(self.limit)
        return None


@dataclass
class Run:
    """What a run showed."""

    seconds: float
    calls: int
    refused: int
    bans: int
    lane: Lane

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.calls + self.refused)


def run_lane(lane: Lane, server: ServerModel, calls: int, *, start: float = 0.0, until: float = 1e6) -> Run:
    """Send `calls` calls (refused ones again) and say how long it took. Or stop at `until`."""
    now, left, done, refused = start, calls, 0, 0
    counter = itertools.count()
    under_way: list[tuple[float, int, Call, Refusal | None]] = []
    while done < calls and now < until:
        wake = math.inf
        while left:
            at = lane.ready_at(now)
            if at > now:
                wake = at
                break
            call = lane.begin(now, 100)
            ends, refusal = server.handle(now)
            heapq.heappush(under_way, (ends, next(counter), call, refusal))
            left -= 1
        next_end = under_way[0][0] if under_way else math.inf
        if min(next_end, wake) is math.inf:
            raise AssertionError("the lane is stuck")
        now = max(now, min(next_end, wake))
        while under_way and under_way[0][0] <= now:
            _, _, call, refusal = heapq.heappop(under_way)
            if refusal is None:
                done += 1
                lane.end(now, call, CallEnd.SUCCESS)
            else:
                left += 1
                refused += 1
                lane.end(now, call, CallEnd.DROPPED, refusal)
    return Run(now - start, done, refused, server.bans, lane)
