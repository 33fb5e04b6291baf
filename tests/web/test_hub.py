"""Telling open pages of changes: at once after a rest, then as often as the server bears with so many open."""

from __future__ import annotations

import time
from contextlib import ExitStack

from litestar import Response

from imeiflow.web.drawn import Shared
from imeiflow.web.hub import Hub, job_topic


def test_the_more_pages_are_open_the_longer_each_waits_for_the_next_change():
    hub, paces = Hub(), []
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(hub.watch([job_topic(1)]))
            paces.append(hub.pace_s)
        assert (paces[0], paces[39], round(paces[-1], 3)) == (0.4, 0.4, 3.0)
        assert paces == sorted(paces)
    assert hub.pace_s == 0.4


async def test_where_a_crowd_looks_on_a_change_is_told_later_than_what_was_drawn_before_it_is_kept():
    hub, drawn = Hub(), Shared()
    with ExitStack() as stack:
        viewers = [stack.enter_context(hub.watch(["jobs"])) for _ in range(40)]
        assert hub.is_crowded
        hub.tell("jobs")
        drawn.keep(("/jobs",), time.monotonic(), Response("old news"))
        assert drawn.find(("/jobs",)) is not None
        assert await anext(viewers[0].changes()) == {"jobs"}
        assert drawn.find(("/jobs",)) is None


async def test_a_page_that_rests_hears_at_once_and_of_many_changes_once():
    hub = Hub()
    with hub.watch([job_topic(1), "jobs"]) as viewer:
        for topic in (job_topic(1), "jobs", job_topic(1), job_topic(2)):
            hub.tell(topic)
        changes = viewer.changes()
        assert await anext(changes) == {job_topic(1), "jobs"}
        hub.close()
        assert [change async for change in changes] == []


def test_what_was_drawn_is_not_kept_for_longer_than_it_is_shown():
    drawn, now = Shared(), time.monotonic()
    for number in range(300):
        drawn.keep((str(number),), now - 10, Response("old"))
    drawn.keep(("new",), now, Response("new"))
    assert list(drawn._drawn) == [("new",)]
    for number in range(1000):
        drawn.keep((str(number),), now + 100, Response("new"))
    assert len(drawn._drawn) <= 200
