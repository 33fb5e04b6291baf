"""Asking a site as a program does that wants to break it: any method, header and body, no redirect followed."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from imeiflow.domain.user import Role
from imeiflow.ledger.user import User
from imeiflow.operations.identity import find_web_session
from imeiflow.web.access import RoleGuard
from tests.web.site import PATIENCE_S, Site

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of `headers` are of small letters, what came twice is joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address, as the application declares it."""

    method: str
    path: str
    is_public: bool
    role: Role | None  #: the one that its guards ask for

    def fill(self, **values: object) -> str:
        """Give an address to ask for: what stands in braces is taken from `values`, else 1."""
        path = self.path
        while "{" in path:
            before, _, rest = path.partition("{")
            name, _, after = rest.partition("}")
            path = f"{before}{values.get(name, 1)}{after}"
        return path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Asker:
    """Somebody who asks: with a session where `user` is given."""

    def __init__(self, site: Site, user: User | None = None) -> None:
        self._site = site
        self._cookie = self.csrf = ""
        if user is not None:
            cookie = site.sign_in(user)
            self._cookie = f"{cookie['name']}={cookie['value']}"
            found = find_web_session(site.session, cookie["value"])
            assert found is not None
            self.csrf = found.csrf

    def ask(
        self, method: str, path: str, *, form: Mapping[str, str] | None = None, body: bytes = b"", **headers: str
    ) -> Answer:
        """Send one request; `headers` have underscores for hyphens, and take the place of ours."""
        parts = urlsplit(self._site.base_url)
        sent = {"host": parts.netloc}
        if self._cookie:
            sent["cookie"] = self._cookie
        if form is not None:
            body = urlencode(form).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        if method in UNSAFE:
            sent["content-length"] = str(len(body))
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            is_stream = answer.getheader("content-type", "").startswith("text/event-stream")
            text = "" if is_stream else answer.read().decode("utf-8", "replace")
            found: dict[str, str] = {}
            for name, value in answer.getheaders():
                found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
            return Answer(answer.status, found, text)
        finally:
            connection.close()


def find_port() -> int:
    """Find a port that is free just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_runner(site: Site) -> None:
    """Wait until the runner has taken up what it found: a job that a test adds sooner might seem left behind."""
    runner = site.server.office.runner
    first, told = runner._turned_at, threading.Event()
    deadline = time.monotonic() + PATIENCE_S
    while runner._turned_at == first:
        assert time.monotonic() < deadline
        told.wait(0.02)


def list_routes(site: Site) -> list[Route]:
    """List every method of every address of the running application, but the OPTIONS that the framework adds."""
    app: Any = site.server._http.config.app
    while not isinstance(app, Litestar):
        app = app._app
    return sorted(_walk(app), key=str)


def _walk(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        handlers: Any = getattr(route, "route_handlers", ())
        for handler in handlers:
            if not isinstance(handler, HTTPRouteHandler):
                continue
            resolved = [getattr(guard, "func", guard) for guard in handler.resolve_guards()]
            guards = [guard for guard in resolved if isinstance(guard, RoleGuard)]
            role = max((guard.role for guard in guards), key=list(Role).index, default=None)
            for method in handler.http_methods - {"OPTIONS"}:
                yield Route(str(method), str(route.path_format), bool(handler.opt.get("public")), role)


def post(site: Site, who: User, path: str, **form: str) -> int:
    """Send a form of a page, as the browser of somebody who is signed in does; give the status."""
    somebody = Asker(site, who)
    return somebody.ask("POST", path, form={"csrf": somebody.csrf, **form}).status
