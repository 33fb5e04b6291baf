"""Serving: the socket, the runner beside it, and an end that lets calls under way end.

The first signal stops claiming and waits for what was sent; a second one leaves at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from imeiflow.domain.ident import JobId
from imeiflow.domain.user import Role
from imeiflow.errors import ConfigurationError, ImeiflowError, LedgerError
from imeiflow.ledger.identity import NOBODY
from imeiflow.operations.embedded import EmbeddedRunner
from imeiflow.operations.identity import invite_user
from imeiflow.operations.job_view import warm_counts
from imeiflow.operations.limit_desk import LimitDesk
from imeiflow.operations.preparation import Preparations
from imeiflow.operations.session import Session
from imeiflow.web.app import create_app
from imeiflow.web.enquiry import Enquiries
from imeiflow.web.hub import ALL, Hub, job_topic, preparation_topic
from imeiflow.web.live import watch_ledger
from imeiflow.web.office import Office
from imeiflow.web.setting import WebSettings
from imeiflow.web.thread import in_thread, name_engine_threads

_UNREAD_MS = 120_000
_LEAVE_OPEN_S = 5  #: for answers that are being sent when all calls have ended


class _HttpServer(uvicorn.Server):
    """A server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def open_socket(settings: WebSettings) -> socket.socket:
    """Open the socket to listen on. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host.strip("[]"), settings.port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(
            setting=f"--host {settings.host} --port {settings.port}",
            problem=f"it cannot listen there: {error.strerror or error}",
            remedy="Name another port with --port, or stop the program that has this one.",
        ) from error
    # Each connection inherits it. Without it an answer's body waits for the receipt of its headers: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # whoever takes nothing any more keeps no connection
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return listener


def prepare_link(session: Session, base_url: str) -> str | None:
    """Give the one-time link for the first user; None where there are users."""
    if session.ledger.count_users():
        return None
    return f"{base_url}/invitation/{invite_user(session, role=Role.ADMIN, actor=NOBODY)}"


class ServedError(ImeiflowError):
    """Another server works with the ledger {path}."""

    remedy = "Stop it first; while there is none, nothing is lost."


class WebServer:
    """The application and its runner, from start to an end in two steps. Lives in one event loop."""

    def __init__(self, session: Session, settings: WebSettings) -> None:
        hub = Hub()
        self._loop: asyncio.AbstractEventLoop | None = None

        def tell(jobs: Set[JobId]) -> None:
            hub.tell("jobs", *map(job_topic, jobs))

        runner = EmbeddedRunner(session, on_change=tell)
        self.office = Office(
            session=session,
            settings=settings,
            runner=runner,
            hub=hub,
            preparations=Preparations(session, self._tell_preparation),
            limits=LimitDesk(session, lambda: hub.tell("accounts")),
            enquiries=Enquiries(session, runner),
        )
        self._http = _HttpServer(_configure(self.office, settings))

    async def run(self, listener: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; returns when no call is under way any more."""
        self._loop = asyncio.get_running_loop()
        name_engine_threads()
        working = asyncio.create_task(self.office.runner.run())
        watching = asyncio.create_task(watch_ledger(self.office))
        warming = asyncio.create_task(self._warm())
        working.add_done_callback(lambda _: self._leave())
        try:
            on_ready()
            await self._http.serve(sockets=[listener])
        finally:
            self.office.runner.stop()
            watching.cancel()
            await self.office.limits.close()
            await self.office.enquiries.close()
            await asyncio.gather(working, watching, warming, return_exceptions=True)
            self._loop = None
            await asyncio.to_thread(self.office.preparations.close)
        working.result()

    async def _warm(self) -> None:
        """Count what the first visitors will ask for."""
        with suppress(LedgerError):
            await in_thread(warm_counts, self.office.session, is_stopped=lambda: self.office.is_stopping)

    def _tell_preparation(self, id_: str) -> None:
        """Tell, from the thread that reads a list, whoever waits for it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.office.hub.tell, preparation_topic(id_))

    def stop(self) -> int:
        """Begin the end, and count the calls that are still under way; called again, leave at once."""
        if self.office.is_stopping:
            self.office.runner.abandon()
            return 0
        self.office.is_stopping = True
        self.office.hub.tell(ALL)
        self.office.runner.stop()
        self.office.limits.stop()
        return self.office.runner.calls_under_way

    def _leave(self) -> None:
        """Close the doors."""
        self.office.is_stopping = True
        self.office.hub.close()
        self._http.should_exit = True


async def serve(
    session: Session,
    settings: WebSettings,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_stop: Callable[[int], None],
) -> None:
    """Serve until a signal comes; `on_stop` hears how many calls are still under way then.

    Raises ServedError: two servers would discard each other's uploads, and each take over what the other is doing.
    """
    lock = session.server_lock()
    if not lock.acquire():
        raise ServedError(path=session.ledger.path)
    try:
        server = WebServer(session, settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: on_stop(server.stop()))
        await server.run(listener, on_ready)
    finally:
        lock.release()


def _configure(office: Office, settings: WebSettings) -> uvicorn.Config:
    proxy: dict[str, Any] = {"proxy_headers": settings.trusted_proxy is not None}
    if settings.trusted_proxy is not None:
        proxy["forwarded_allow_ips"] = settings.trusted_proxy
    return uvicorn.Config(
        create_app(office),
        http="h11",
        ws="none",
        lifespan="off",  # nothing begins or ends with it, and what serves pages may serve several servers
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_LEAVE_OPEN_S,
        limit_concurrency=None,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        **proxy,
    )
