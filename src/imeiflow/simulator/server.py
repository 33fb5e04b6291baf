"""The simulated server on a port: started and stopped around a block of code, or run until it is told to end.

It listens on the loopback interface only, unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from imeiflow.errors import ConfigurationError
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.book import Book
from imeiflow.simulator.connection import Connection, Outbox
from imeiflow.simulator.site import Clock, Site, Stats, Timer

_BACKLOG = 4096


class SimulatedProvider:
    """A simulated GSM Fusion server in the running event loop: `async with SimulatedProvider(behaviour) as sim`."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        call_later: Timer | None = None,
    ) -> None:
        self._first_behaviour = behaviour or Behaviour()
        self._host = host
        self._port = port
        self._clock = clock or make_clock()
        self._call_later = call_later
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._site: Site | None = None

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken, ConfigurationError for certificates that cannot be read."""
        loop = asyncio.get_running_loop()
        behaviour = self._first_behaviour
        site = Site(behaviour, self._clock, self._call_later or loop.call_later)
        outbox = Outbox()
        self._server = await loop.create_server(
            lambda: Connection(site, outbox, self._connections),
            self._host,
            self._port,
            ssl=_make_context(behaviour),
            backlog=_BACKLOG,
        )
        self._site = site
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection; book and counts stay."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def base_url(self) -> str:
        """Give the URL that an account needs."""
        scheme = "https" if self._first_behaviour.tls_cert else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    @property
    def api_key(self) -> str:
        """Give the key that is accepted."""
        return self.behaviour.api_key

    @property
    def username(self) -> str:
        """Give the user that is accepted."""
        return self.behaviour.username

    @property
    def behaviour(self) -> Behaviour:
        """Give what it does now."""
        return self._site.behaviour if self._site else self._first_behaviour

    @property
    def site(self) -> Site:
        """Give the server behind the port; it must have been started."""
        if self._site is None:
            raise RuntimeError("the simulated provider has not been started")
        return self._site

    @property
    def book(self) -> Book:
        """Give the order book, live."""
        return self.site.book

    @property
    def stats(self) -> Stats:
        """Give the counts, live."""
        return self.site.stats

    @property
    def calls(self) -> list[dict[str, object]]:
        """Give a line for every call that has ended, where `log_calls` is on."""
        return self.site.log

    def now(self) -> float:
        """Read the server's clock, in seconds since 1970."""
        return self._clock()

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Behave otherwise from now on; the certificate stays."""
        self.site.behave(behaviour)

    async def wait_received(self, calls: int) -> None:
        """Wait until so many calls have been received since the start."""
        reached = asyncio.Event()
        self.site.watch(calls, reached.set)
        await reached.wait()


def make_clock() -> Clock:
    """Make a clock that tells the time of day and never runs backwards."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def run_simulator(
    behaviour: Behaviour,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[SimulatedProvider, Callable[[], None]], None] | None = None,
) -> None:
    """Run a simulated server until SIGINT or SIGTERM. It blocks.

    `on_ready` gets the server once it listens, and a function that ends it and may be called from any thread.
    """
    with asyncio.Runner(loop_factory=_choose_loop()) as runner:
        runner.run(_serve(SimulatedProvider(behaviour, host=host, port=port), on_ready))


async def _serve(
    provider: SimulatedProvider, on_ready: Callable[[SimulatedProvider, Callable[[], None]], None] | None
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)

    def end() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    async with provider:
        if on_ready is not None:
            on_ready(provider, end)
        await ended.wait()


def _choose_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Choose uvloop where it is installed; None is asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - it is optional
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _make_context(behaviour: Behaviour) -> ssl.SSLContext | None:
    if not behaviour.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(behaviour.tls_cert, behaviour.tls_key)
    except OSError as error:
        raise ConfigurationError(setting="tls_cert", problem=f"cannot be read: {error}") from error
    return context
