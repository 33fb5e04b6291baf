"""Who asks: the session of a browser's cookie, and what a role allows.

A page is for people who are signed in unless its handler says `opt={"public": True}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from imeiflow.domain.user import Role
from imeiflow.errors import ImeiflowError
from imeiflow.operations.identity import SESSION_LASTS, find_web_session
from imeiflow.web.office import Office, Principal, WebRequest
from imeiflow.web.setting import WebSettings
from imeiflow.web.thread import in_thread

#: The header of what a page asks by itself: nobody need be looking.
UNATTENDED: Final = "x-unattended"
#: What is the same for anybody, and asked for often.
_ANYBODY_S: Final = ("/static/", "/healthz", "/readyz", "/metrics")
_TROUBLE: Final = "trouble"
_ASK: Final = "An administrator can give it to you, under “Settings”."


def cookie_name(settings: WebSettings) -> str:
    """Name the session's cookie; behind TLS in a way that no other site and no plain connection can set."""
    return "__Host-imeiflow" if settings.is_secure else "imeiflow"


def make_cookie(settings: WebSettings, secret: str) -> Cookie:
    """Make the session's cookie; an empty secret takes it away."""
    return Cookie(
        key=cookie_name(settings),
        value=secret,
        max_age=int(SESSION_LASTS.total_seconds()) if secret else 0,
        path="/",
        secure=settings.is_secure,
        httponly=True,
        samesite="lax",
    )


class Authentication:
    """Finds out who asks, before the address is looked up: what is not there is said to them, too. Refuses nobody."""

    def __init__(self, app: ASGIApp, office: Office) -> None:
        self._app = app
        self._office = office

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put the principal of a session's cookie, or None, into the scope of one request."""
        if str(scope["type"]) == "http":
            scope["user"] = None
            if not scope["path"].startswith(_ANYBODY_S):
                try:
                    scope["user"] = await self._recognise(ASGIConnection(scope))
                except ImeiflowError as error:
                    scope.setdefault("state", {})[_TROUBLE] = error  # the guard's to tell
        await self._app(scope, receive, send)

    async def _recognise(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        secret = connection.cookies.get(cookie_name(self._office.settings), "")
        if not secret:
            return None
        is_seen = UNATTENDED not in connection.headers and connection.url.path != "/live"
        found = await in_thread(find_web_session, self._office.session, secret, is_seen=is_seen)
        return None if found is None else Principal(user=found.user, session=found.digest, csrf=found.csrf)


def require_sign_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let only people in who are signed in, except to what is public. Raises what kept us from finding out."""
    trouble = connection.scope["state"].get(_TROUBLE)
    if trouble is not None:
        raise trouble
    if not handler.opt.get("public") and connection.scope.get("user") is None:
        raise NotAuthorizedException(detail="Sign in first.")


@dataclass(frozen=True, slots=True)
class RoleGuard:
    """Lets only users of a role in, or of one that may do more."""

    role: Role

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Raise PermissionDeniedException for all others."""
        principal: Principal | None = connection.scope.get("user")
        if principal is None or not principal.user.role.allows(self.role):
            raise PermissionDeniedException(detail=f"This needs the role {self.role.value}. {_ASK}")


def needs(role: Role) -> RoleGuard:
    """Make the guard of what a role is needed for."""
    return RoleGuard(role)


def client_address(request: WebRequest) -> str:
    """Give the address of the other end, as far as it can be trusted."""
    return request.client.host if request.client is not None else "unknown"
