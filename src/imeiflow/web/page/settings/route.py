"""Settings, for administrators: who may sign in and do what, where they are signed in, tokens of programs, webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeAlias

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery

from imeiflow.domain.user import Role, Scope
from imeiflow.errors import UsageError
from imeiflow.ledger.user import ApiToken, User, WebSession
from imeiflow.operations.day_limit import DayLimit, list_user_limits
from imeiflow.operations.identity import LINK_LASTS, create_api_token, invite_user
from imeiflow.operations.session import Session
from imeiflow.web.access import needs
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page.settings.webhook import HANDLERS, WORDS, draw_webhooks, read_place, read_webhooks
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/settings/page.html"
_LIFETIMES: Final = {"30": "30 days", "90": "90 days", "365": "a year", "": "until revoked"}
_LONGEST_NAME: Final = 64
_MOST: Final = Decimal(10) ** 12

FormData: TypeAlias = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """One user with the browsers in which they are signed in."""

    user: User
    sessions: list[WebSession]
    limits: list[DayLimit]


@get("/settings", guards=[needs(Role.ADMIN)])
@threaded
def settings_page(
    request: WebRequest, deliveries: FromQuery[str] = "", before: FromQuery[int | None] = None
) -> Response[str]:
    """Show users, tokens and webhooks; only the webhooks where they are asked for again."""
    place = read_place(deliveries, before)
    if "hx-request" in request.headers:
        return draw_webhooks(request, place)
    return _draw(request, None, view=read_webhooks(_session(request), place), **WORDS)


@post("/settings/invite", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def invite(request: WebRequest, data: FormData) -> Response[str]:
    """Make a one-time link for a new user; it is shown once."""
    role = _read_role(data)
    secret = invite_user(_session(request), role=role, actor=_name(request))
    return _draw(request, link=_link(request, secret), link_for=f"a new {role.value}")


@post("/settings/password-link", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def password_link(request: WebRequest, data: FormData) -> Response[str]:
    """Make a one-time link that sets a user's password anew; it is shown once."""
    user = _find_user(request, data)
    secret = invite_user(_session(request), role=user.role, actor=_name(request), user=user.id)
    return _draw(request, link=_link(request, secret), link_for=f"a new password of {user.name}")


