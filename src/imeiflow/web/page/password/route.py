"""One's own password, set anew by whoever knows the old one; every other browser is signed out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import ServiceUnavailableException
from litestar.params import Body
from litestar.response import Redirect

from imeiflow.domain.user import SHORTEST_PASSWORD
from imeiflow.errors import UsageError
from imeiflow.operations.identity import SignInError, change_password, open_web_session
from imeiflow.web.access import client_address, make_cookie
from imeiflow.web.navigation import Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import check_slowly, in_thread
from imeiflow.web.wording import say_seconds

_TEMPLATE: Final = "page/password/page.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordForm:
    """What is typed."""

    old: str
    new: str


@get("/password", sync_to_thread=False)
def password_page(request: WebRequest) -> Response[Any]:
    """Show the form."""
    return draw(request, _TEMPLATE, shortest=SHORTEST_PASSWORD, problem="")


@post("/password", status_code=200)
async def set_password(
    request: WebRequest, data: Annotated[PasswordForm, Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Response[Any]:
    """Set the password, and sign this browser in anew."""
    office, user, address = office_of(request), request.user.user, client_address(request)
    key = f"own password of {user.name}"
    wait_s = office.throttle.wait_s(key)
    if wait_s > 0:
        return _refuse(request, 429, f"Too many attempts. Try again in {say_seconds(math.ceil(wait_s))}.")
    number = office.throttle.fail(key)
    try:
        await check_slowly(change_password, office.session, user, old=data.old, new=data.new)
    except ServiceUnavailableException:
        office.throttle.undo(key, number)
        raise
    except SignInError:
        return _refuse(request, 400, "That is not your password. Nothing was changed.")
    except UsageError as error:
        office.throttle.undo(key, number)
        return _refuse(request, 400, f"{str(error)[:1].upper()}{str(error)[1:]}. {error.remedy}")
    office.throttle.succeed(key)
    agent = request.headers.get("user-agent", "")
    begun = await in_thread(open_web_session, office.session, user, address=address, agent=agent)
    answer = Redirect("/", status_code=303)
    answer.cookies.append(make_cookie(office.settings, begun.secret))
    return answer


def _refuse(request: WebRequest, status: int, problem: str) -> Response[Any]:
    return draw(request, _TEMPLATE, status=status, shortest=SHORTEST_PASSWORD, problem=problem)


PAGE = Page(handlers=[password_page, set_password])
