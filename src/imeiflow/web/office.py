"""What every page needs: the ledger's session, the runner, who is looking, and what is being read in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from litestar import Request
from litestar.datastructures import State

from imeiflow.ledger.user import User
from imeiflow.operations.embedded import EmbeddedRunner
from imeiflow.operations.limit_desk import LimitDesk
from imeiflow.operations.preparation import Preparations
from imeiflow.operations.session import Session
from imeiflow.web.drawn import Shared
from imeiflow.web.enquiry import Enquiries
from imeiflow.web.flash import Flashes
from imeiflow.web.hub import Hub
from imeiflow.web.room import Room
from imeiflow.web.setting import WebSettings
from imeiflow.web.throttle import Throttle


def _make_export_room() -> Room:
    problem = "Too many exports are being made or fetched. Try again when one of them has ended."
    return Room(most=8, most_of_one=3, problem=problem)


def _make_stream_room() -> Room:
    # Of one person no more than a few, so that nobody shuts out the others.
    return Room(most=1000, most_of_one=64, problem="Too many pages or streams are open. Close some of them.")


@dataclass(slots=True, kw_only=True)
class Office:
    """One running web application."""

    session: Session
    settings: WebSettings
    runner: EmbeddedRunner
    hub: Hub
    preparations: Preparations
    limits: LimitDesk
    enquiries: Enquiries
    throttle: Throttle = field(default_factory=Throttle)
    shared: Shared = field(default_factory=Shared)
    flashes: Flashes = field(default_factory=Flashes)
    exports: Room = field(default_factory=_make_export_room)
    streams: Room = field(default_factory=_make_stream_room)
    is_stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks. `session` and `csrf` are of the browser's session."""

    user: User
    session: str | None = None
    csrf: str | None = None


#: A request of somebody who is signed in; where nobody has to be, `user` may be None.
WebRequest: TypeAlias = Request[Principal, Any, State]


def office_of(request: Request[Any, Any, State]) -> Office:
    """Give the office that a request came to."""
    office: Office = request.scope["state"]["office"]
    return office
