"""Puts the API together: its operations, their description, and the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import ASGIApp, Receive, Scope, Send

from imeiflow.web.api.catalog import OPERATIONS
from imeiflow.web.api.description import BASE, write_description
from imeiflow.web.api.document import draw_document
from imeiflow.web.api.problem import HANDLERS
from imeiflow.web.api.route import make_handler, route_path

_KEPT = {"cache-control": "public, max-age=300"}


@cache
def make_api(max_upload_bytes: int) -> ASGIApp:
    """Make what serves the API of any office that takes uploads of so many bytes, once a process."""
    return Litestar(
        route_handlers=[
            *(_make_options(path, methods) for path, methods in _list_methods().items()),
            *(make_handler(one, max_upload_bytes) for one in OPERATIONS),
            description,
            document,
        ],
        path=BASE,
        exception_handlers=HANDLERS,
        openapi_config=None,
        logging_config=None,
    )


def _list_methods() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in OPERATIONS:
        found.setdefault(one.path, []).append(one.method)
    return found


def _make_options(path: str, methods: Iterable[str]) -> HTTPRouteHandler:
    """Make the route that says which methods an address has: first of all: the framework's own forgets some."""
    allowed = ", ".join(sorted({*methods, "OPTIONS"}))

    async def tell_methods() -> Response[bytes]:
        return Response(b"", status_code=HTTP_204_NO_CONTENT, headers={"allow": allowed})

    return HTTPRouteHandler(route_path(path), http_method="OPTIONS", include_in_schema=False)(tell_methods)


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def description() -> Response[bytes]:
    """Give the description of the API."""
    return Response(write_description().encode(), media_type="application/json", headers=_KEPT)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def document() -> Response[bytes]:
    """Show the description to a person."""
    return Response(draw_document().encode(), media_type="text/html", headers=_KEPT)


class Branch:
    """Leads what is for the API to it, and all else to the pages."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        path: Any = scope.get("path", "")
        is_api = str(scope["type"]) == "http" and (path == "/api" or path.startswith("/api/"))
        await (self._api if is_api else self._app)(scope, receive, send)
