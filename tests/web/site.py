"""A running web application for tests: the real server, runner and ledger, before a simulated provider.

Server and provider share an event loop in a thread of their own; a test looks at them from outside, as a browser does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from imeiflow.domain.ident import JobId
from imeiflow.domain.item import Item
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.user import Role
from imeiflow.ledger.record import NewOrder
from imeiflow.ledger.user import User
from imeiflow.operations.identity import open_web_session
from imeiflow.operations.session import Session
from imeiflow.operations.webhook import WebhookSettings
from imeiflow.simulator import SimulatedProvider
from imeiflow.web.access import cookie_name
from imeiflow.web.server import WebServer, open_socket
from imeiflow.web.setting import WebSettings
from tests.jobs.receiver import SECRET
from tests.judge import Verdict, judge
from tests.operations.stand import (
    PASSWORD,
    add_draft,
    add_item_job,
    add_job,
    add_user,
    answer,
    finish,
    make_configuration,
    make_imei,
)
from tests.rig import make_behaviour

__all__ = ["PASSWORD", "PATIENCE_S", "Site", "open_site"]

PATIENCE_S = 120.0


class Site:
    """One home, one provider, and a server that can be stopped and started again."""

    def __init__(
        self,
        home: Path,
        sim: SimulatedProvider,
        loop: asyncio.AbstractEventLoop,
        *,
        webhooks: Sequence[WebhookSettings] = (),
        **settings: Any,
    ) -> None:
        self.sim = sim
        self._webhooks = tuple(webhooks)
        self.session = self._open(home)
        self.base_url = ""
        self._home = home
        self._loop = loop
        self._settings = WebSettings(**{"port": 0, **settings})
        self._server: WebServer | None = None
        self._serving: Any = None
        self._told = threading.Event()

    @property
    def server(self) -> WebServer:
        """Give the server that runs."""
        assert self._server is not None
        return self._server

    def start(self) -> None:
        """Start the server, and wait until it listens and takes up jobs."""
        listener = open_socket(self._settings)
        self.base_url = self._settings.url(listener.getsockname()[1])
        ready = threading.Event()

        async def run() -> None:
            with listener:
                self._server = WebServer(self.session, self._settings)
                await self._server.run(listener, ready.set)

        self._serving = asyncio.run_coroutine_threadsafe(run(), self._loop)
        self._serving.add_done_callback(lambda _: ready.set())
        assert ready.wait(PATIENCE_S)
        if self._serving.done():
            self._serving.result()
        self.wait_until(lambda: self.server.office.runner.has_begun, "its runner does not begin")

    def stop(self) -> None:
        """Stop the server as a signal does, and wait until it has ended."""
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.stop)
            self._serving.result(PATIENCE_S)
            self._server = None

    def restart(self) -> None:
        """Stop the server and start another on the same home and address, as a new process would."""
        self.stop()
        self.session.close()
        self.session = self._open(self._home)
        port = int(self.base_url.rpartition(":")[2])
        self._settings = replace(self._settings, port=port)
        self.start()

    def add_user(self, name: str = "mia", role: Role = Role.ADMIN) -> User:
        """Make somebody who may sign in with `PASSWORD`."""
        return add_user(self.session, name, role)

    def sign_in(self, user: User) -> dict[str, str]:
        """Begin a session; give the cookie, as a browser wants it."""
        begun = open_web_session(self.session, user, address="127.0.0.1", agent="a test")
        return {"name": cookie_name(self._settings), "value": begun.secret, "url": self.base_url}

    def add_job(self, count: int, *, start: int = 0, **draft: Any) -> JobId:
        """Add a job of new IMEIs that the runner answers for from the start, as it does for those of the pages."""
        rows = [NewOrder(line=number + 2, imei=make_imei(start + number)) for number in range(count)]
        job = add_draft(self.session, rows, **draft)
        lock = self.session.job_lock(job)
        assert lock.acquire()
        self.session.ledger.start_job(job)
        self._loop.call_soon_threadsafe(self.server.office.runner.adopt, job, lock)
        return job

    def add_answered(
        self,
        states: Mapping[int, OrderState],
        *,
        more: int = 0,
        state: JobState = JobState.FINISHED,
        then: Callable[[], None] = lambda: None,
        **draft: Any,
    ) -> JobId:
        """Add a job at rest whose lines are in these states, and `more` that wait; the server is stopped meanwhile.

        `then` is done before it ends.
        """

        def add() -> JobId:
            lines = [*states, *range(max(states) + 1, max(states) + 1 + more)]
            rows = [NewOrder(line=line, imei=make_imei(line)) for line in lines]
            job = add_job(self.session, rows, name="stock.csv", **draft)
            answer(self.session, job, states)
            then()
            self.session.ledger.change_job(job, {JobState.RUNNING}, state, None)
            return job

        return self._add_at_rest(add)

    def add_doubtful_items(self, *items: Item) -> JobId:
        """Add a finished job of items, each in doubt; the server is stopped meanwhile."""

        def add() -> JobId:
            job = add_item_job(self.session, *items)
            answer(self.session, job, dict.fromkeys(range(1, len(items) + 1), OrderState.UNCONFIRMED))
            finish(self.session, job)
            return job

        return self._add_at_rest(add)

    def _add_at_rest(self, add: Callable[[], JobId]) -> JobId:
        port = int(self.base_url.rpartition(":")[2])
        self.stop()
        with ThreadPoolExecutor(1) as pool:  # the tests' own thread has an event loop: Playwright's
            job = pool.submit(add).result(PATIENCE_S)
        self._settings = replace(self._settings, port=port)
        self.start()
        return job

    def change_provider(self, **behaviour: Any) -> None:
        """Let the simulated provider behave otherwise from now on."""
        changed = threading.Event()

        def change() -> None:
            self.sim.set_behaviour(make_behaviour(behaviour))
            changed.set()

        self._loop.call_soon_threadsafe(change)
        assert changed.wait(PATIENCE_S)

    def wait_for(self, job: JobId, *states: JobState) -> JobState:
        """Wait until a job is in one of the states."""
        self.wait_until(lambda: self.session.find_job(job).state in states, f"job {job} is not {states}")
        return self.session.find_job(job).state

    def wait_until(self, is_met: Callable[[], bool], problem: str) -> None:
        """Wait until something is so; `problem` is said where it never is."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_met():
            assert time.monotonic() < deadline, problem
            self._told.wait(0.05)

    def judge(self) -> Verdict:
        """Compare ledger and provider's book, order by order."""
        calls = self.sim.stats.actions["placeorder"]
        return judge(self.session.ledger.path, self.sim.book, placing_calls=calls)

    def _open(self, home: Path) -> Session:
        account = {"username": self.sim.username, "key": self.sim.api_key}
        configuration = make_configuration(home, self.sim.base_url, **account)
        environ = {one.secret_env: SECRET for one in self._webhooks if one.secret_env is not None}
        return Session.open(replace(configuration, webhooks=self._webhooks, environ=environ))


@contextmanager
def open_site(home: Path, behaviour: dict[str, Any] | None = None, **settings: Any) -> Iterator[Site]:
    """Open a site: `behaviour` are options of the simulated provider, `settings` of the site and its server."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="site")
    thread.start()

    async def start_sim() -> SimulatedProvider:
        return await SimulatedProvider(make_behaviour(behaviour)).__aenter__()

    try:
        sim = asyncio.run_coroutine_threadsafe(start_sim(), loop).result(PATIENCE_S)
        site = Site(home, sim, loop, **settings)
        try:
            site.start()
            yield site
        finally:
            site.stop()
            site.session.close()
            asyncio.run_coroutine_threadsafe(sim.__aexit__(None, None, None), loop).result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
