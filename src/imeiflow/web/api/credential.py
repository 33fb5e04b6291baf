"""Who calls: the bearer token of a request, what its scopes allow, and how often it may ask."""

from __future__ import annotations

import math
from typing import Any, Final

from litestar import Request
from litestar.datastructures import State

from imeiflow.domain.user import Scope
from imeiflow.ledger.user import ApiToken
from imeiflow.operations.identity import TOKEN_PREFIX, find_api_token
from imeiflow.web.api.allowance import Buckets
from imeiflow.web.api.problem import ApiError
from imeiflow.web.office import Office
from imeiflow.web.thread import in_thread

_LONGEST: Final = 200
_REMEDY: Final = "Make one with `imeiflow token create NAME --scope read`, and send it as `Authorization: Bearer …`."


async def find_caller(request: Request[Any, Any, State], office: Office, buckets: Buckets) -> ApiToken:
    """Give the token of a request. Raises ApiError: 401 where there is none that is good, 429."""
    secret = _read_secret(request)
    address = request.client.host if request.client is not None else "unknown"
    if secret is None or not secret.startswith(TOKEN_PREFIX) or len(secret) > _LONGEST:
        _take(buckets, f"address {address}")
        raise _refuse("There is no token." if secret is None else "This is no token of this server.", secret)
    token = await in_thread(find_api_token, office.session, secret)
    if token is None:
        _take(buckets, f"address {address}")
        raise _refuse("This token is not known here, was revoked, or is over.", secret)
    _take(buckets, f"token {token.id}")
    return token


def check_scope(token: ApiToken, scope: Scope) -> None:
    """Raise ApiError 403 where a token, or the user whom it belongs to, may not do what needs a scope."""
    if not scope.is_in(frozenset(token.scopes)):
        raise ApiError(
            403,
            f"This needs the scope {scope.value}; the token has {', '.join(token.scopes) or 'none'}.",
            remedy=f"Make a token with `--scope {scope.value}`.",
            headers={"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope.value}"'},
        )
    if not token.user.role.allows(scope.role):
        raise ApiError(
            403,
            f"This needs the role {scope.role.value}; its user {token.user.name} is {token.user.role.value}.",
            code="role",
            remedy="Make the token for a user who may do it.",
        )


def _read_secret(request: Request[Any, Any, State]) -> str | None:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and secret.strip() else None


def _refuse(detail: str, secret: str | None) -> ApiError:
    said = 'Bearer error="invalid_token"' if secret is not None else "Bearer"
    return ApiError(401, detail, remedy=_REMEDY, headers={"www-authenticate": said})


def _take(buckets: Buckets, key: str) -> None:
    wait_s = buckets.take(key)
    if wait_s:
        seconds = max(1, math.ceil(wait_s))
        raise ApiError(
            429,
            f"Too many requests; the next is taken in {seconds} s.",
            remedy="Ask less often: /jobs/{job}/events tells when something has changed.",
            headers={"retry-after": str(seconds)},
        )
