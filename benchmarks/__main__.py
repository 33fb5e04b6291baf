"""Measure everything, or what is named; print it, and renew its part of docs/benchmarks.md and of its plot.

python -m benchmarks [name …]     headline single regimes million intake export search start web
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.export import fill_ledger, measure
from benchmarks.intake_rate import measure_intake
from benchmarks.report import Line, keep_report
from benchmarks.rig import run_jobs
from benchmarks.web import (
    make_million,
    make_simulator,
    measure_crowd,
    measure_million,
    measure_preview,
    serve,
    start_long_job,
    write_csv,
    write_xlsx,
)

_ROOT = Path(__file__).resolve().parent.parent


def headline() -> Iterator[Line]:
    """20,000 IMEIs, 3.5 s a call, 100 a call: 30 at once, then any number."""
    for kind, slots in (("queues", {"capacity": 30}), ("refuses", {"capacity": 30, "capacity_queues": False})):
        out = run_jobs({"latency": "3.5", **slots}, [{"orders": 20_000}, {"orders": 20_000}])
        _check(out)
        cold, learned = (job["seconds"] for job in out["jobs"])
        yield Line(f"20,000 cold, 30 at once ({kind})", f"{cold:.1f} s", "31.5 s", "<= 32 s", cold <= 32.0, 31.5 / cold)
        yield Line(
            f"20,000 learned, 30 at once ({kind})",
            f"{learned:.1f} s",
            "24.5 s",
            "<= 25.7 s",
            learned <= 25.7,
            24.5 / learned,
        )
    out = run_jobs({"latency": "3.5"}, [{"orders": 20_000, "max_concurrency": 256} for _ in range(2)])
    _check(out)
    cold, learned = (job["seconds"] for job in out["jobs"])
    yield Line("20,000 cold, up to 256 at once", f"{cold:.1f} s", "10.5 s", "<= 12 s", cold <= 12, 10.5 / cold)
    yield Line("20,000 learned, up to 256 at once", f"{learned:.1f} s", "3.5 s", "<= 5 s", learned <= 5, 3.5 / learned)


def single() -> Iterator[Line]:
    """One IMEI a call, no latency: the engine with its durable ledger against a bare loop of the same client.

    In turns, because what else the machine does changes; each as fast as in its median run.
    """
    calls = 120_000  # the lane begins carefully, for about a second whatever the length
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(5):
        bare.append(_json_of("benchmarks.bare", str(calls), "100"))
        out = run_jobs({}, [{"orders": calls, "chunk_size": 1, "max_concurrency": 100}])
        _check(out)
        ours.append(calls / out["jobs"][0]["seconds"])
    best, mine = median(bare), median(ours)
    yield Line(
        "one IMEI a call, no latency",
        f"{mine:,.0f} calls/s",
        f"{best:,.0f} calls/s (bare loop)",
        ">= 60%",
        mine >= 0.6 * best,
        mine / best,
    )


#: Name, behaviour, calls a second that are possible, and the burst that is free at the start.
_REGIMES: list[tuple[str, dict[str, Any], float, float]] = [
    ("cut at 50", {"latency": "1", "capacity": 20, "chunk_limit": 50}, 20.0, 0),
    ("more than 50 refused", {"latency": "1", "capacity": 20, "chunk_max": 50}, 20.0, 0),
    ("429, 10 a second", {"latency": "0.5", "rate": "10/1s", "rate_kind": "bucket", "rate_burst": 10}, 10.0, 10),
    (
        "429 with Retry-After, 100 in 10 s",
        {"latency": "0.5", "rate": "100/10s", "rate_refusal": "429-retry-after"},
        10.0,
        100,
    ),
    ("limit said in the body, 20 a second", {"latency": "0.5", "rate": "20/1s", "rate_refusal": "200-rate"}, 20.0, 20),
    (
        "ban after 5 refusals",
        {"latency": "0.5", "rate": "10/1s", "rate_kind": "bucket", "rate_burst": 10, "ban_after": 5, "ban_lasts": 10},
        10.0,
        10,
    ),
    (
        "ban of 30 s after 5 refusals, 100 in 10 s",
        {"latency": "0.5", "rate": "100/10s", "rate_refusal": "200-rate", "ban_after": 5, "ban_lasts": 30},
        10.0,
        100,
    ),
    ("20 slots, queues", {"latency": "1", "capacity": 20}, 20.0, 0),
    ("20 slots, refuses", {"latency": "1", "capacity": 20, "capacity_queues": False}, 20.0, 0),
    ("heavy tail, 20 slots", {"latency": "lognormal:0.8,0.8", "capacity": 20}, 20 / (0.8 * math.exp(0.32)), 0),
    ("200 slots, refuses", {"latency": "1", "capacity": 200, "capacity_queues": False}, 200.0, 0),
]


#: So many regimes at once: nearly all of the time is spent waiting.
_AT_ONCE = 2


def regimes() -> Iterator[Line]:
    """Half a minute in each regime, cold, and again with what was learned."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for lines in pool.map(lambda regime: list(_regime(*regime)), _REGIMES):
            yield from lines


