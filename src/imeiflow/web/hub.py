"""Who looks at what: says "changed" to viewers, who then fetch what they show. Carries no data.

A viewer that is slow hears once of many changes, so that a few hundred of them cost next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

#: Topics that are told to everybody.
ALL: Final = "all"
WEBHOOKS: Final = "webhooks"

_AT_MOST_EVERY_S: Final = 0.4
#: What a page costs that draws itself anew is some milliseconds: the more are open, the longer each waits, so that
#: hundreds of them leave half a core to the calls.
_FOR_EACH_PAGE_S: Final = 0.01
#: From so many open pages on, parts are drawn once for all who ask within a moment, and changes told a moment later.
_CROWD: Final = 40
CROWD_LAG_S: Final = 0.5
_HEARTBEAT_S: Final = 15.0


def job_topic(job: int) -> str:
    """Name the topic of a job."""
    return f"job-{job}"


def preparation_topic(id_: str) -> str:
    """Name the topic of a list that is being prepared: ids are of any letters, topics of small ones."""
    return f"list-{id_.encode().hex()}"


class Viewer:
    """One open page."""

    def __init__(self, topics: Iterable[str], hub: Hub | None = None) -> None:
        self.topics = frozenset(topics)
        self._hub = hub
        self._pending: set[str] = set()
        self._told = asyncio.Event()
        self._is_closed = False

    def tell(self, topic: str) -> None:
        """Note that something has changed."""
        self._pending |= self.topics if topic == ALL else {topic}
        self._told.set()

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        self._told.set()

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """Give what has changed, whenever something has; an empty set now and then, while nothing does."""
        while not self._is_closed:
            try:
                await asyncio.wait_for(self._told.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield frozenset()
                continue
            if self._hub is not None and self._hub.is_crowded and not self._is_closed:
                await asyncio.sleep(CROWD_LAG_S)
            self._told.clear()
            changed, self._pending = frozenset(self._pending), set()
            if changed:
                yield changed
                await asyncio.sleep(_AT_MOST_EVERY_S if self._hub is None else self._hub.pace_s)


class Hub:
    """All open pages of this server. Use it in the event loop."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._is_closed = False

    @property
    def topics(self) -> frozenset[str]:
        """Give the topics that anybody looks at."""
        return frozenset(topic for viewer in self._viewers for topic in viewer.topics)

    @property
    def is_crowded(self) -> bool:
        """Say whether so many pages are open that what they show is drawn once for many."""
        return len(self._viewers) >= _CROWD

    @property
    def pace_s(self) -> float:
        """Give how often a page is told of changes, at most; the first after a rest is told at once."""
        return max(_AT_MOST_EVERY_S, len(self._viewers) * _FOR_EACH_PAGE_S)

    @property
    def viewers(self) -> int:
        """Count the open pages."""
        return len(self._viewers)

    @contextmanager
    def watch(self, topics: Iterable[str]) -> Iterator[Viewer]:
        """Let a page look at topics."""
        viewer = Viewer(topics, self)
        if self._is_closed:
            viewer.close()
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def tell(self, *topics: str) -> None:
        """Tell whoever looks at one of the topics that it has changed."""
        for viewer in self._viewers:
            for topic in topics:
                if topic == ALL or topic in viewer.topics:
                    viewer.tell(topic)

    def close(self) -> None:
        """End all streams: the server stops."""
        self._is_closed = True
        for viewer in self._viewers:
            viewer.close()
