"""A process that is frozen (SIGSTOP), loses its lane, and wakes up: it may place nothing more, and says so.

It is frozen while its calls wait for their answers and it has nothing to write: frozen in the middle of a
transaction it would hold the ledger, and nobody could take the lane from it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from imeiflow.simulator.behaviour import Repeat
from tests.crash.conftest import Scene
from tests.crash.nursery import DONE, FENCED, Nursery
from tests.rig import ACCOUNT

MakeScene = Callable[..., Scene]
AT_ONCE = 4
TOTAL = 40


def freeze(make_scene: MakeScene, repeats: Repeat = Repeat.REFUSE) -> tuple[Scene, int]:
    """Make a scene with a worker that is frozen while as many calls as may are under way."""
    behaviour = {"latency": "0.6", "repeats": repeats}
    scene = make_scene(TOTAL, behaviour, chunk_size=1, max_concurrency=AT_ONCE)
    frozen = scene.nursery.start(scene.errand(point="place.waiting", nth=AT_ONCE, signal=signal.SIGSTOP))
    assert scene.nursery.wait() == -signal.SIGSTOP
    scene.sim.set_behaviour(latency="0")
    return scene, frozen


@pytest.mark.parametrize("repeats", Repeat)
def test_frozen_and_fenced_it_places_nothing_more_and_its_late_replies_count(make_scene: MakeScene, repeats: Repeat):
    scene, frozen = freeze(make_scene, repeats)
    with scene.ledger() as ledger:
        ledger.take_lane(ACCOUNT, "somebody else")
    assert scene.judge().count("unconfirmed") == AT_ONCE
    os.kill(frozen, signal.SIGCONT)
    assert scene.nursery.wait() == FENCED
    verdict = scene.judge()
    assert verdict.count("accepted") == AT_ONCE == scene.sim.stats()["received"]
    assert scene.finish().count("accepted") == TOTAL
    assert scene.sim.stats()["repeats"] == 0


@pytest.mark.parametrize("repeats", Repeat)
def test_frozen_while_somebody_else_does_its_work_it_finds_nothing_left_to_place(
    make_scene: MakeScene, repeats: Repeat
):
    scene, frozen = freeze(make_scene, repeats)
    scene.patience_s = 1.0  # who is frozen has the replies: nothing has to be learned about repeats
    (scene.home / "lanes").rename(scene.home / "lanes-of-the-frozen")  # its lock is lost, as on another machine
    with Nursery() as other:
        assert other.run(scene.errand()) == DONE
    scene.judge()
    before = scene.sim.stats()["actions"]["placeorder"]
    os.kill(frozen, signal.SIGCONT)
    assert scene.nursery.wait() in {DONE, FENCED}
    assert scene.sim.stats()["actions"]["placeorder"] == before
    verdict = scene.judge()
    assert verdict.count("accepted", "duplicate") == TOTAL
    assert scene.sim.stats()["repeats"] <= (repeats is Repeat.CHARGE)


def test_a_frozen_process_keeps_its_lane_and_is_named_to_whoever_asks(make_scene: MakeScene):
    scene, frozen = freeze(make_scene)
    with Nursery() as other:
        other.start(scene.errand())
        with scene.ledger() as ledger:
            owner = ledger.lane_owner(ACCOUNT)
        assert owner is not None
        assert f"process {frozen} " in f"{owner.owner} "
        os.kill(frozen, signal.SIGCONT)
        assert scene.nursery.wait() == DONE
        assert other.wait() == DONE
    assert scene.judge().count("accepted") == TOTAL
