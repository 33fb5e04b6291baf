"""What is looked at in every request of a page before its handler: its numbers, its form, and whose form it is.

The framework would read forms in the event loop, of any number of fields, and would keep the last thousand of them for
the next time, passwords and all.
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ClientException, HTTPException, NotFoundException, PermissionDeniedException
from litestar.utils.scope.state import ScopeState

from imeiflow.errors import UsageError
from imeiflow.web.office import Principal
from imeiflow.web.thread import in_thread

CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf"
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FORM: Final = "application/x-www-form-urlencoded"
MOST_PUBLIC_BYTES: Final = 16_384  #: of a form that a stranger may send
_MOST_FIELDS: Final = 1000
_LONG: Final = 32_768  #: bytes of a form that is read in a thread
#: Numbers of jobs, orders and attempts have fewer digits; what is larger is none that a database could look for.
_LARGEST: Final = 10**18 - 1
_PLACES: Final = ("before", "after", "start")  #: parameters that say where a page begins
_NUMBER: Final = re.compile(r"[+-]?\d+")


class StaleFormError(PermissionDeniedException):
    """A form that was not drawn for this session."""

    detail = "This page is older than your session. Load it again, and repeat what you did."


class NoFormError(HTTPException):
    """A body of a kind that no page sends."""

    status_code = 415
    detail = "This is no form of a page."


async def look_at(request: Request[Any, Any, State]) -> None:
    """Look at a request before its handler does.

    Raises NotFoundException and UsageError for numbers that name nothing, ClientException and NoFormError for a form
    that is none of ours, StaleFormError.
    """
    _check_numbers(request)
    if request.method in _UNSAFE:
        await _read_form(request)
        await _check_form(request)


def _check_numbers(request: Request[Any, Any, State]) -> None:
    if any(isinstance(one, int) and not 0 <= one <= _LARGEST for one in request.path_params.values()):
        raise NotFoundException
    for name in _PLACES:
        text = str(request.query_params.get(name, ""))
        if _NUMBER.fullmatch(text) and not (len(text) < len(str(_LARGEST)) and int(text) >= 0):
            raise UsageError(problem=f"nothing stands at {text[:40]}", remedy="Begin at the first page.")


async def _read_form(request: Request[Any, Any, State]) -> None:
    """Read a form for all who ask for it later; a stream, whose size has a limit of its own, is left alone."""
    if request.content_type[0] == "multipart/form-data":
        raise NoFormError
    if request.content_type[0] != _FORM or request.route_handler.resolve_request_max_body_size() is None:
        return
    raw = await request.body()
    if raw.count(b"&") >= _MOST_FIELDS:
        raise ClientException(detail=f"This form has more than {_MOST_FIELDS:,} fields.")
    found = await in_thread(_parse, raw) if len(raw) > _LONG else _parse(raw)
    ScopeState.from_scope(request.scope).form = found


def _parse(raw: bytes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: given if len(given) > 1 else given[0] for name, given in values.items()}


async def _check_form(request: Request[Any, Any, State]) -> None:
    """See that what changes something was sent by a page that was drawn for this session.

    Programs with a token carry no cookie, and nothing that a foreign page could use.
    """
    principal: Principal | None = request.scope.get("user")
    if principal is None or principal.csrf is None:
        return
    given = request.headers.get(CSRF_HEADER, "")
    form = ScopeState.from_scope(request.scope).form
    if not given and isinstance(form, dict):
        given = str(form.get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), principal.csrf.encode()):
        raise StaleFormError
