"""Processes killed with SIGKILL, at random and at every named point, again and again: nothing lost, nothing paid twice.

After each kill the dead process's ledger is compared with the provider's book; what its calls carried may be either
way, everything else is as certain as ever. In the end nothing is left `sending`, and what can be settled is settled.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from imeiflow.domain.order import JobState
from imeiflow.simulator.behaviour import Repeat
from tests.crash.conftest import Scene
from tests.judge import Verdict
from tests.rig import INSTANT

MakeScene = Callable[..., Scene]
PATIENCE = 10

#: What may go wrong besides: replies that are lost, calls that are turned away, chunks that are cut.
NOISE: dict[str, dict[str, Any]] = {
    "calm": {},
    "lossy": {"faults": ("reset:after@2%", "empty:before@1%", "html-502:after@1%", "cut-xml:after@1%")},
    "limited": {"rate": "300/s", "rate_refusal": "429", "rate_actions": ("placeorder",)},
    "cut": {"chunk_limit": 7, "chunk_cut": "last", "cut_placed": True},
}


@pytest.mark.parametrize("repeats", Repeat)
@pytest.mark.parametrize(("noise", "total", "chunk"), [
    ("calm", 400, 1),
    ("lossy", 400, 1),
    ("limited", 300, 1),
    ("lossy", 1500, 5),
    ("cut", 700, None),
])  # fmt: skip
def test_killed_at_random_and_resumed_nothing_is_lost_or_placed_twice(
    make_scene: MakeScene, noise: str, total: int, chunk: int | None, repeats: Repeat
):
    behaviour = make_behaviour(noise, repeats)
    scene = make_scene(total, behaviour, chunk_size=chunk, max_concurrency=6)
    if repeats is Repeat.REFUSE_OPEN:  # an order that is open grows old enough in a minute: its doubt is held here
        scene.patience_s = 5.0
    dice = random.Random(f"{noise} {total} {repeats}")
    for _ in range(40):
        if scene.kills == 16:
            break
        if not scene.kill(after_s=dice.uniform(0.01, 0.1)) and scene.state is JobState.PAUSED:
            scene.resume()
    check_end(scene, scene.finish(), repeats)
    assert scene.kills >= 5


def make_behaviour(noise: str, repeats: Repeat) -> dict[str, Any]:
    return {"latency": "0.002-0.03", "repeats": repeats, **NOISE[noise]}


POINTS = [
    "lane.taking",
    "lane.taken",
    "place.intent",
    "place.intended",
    "place.leaving",
    "place.replied",
    "place.concluded",
    "probe.intent",
    "probe.intended",
    "probe.leaving",
    "probe.replied",
    "probe.concluded",
    "again.intent",
    "again.intended",
    "again.leaving",
    "again.replied",
    "again.concluded",
    "job.ending",
    "job.ended",
]


@pytest.mark.parametrize("repeats", [Repeat.REFUSE, Repeat.CHARGE])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_and_resumed_nothing_is_lost_or_placed_twice(
    make_scene: MakeScene, point: str, repeats: Repeat
):
    behaviour = {"latency": "0.001-0.004", "repeats": repeats, "faults": ("reset:after@#2,5,11", "empty:before@#8")}
    behaviour |= INSTANT  # what is completed is the sooner old enough to be repeated
    scene = make_scene(60, behaviour, chunk_size=1, max_concurrency=4)
    dice = random.Random(f"{point} {repeats}")
    most = 14 if point.startswith("place") else 3 if point.startswith("again") else 1
    for _ in range(6):
        if not scene.kill(point=point, nth=dice.randint(1, most)):
            break
    is_reached = repeats is Repeat.REFUSE or not point.startswith("again")
    assert (scene.kills > 0) is is_reached
    check_end(scene, scene.finish(), repeats)


def check_end(scene: Scene, verdict: Verdict, repeats: Repeat) -> None:
    """Everything is placed and settled where repeats are refused for good; else doubt is held that nothing covers.

    Nothing covers doubts that are older than every accepted order: those of the very first calls, killed at once.
    """
    assert verdict.count("queued", "sending", "refused", "failed", "cancelled") == 0
    placed = verdict.count("accepted", "duplicate")
    if repeats is not Repeat.REFUSE:
        assert scene.sim.stats()["repeats"] == 0 or repeats is Repeat.CHARGE
        assert placed + verdict.count("unconfirmed") == scene.total
        return
    for _ in range(PATIENCE):  # the reply to a probe may be lost as well
        if not verdict.count("unconfirmed") or scene.holds_only_what_nothing_covers():
            break
        scene.resume()
        verdict = scene.finish()
    else:
        raise AssertionError(f"{verdict.count('unconfirmed')} are not settled")
    settled = verdict.count("accepted", "duplicate")
    assert settled + verdict.count("unconfirmed") == scene.total
    assert settled <= len(scene.sim.book()) <= scene.total
