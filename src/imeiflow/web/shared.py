"""Parts of pages that look the same to all of a role: where a crowd looks on, drawn once for those who ask together.

Whoever is told of a change is told later than what was drawn before it is kept, so that nobody is left with old news.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from litestar import Response

from imeiflow.web.office import WebRequest, office_of

P = ParamSpec("P")


def shared(function: Callable[P, Response[str]]) -> Callable[P, Response[str]]:
    """Let a handler of a part draw once for all of a role who ask within a moment, where a crowd looks on.

    Only for what says nothing of the user, and has no form's token in it. Below `threaded`.
    """

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Response[str]:
        request: Any = args[0] if args else kwargs["request"]
        if not _is_shared(request):
            return function(*args, **kwargs)
        office, began_at = office_of(request), time.monotonic()
        key = (request.url.path, request.url.query, request.user.user.role.value)
        found = office.shared.find(key)
        if found is None:
            found = function(*args, **kwargs)
            office.shared.keep(key, began_at, found)
        return Response(found.content, media_type=found.media_type, headers=dict(found.headers))

    return draw


def _is_shared(request: WebRequest) -> bool:
    return "hx-request" in request.headers and office_of(request).hub.is_crowded
