"""Drawing pages: templates beside their routes, a page and its fragments from one template.

Everything is escaped; what is missing is an error, not an empty place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.enums import MediaType

from imeiflow.domain.user import Role
from imeiflow.web import wording
from imeiflow.web.asset import asset_url
from imeiflow.web.navigation import list_entries
from imeiflow.web.office import WebRequest, office_of

_ROOT: Final = Path(__file__).parent


@cache
def environment() -> Environment:
    """Make the environment of all templates."""
    made = Environment(
        loader=FileSystemLoader(_ROOT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(asset=asset_url, Role=Role)
    made.globals["icon"] = vars(made.get_template("template/icon.html").module)["icon"]
    made.filters.update(
        number=wording.say_number,
        count=wording.say_count,
        money=wording.say_money,
        sum_of=wording.say_sum,
        bytes=wording.say_bytes,
        grouped=wording.group_digits,
        seconds=wording.say_seconds,
        time=wording.say_time,
        state=wording.say_state,
        tone=wording.tone_of,
        percent=wording.say_percent,
        flaw=wording.say_flaw,
        kind=wording.say_kind,
        result=wording.say_result_line,
        reason=wording.say_reason,
        remedy=wording.say_remedy,
        capital=wording.say_capital,
        sentence=wording.say_sentence,
        worked=wording.say_worked,
        code=wording.show_code,
    )
    return made


def draw(
    request: WebRequest, template: str, block: str | None = None, *, status: int = 200, **values: Any
) -> Response[str]:
    """Draw a template (`page/job/page.html`), or one block of it as a fragment.

    Templates know `user`, `csrf`, `path`, `entries` (the navigation), `told` (what was just done), and what is given.
    """
    found = environment().get_template(template)
    context = {**_common(request), "told": "" if block else _take_word(request), **values}
    parts = [found.render(context)] if block is None else found.blocks[block](found.new_context(context))
    return Response("".join(parts), media_type=MediaType.HTML, status_code=status)


def _take_word(request: WebRequest) -> str:
    """Give what was just done by whoever asks, once."""
    principal = request.scope.get("user")
    return "" if principal is None else office_of(request).flashes.take(principal.session, request.url.path)


def _common(request: WebRequest) -> dict[str, Any]:
    principal = request.scope.get("user")
    user = principal.user if principal is not None else None
    return {
        "user": user,
        "csrf": principal.csrf if principal is not None else "",
        "path": request.url.path,
        "entries": list_entries() if user is not None else (),
        "theme": request.cookies.get("theme", "auto"),
        "is_stopping": office_of(request).is_stopping,
        "may": (lambda role: user is not None and user.role.allows(Role(role))),
    }