def _regime(name: str, behaviour: dict[str, Any], rate: float, burst: float) -> Iterator[Line]:
    calls = int(rate * 30)
    size = 50 if "chunk_limit" in behaviour or "chunk_max" in behaviour else 20
    wishes: dict[str, Any] = {"orders": calls * size, "max_concurrency": 256}
    if size != 50:
        wishes["chunk_size"] = size
    out = run_jobs(behaviour, [dict(wishes), dict(wishes)])
    _check(out)
    was_banned = False
    for state, target, job in zip(("cold", "learned"), (0.8, 0.9), out["jobs"], strict=True):
        # The second job begins when the first has ended: what was free at the start is used up.
        is_free = burst and state == "cold"
        possible = (calls - burst) / rate + float(behaviour["latency"]) if is_free else calls / rate
        # Nobody knows that refusals lead to a ban before the first one, in whichever job it comes: whoever knows the
        # rest bears it, too.
        possible += 0 if was_banned else min(1, job["bans"]) * behaviour.get("ban_lasts", 0)
        ratio = possible / job["seconds"]
        share = job["refused"] / job["calls"]
        bans = f", bans {job['bans']}" if job["bans"] else ""
        yield Line(
            f"{name}, {state}",
            f"{job['seconds']:.1f} s, {share:.1%} refused{bans}",
            f"{possible:.1f} s",
            f">= {target:.0%}, < 2% refused",
            ratio >= target and share < 0.02 and job["bans"] <= (not was_banned),
            ratio,
        )
        was_banned = was_banned or job["bans"] > 0


def million() -> Iterator[Line]:
    """A million IMEIs in chunks of 100, and a tenth of them: memory, and whether time grows linearly.

    The tenth is the median of three runs, before and after the million: it takes a moment, which anything disturbs.
    """
    times: dict[int, list[float]] = {100_000: [], 1_000_000: []}
    peak = 0.0
    for orders in (100_000, 1_000_000, 100_000, 100_000):
        out = run_jobs({}, [{"orders": orders, "chunk_size": 100}])
        _check(out)
        times[orders].append(out["jobs"][0]["seconds"])
        peak = max(peak, out["peak_mb"])
    whole = median(times[1_000_000])
    growth = whole / median(times[100_000])
    yield Line("a million orders: memory", f"{peak:.0f} MB", "", "< 250 MB", peak < 250)
    yield Line(
        "a million orders: time against a tenth of them",
        f"{whole:.0f} s, {growth:.1f} times",
        "10 times",
        "linear: <= 12.5 times",
        growth <= 12.5,
    )


def intake() -> Iterator[Line]:
    """A million rows of CSV read, validated and written to the ledger."""
    with tempfile.TemporaryDirectory() as folder:
        rate, peak = measure_intake(Path(folder), 1_000_000)
    yield Line("intake of a million rows", f"{rate:,.0f} rows/s", "", ">= 100,000 rows/s", rate >= 100_000)
    yield Line("intake of a million rows: memory", f"{peak:.0f} MB", "", "< 250 MB", peak < 250)


