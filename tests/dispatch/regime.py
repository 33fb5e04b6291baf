"""The regimes that a lane is driven through, and what is expected of it in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from imeiflow.dispatch.lane import Lane
from tests.dispatch.lane_model import Limit, Run, ServerModel, by, ideal_ends, lognormal, pareto, run_lane, steady

#: What the ramp may cost a job, whatever its length.
_RAMP_S = 0.5
_LONG = 5


@dataclass(frozen=True)
class Regime:
    """A server, a job of about half a minute, and the least that the lane must reach.

    `cold`, `warm` and `long` are shares of the ideal speed: knowing nothing; knowing what the cold run learned; and
    five times the job after both. `refused` bounds the refusals of each run: a share, or a few where the job is small.
    """

    name: str
    calls: int
    server: Mapping[str, object] = field(default_factory=dict)
    ceiling: int = 512
    cold: float = 0.80
    warm: float = 0.90
    long: float = 0.90
    refused: float = 0.02
    few: int = 10
    bans: int = 0
    teaches_late: bool = False
    share: float = 1.0  # 0.95: stragglers at the end are not counted

    def start_server(self) -> ServerModel:
        return ServerModel(**self.server)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Showing:
    """How one run compares."""

    which: str
    speed: float
    wanted: float
    run: Run
    most_refused: float

    @property
    def faults(self) -> list[str]:
        found = []
        if self.speed < self.wanted:
            found.append(f"{self.which}: {self.speed:.0%} of the ideal speed, wanted {self.wanted:.0%}")
        if self.run.refused > self.most_refused:
            most = f"{self.most_refused:.0f}"
            found.append(f"{self.which}: {self.run.refused} of {self.run.calls} refused, at most {most}")
        return found


def show_regime(regime: Regime) -> Iterator[Showing]:
    """Drive a lane through the job three times: cold, warm, long; where time teaches, the long one comes second."""
    learned: Mapping[str, object] | None = None
    runs = [("warm", regime.calls, regime.warm), ("long", regime.calls * _LONG, regime.long)]
    if regime.teaches_late:
        runs.reverse()
    for which, calls, wanted in (("cold", regime.calls, regime.cold), *runs):
        ideal = by(ideal_ends(regime.start_server(), calls, ceiling=regime.ceiling), regime.share)
        lane = Lane(ceiling=regime.ceiling, learned=learned)
        run = run_lane(lane, regime.start_server(), calls)
        learned = lane.as_learned()
        speed = (ideal + _RAMP_S) / max(ideal, run.by(regime.share))
        yield Showing(which, speed, wanted, run, max(regime.few, regime.refused * calls))


def judge_regime(regime: Regime) -> str:
    """Say in one line how the lane did."""
    line = f"{regime.name:44s} n={regime.calls:5d}"
    bans = []
    for showing in show_regime(regime):
        run = showing.run
        flags = ("!" if showing.speed < showing.wanted else " ") + ("R" if run.refused > showing.most_refused else " ")
        line += f" | {showing.which} {run.seconds:6.1f}s {showing.speed:4.0%} ref {run.refused:3d} {flags}"
        bans.append(run.bans)
    return line + f" bans {bans}{'B' if sum(bans) > regime.bans else ''}"


def _rate_of(limit: Limit) -> float:
    return limit[1] if limit[0] == "bucket" else limit[1] / limit[2]


def _name(limit: Limit) -> str:
    kind, first, second = limit
    return f"bucket {first:g}/s burst {second:g}" if kind == "bucket" else f"{kind} {first:g} in {second:g} s"


_LIMITS: tuple[Limit, ...] = (
    ("fixed", 100, 10.0),
    ("sliding", 100, 10.0),
    ("bucket", 10.0, 20.0),
    ("fixed", 60, 60.0),
    ("bucket", 1.0, 5.0),
    ("fixed", 20, 1.0),
    ("bucket", 50.0, 50.0),
    ("sliding", 1, 1.0),
)


def _rates() -> Iterator[Regime]:
    for says in ("plain", "rate", "retry-after"):
        for limit in _LIMITS:
            for latency_s in (0.3, 3.5):
                yield Regime(
                    f"{says}, {_name(limit)}, {latency_s:g} s",
                    max(40, int(_rate_of(limit) * 30)),
                    {"latency": steady(latency_s), "limit": limit, "says": says},
                )
        yield Regime(
            f"{says}, fixed 100 in 10 s begun midway",
            300,
            {"latency": steady(1.0), "limit": ("fixed", 100, 10.0), "says": says, "phase_s": 6.3},
        )
        yield Regime(
            f"{says}, fixed 20 in 1 s begun midway",
            600,
            {"latency": steady(1.0), "limit": ("fixed", 20, 1.0), "says": says, "phase_s": 0.63},
        )


def _slots() -> Iterator[Regime]:
    for on_full in ("queue", "refuse"):
        for slots, latency_s in ((30, 3.5), (5, 1.0), (2, 3.5), (200, 3.5), (300, 1.0)):
            calls = int(slots / latency_s * 30)
            server = {"latency": steady(latency_s), "slots": slots, "on_full": on_full}
            yield Regime(f"{on_full} {slots} of {latency_s:g} s", calls, server, long=0.95)
            if slots in {30, 200}:
                yield Regime(f"{on_full} {slots} over a wire", calls, {**server, "wire_s": 0.05}, long=0.93)
        server = {"latency": lognormal(3.5, 0.8), "slots": 30, "on_full": on_full}
        yield Regime(f"{on_full} 30 lognormal", 200, server, share=0.95)
    yield Regime("none, pareto", 2000, {"latency": pareto(1, 1.5)}, ceiling=256, share=0.95)
    yield Regime("none, lognormal", 2000, {"latency": lognormal(2, 1.0)}, ceiling=256, share=0.95)
    for refusal_s in (0.3, 2.0):
        server = {"slots": 30, "on_full": "refuse", "refusal_latency_s": refusal_s}
        yield Regime(f"refuse 30, saying so after {refusal_s:g} s", 257, server, ceiling=64, few=40)


def _bans() -> Iterator[Regime]:
    for limit in (("fixed", 100, 10.0), ("bucket", 10.0, 20.0)):
        for says in ("plain", "rate", "retry-after"):
            for ban_after in (5, 3, 2):
                server = {"latency": steady(1.0), "limit": limit, "says": says, "ban_after": ban_after}
                yield Regime(f"ban after {ban_after}, {says}, {_name(limit)}", 300, server, bans=1, cold=0.2, long=0.6, teaches_late=True)
            server = {"latency": steady(1.0), "limit": limit, "says": says, "ban_after": 1}
            yield Regime(f"ban at once, {says}, {_name(limit)}", 300, server, bans=1, cold=0.2, warm=0.2, long=0.2)
    server = {"latency": steady(1.0), "limit": ("fixed", 100, 10.0), "says": "retry-after", "ban_after": 2}
    server["ban_s"] = 60.0
    yield Regime("ban of a minute that says so", 300, server, bans=1, cold=0.2, teaches_late=True)


def _changes() -> Iterator[Regime]:
    for says in ("plain", "rate", "retry-after"):
        for to in (5.0, 20.0):
            server = {"latency": steady(1.0), "limit": ("bucket", 10.0, 20.0), "says": says}
            server["changes"] = ((15.0, {"limit": ("bucket", to, 20.0)}),)
            yield Regime(f"{says}, 10/s becomes {to:g}/s", 400, server, cold=0.7, warm=0.7, long=0.75)
            server = {"latency": steady(1.0), "limit": ("fixed", 100, 10.0), "says": says}
            server["changes"] = ((20.0, {"limit": ("fixed", 10 * to, 10.0)}),)
            yield Regime(f"{says}, 100 becomes {10 * to:g} in 10 s", 400, server, cold=0.7, warm=0.7, long=0.75)
    for on_full in ("queue", "refuse"):
        for to in (15, 60):
            server = {"slots": 30, "on_full": on_full, "changes": ((20.0, {"slots": to}),)}
            yield Regime(f"{on_full}, 30 become {to}", 400, server, cold=0.7, warm=0.7, long=0.75)


def _mixtures() -> Iterator[Regime]:
    for says in ("plain", "rate", "retry-after"):
        for on_full in ("queue", "refuse"):
            for latency_s in (1.0, 3.5):
                server = {"latency": steady(latency_s), "slots": 30, "on_full": on_full, "says": says}
                server["limit"] = ("bucket", 10.0, 20.0)
                yield Regime(f"{says}, 10/s, {on_full} 30 of {latency_s:g} s", 250, server, few=12)
        server = {"limit": ("bucket", 10.0, 20.0), "says": says, "lost_share": 0.04}
        yield Regime(f"{says}, 10/s, one in 25 lost", 300, server, share=0.95)
        for refusal_s in (0.3, 2.0):
            server = {"limit": ("bucket", 10.0, 20.0), "says": says, "refusal_latency_s": refusal_s}
            yield Regime(f"{says}, 10/s, saying so after {refusal_s:g} s", 300, server, ceiling=64, few=40)
    for on_full in ("queue", "refuse"):
        server = {"slots": 30, "on_full": on_full, "lost_share": 0.04}
        yield Regime(f"{on_full} 30, one in 25 lost", 257, server, share=0.95)


REGIMES: tuple[Regime, ...] = (*_rates(), *_slots(), *_bans(), *_changes(), *_mixtures())