@post("/settings/user", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def change_user(request: WebRequest, data: FormData) -> Response[str]:
    """Change a user's role and spending limit, as far as they differ."""
    user, role, limit = _find_user(request, data), _read_role(data), _read_amount(str(data.get("spend_limit", "")))
    changed: dict[str, Any] = {}
    if role is not user.role:
        changed["role"] = role
    if limit != user.spend_limit:
        changed["spend_limit"] = limit
    return _draw(request, revoked=_change(request, user, changed) if changed else [])


@post("/settings/disable", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def disable(request: WebRequest, data: FormData) -> Response[str]:
    """Let a user sign in no more, and sign them out; or let them sign in again."""
    user = _find_user(request, data)
    disabled_at = _session(request).clock.now() if user.disabled_at is None else None
    return _draw(request, revoked=_change(request, user, {"disabled_at": disabled_at}))


def _change(request: WebRequest, user: User, changed: dict[str, Any]) -> list[ApiToken]:
    """Change a user, and give the tokens that were revoked with that."""
    ledger = _session(request).ledger
    before = {one.id for one in ledger.list_api_tokens() if one.revoked_at is None}
    ledger.change_user(user.id, actor=_name(request), **changed)
    return [one for one in ledger.list_api_tokens() if one.id in before and one.revoked_at is not None]


@post("/settings/sign-out", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def sign_out_user(request: WebRequest, data: FormData) -> Response[str]:
    """End one session of a user, or all of them."""
    user, only = _find_user(request, data), str(data.get("session", "")) or None
    own = request.user.session if only is None else None
    _session(request).ledger.close_web_sessions(user.id, actor=_name(request), only=only, but=own)
    return _draw(request)


@post("/settings/token", guards=[needs(Role.ADMIN)], status_code=200)
async def create_token(request: WebRequest, data: FormData) -> Response[str]:
    """Make a token; it is shown once."""
    chosen = (await request.form()).getall("scope", [])
    return await _create_token(request, data, [str(scope) for scope in chosen])


@threaded
def _create_token(request: WebRequest, data: dict[str, Any], chosen: list[str]) -> Response[str]:
    session, user = _session(request), _find_user(request, data)
    name = str(data.get("name", "")).strip()[:_LONGEST_NAME]
    scopes = [scope for scope in Scope if scope.value in chosen]
    if not name or not scopes:
        raise UsageError(problem="a token needs a name and a scope", remedy="Say what it is for, and what it may do.")
    beyond = [scope.value for scope in scopes if not user.role.allows(scope.role)]
    if beyond:
        problem = f"the role of {user.name} is {user.role.value}, which may not {', '.join(beyond)}"
        raise UsageError(problem=problem, remedy="A token may do no more than its user.")
    days = str(data.get("days", ""))
    if days not in _LIFETIMES:
        raise UsageError(problem=f"{days[:20]!r} is no time that a token can last", remedy="Choose one from the list.")
    expires_at = session.clock.now() + timedelta(days=int(days)) if days else None
    how: dict[str, Any] = {"name": name, "scopes": scopes, "expires_at": expires_at, "actor": _name(request)}
    secret = create_api_token(session, user, **how, maker=_name(request), is_sole=True)  # a proxy may send a form twice
    return _draw(request, token=secret)


@post("/settings/token/revoke", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def revoke_token(request: WebRequest, data: FormData) -> Response[str]:
    """Revoke a token; whoever uses it is turned away from now on."""
    text = str(data.get("token", ""))
    if not (text.isascii() and text.isdecimal() and len(text) < 16) or not _session(request).ledger.revoke_api_token(
        int(text), actor=_name(request)
    ):
        raise UsageError(problem="there is no such token, or it is revoked", remedy="Load the page again.")
    return _draw(request)


@post("/settings/link/revoke", guards=[needs(Role.ADMIN)], status_code=200)
@threaded
def revoke_link(request: WebRequest, data: FormData) -> Response[str]:
    """Let a one-time link be used no more."""
    if not _session(request).ledger.revoke_invitation(str(data.get("link", "")), actor=_name(request)):
        raise UsageError(problem="there is no such link, or it was used", remedy="Load the page again.")
    return _draw(request)


def _draw(request: WebRequest, block: str | None = "settings", **shown: Any) -> Response[str]:
    session = _session(request)
    now = session.clock.now()
    users = session.ledger.list_users()
    lines = [
        UserLine(
            user=user,
            sessions=session.ledger.list_web_sessions(user.id),
            limits=list_user_limits(session, user.name),
        )
        for user in users
    ]
    values: dict[str, Any] = {"link": "", "link_for": "", "token": "", "revoked": [], **shown}
    answer = draw(
        request,
        _TEMPLATE,
        block,
        lines=lines,
        links=session.ledger.list_invitations(),
        tokens=[one for one in session.ledger.list_api_tokens() if _is_good(one, now)],
        roles=list(Role),
        scopes=list(Scope),
        lifetimes=_LIFETIMES,
        own_session=request.user.session,
        link_hours=int(LINK_LASTS.total_seconds() // 3600),
        **values,
    )
    answer.headers["cache-control"] = "no-store"
    return answer


def _is_good(token: ApiToken, now: Any) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _session(request: Request[Any, Any, State]) -> Session:
    return office_of(request).session


def _name(request: WebRequest) -> str:
    return request.user.user.name


def _link(request: WebRequest, secret: str) -> str:
    """Give a link as its reader will open it: where a proxy stands before the server, that has another address."""
    base = office_of(request).settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/invitation/{secret}"


def _find_user(request: WebRequest, data: dict[str, Any]) -> User:
    text = str(data.get("user", ""))
    found = next((user for user in _session(request).ledger.list_users() if str(user.id) == text), None)
    if found is None:
        raise UsageError(problem="there is no such user", remedy="Load the page again.")
    return found


def _read_role(data: dict[str, Any]) -> Role:
    try:
        return Role(str(data.get("role", "")))
    except ValueError:
        raise UsageError(problem="there is no such role", remedy="Choose one from the list.") from None


def _read_amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text.strip()) if text.strip() else None
    except InvalidOperation:
        amount = Decimal(-1)
    if amount is not None and not (amount.is_finite() and 0 <= amount < _MOST):
        raise UsageError(problem=f"{text.strip()[:20]!r} is no amount", remedy="Write it as 250.00, or leave it empty.")
    return amount


PAGE = Page(
    handlers=[
        settings_page,
        invite,
        password_link,
        change_user,
        disable,
        sign_out_user,
        create_token,
        revoke_token,
        revoke_link,
        *HANDLERS,
    ],
    entry=Entry(label="Settings", path="/settings", icon="settings", rank=90, role=Role.ADMIN),
)
