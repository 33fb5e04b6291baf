"""A provider in virtual time, to drive a lane through half a minute in milliseconds.

Nothing here is imitated of the code under test: it is the server's side only (slots, rate limits, bans, latency), and
a client that knows them all, to say how fast it could have gone.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from imeiflow.dispatch.call import Call, CallEnd, Refusal
from imeiflow.dispatch.lane import Lane

Latency = Callable[[random.Random], float]
Limit = tuple[str, float, float]


def steady(latency_s: float) -> Latency:
    """Take the same time for every call."""
    return lambda _: latency_s


def lognormal(median_s: float, sigma: float) -> Latency:
    """Vary as servers do."""
    return lambda rng: median_s * math.exp(rng.gauss(0, sigma))


def pareto(least_s: float, alpha: float) -> Latency:
    """Have a tail so heavy that single calls take a hundred times as long."""
    return lambda rng: least_s * rng.paretovariate(alpha)


@dataclass
class ServerModel:
    """What the server allows, and how it says no."""

    latency: Latency = field(default_factory=lambda: steady(3.5))
    slots: int | None = None
    on_full: str = "queue"  # queue | refuse
    limit: Limit | None = None  # ("fixed"|"sliding", calls, period) | ("bucket", rate, burst)
    says: str = "plain"  # plain | retry-after | rate
    ban_after: int | None = None  # refusals within ban_window
    ban_window_s: float = 60.0
    ban_s: float = 20.0
    refusal_latency_s: float = 0.002
    wire_s: float = 0.0  # one way
    phase_s: float = 0.0  # how far into a fixed window the run begins
    lost_share: float = 0.0  # replies that never arrive, after `lost_s`
    lost_s: float = 8.0
    changes: tuple[tuple[float, dict[str, object]], ...] = ()  # at what time which of the fields above change
    seed: int = 1
    rng: random.Random = field(init=False)
    bans: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self._loss = random.Random(self.seed + 1)
        self._busy: list[float] = []
        self._log: deque[float] = deque()
        self._refusals: deque[float] = deque()
        self._tokens = self.limit[2] if self.limit and self.limit[0] == "bucket" else 0.0
        self._at = 0.0
        self._window = (-math.inf, 0)
        self._changes = deque(self.changes)
        self.banned_until = -math.inf

    def handle(self, began_at: float) -> tuple[float, Refusal | None, bool]:
        """Answer a call: when its reply arrives, the refusal if it is one, and whether it is lost."""
        now = began_at + self.wire_s
        self._change(now)
        if now < self.banned_until:
            return self._refuse(now, self.banned_until - now, is_ban=True)
        wait = self._rate_wait(now)
        if wait > 0:
            return self._refuse_rate(now, wait)
        while self._busy and self._busy[0] <= now:
            heapq.heappop(self._busy)
        if self.on_full == "refuse" and self.slots is not None and len(self._busy) >= self.slots:
            return now + self.refusal_latency_s + self.wire_s, Refusal(), False
        self._take(now)
        return self._serve(now)

    def next_admission(self, now: float) -> float:
        """Say when the next call would be served without waiting; knows everything."""
        while True:
            self._change(now)
            at = now + self._rate_wait(now)
            if self.slots is not None and len(self._busy) >= self.slots:
                busy = [end for end in self._busy if end > at]
                if len(busy) >= self.slots:
                    at = heapq.nsmallest(len(busy) - self.slots + 1, busy)[-1]
            change = self._changes[0][0] if self._changes else math.inf
            if at <= now:
                return now
            now = min(at, change)

    def _change(self, now: float) -> None:
        while self._changes and self._changes[0][0] <= now:
            for name, value in self._changes.popleft()[1].items():
                setattr(self, name, value)

    def _serve(self, now: float) -> tuple[float, Refusal | None, bool]:
        latency = self.latency(self.rng)
        start = now
        if self.slots is not None:
            while len(self._busy) >= self.slots:
                start = heapq.heappop(self._busy)
            heapq.heappush(self._busy, start + latency)
        if self.lost_share and self._loss.random() < self.lost_share:
            return now + self.lost_s, None, True
        return start + latency + self.wire_s, None, False

    def _refuse_rate(self, now: float, wait: float) -> tuple[float, Refusal | None, bool]:
        self._refusals.append(now)
        while self._refusals[0] < now - self.ban_window_s:
            self._refusals.popleft()
        if not self.ban_after or len(self._refusals) < self.ban_after:
            return self._refuse(now, wait, is_ban=False)
        self.banned_until = now + self.ban_s
        self.bans += 1
        self._refusals.clear()
        return self._refuse(now, self.ban_s, is_ban=True)

    def _refuse(self, now: float, wait: float, *, is_ban: bool) -> tuple[float, Refusal | None, bool]:
        refusal = Refusal(
            says_rate=self.says != "plain",
            is_ban=is_ban,
            retry_after_s=math.ceil(wait) if self.says == "retry-after" else None,
        )
        return now + self.refusal_latency_s + self.wire_s, refusal, False

    def _rate_wait(self, now: float) -> float:
        """Say how long until the rate allows a call; 0 when it does now."""
        match self.limit:
            case None:
                return 0.0
            case ("bucket", rate, burst):
                self._tokens = min(burst, self._tokens + (now - self._at) * rate)
                self._at = now
                return max(0.0, (1 - self._tokens) / rate) if self._tokens < 1 - 1e-9 else 0.0
            case ("sliding", calls, period):
                while self._log and self._log[0] <= now - period:
                    self._log.popleft()
                return self._log[len(self._log) - int(calls)] + period - now if len(self._log) >= calls else 0.0
            case ("fixed", calls, period):
                start = self._window_start(now, period)
                count = self._window[1] if self._window[0] == start else 0
                return start + period - now if count >= calls else 0.0
            case _:
                raise AssertionError(self.limit)

    def _window_start(self, now: float, period: float) -> float:
        return math.floor((now + self.phase_s) / period + 1e-9) * period - self.phase_s

    def _take(self, now: float) -> None:
        match self.limit:
            case ("bucket", _, _):
                self._tokens -= 1
            case ("sliding", _, _):
                self._log.append(now)
            case ("fixed", _, period):
                start = self._window_start(now, period)
                count = self._window[1] if self._window[0] == start else 0
                self._window = (start, count + 1)
            case _:
                pass

    def take_ideally(self, now: float) -> float:
        """Serve a call that is known to be admitted now; say when its reply arrives."""
        while self._busy and self._busy[0] <= now:
            heapq.heappop(self._busy)
        self._take(now)
        return self._serve(now)[0]


@dataclass
class Run:
    """What a run showed. `ends` are the times, from its start, at which calls were served."""

    ends: list[float]
    refused: int
    bans: int
    lane: Lane
    begins: list[float]
    most_at_once: int
    events: list[str]
    withheld: int = 0  #: calls that began and did not leave

    @property
    def calls(self) -> int:
        return len(self.ends)

    @property
    def seconds(self) -> float:
        return self.ends[-1]

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.calls + self.refused)

    def by(self, share: float) -> float:
        """Say when this share of the calls had been served: stragglers at the end are not the lane's doing."""
        return by(self.ends, share)


