"""Signing in and out. Guessing is slowed down by name and by address; a wrong name and a wrong password look alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import ServiceUnavailableException
from litestar.params import Body, FromQuery
from litestar.response import Redirect

from imeiflow.operations.identity import SignInError, check_sign_in, find_user, open_web_session
from imeiflow.operations.session import Session
from imeiflow.web.access import client_address, make_cookie
from imeiflow.web.arrival import MOST_PUBLIC_BYTES
from imeiflow.web.navigation import Page
from imeiflow.web.office import Office, WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import check_slowly, in_thread
from imeiflow.web.throttle import network_of
from imeiflow.web.wording import say_seconds

_TEMPLATE = "page/sign_in/page.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInForm:
    """What is typed."""

    name: str
    password: str
    next: str = "/"


@get("/sign-in", opt={"public": True}, sync_to_thread=False)
def sign_in_page(request: WebRequest, next: FromQuery[str] = "/") -> Response[Any]:  # noqa: A002 - the parameter's name
    """Show the form."""
    if request.scope.get("user") is not None:
        return Redirect(_safe(next), status_code=303)
    return draw(request, _TEMPLATE, next=_safe(next), name="", problem="")


@post("/sign-in", opt={"public": True}, status_code=200, request_max_body_size=MOST_PUBLIC_BYTES)
async def sign_in(
    request: WebRequest, data: Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """Begin a session; any session that the browser had before is not continued."""
    office = office_of(request)
    address = client_address(request)
    keys = await _choose_keys(office, data.name.strip().lower()[:64], network_of(address))
    values = {"next": _safe(data.next), "name": data.name[:64]}
    wait_s = office.throttle.wait_s(*keys)
    if wait_s > 0:
        problem = f"Too many attempts. Try again in {say_seconds(math.ceil(wait_s))}."
        return draw(request, _TEMPLATE, status=429, problem=problem, **values)
    number = office.throttle.fail(*keys)  # before it is known: many guesses at once are all counted
    try:
        user = await check_slowly(check_sign_in, office.session, data.name, data.password)
    except ServiceUnavailableException:  # nobody has looked at the password
        for key in keys:
            office.throttle.undo(key, number)
        raise
    except SignInError as error:
        await in_thread(_log_failure, office.session, data.name, address)
        return draw(request, _TEMPLATE, status=401, problem=f"{error} {error.remedy}", **values)
    office.throttle.succeed(keys[0])
    office.throttle.undo(keys[1], number)
    agent = request.headers.get("user-agent", "")
    begun = await in_thread(open_web_session, office.session, user, address=address, agent=agent)
    answer = Redirect(_safe(data.next), status_code=303)
    answer.cookies.append(make_cookie(office.settings, begun.secret))
    return answer


async def _choose_keys(office: Office, name: str, network: str) -> tuple[str, str]:
    """Give what failures are counted by.

    Where a name has signed in from a network before, only failures from there are counted for it: whoever guesses
    elsewhere shuts nobody out of where they work.
    """
    anywhere = f"name {name}"
    if office.throttle.wait_s(anywhere) > 0 and await in_thread(_is_at_home, office.session, name, network):
        return f"{anywhere} at {network}", f"address {network}"
    return anywhere, f"address {network}"


def _is_at_home(session: Session, name: str, network: str) -> bool:
    """Say whether a user has a session that was begun in a network."""
    found = find_user(session, name)
    return found is not None and any(
        network_of(one.address) == network for one in session.ledger.list_web_sessions(found.id)
    )


def _log_failure(session: Session, typed: str, address: str) -> None:
    """Log a failure; what was typed as a name only where it is one: often it is a password."""
    found = find_user(session, typed)
    session.ledger.log_event(
        "sign_in_failed", data={"address": address, **({} if found is None else {"name": found.name})}
    )


@post("/sign-out", status_code=200)
async def sign_out(request: WebRequest) -> Response[Any]:
    """End this session."""
    office = office_of(request)
    principal = request.user
    await in_thread(
        office.session.ledger.close_web_sessions, principal.user.id, only=principal.session, actor=principal.user.name
    )
    answer = Redirect("/sign-in", status_code=303)
    answer.cookies.append(make_cookie(office.settings, ""))
    return answer


def _safe(target: str) -> str:
    """Give where to go after signing in: a path of ours, whatever stood in the address."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_ours = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_ours and target.isprintable() else "/"


PAGE = Page(handlers=[sign_in_page, sign_in, sign_out])
