"""The regimes that a lane is driven through, and what is expected of it in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from imeiflow.dispatch.lane import Lane
from tests.dispatch.lane_model import Limit, Run, ServerModel, by, ideal_ends, lognormal, pareto, run_lane, steady

#: What the ramp may cost a job, whatever its length.
_RAMP_S = 0.75
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
    few: int = 12  # finding a limit out takes a few refusals, however long the job
    bans: int = 0
    bears_ban: bool = False  #: the ideal has to bear the ban, too, where there was one
    teaches_late: bool = False
    share: float = 1.0  # 0.95: stragglers at the end are not counted
    intent_s: float = 0.0  #: how long a call's intent takes to be recorded

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

    def __str__(self) -> str:
        """Say it in a few words; what falls short is marked."""
        mark = "!" if self.faults else ""
        return f"{self.which} {self.run.seconds:.1f} s {self.speed:.0%}, {self.run.refused} refused{mark}"


def show_regime(regime: Regime) -> Iterator[Showing]:
    """Drive a lane through the job three times: cold, warm, long; where time teaches, the long one comes second."""
    learned: Mapping[str, object] | None = None
    runs = [("warm", regime.calls, regime.warm), ("long", regime.calls * _LONG, regime.long)]
    if regime.teaches_late:
        runs.reverse()
    for which, calls, wanted in (("cold", regime.calls, regime.cold), *runs):
        ideal = by(ideal_ends(regime.start_server(), calls, ceiling=regime.ceiling), regime.share)
        lane = Lane(ceiling=regime.ceiling, learned=learned)
        run = run_lane(lane, regime.start_server(), calls, intent_s=regime.intent_s)
        learned = lane.as_learned()
        if regime.bears_ban:
            ideal += run.bans * regime.start_server().ban_s
        speed = (ideal + _RAMP_S) / max(ideal, run.by(regime.share))
        yield Showing(which, speed, wanted, run, max(regime.few, regime.refused * calls))


#: Limits behind a ban, and the least shares (cold, warm, long) that are reached where five refusals, or three, bring
#: it. Where three do, only one may be risked, and a small bucket is found by small steps.
_HIDDEN: dict[Limit, dict[int, tuple[float, float, float]]] = {
    ("bucket", 10.0, 10.0): {5: (0.85, 0.9, 0.9), 3: (0.5, 0.85, 0.88)},
    ("bucket", 5.0, 10.0): {5: (0.9, 0.85, 0.9), 3: (0.2, 0.6, 0.78)},
    ("bucket", 1.0, 5.0): {5: (0.46, 0.9, 0.9), 3: (0.18, 0.42, 0.55)},
    ("fixed", 100, 10.0): {5: (0.85, 0.65, 0.9), 3: (0.68, 0.3, 0.8)},
    ("sliding", 20, 1.0): {5: (0.9, 0.9, 0.9), 3: (0.5, 0.9, 0.9)},
    ("fixed", 60, 60.0): {5: (0.9, 0.9, 0.65), 3: (0.9, 0.9, 0.33)},
}


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
                    few=20 if limit[2] == 60 else 15,
                )
        # Begun midway, the ideal fits a window more into a short job than whoever does not know when one begins.
        server = {"latency": steady(1.0), "limit": ("fixed", 100, 10.0), "says": says, "phase_s": 6.3}
        yield Regime(f"{says}, fixed 100 in 10 s begun midway", 300, server, warm=0.7)
        server = {"latency": steady(1.0), "limit": ("fixed", 20, 1.0), "says": says, "phase_s": 0.63}
        yield Regime(f"{says}, fixed 20 in 1 s begun midway", 600, server, warm=0.85)


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
        yield Regime(f"refuse 30, saying so after {refusal_s:g} s", 257, server, ceiling=64, cold=0.78, few=40)


def _bans() -> Iterator[Regime]:
    """Bans of unknown length unless `retry-after`. The ban itself is most of a cold job.

    Windows are found by an even pace, which the ideal's bursts beat by a third in a short job. Where the first
    refusal is a ban already, more than what was surely allowed is never tried.
    """
    window: Limit = ("fixed", 100, 10.0)
    bucket: Limit = ("bucket", 10.0, 20.0)
    for says in ("plain", "rate", "retry-after"):
        for ban_after in (5, 3, 2):
            server = {"latency": steady(1.0), "says": says, "ban_after": ban_after}
            name = f"ban after {ban_after}, {says}"
            yield Regime(
                f"{name}, {_name(window)}",
                300,
                {**server, "limit": window},
                bans=1,
                cold=0.32,
                long=0.75,
                warm=0.64,
                teaches_late=True,
            )
            yield Regime(
                f"{name}, {_name(bucket)}",
                300,
                {**server, "limit": bucket},
                bans=1,
                cold=0.45,
                long=0.78,
                warm=0.84,
                teaches_late=True,
            )
        for limit, least in ((window, 0.2), (bucket, 0.06)):
            server = {"latency": steady(1.0), "limit": limit, "says": says, "ban_after": 1}
            name = f"ban at once, {says}, {_name(limit)}"
            yield Regime(name, 300, server, bans=1, cold=least, warm=least, long=least)
    server = {"latency": steady(1.0), "limit": window, "says": "retry-after", "ban_after": 2, "ban_s": 60.0}
    yield Regime("ban of a minute that says so", 300, server, bans=1, cold=0.2, teaches_late=True)


def _hidden_bans() -> Iterator[Regime]:
    """A first ban of any usual length, compared with whoever knows the limit but bears that ban as well."""
    for says in ("plain", "rate", "retry-after"):
        for ban_s in (10.0, 30.0, 60.0):
            for ban_after in (5, 3):
                for limit in _HIDDEN:
                    server = {"latency": steady(0.5), "says": says, "ban_after": ban_after, "ban_s": ban_s}
                    cold, warm, long = _HIDDEN[limit][ban_after]
                    yield Regime(
                        f"{says}, ban of {ban_s:g} s after {ban_after}, {_name(limit)}",
                        max(60, int(_rate_of(limit) * 30)),
                        {**server, "limit": limit},
                        ceiling=256,
                        few=20,
                        cold=cold,
                        warm=warm,
                        long=long,
                        bans=1,
                        bears_ban=True,
                    )


def _changes() -> Iterator[Regime]:
    """Limits that change midway; the ideal knows when, so that less than the usual share can be reached."""
    for says in ("plain", "rate", "retry-after"):
        for to in (5.0, 20.0):
            server = {"latency": steady(1.0), "limit": ("bucket", 10.0, 20.0), "says": says}
            server["changes"] = ((15.0, {"limit": ("bucket", to, 20.0)}),)
            yield Regime(f"{says}, 10/s becomes {to:g}/s", 400, server, cold=0.65, warm=0.65, long=0.5, few=20)
            server = {"latency": steady(1.0), "limit": ("fixed", 100, 10.0), "says": says}
            server["changes"] = ((20.0, {"limit": ("fixed", 10 * to, 10.0)}),)
            yield Regime(f"{says}, 100 becomes {10 * to:g} in 10 s", 400, server, cold=0.5, warm=0.65, long=0.6, few=30)
    for on_full in ("queue", "refuse"):
        for to in (15, 60):
            server = {"slots": 30, "on_full": on_full, "changes": ((20.0, {"slots": to}),)}
            yield Regime(f"{on_full}, 30 become {to}", 400, server, cold=0.7, warm=0.7, long=0.75, few=45)


def _mixtures() -> Iterator[Regime]:
    for says in ("plain", "rate", "retry-after"):
        for on_full in ("queue", "refuse"):
            for latency_s in (1.0, 3.5):
                server = {"latency": steady(latency_s), "slots": 30, "on_full": on_full, "says": says}
                server["limit"] = ("bucket", 10.0, 20.0)
                yield Regime(f"{says}, 10/s, {on_full} 30 of {latency_s:g} s", 250, server)
        server = {"limit": ("bucket", 10.0, 20.0), "says": says, "lost_share": 0.04}
        yield Regime(f"{says}, 10/s, one in 25 lost", 300, server, share=0.95)
        # Whoever says no late is asked too much meanwhile.
        server = {"limit": ("bucket", 10.0, 20.0), "says": says}
        name = f"{says}, 10/s, saying so after"
        yield Regime(f"{name} 0.3 s", 300, {**server, "refusal_latency_s": 0.3}, ceiling=64, few=60)
        server["refusal_latency_s"] = 2.0
        yield Regime(f"{name} 2 s", 300, server, ceiling=64, few=160, cold=0.45, warm=0.45, long=0.8)
    for on_full in ("queue", "refuse"):
        server = {"slots": 30, "on_full": on_full, "lost_share": 0.04}
        yield Regime(f"{on_full} 30, one in 25 lost", 257, server, share=0.95, long=0.88)


def _recorded() -> Iterator[Regime]:
    """Half a minute as the benchmark measures it: an intent takes 30 ms to be recorded, a refusal 20 ms to come back.

    Under 2% are refused, also of what nothing is known about.
    """
    bucket: Limit = ("bucket", 10.0, 10.0)
    window: Limit = ("fixed", 100, 10.0)
    servers: dict[str, tuple[int, Mapping[str, object]]] = {
        "10/s": (300, {"limit": bucket}),
        "100 in 10 s": (300, {"limit": window, "says": "retry-after"}),
        "20 in 1 s": (600, {"limit": ("fixed", 20, 1.0), "says": "rate"}),
        "10/s, ban after 5": (300, {"limit": bucket, "ban_after": 5, "ban_s": 10.0}),
        "100 in 10 s, ban after 5": (300, {"limit": window, "says": "rate", "ban_after": 5, "ban_s": 30.0}),
        "refuse 20": (600, {"slots": 20, "on_full": "refuse", "latency": steady(1.0)}),
        "refuse 200": (6000, {"slots": 200, "on_full": "refuse", "latency": steady(1.0)}),
    }
    for name, (calls, server) in servers.items():
        is_banned = "ban_after" in server
        yield Regime(
            f"recorded: {name}",
            calls,
            {"latency": steady(0.5), "refusal_latency_s": 0.02, **server},
            ceiling=256,
            # The ideal begins each job with a window of its own; whoever goes on from the last one cannot.
            warm=0.6 if name.startswith("100 in") else 0.9,
            few=0,
            bans=is_banned,
            bears_ban=is_banned,
            intent_s=0.03,
        )


def _busy() -> Iterator[Regime]:
    """A machine so busy that an intent takes 150 ms to be recorded: a number is not taken for a rate, nor forgotten."""
    for slots, latency_s in ((20, 1.0), (50, 3.5)):
        server = {"slots": slots, "on_full": "refuse", "latency": lognormal(latency_s, 0.3), "refusal_latency_s": 0.02}
        yield Regime(
            f"busy: refuse {slots} of {latency_s:g} s",
            int(slots / latency_s * 60),
            server,
            ceiling=256,
            cold=0.7,
            warm=0.75,
            long=0.8,
            few=15,
            intent_s=0.15,
        )


def _far() -> Iterator[Regime]:
    """Slots behind a wire of 50 ms that say no after 100: a number is not taken for a rate."""
    for slots, latency_s in ((200, 1.0), (200, 3.5)):
        server = {"slots": slots, "on_full": "refuse", "latency": steady(latency_s)}
        yield Regime(
            f"far: refuse {slots} of {latency_s:g} s",
            int(slots / latency_s * 30),
            {**server, "refusal_latency_s": 0.1, "wire_s": 0.05},
            ceiling=256,
            cold=0.65,
            warm=0.75,
            long=0.75,
            refused=0.03,
            intent_s=0.03,
        )


REGIMES: tuple[Regime, ...] = (
    *_recorded(),
    *_busy(),
    *_far(),
    *_rates(),
    *_slots(),
    *_bans(),
    *_hidden_bans(),
    *_changes(),
    *_mixtures(),
)
