"""What a person sees when something goes wrong: what, and what to do; never a traceback, a path or a secret."""

from __future__ import annotations

from typing import Any, Final

import structlog
from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Redirect
from litestar.types import ExceptionHandlersMap

from imeiflow.errors import ImeiflowError
from imeiflow.web.navigation import Entry, list_entries
from imeiflow.web.page_template import draw
from imeiflow.web.status import page_status
from imeiflow.web.wording import say_remedy, say_sentence

log = structlog.get_logger(__name__)

_TITLES: Final = {
    400: "That did not work",
    403: "Not allowed",
    404: "There is no such page",
    405: "That did not work",
    409: "That cannot be done as things stand",
    413: "Too large",
    429: "Too many attempts",
    502: "The provider did not answer as expected",
    503: "Not just now",
    500: "An error of ours",
}


def show_problem(
    request: Request[Any, Any, State], status: int, message: str, remedy: str = ""
) -> Response[str] | Redirect:
    """Draw an error: a page with a way back, or a notice where a page only asked for a part of itself."""
    is_part = "hx-request" in request.headers
    if status == 401:
        return _ask_to_sign_in(request, is_part=is_part)
    values: dict[str, Any] = {"title": _TITLES.get(status, _TITLES[400]), "message": say_sentence(message)}
    values |= {"remedy": remedy, "back": _find_way_back(request), "is_ours": status == 500}
    return draw(request, "template/error.html", "notice" if is_part else None, status=status, **values)


def _find_way_back(request: Request[Any, Any, State]) -> Entry | None:
    """Give the page of the navigation that an address belongs to, where it is another and for whoever asks."""
    principal, path = request.scope.get("user"), request.url.path
    if principal is None:
        return None
    allowed = [one for one in list_entries() if principal.user.role.allows(one.role)]
    above = [one for one in allowed if path.startswith(f"{one.path}/") or (path == one.path and request.url.query)]
    return max(above, key=lambda one: len(one.path), default=None)


def _ask_to_sign_in(request: Request[Any, Any, State], *, is_part: bool) -> Response[str] | Redirect:
    if is_part:
        return Response("", status_code=401, headers={"hx-redirect": "/sign-in"}, media_type=MediaType.HTML)
    if request.method != "GET" or request.url.path.startswith(("/live", "/api/")):
        return Response("Sign in first.\n", status_code=401, media_type=MediaType.TEXT)
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Redirect("/sign-in", query_params={} if path == "/" else {"next": path}, status_code=303)


def show_http_error(request: Request[Any, Any, State], error: HTTPException) -> Response[str] | Redirect:
    """Draw what the framework found wrong with a request."""
    if isinstance(error, ValidationException):  # its words name the address, which may hold a secret
        return show_problem(request, error.status_code, "Something is missing, or not of the right form.")
    detail = str(error.detail) if error.status_code in {400, 401, 403, 409, 413, 429, 503} else ""
    if error.status_code == 404:
        detail = "The address is mistyped, or what it showed is not here any more."
    answer = show_problem(request, error.status_code, detail)
    if "retry-after" in (error.headers or {}):
        answer.headers["retry-after"] = error.headers["retry-after"]  # type: ignore[index]
    return answer


def show_our_error(request: Request[Any, Any, State], error: ImeiflowError) -> Response[str] | Redirect:
    """Draw an error of ours, with its remedy."""
    status = page_status(error)
    if status in {500, 503}:
        log.warning("request_failed", place=_place(request), error=str(error))
    return show_problem(request, status, error.told, say_remedy(error.told_remedy))


def show_bug(request: Request[Any, Any, State], error: Exception) -> Response[str] | Redirect:
    """Say that it is our fault; what it was goes to the log."""
    log.error("request_broke", place=_place(request), exc_info=error)
    is_look = request.method == "GET"
    remedy = "Try it again." if is_look else "It may have been done all the same: look before you repeat it."
    return show_problem(request, 500, "It is in the log of the server.", remedy)


def _place(request: Request[Any, Any, State]) -> str:
    """Name what was asked for, without what stands in its place: that may be a secret."""
    return str(request.scope.get("path_template", "unknown"))


HANDLERS: Final[ExceptionHandlersMap] = {
    HTTPException: show_http_error,
    ImeiflowError: show_our_error,
    Exception: show_bug,
}