def by(ends: list[float], share: float) -> float:
    """Say when this share of `ends` lay behind."""
    return sorted(ends)[max(0, math.ceil(share * len(ends)) - 1)]


@dataclass
class _Drive:
    """Calls on their way through a lane: claimed, leaving when their intent is written, under way."""

    lane: Lane
    server: ServerModel
    left: int
    intent_s: float
    refused: int = 0
    withheld: int = 0
    most: int = 0
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    leaving: deque[tuple[float, Call]] = field(default_factory=deque)
    under_way: list[tuple[float, int, Call, Refusal | None, bool]] = field(default_factory=list)
    counter: Iterator[int] = field(default_factory=itertools.count)

    def claim(self, now: float) -> float:
        """Claim as many calls as may; say when the next one may."""
        while self.left:
            self.lane.pace.growth.calls_left = self.left
            ready_at = self.lane.ready_at(now)
            if ready_at > now:
                return ready_at
            self.leaving.append((now + self.intent_s, self.lane.claim(now, 100)))
            self.most = max(self.most, self.lane.in_flight)
            self.begins.append(now)
            self.lane.limit.note_connect(2 * self.server.wire_s)
            self.left -= 1
            if not self.intent_s:
                self.depart(now)
        return math.inf

    def depart(self, now: float) -> None:
        while self.leaving and self.leaving[0][0] <= now:
            _, call = self.leaving.popleft()
            if self.lane.leave(now, call):
                end_at, refusal, is_lost = self.server.handle(now)
                heapq.heappush(self.under_way, (end_at, next(self.counter), call, refusal, is_lost))
            else:
                self.lane.withhold(call)
                self.left, self.withheld = self.left + 1, self.withheld + 1

    def hear(self, now: float) -> None:
        while self.under_way and self.under_way[0][0] <= now:
            _, _, call, refusal, is_lost = heapq.heappop(self.under_way)
            if refusal is not None:
                self.left, self.refused = self.left + 1, self.refused + 1
                self.lane.end(now, call, CallEnd.DROPPED, refusal)
                continue
            self.ends.append(now)
            self.lane.end(now, call, CallEnd.IGNORE if is_lost else CallEnd.SUCCESS)

    def next_at(self) -> float:
        """Say when the next call leaves or ends."""
        leaves_at = self.leaving[0][0] if self.leaving else math.inf
        return min(leaves_at, self.under_way[0][0] if self.under_way else math.inf)


def run_lane(
    lane: Lane,
    server: ServerModel,
    calls: int,
    *,
    canary_phase_s: float = 0.0,
    at: float = 0.0,
    until: float = 1e5,
    intent_s: float = 0.0,
    watch: Callable[[float, Lane], None] | None = None,
) -> Run:
    """Send `calls` calls (refused ones again) from `at` on and say how it went. Or stop at `until`.

    A call leaves `intent_s` after it was claimed, if it still may.
    """
    now, drive = at, _Drive(lane, server, calls, intent_s)
    while len(drive.ends) < calls and now < until:
        is_canary_phase = now < at + canary_phase_s
        lane.hold_ramp(is_canary_phase=is_canary_phase)
        wake = min(drive.claim(now), at + canary_phase_s if is_canary_phase else math.inf)
        now = max(now, min(drive.next_at(), wake))
        if now == math.inf:
            raise AssertionError("the lane is stuck")
        drive.depart(now)
        drive.hear(now)
        if watch is not None:
            watch(now, lane)
    return Run(drive.ends, drive.refused, server.bans, lane, drive.begins, drive.most, [], drive.withheld)


def ideal_ends(server: ServerModel, calls: int, *, ceiling: int) -> list[float]:
    """Say when calls would end for a client that knows all limits, and never waits nor is refused."""
    now, ends = 0.0, []
    under_way: list[float] = []
    for _ in range(calls):
        while True:
            now = server.next_admission(now)
            while under_way and under_way[0] <= now:
                heapq.heappop(under_way)
            if len(under_way) < ceiling:
                break
            now = under_way[0]
        end = server.take_ideally(now)
        heapq.heappush(under_way, end)
        ends.append(end)
    return ends
