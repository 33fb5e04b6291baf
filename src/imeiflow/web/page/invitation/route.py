"""The one-time link: it makes the first user and later ones, or sets a password anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from imeiflow.domain.user import SHORTEST_PASSWORD
from imeiflow.errors import UsageError
from imeiflow.ledger.user import SpentLinkError
from imeiflow.operations.identity import accept_invitation, find_invitation, open_web_session
from imeiflow.web.access import client_address, make_cookie
from imeiflow.web.arrival import MOST_PUBLIC_BYTES
from imeiflow.web.navigation import Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread, threaded

_TEMPLATE = "page/invitation/page.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationForm:
    """What is typed."""

    password: str
    name: str = ""


@get("/invitation/{secret:str}", opt={"public": True})
@threaded
def invitation_page(request: WebRequest, secret: FromPath[str]) -> Response[Any]:
    """Show what the link is good for; one that was used says so."""
    found = find_invitation(office_of(request).session, secret)
    return draw(request, _TEMPLATE, invitation=found, shortest=SHORTEST_PASSWORD, name="", problem="")


@post("/invitation/{secret:str}", opt={"public": True}, status_code=200, request_max_body_size=MOST_PUBLIC_BYTES)
async def accept(
    request: WebRequest,
    secret: FromPath[str],
    data: Annotated[InvitationForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """Make the user, or set the password, and sign in."""
    office = office_of(request)
    address = client_address(request)
    try:
        user = await in_thread(accept_invitation, office.session, secret, name=data.name, password=data.password)
    except SpentLinkError:
        raise
    except UsageError as error:
        found = await in_thread(find_invitation, office.session, secret)
        problem = f"{str(error)[:1].upper()}{str(error)[1:]}. {error.remedy}"
        return draw(
            request,
            _TEMPLATE,
            status=400,
            invitation=found,
            shortest=SHORTEST_PASSWORD,
            name=data.name[:64],
            problem=problem,
        )
    agent = request.headers.get("user-agent", "")
    begun = await in_thread(open_web_session, office.session, user, address=address, agent=agent)
    answer = Redirect("/", status_code=303)
    answer.cookies.append(make_cookie(office.settings, begun.secret))
    return answer


PAGE = Page(handlers=[invitation_page, accept])
