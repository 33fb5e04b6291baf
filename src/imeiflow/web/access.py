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
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from imeiflow.domain.user import Role
from imeiflow.operations.identity import SESSION_LASTS, find_web_session
from imeiflow.web.office import Office, Principal, WebRequest
from imeiflow.web.setting import WebSettings
from imeiflow.web.thread import in_thread

#: The header of what a page asks by itself: nobody need be looking.
UNATTENDED: Final = "x-unattended"


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


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who asks; refuses nobody, that is the guard's."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """Give the principal of a session's cookie, or none."""
        office: Office = connection.app.state.office
        secret = connection.cookies.get(cookie_name(office.settings), "")
        if not secret:
            return AuthenticationResult(user=None, auth=None)
        is_seen = UNATTENDED not in connection.headers and connection.url.path != "/live"
        found = await in_thread(find_web_session, office.session, secret, is_seen=is_seen)
        if found is None:
            return AuthenticationResult(user=None, auth=None)
        return AuthenticationResult(
            user=Principal(user=found.user, session=found.digest, csrf=found.csrf), auth="session"
        )


def require_sign_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let only people in who are signed in, except to what is public."""
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
            raise PermissionDeniedException(detail=f"This needs the role {self.role.value}.")


def needs(role: Role) -> RoleGuard:
    """Make the guard of what a role is needed for."""
    return RoleGuard(role)


def client_address(request: WebRequest) -> str:
    """Give the address of the other end, as far as it can be trusted."""
    return request.client.host if request.client is not None else "unknown"
