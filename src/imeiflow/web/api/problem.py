"""What a program gets when something goes wrong: problem details (RFC 9457), from every error in one place.

Names the field, the value and the remedy; never a traceback, a path or a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from imeiflow.errors import ImeiflowError
from imeiflow.operations.json_text import dump_json
from imeiflow.web.status import api_status

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

#: What a status says, where the error has no name of its own.
TITLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed", "The request cannot be read"),
    401: ("no-token", "A token is needed"),
    403: ("scope", "This token may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("method", "This method is not for this address"),
    409: ("conflict", "Not as things stand"),
    413: ("too-large", "Too large"),
    415: ("media-type", "The body is of the wrong kind"),
    421: ("host", "This server has another name"),
    422: ("invalid", "The request is not as this takes it"),
    429: ("too-many", "Too many requests"),
    500: ("fault", "An error of ours"),
    502: ("provider", "The provider did not answer as expected"),
    503: ("busy", "Not just now"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing in a request that is not right."""

    field: str
    problem: str
    value: Any = None
    remedy: str = ""


class ApiError(Exception):
    """A problem of a request itself. `code` is part of the problem's type."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        remedy: str = "",
        flaws: Sequence[Flaw] = (),
        headers: Mapping[str, str] | None = None,
        exit_status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or TITLES[status][0]
        self.remedy = remedy
        self.flaws = flaws
        self.headers = headers or {}
        self.exit_status = exit_status


def code_of(error: ImeiflowError) -> str:
    """Give the name of an error's kind, as it stands in the type of the problem: `unknown-job`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()


def tell_error(error: ImeiflowError) -> dict[str, Any]:
    """Give the object that tells of an error of ours."""
    return describe_problem(
        api_status(error), error.told, code=code_of(error), remedy=error.told_remedy, exit_status=error.exit_code
    )


def describe_problem(status: int, detail: str, *, code: str = "", remedy: str = "", **more: object) -> dict[str, Any]:
    """Give the object that tells of a problem."""
    own, title = TITLES.get(status, TITLES[500] if status >= 500 else TITLES[400])
    told = {
        "type": f"/api/v1/docs#problem-{code or own}",
        "title": title,
        "status": status,
        "detail": detail,
        **({"remedy": remedy} if remedy else {}),
    }
    return {**told, **more}


def make_problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response[bytes]:
    """Make the answer that tells of a problem."""
    body = dump_json(describe_problem(status, detail, **more)).encode()
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def tell_api_error(request: Request[Any, Any, State], error: ApiError) -> Response[bytes]:  # noqa: ARG001
    """Tell what is wrong with a request."""
    more: dict[str, Any] = {} if error.exit_status is None else {"exit_status": error.exit_status}
    if error.flaws:
        more["errors"] = [
            {
                "field": flaw.field,
                "problem": flaw.problem,
                **({} if flaw.value is None else {"value": flaw.value}),
                **({"remedy": flaw.remedy} if flaw.remedy else {}),
            }
            for flaw in error.flaws
        ]
    return make_problem(error.status, error.detail, headers=error.headers, code=error.code, remedy=error.remedy, **more)


def tell_our_error(request: Request[Any, Any, State], error: ImeiflowError) -> Response[bytes]:
    """Tell an error of ours, with its remedy."""
    status = api_status(error)
    if status in {500, 503}:
        log.warning("request_failed", place=_place(request), error=str(error))
    headers = {"retry-after": "5"} if status == 503 else {}
    body = dump_json(tell_error(error)).encode()
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def tell_http_error(request: Request[Any, Any, State], error: HTTPException) -> Response[bytes]:
    """Tell what the framework found wrong: no such address, the wrong method, a body that is too large."""
    status = error.status_code
    detail = {
        404: "There is nothing at this address.",
        405: f"{request.method} cannot be used here.",
        413: "The body is larger than this server takes.",
        503: str(error.detail),
    }.get(status, str(error.detail) if status < 500 else "It is in the log of the server.")
    remedy = {404: "/api/v1/openapi.json lists all addresses."}.get(status, "")
    if status >= 500 and status != 503:
        log.error("request_broke", place=_place(request), error=str(error))
    return make_problem(status, detail, headers=error.headers, remedy=remedy)


def tell_bug(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """Say that it is our fault; what it was goes to the log."""
    log.error("request_broke", place=_place(request), exc_info=error)
    return make_problem(500, "It is in the log of the server.", remedy="Nothing was lost; try it again.")


def _place(request: Request[Any, Any, State]) -> str:
    return str(request.scope.get("path_template", "unknown"))


HANDLERS: Final[ExceptionHandlersMap] = {
    ApiError: tell_api_error,
    HTTPException: tell_http_error,
    ImeiflowError: tell_our_error,
    Exception: tell_bug,
}
