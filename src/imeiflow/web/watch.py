"""The outermost layer: gives each request an id, counts it, logs it, and leaves whoever does not read the answer.

Never logs an address: it may be a secret.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from imeiflow.web.metric import Meter

log = structlog.get_logger(__name__)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Asked for all the time, by machines: counted, not logged.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics", "/static/{digest}/{name}"})
_STREAM: Final = b"text/event-stream"
#: A part of an answer, 64 kB at most where it is long, is taken within this time, or nobody reads any more.
_PATIENCE_S: Final = 60.0


class Watch:
    """Counts and logs the requests of an application. `patience_s`: how long a part of an answer may lie unread."""

    def __init__(self, app: ASGIApp, meter: Meter, *, patience_s: float = _PATIENCE_S) -> None:
        self._app = app
        self._meter = meter
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        began_at = time.perf_counter()
        status, is_stream, is_left = 500, False, False

        async def send_noting(message: Message) -> None:
            nonlocal status, is_stream, is_left
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                is_stream = any(name == b"content-type" and value.startswith(_STREAM) for name, value in headers)
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            try:
                async with asyncio.timeout(self._patience_s):
                    await send(message)
            except TimeoutError:
                is_left = True
                raise

        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._app(scope, receive, send_noting)
            except Exception:
                if not is_left:
                    raise
                log.info("answer_left", status=status)
            finally:
                self._note(scope, status, time.perf_counter() - began_at, is_stream=is_stream)

    def _note(self, scope: Scope, status: int, seconds: float, *, is_stream: bool) -> None:
        method = str(scope.get("method", ""))
        method = method if method in _METHODS else "other"
        route = str(scope.get("path_template") or "none")
        self._meter.answered(method, route, status, seconds, is_stream=is_stream)
        if route not in _QUIET:
            principal = scope.get("user")
            user = principal.user.name if principal is not None else None
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), user=user)