def export() -> Iterator[Line]:
    """A million completed orders written back, with what their results say; processor time."""
    with tempfile.TemporaryDirectory() as folder:
        path = fill_ledger(Path(folder), 1_000_000, 1)
        for kind in ("csv", "jsonl", "xlsx"):
            out = measure(kind, path)
            cost_us, peak = out["seconds"] / out["rows"] * 1_000_000, out["peak_mb"]
            yield Line(
                f"export of a million rows, {kind}",
                f"{cost_us:.0f} µs a row, {peak:.0f} MB",
                "",
                "< 250 MB",
                peak < 250,
            )


def search() -> Iterator[Line]:
    """A page of 100 orders among three million in 300 jobs, first or far behind; the slower of the two."""
    with tempfile.TemporaryDirectory() as folder:
        taken = measure("search", fill_ledger(Path(folder), 3_000_000, 300))
    for name, took in taken.items():
        yield Line(f"among 3 million orders: {name}", f"{took:.1f} ms", "", "< 100 ms", took < 100)


def start() -> Iterator[Line]:
    """`imeiflow --help`, the median of nine."""
    command = [str(Path(sys.executable).parent / "imeiflow"), "--help"]
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    took = median(taken)
    yield Line("imeiflow --help", f"{took:.2f} s", "", "< 0.3 s", took < 0.3)


def web() -> Iterator[Line]:
    """The web application: previews of long lists, a job of a million orders, 300 open pages on one core."""
    with tempfile.TemporaryDirectory() as folder, make_simulator() as sim:
        place = Path(folder)
        home = _make_home(place / "preview")
        with serve(home, sim) as served:
            measure_preview(served, write_xlsx(place / "warm.xlsx", 100))
            taken, _ = measure_preview(served, write_xlsx(place / "list.xlsx", 20_000))
            yield Line("preview of a workbook of 20,000 rows", f"{taken:.2f} s", "", "< 1 s", taken < 1)
            taken, steps = measure_preview(served, write_csv(place / "long.csv", 1_000_000))
            shown = f"{taken:.1f} s, {steps} steps of progress"
            yield Line("preview of a list of a million rows", shown, "", "< 15 s", taken < 15 and steps > 10)
        home = _make_home(place / "million")
        job = make_million(home)
        with serve(home, sim) as served:
            for name, ms in measure_million(served, job).items():
                yield Line(f"a job of a million orders: {name}", f"{ms:.0f} ms", "", "< 200 ms", ms < 200)
    with tempfile.TemporaryDirectory() as folder, make_simulator(latency="2", capacity=4) as sim:
        with serve(_make_home(Path(folder) / "crowd"), sim, cores="0") as served:
            start_long_job(served, 40_000)
            found = measure_crowd(served, 300, 20.0)
        share, late = found["share"], found["late_most_s"]
        yield Line("300 open pages of a running job", f"{share:.0%} of a core", "", "< 75%", share < 0.75)
        is_met = late < 5 and found["heard"] == 300
        yield Line("a change, until all 300 have heard of it", f"{late:.1f} s", "", "< 5 s", is_met)


def _make_home(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


_ALL: dict[str, Callable[[], Iterator[Line]]] = {
    "start": start,
    "single": single,
    "intake": intake,
    "export": export,
    "search": search,
    "headline": headline,
    "regimes": regimes,
    "million": million,
    "web": web,
}


def _json_of(module: str, *arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _check(out: dict[str, Any]) -> None:
    """Refuse to report the speed of a run that lost or doubled anything."""
    ordered = sum(job["orders"] for job in out["jobs"])
    if not out["accepted"] == out["placed"] == ordered:
        raise SystemExit(f"not all is accounted for: {out}")


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all of them, and renew their part of the page."""
    if unknown := [name for name in names if name not in _ALL]:
        raise SystemExit(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(_ALL)}.")
    for name in names or list(_ALL):
        lines: list[Line] = []
        for line in _ALL[name]():
            lines.append(line)
            share = "" if line.ratio is None else f"{line.ratio:.0%}"
            print(f"{'ok  ' if line.is_met else 'MISS'} {line.title:48} {line.measured:34} {share:>5}  {line.target}")
        keep_report(name, lines, order=list(_ALL), folder=_ROOT / "docs")


if __name__ == "__main__":
    main(sys.argv[1:])
